"""The style that a GeoPackage carries for QGIS."""

import sqlite3
import warnings
from itertools import pairwise
from xml.etree import ElementTree

import geopandas
import pyogrio
import pytest
from affine import Affine
from shapely import box

from agrilape.geo.georeference import Georeference
from agrilape.io.gdal import vector_layers
from agrilape.serve.geofile import Feature, write_geopackage

GRID = Georeference("EPSG:25832", Affine(10, 0, 600_000, 0, -10, 6_200_000), 100, 100)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "answer.gpkg"
    ground = [box(600_000 + n, 6_199_000, 600_100 + n, 6_199_100) for n in range(5)]
    features = [Feature(str(n), outline, {"confidence": n / 4}) for n, outline in enumerate(ground)]
    write_geopackage(path, features, GRID)
    return path


def test_the_default_style_of_the_layer_colours_every_confidence(file):
    with sqlite3.connect(file) as database:
        (row,) = database.execute(
            "SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles"
        )
        ((column,),) = database.execute("SELECT column_name FROM gpkg_geometry_columns")
    table, geometry, default, text = row
    assert (table, geometry, default) == ("answer", column, 1)
    style = ElementTree.fromstring(text)
    renderer = style.find("renderer-v2")
    assert renderer.get("attr") == "confidence"
    ranges = [(float(one.get("lower")), float(one.get("upper"))) for one in renderer.iter("range")]
    assert (ranges[0][0], ranges[-1][1]) == (0, 1)
    assert all(a[1] == b[0] for a, b in pairwise(ranges))
    assert {one.get("symbol") for one in renderer.iter("range")} == {
        one.get("name") for one in renderer.find("symbols")
    }


def test_the_answer_stays_the_first_layer_and_reads_as_before(file):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert len(geopandas.read_file(file)) == 5
    assert vector_layers(file)[0] == ("answer", "Polygon")
    assert pyogrio.read_info(file, layer="answer")["features"] == 5
