"""Vectors across zones, the antimeridian and coordinate systems; repeated outlines; filtered Parquet."""

import json

import geopandas
import numpy as np
import pyarrow.parquet
import pytest
import shapely
from affine import Affine
from tests.unit.sources.conftest import SIZE, field

from agrilape.geo.georeference import Georeference
from agrilape.sources import open_folder, read_parcels
from agrilape.sources.vectors import read_vector


def at_antimeridian() -> Georeference:
    """96 pixels of 10 m in Fiji, whose middle column lies on 180 degrees."""
    middle = geopandas.GeoSeries([shapely.Point(180, -16.7)], crs="OGC:CRS84").to_crs("EPSG:32701")
    west = round(middle.x[0] - SIZE * 5, -1)
    return Georeference("EPSG:32701", Affine(10, 0, west, 0, -10, round(middle.y[0], -1)), SIZE, SIZE)


@pytest.fixture
def crossing() -> tuple[Georeference, shapely.Polygon, np.ndarray]:
    """An image at the antimeridian, and a field that lies across it, in pixels and in degrees 0-360."""
    grid = at_antimeridian()
    pixels = shapely.box(20, 10, 80, 30)
    wgs = geopandas.GeoSeries([grid.from_pixels(pixels)], crs=grid.crs).segmentize(50).to_crs("OGC:CRS84")
    degrees = shapely.get_coordinates(wgs.array)
    degrees[:, 0] %= 360
    assert degrees[:, 0].min() < 180 < degrees[:, 0].max()
    return grid, pixels, degrees


def spellings(degrees: np.ndarray) -> dict[str, shapely.Geometry]:
    """The ways in which files hold a field across the antimeridian."""
    whole = shapely.Polygon(degrees)
    west = shapely.intersection(whole, shapely.box(0, -90, 180, 90))
    east = shapely.intersection(whole, shapely.box(180, -90, 360, 90))
    east = shapely.transform(east, lambda xy: xy - [360, 0])
    torn = np.stack([np.where(degrees[:, 0] > 180, degrees[:, 0] - 360, degrees[:, 0]), degrees[:, 1]], -1)
    return {
        "beyond 180": whole,
        "cut in two (RFC 7946)": shapely.MultiPolygon([west, east]),
        "torn": shapely.Polygon(torn),
        "below -180": shapely.transform(whole, lambda xy: xy - [360, 0]),
    }


@pytest.mark.parametrize("spelling", ["beyond 180", "cut in two (RFC 7946)", "torn", "below -180"])
def test_parcel_across_the_antimeridian(tmp_path, crossing, spelling):
    grid, pixels, degrees = crossing
    elsewhere = shapely.box(10, -17, 11, -16)
    table = geopandas.GeoDataFrame(
        {"crop": ["sugar cane", "rice"]}, geometry=[spellings(degrees)[spelling], elsewhere], crs="OGC:CRS84"
    )
    table.to_file(tmp_path / "parcels.gpkg")
    (parcel,) = read_parcels(tmp_path / "parcels.gpkg", grid).parcels
    assert parcel.crop == "sugar cane"
    assert parcel.area_ha == pytest.approx(12, rel=2e-3)
    assert parcel.outline.symmetric_difference(pixels).area < 0.1
    assert parcel.outline.geom_type == "Polygon"


@pytest.mark.parametrize("spelling", ["beyond 180", "cut in two (RFC 7946)", "torn", "below -180"])
@pytest.mark.parametrize("west", [179.99, -180.01])
def test_image_in_degrees_across_the_antimeridian(tmp_path, crossing, spelling, west):
    _, _, degrees = crossing
    step = 0.02 / SIZE
    grid = Georeference("EPSG:4326", Affine(step, 0, west, 0, -step, -16.69), SIZE, SIZE)
    table = geopandas.GeoDataFrame(
        {"crop": ["sugar cane"]}, geometry=[spellings(degrees)[spelling]], crs="EPSG:4326"
    )
    table.to_file(tmp_path / "parcels.gpkg")
    (parcel,) = read_parcels(tmp_path / "parcels.gpkg", grid).parcels
    left, _, right, _ = parcel.outline.bounds
    assert left == pytest.approx((degrees[:, 0].min() - 179.99) / step, abs=0.01)
    assert right == pytest.approx((degrees[:, 0].max() - 179.99) / step, abs=0.01)
    assert parcel.area_ha == pytest.approx(12, rel=5e-3)


def test_parcels_of_the_neighbouring_utm_zone(write_parcels):
    """An image at the border of zones 32 and 33 with parcels in either zone's coordinates."""
    grid = Georeference("EPSG:32632", Affine(10, 0, 719_500, 0, -10, 5_400_000), SIZE, SIZE)
    outline = grid.from_pixels(shapely.box(10, 20, 40, 60))
    same, other = (
        read_parcels(write_parcels(name, geometry=[outline], crs="EPSG:32632", to=to, crop=["rye"]), grid)
        for name, to in (("a.gpkg", None), ("b.gpkg", "EPSG:32633"))
    )
    assert other.parcels[0].outline.bounds == pytest.approx(same.parcels[0].outline.bounds, abs=1e-3)
    assert other.parcels[0].area_ha == pytest.approx(same.parcels[0].area_ha, rel=1e-6)
    assert other.notes == ("b.gpkg: reprojected from EPSG:32633 to EPSG:32632",)


def test_parcels_of_several_systems_meet_on_one_image(write_raster, write_parcels, tmp_path):
    write_raster("20210503.tif")
    for number, to in enumerate((None, "EPSG:4326", "EPSG:3035", "EPSG:32633")):
        write_parcels(
            f"{number}.gpkg", [field(10 + 20 * number, 10, 25 + 20 * number, 30)], to=to, crop=["oats"]
        )
    (scene,) = open_folder(tmp_path).scenes
    lefts = [parcel.outline.bounds[0] for parcel in scene.parcels]
    assert lefts == pytest.approx([10, 30, 50, 70], abs=1e-3)


def test_images_of_several_systems_are_scenes_with_their_own_parcels(write_raster, write_parcels, tmp_path):
    write_raster("a/20210503.tif")
    write_raster("b/20210503.tif", crs="EPSG:4326", transform=Affine(1e-4, 0, 10.3636, 0, -1e-4, 48.7443))
    write_parcels("parcels.gpkg", to="EPSG:3035")
    scenes = open_folder(tmp_path).scenes
    assert [scene.georeference.crs for scene in scenes] == ["EPSG:32632", "EPSG:4326"]
    areas = [[parcel.area_ha for parcel in scene.parcels] for scene in scenes]
    assert areas[0] == pytest.approx(areas[1], rel=1e-3)


def test_repeated_outlines_are_counted_once_and_contradictions_unknown(write_parcels, grid):
    first, second = field(10, 10, 40, 30), field(50, 50, 90, 80)
    turned = shapely.Polygon([*first.exterior.coords[2:], *first.exterior.coords[1:3]])
    path = write_parcels(geometry=[first, second, turned, second], crop=["oats", "rye", "oats", "maize"])
    table = read_parcels(path, grid)
    assert [parcel.crop for parcel in table.parcels] == ["oats", None]
    assert "parcels.gpkg: skipped 2 parcels that repeat an outline" in table.notes


def test_parquet_is_filtered_while_reading(tmp_path, grid, monkeypatch):
    """A file with a bounding-box column hands over the features near the image only."""
    near = [field(10, 10, 40, 30), field(50, 50, 90, 80)]
    far = [field(5000 + 50 * n, 0, 5040 + 50 * n, 40) for n in range(200)]
    table = geopandas.GeoDataFrame({"crop": ["rye"] * 202}, geometry=near + far, crs="EPSG:32632")
    table.to_parquet(tmp_path / "covered.parquet", write_covering_bbox=True)
    table.to_parquet(tmp_path / "plain.parquet")
    seen = []
    read = geopandas.read_parquet
    monkeypatch.setattr(geopandas, "read_parquet", lambda *a, **k: seen.append(read(*a, **k)) or seen[-1])
    for name, rows in (("covered", 2), ("plain", 202)):
        assert len(read_parcels(tmp_path / f"{name}.parquet", grid).parcels) == 2
        assert len(seen.pop()) == rows


def test_parquet_without_a_crs_is_in_degrees(tmp_path):
    """GeoParquet says so, where other formats leave the CRS open."""
    path = tmp_path / "parcels.parquet"
    geopandas.GeoDataFrame(
        {"crop": ["rye"]}, geometry=[shapely.box(8, 50, 9, 51)], crs="OGC:CRS84"
    ).to_parquet(path)
    content = pyarrow.parquet.read_table(path)
    geo = json.loads(content.schema.metadata[b"geo"])
    del geo["columns"]["geometry"]["crs"]
    metadata = {**content.schema.metadata, b"geo": json.dumps(geo).encode()}
    pyarrow.parquet.write_table(content.replace_schema_metadata(metadata), path)
    assert read_vector(path).crs.equals("OGC:CRS84")


def test_geometry_without_a_place_on_the_images_map_is_left_out(write_parcels, grid):
    path = write_parcels(
        "parcels.parquet", geometry=[shapely.box(8.2, 48.7, 10.5, 48.8), shapely.box(-100, -89, -90, 89)],
        crs="EPSG:4326", crop=["rye", "rice"],
    )  # fmt: skip
    assert [parcel.crop for parcel in read_parcels(path, grid).parcels] == ["rye"]


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet"])
def test_parcels_whose_longitudes_run_to_360(write_parcels, tmp_path, suffix):
    """An image in Nebraska, 98 degrees west, and its fields at 262 degrees."""
    grid = Georeference("EPSG:32614", Affine(10, 0, 600_000, 0, -10, 4_600_000), SIZE, SIZE)
    fields = geopandas.GeoSeries([grid.from_pixels(shapely.box(10, 20, 40, 60))], crs=grid.crs)
    degrees = fields.to_crs("EPSG:4326").translate(360)
    table = read_parcels(write_parcels(f"a{suffix}", degrees, crs="EPSG:4326", crop=["maize"]), grid)
    (parcel,) = table.parcels
    assert parcel.outline.bounds == pytest.approx((10, 20, 40, 60), abs=1e-3)
    assert any("shifted by 360 degrees" in note for note in table.notes)


@pytest.mark.parametrize("encoding", ["UTF-8", "CP1252"])
def test_a_shapefile_that_does_not_state_its_encoding(tmp_path, grid, encoding):
    path = tmp_path / "fields.shp"
    table = geopandas.GeoDataFrame(
        {"Kultur": ["Zuckerrübe"]}, geometry=[field(10, 10, 40, 30)], crs="EPSG:32632"
    )
    table.to_file(path, encoding=encoding)
    path.with_suffix(".cpg").unlink()
    assert [parcel.crop for parcel in read_parcels(path, grid).parcels] == ["zuckerrübe"]


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet"])
def test_outlines_whose_coordinates_are_no_numbers_are_counted(write_parcels, grid, suffix):
    strange = shapely.get_coordinates(field(50, 50, 90, 80))
    strange[1, 0] = np.nan
    path = write_parcels(
        f"a{suffix}", [field(10, 10, 40, 30), shapely.Polygon(strange)], crop=["rye", "oats"]
    )
    table = read_parcels(path, grid)
    assert [parcel.crop for parcel in table.parcels] == ["rye"]
    assert f"a{suffix}: skipped 1 features whose coordinates are no finite numbers" in table.notes
