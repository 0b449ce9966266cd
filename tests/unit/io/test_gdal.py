"""Rasters and vectors open with listed drivers only, and lead nowhere else."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import from_origin

from agrilape.errors import DataError
from agrilape.io import gdal, remote

WMS = """<GDAL_WMS><Service name="TMS"><ServerUrl>http://127.0.0.1:9/${z}/${x}/${y}.png</ServerUrl></Service>
<DataWindow><UpperLeftX>0</UpperLeftX><UpperLeftY>1</UpperLeftY><LowerRightX>1</LowerRightX>
<LowerRightY>0</LowerRightY><SizeX>64</SizeX><SizeY>64</SizeY></DataWindow>
<Projection>EPSG:4326</Projection><BandsCount>1</BandsCount></GDAL_WMS>"""
SOURCE = (
    '<SimpleSource><SourceFilename relativeToVRT="1">{}</SourceFilename>'
    "<SourceBand>1</SourceBand></SimpleSource>"
)
RAW = '<SourceFilename relativeToVRT="0">/etc/passwd</SourceFilename><ImageOffset>0</ImageOffset>'


def write_image(path: Path, driver: str = "GTiff") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    how = {"driver": driver, "width": 8, "height": 8, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", **how, crs="EPSG:32632", transform=from_origin(5e5, 5e6, 10, 10)) as image:
        image.write(np.full((1, 8, 8), 7, np.uint8))
    return path


def write_vrt(path: Path, inside: str, band: str = 'dataType="Byte" band="1"') -> Path:
    band = f"<VRTRasterBand {band}>{inside}</VRTRasterBand>"
    path.write_text(f'<VRTDataset rasterXSize="8" rasterYSize="8">{band}</VRTDataset>')
    return path


def write_fields(path: Path, driver: str | None = None) -> Path:
    table = geopandas.GeoDataFrame({"crop": ["rye"]}, geometry=[shapely.box(8, 45, 9, 46)], crs=4326)
    table.to_file(path, driver=driver, **({"layer": "parcels"} if path.suffix == ".gpkg" else {}))
    return path


@pytest.mark.parametrize("driver", ["GTiff", "JP2OpenJPEG", "PNG", "HFA", "ENVI"])
def test_listed_formats_open_whatever_their_suffix(tmp_path: Path, driver: str) -> None:
    with gdal.open_raster(write_image(tmp_path / "image.dat", driver)) as image:
        assert (image.driver, image.shape) == (driver, (8, 8))


@pytest.mark.parametrize(
    "text", [WMS, '{"stac_version": "1.0.0", "type": "Feature"}', "WMS:http://127.0.0.1:9", ""]
)
def test_other_content_is_refused_with_the_formats_that_open(tmp_path: Path, text: str) -> None:
    path = tmp_path / "image.tif"
    path.write_text(text)
    with pytest.raises(DataError, match="not a readable image"):
        gdal.open_raster(path)


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/a.tif",
        "/vsicurl/https://example.org/a.tif",
        "s3://bucket/a.tif",
        "/vsizip/a.zip/a.tif",
    ],
)
def test_addresses_are_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.delenv(remote.ALLOW_REMOTE, raising=False)
    with pytest.raises(DataError, match=r"lies on a network|not a file of this machine"):
        gdal.open_raster(address)


def test_addresses_are_read_where_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(remote.ALLOW_REMOTE, "1")
    assert remote.check_remote("https://example.org/a.tif") == "/vsicurl/https://example.org/a.tif"
    assert remote.check_remote("s3://bucket/a.tif") == "/vsis3/bucket/a.tif"
    with pytest.raises(DataError, match="not a file of this machine"):
        remote.check_remote("/vsizip/a.zip/a.tif")


@pytest.mark.parametrize("within", ["image.tif", "sub/image.tif"])
def test_a_virtual_raster_of_its_own_folder_opens(tmp_path: Path, within: str) -> None:
    write_image(tmp_path / within)
    with gdal.open_raster(write_vrt(tmp_path / "a.vrt", SOURCE.format(within))) as image:
        assert image.read(1).tolist() == [[7] * 8] * 8


def test_a_virtual_raster_of_virtual_rasters_opens(tmp_path: Path) -> None:
    write_image(tmp_path / "sub" / "image.tif")
    write_vrt(tmp_path / "sub" / "inner.vrt", SOURCE.format("image.tif"))
    with gdal.open_raster(write_vrt(tmp_path / "outer.vrt", SOURCE.format("sub/inner.vrt"))) as image:
        assert image.read(1)[0, 0] == 7


@pytest.mark.parametrize(
    "inside",
    [
        SOURCE.format("../image.tif"),
        SOURCE.format("/vsicurl/http://127.0.0.1:9/a.tif"),
        SOURCE.format("wms.tif"),
        SOURCE.format("link.tif"),
        SOURCE.format("missing.tif"),
        SOURCE.format("a.vrt"),
        SOURCE.format("im<!-- -->age.tif"),
        SOURCE.replace('"1"', '"0"').format("image.tif"),
        '<SimpleSource SourceFilename="/etc/passwd"><SourceBand>1</SourceBand></SimpleSource>',
        "<PixelFunctionType>min</PixelFunctionType>",
        RAW,
    ],
)
def test_a_virtual_raster_that_leads_elsewhere_is_refused(tmp_path: Path, inside: str) -> None:
    folder = tmp_path / "folder"
    write_image(tmp_path / "image.tif")
    write_image(folder / "image.tif")
    (folder / "wms.tif").write_text(WMS)
    (folder / "link.tif").symlink_to(tmp_path / "image.tif")
    with pytest.raises((DataError, FileNotFoundError)):
        gdal.open_raster(write_vrt(folder / "a.vrt", inside))


def test_a_virtual_raster_may_not_be_raw(tmp_path: Path) -> None:
    raw = write_vrt(tmp_path / "image.tif", RAW, 'dataType="Byte" band="1" subClass="VRTRawRasterBand"')
    with pytest.raises(DataError, match="more than a mosaic"):
        gdal.open_raster(raw)


@pytest.mark.parametrize("other", ["/vsicurl/http://127.0.0.1:9/a.ovr", "../a.tif", ":::BASE:::../a.ovr"])
def test_overviews_in_another_place_are_refused(tmp_path: Path, other: str) -> None:
    image = write_image(tmp_path / "folder" / "image.tif")
    image.with_name("image.tif.aux.xml").write_text(
        f'<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{other}</MDI></Metadata>'
        "</PAMDataset>"
    )
    with pytest.raises(DataError, match="overviews"):
        gdal.open_raster(image)


@pytest.mark.parametrize(
    ("name", "driver", "kind"),
    [
        ("a.gpkg", None, "gpkg"), ("a.geojson", None, "json"), ("a.json", "GeoJSONSeq", "json"),
        ("a.shp", None, "shp"), ("a.fgb", None, "fgb"),
        ("a.kml", "KML", "kml"), ("a.gdb", "OpenFileGDB", "gdb"),
    ],
)  # fmt: skip
def test_listed_vector_files_open(tmp_path: Path, name: str, driver: str | None, kind: str) -> None:
    path = write_fields(tmp_path / name, driver)
    assert gdal.vector_format(path) == kind
    assert [name for name, _ in gdal.vector_layers(path)]
    assert (
        len(gdal.read_vector_layer(path)) == gdal.vector_info(path, force_feature_count=True)["features"] == 1
    )
    assert gdal.vector_bounds(path).T.tolist() == [[8, 45, 9, 46]]


@pytest.mark.parametrize(
    "text",
    [
        '<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>/etc</SrcDataSource></OGRVRTLayer>'
        "</OGRVRTDataSource>",
        "<OGRWFSDataSource><URL>http://127.0.0.1:9</URL></OGRWFSDataSource>",
        json.dumps({"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline ! read /etc/passwd"}),
        "id,wkt\n1,POINT(0 0)\n",
        "",
    ],
)
def test_other_vector_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "fields.geojson"
    path.write_text(text)
    for ask in (gdal.vector_layers, gdal.read_vector_layer, gdal.vector_info, gdal.vector_bounds):
        with pytest.raises(DataError, match="not a readable vector file"):
            ask(path)


def add(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as file:
        for statement in statements:
            file.execute(statement)
        file.commit()


def endless(name: str) -> tuple[str, str, str]:
    return (
        f"CREATE VIEW {name} AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) "
        "SELECT n AS fid, (SELECT geom FROM parcels) AS geom FROM r",
        f"INSERT INTO gpkg_contents(table_name, data_type, srs_id) VALUES ('{name}', 'features', 4326)",
        f"INSERT INTO gpkg_geometry_columns VALUES ('{name}', 'geom', 'POLYGON', 4326, 0, 0)",
    )


@pytest.mark.timeout(20)
def test_a_view_without_end_is_no_layer(tmp_path: Path) -> None:
    path = write_fields(tmp_path / "a.gpkg")
    add(path, *endless("aaa"))
    assert [name for name, _ in gdal.vector_layers(path)] == ["parcels"]
    assert len(gdal.read_vector_layer(path)) == 1
    asked: tuple[Callable[..., object], ...] = (gdal.read_vector_layer, gdal.vector_info, gdal.vector_bounds)
    for ask in asked:
        with pytest.raises(DataError, match="layer aaa is a view"):
            ask(path, "aaa")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["gpkg_contents", "gpkg_geometry_columns", "rtree_parcels_geom"])
def test_a_view_in_the_place_of_the_formats_own_tables_is_refused(tmp_path: Path, name: str) -> None:
    path = write_fields(tmp_path / "a.gpkg")
    add(path, f"DROP TABLE {name}" if not name.startswith("rtree") else "SELECT 1")
    add(path, "PRAGMA writable_schema = 1", f"DELETE FROM sqlite_master WHERE name = '{name}'")
    add(path, endless(name)[0])
    with pytest.raises(DataError, match=r"is not a table|is not a GeoPackage"):
        gdal.read_vector_layer(path, "parcels")


def test_an_emptied_or_foreign_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    add(path, "CREATE TABLE parcels (id)")
    with pytest.raises(DataError, match="not a GeoPackage"):
        gdal.vector_layers(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match="not a readable vector file"):
        gdal.vector_layers(path)


def test_processes_of_the_command_line_do_not_even_have_drivers_that_ask_servers() -> None:
    code = (
        "from agrilape.io.remote import keep_to_listed_drivers; keep_to_listed_drivers()\n"
        "import pyogrio, rasterio\n"
        "with rasterio.Env() as env: print('GTiff' in env.drivers(), 'WMS' in env.drivers())\n"
        "print('GPKG' in pyogrio.list_drivers(), 'WFS' in pyogrio.list_drivers())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (told.stdout.split(), told.stderr) == (["True", "False"] * 2, "")
