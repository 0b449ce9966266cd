"""Parcel vectors of every format, in any state of repair."""

from datetime import date

import geopandas
import pytest
import shapely
from tests.unit.sources.conftest import field

from agrilape.errors import DataError
from agrilape.sources import read_parcels
from agrilape.sources.crop_names import plain_crop, read_crop_table


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".parquet", ".shp"])
@pytest.mark.parametrize("to", [None, "EPSG:4326", "EPSG:3035"])
def test_every_format_and_crs_gives_the_same_fields(write_parcels, grid, suffix, to):
    table = read_parcels(write_parcels("parcels" + suffix, to=to), grid)
    assert [(parcel.id, parcel.crop) for parcel in table.parcels] == [("a", "winter wheat"), ("b", "maize")]
    assert table.parcels[0].outline.bounds == pytest.approx((10, 10, 40, 30), abs=1e-3)
    assert table.parcels[0].area_ha == pytest.approx(30 * 20 / 100, rel=2e-3)
    reprojected = to is not None or (suffix == ".geojson" and to == "EPSG:4326")
    assert any("reprojected" in note for note in table.notes) == reprojected


def test_only_parcels_that_touch_the_image(write_parcels, grid):
    outlines = [field(-50, 10, 20, 30), field(200, 200, 220, 220), field(96, 0, 120, 50), field(5, 5, 9, 9)]
    path = write_parcels(geometry=outlines, crop=list("abcd"))
    table = read_parcels(path, grid)
    assert [parcel.crop for parcel in table.parcels] == ["a", "d"]  # c only shares an edge
    assert table.parcels[0].outline.bounds == pytest.approx((-50, 10, 20, 30), abs=1e-6)  # not clipped


def test_broken_outlines_are_repaired_or_left_out_and_counted(write_parcels, grid):
    bow_tie = shapely.Polygon(
        [(600_100, 5_399_900), (600_300, 5_399_700), (600_300, 5_399_900), (600_100, 5_399_700)]
    )
    spike = shapely.Polygon([(600_400, 5_399_900), (600_500, 5_399_900), (600_400, 5_399_900)])
    solid = shapely.force_3d(field(50, 50, 60, 60), 12.0)
    path = write_parcels(geometry=[bow_tie, spike, solid, shapely.Polygon(), None], crop=list("abcde"))
    table = read_parcels(path, grid)
    assert [parcel.crop for parcel in table.parcels] == ["a", "c"]
    assert all(parcel.outline.is_valid and not parcel.outline.has_z for parcel in table.parcels)
    assert table.parcels[0].area_ha == pytest.approx(2.0, rel=2e-3)
    assert any("repaired 2 invalid" in note for note in table.notes)
    assert "parcels.gpkg: skipped 1 features without area" in table.notes
    assert "parcels.gpkg: skipped 2 features without a geometry" in table.notes


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".parquet", ".shp"])
def test_parcels_without_a_geometry_are_counted_in_every_format(write_parcels, grid, suffix):
    path = write_parcels(f"parcels{suffix}", [field(10, 10, 40, 30), None], crop=["rye", "oats"])
    table = read_parcels(path, grid)
    assert [parcel.crop for parcel in table.parcels] == ["rye"]
    assert f"parcels{suffix}: skipped 1 features without a geometry" in table.notes


@pytest.mark.parametrize("missing", [None, "", "NaT", "unknown"])
def test_a_missing_date_leaves_the_others(write_parcels, grid, missing):
    path = write_parcels(
        crop=["rye", "oats"], sowing=["20210420", missing], harvest=["Aug 15, 2021", "15.8.2021"]
    )
    parcels = read_parcels(path, grid).parcels
    assert [parcel.sowing for parcel in parcels] == [date(2021, 4, 20), None]
    assert {parcel.harvest for parcel in parcels} == {date(2021, 8, 15)}


def test_multipart_and_holed_parcels_keep_their_shape(write_parcels, grid):
    parts = shapely.MultiPolygon([field(5, 5, 15, 15), field(20, 5, 30, 15)])
    holed = field(40, 40, 60, 60).difference(field(45, 45, 55, 55))
    table = read_parcels(write_parcels(geometry=[parts, holed], crop=["a", "b"]), grid)
    assert [parcel.area_ha for parcel in table.parcels] == pytest.approx([2.0, 3.0], rel=2e-3)
    assert [len(part.interiors) for part in shapely.get_parts(table.parcels[1].outline)] == [1]


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet"])
def test_parcels_elsewhere_are_an_error(write_parcels, grid, suffix):
    path = write_parcels("far" + suffix, geometry=[field(5000, 5000, 5050, 5050)], crop=["maize"])
    with pytest.raises(DataError, match="do not overlap"):
        read_parcels(path, grid)


def test_missing_crs_is_an_error(write_parcels, grid):
    path = write_parcels("parcels.shp")
    path.with_suffix(".prj").unlink()
    with pytest.raises(DataError, match="no coordinate reference system"):
        read_parcels(path, grid)


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".parquet"])
def test_unreadable_file_is_an_error(tmp_path, grid, suffix):
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(b"\x00 this is no vector file")
    with pytest.raises(DataError, match="broken"):
        read_parcels(path, grid)


def test_layer_with_the_parcels_is_found(write_parcels, grid):
    write_parcels(layer="a_roads", geometry=[field(0, 0, 90, 1)], crop=["road"])
    path = write_parcels(layer="parcels")
    assert len(read_parcels(path, grid).parcels) == 2


def test_dates_are_read_and_contradictions_left_out(write_parcels, grid):
    path = write_parcels(
        parcel_id=["a", "b"],
        sowing_date=[date(2021, 4, 20), date(2021, 9, 1)],
        harvest=["2021-08-15", "20.8.2021"],
    )
    table = read_parcels(path, grid)
    assert (table.parcels[0].sowing, table.parcels[0].harvest) == (date(2021, 4, 20), date(2021, 8, 15))
    assert (table.parcels[1].sowing, table.parcels[1].harvest) == (None, None)
    assert any("dates of 1 parcels" in note for note in table.notes)


def test_ids_are_unique_and_attributes_are_json(write_parcels, grid):
    path = write_parcels(
        parcel_id=["x", "x"], ha=[1.5, None], seen=[date(2021, 1, 1), None], irrigated=[True, False]
    )
    parcels = read_parcels(path, grid).parcels
    assert [parcel.id for parcel in parcels] == ["x", "x-2"]
    assert parcels[0].attributes == {"ha": 1.5, "seen": "2021-01-01", "irrigated": True}
    assert parcels[1].attributes == {"irrigated": False}


def test_crop_codes_are_named_by_the_users_table(write_parcels, grid, tmp_path):
    codes = tmp_path / "crops.csv"
    codes.write_text("code,name\n11,Winter wheat\n216,Silage maize\n")
    path = write_parcels(AfgKode=[11, 999])
    table = read_parcels(path, grid, crop_column="AfgKode", crops=read_crop_table(codes))
    assert [parcel.crop for parcel in table.parcels] == ["winter wheat", None]
    assert table.notes == ("parcels.gpkg: the crop of 1 parcels is unknown: crops.csv has no name for 999",)


def test_unknown_crop_column_is_an_error_with_the_columns(write_parcels, grid):
    with pytest.raises(DataError, match="no column 'kultur'") as caught:
        read_parcels(write_parcels(), grid, crop_column="kultur")
    assert "parcel_id, crop" in caught.value.remedy


def test_crop_table_without_its_columns_is_an_error(tmp_path):
    path = tmp_path / "crops.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="code and name"):
        read_crop_table(path)


def test_an_empty_code_of_a_crop_table_stands_for_no_crop(tmp_path):
    path = tmp_path / "fr_2018.csv"
    path.write_text(
        "original_name,original_code,HCAT3_name\nBlé,BTH,wheat\nVigne,,vineyard\n,,nuts\n", "utf-8"
    )
    assert read_crop_table(path) == {"BTH": "wheat", "Blé": "wheat", "Vigne": "vineyard"}


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        ("Winter_Wheat", "winter wheat"),
        ("vineyards_wine_vine_rebland_grapes", "vineyard"),
        ("not_known_and_other", None),
        ("", None),
        (None, None),
        (float("nan"), None),
        (216.0, None),
        ("BTH", None),
        ("Mais", "mais"),
    ],
)
def test_plain_crop(said, plain):
    assert plain_crop(said) == plain


def test_no_geometry_is_an_error(tmp_path, grid):
    path = tmp_path / "table.parquet"
    geopandas.pd.DataFrame({"crop": ["maize"]}).to_parquet(path)
    with pytest.raises(DataError, match=r"table.parquet"):
        read_parcels(path, grid)


def test_columns_of_a_shapefile_cut_to_ten_letters(write_parcels, grid):
    columns = {
        "sowing_date": ["2021-04-20"], "emergence_date": ["2021-05-02"], "harvest_date": ["2021-09-30"],
        "row_azimuth_deg": ["45,5"], "crop": ["maize"],
    }  # fmt: skip
    (parcel,) = read_parcels(write_parcels("a.shp", geometry=[field(5, 5, 9, 9)], **columns), grid).parcels
    assert (parcel.sowing, parcel.harvest) == (date(2021, 4, 20), date(2021, 9, 30))
    assert parcel.emergence == date(2021, 5, 2)
    assert parcel.attributes["row_azimuth_deg"] == 45.5


def test_a_mixed_layer_after_one_of_points_is_found(tmp_path, grid):
    path = tmp_path / "a.gpkg"
    outlines = [field(5, 5, 9, 9), field(15, 15, 30, 30)]
    frame = geopandas.GeoDataFrame({"crop": ["maize", "rye"]}, geometry=outlines, crs=grid.crs)
    frame.set_geometry(frame.centroid).to_file(path, layer="places", engine="pyogrio")
    frame.to_file(path, layer="parcels", engine="pyogrio", geometry_type="Unknown")
    assert [parcel.crop for parcel in read_parcels(path, grid).parcels] == ["maize", "rye"]


@pytest.mark.parametrize(
    ("column", "crop"), [("Kultur", "Winterweizen"), ("CODE_CULTU", "soft wheat"), ("Afgroede", "vårbyg")]
)
def test_columns_of_other_countries(write_parcels, grid, column, crop):
    path = write_parcels("a.gpkg", geometry=[field(5, 5, 9, 9)], **{column: [crop]})
    assert read_parcels(path, grid).parcels[0].crop == crop.lower()


def test_crops_by_year_are_those_of_the_image(write_parcels, grid):
    path = write_parcels("a.gpkg", geometry=[field(5, 5, 9, 9)], CDL2020=[5], CDL2021=[1])
    assert read_parcels(path, grid, year=2020).parcels[0].crop == "soybeans"
    assert read_parcels(path, grid, year=2021).parcels[0].crop == "maize"


def test_a_crop_table_of_windows_is_read(tmp_path):
    (tmp_path / "crops.csv").write_bytes("code;name\r\n1;Körnermais\r\n".encode("cp1252"))
    assert read_crop_table(tmp_path / "crops.csv") == {"1": "Körnermais"}


def test_metres_where_degrees_must_be_are_named(tmp_path, grid):
    path = tmp_path / "a.geojson"
    frame = geopandas.GeoDataFrame({"crop": ["maize"]}, geometry=[field(5, 5, 9, 9)])
    frame.to_file(path, engine="pyogrio")  # no crs member: RFC 7946 says WGS 84
    with pytest.raises(DataError, match=r"a\.geojson: its coordinates \(6000\d\d to .*are no degrees"):
        read_parcels(path, grid)


def test_a_file_without_features_or_without_polygons_says_so(write_parcels, grid):
    empty = write_parcels("empty.gpkg", geometry=[], crop=[])
    with pytest.raises(DataError, match=r"empty.gpkg holds no features"):
        read_parcels(empty, grid)
    points = write_parcels("points.gpkg", geometry=[field(10, 10, 40, 30).centroid], crop=["rye"])
    with pytest.raises(DataError, match=r"points.gpkg holds no polygons") as caught:
        read_parcels(points, grid)
    assert "observations" in caught.value.remedy
