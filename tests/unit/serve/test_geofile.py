import json

import geopandas
import pytest
from affine import Affine
from shapely.geometry import box, shape

from agrilape.files import require_writable
from agrilape.geo.georeference import Georeference
from agrilape.serve.geofile import Feature, write_geojson, write_geopackage

GRID = Georeference("EPSG:25832", Affine(10, 0, 600_000, 0, -10, 6_200_000), 100, 100)
FEATURES = [Feature("a-0001", GRID.from_pixels(box(10, 20, 30, 60)), {"crop:name": "maize", "area_ha": 8.0})]


def test_geojson_is_wgs84_wound_anticlockwise_and_without_crs(tmp_path):
    write_geojson(tmp_path / "a.geojson", FEATURES, GRID)
    content = json.loads((tmp_path / "a.geojson").read_text())
    (feature,) = content["features"]
    assert feature["properties"]["collection"] in content["schemas"]  # as fiboa wants it
    assert "crs" not in content
    assert feature["id"] == "a-0001"
    assert shape(feature["geometry"]).exterior.is_ccw
    back = geopandas.read_file(tmp_path / "a.geojson").to_crs(GRID.crs)
    assert back.geometry[0].hausdorff_distance(FEATURES[0].outline) < 0.02  # metres


@pytest.mark.parametrize("wgs84", [False, True])
def test_a_geopackage_lies_where_the_image_lies(tmp_path, wgs84):
    write_geopackage(tmp_path / "a.gpkg", FEATURES, GRID, wgs84)
    require_writable(tmp_path / "a.gpkg")  # it is ours
    table = geopandas.read_file(tmp_path / "a.gpkg")
    assert table.crs == ("EPSG:4326" if wgs84 else GRID.crs)
    assert table["crop:name"].tolist() == ["maize"]
    assert table.to_crs(GRID.crs).geometry[0].hausdorff_distance(FEATURES[0].outline) < 0.02  # metres


def test_an_empty_answer_is_a_valid_file(tmp_path):
    write_geojson(tmp_path / "a.geojson", [], GRID)
    write_geopackage(tmp_path / "a.gpkg", [], GRID)
    assert json.loads((tmp_path / "a.geojson").read_text())["features"] == []
    assert len(geopandas.read_file(tmp_path / "a.gpkg")) == 0


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "a.geojson"
    path.write_text("old")
    with pytest.raises(ValueError, match="JSON compliant"):
        write_geojson(path, [Feature("a", FEATURES[0].outline, {"area_ha": float("nan")})], GRID)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
