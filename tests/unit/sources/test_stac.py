"""Local STAC items and collections with their assets."""

import json
from datetime import UTC, date, datetime

import numpy as np
import pytest
from affine import Affine
from tests.unit.sources.conftest import SIZE, window_of

from agrilape.sources import open_folder

pystac = pytest.importorskip("pystac", reason="extra `cubes` is not installed")

BANDS = {"red": "B04", "nir": "B08"}
TIFF = "image/tiff; application=geotiff; profile=cloud-optimized"


def item(write_raster, folder, day, value=3000, properties=None, said=None, scl=4):
    """A Sentinel-2 item as Earth Search has them: a file per band, previews, and each band once more."""
    made = pystac.Item(
        f"S2_{day:%Y%m%d}",
        None,
        None,
        datetime(day.year, day.month, day.day, 10, tzinfo=UTC),
        properties or {},
    )
    for key, name in BANDS.items():
        path = write_raster(
            f"{folder}/{name}.tif", np.full((1, SIZE, SIZE), value, np.uint16), None,
            tags={"TIFFTAG_DATETIME": "2024:01:01 00:00:00"},
        )  # fmt: skip
        extra = {"raster:bands": [said]} if said else {}
        for suffix in ("", "-copy"):
            asset = pystac.Asset(path.name, media_type=TIFF, roles=["data"], extra_fields=extra)
            made.add_asset(key + suffix, asset)
    made.add_asset("scl", pystac.Asset("SCL.tif", media_type=TIFF, roles=["data"]))
    codes = np.full((1, SIZE, SIZE), scl, np.uint8)
    codes[:, :8] = 9
    write_raster(f"{folder}/SCL.tif", codes, None)
    made.add_asset("visual", pystac.Asset("TCI.tif", media_type=TIFF, roles=["visual"]))
    made.add_asset("aot", pystac.Asset("AOT.tif", media_type=TIFF, roles=["data"]))
    made.add_asset("metadata", pystac.Asset("tile.xml", media_type="application/xml", roles=["metadata"]))
    return made


def save(made, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made.to_dict(include_self_link=False)))


def test_item_gives_bands_by_role_under_its_clouds_and_date(write_raster, tmp_path):
    made = item(write_raster, "a", date(2021, 5, 3))
    save(made, tmp_path / "a/item.json")
    opened = open_folder(tmp_path, images="**/*.json")
    assert opened.problems == ()
    (scene,) = opened.scenes
    (frame,) = scene.frames
    assert (frame.acquired, frame.bands[:2]) == (date(2021, 5, 3), ("red", "nir"))
    red = window_of(frame, ("red",))[0]
    assert np.isnan(red[:8]).all()
    assert red[8:].mean() == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("properties", "said", "reflectance"),
    [
        ({"s2:processing_baseline": "03.01"}, None, 0.3),
        ({"s2:processing_baseline": "04.00"}, None, 0.2),
        ({"s2:processing_baseline": "05.09"}, {"scale": 1e-4, "nodata": 0}, 0.2),
        # Earth Search states the offset in either case; the flag decides (earth-search issue 66).
        (
            {"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True},
            {"scale": 1e-4, "offset": -0.1},
            0.3,
        ),
        (
            {"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": False},
            {"scale": 1e-4, "offset": -0.1},
            0.2,
        ),
        ({"s2:processing_baseline": "05.09", "earthsearch:boa_offset_applied": True}, None, 0.3),
        ({}, {"scale": 1e-4, "offset": -0.1}, 0.2),
        ({}, {"raster:scale": 1e-4, "raster:offset": -0.1}, 0.2),  # since STAC 1.1
        ({}, {"scale": 2.75e-5, "offset": -0.2}, 3000 * 2.75e-5 - 0.2),  # Landsat Collection 2
        ({}, None, 0.3),
    ],
)
def test_reflectance_is_right_for_every_baseline(write_raster, tmp_path, properties, said, reflectance):
    save(item(write_raster, "a", date(2022, 5, 3), 3000, properties, said), tmp_path / "a/item.json")
    opened = open_folder(tmp_path, images="**/*.json")
    red = window_of(opened.scenes[0].frames[0], ("red",))[0]
    assert np.nanmean(red) == pytest.approx(reflectance, rel=1e-5)
    assert any("no scale is stated" in note for note in opened.notes) == (not properties and not said)


def test_collection_is_a_series_across_the_change_of_baseline(write_raster, tmp_path):
    """The same ground before and after 25 January 2022 has the same reflectance."""
    extent = pystac.Extent(
        pystac.SpatialExtent([[8, 48, 9, 49]]),
        pystac.TemporalExtent([[datetime(2021, 1, 1, tzinfo=UTC), None]]),
    )
    collection = pystac.Collection("s2", "Two dates", extent)
    for day, value, baseline in ((date(2021, 5, 3), 2000, "03.00"), (date(2022, 5, 3), 3000, "04.00")):
        made = item(write_raster, f"S2_{day:%Y%m%d}", day, value, {"s2:processing_baseline": baseline})
        collection.add_item(made)
    collection.normalize_and_save(str(tmp_path), pystac.CatalogType.SELF_CONTAINED)
    opened = open_folder(tmp_path, images="collection.json")
    (scene,) = opened.scenes
    assert [frame.acquired.year for frame in scene.frames] == [2021, 2022]
    means = [np.nanmean(window_of(frame, ("red",))) for frame in scene.frames]
    assert means == pytest.approx([0.2, 0.2])


def test_items_of_several_places_are_scenes_by_their_ids(write_raster, tmp_path):
    catalog = pystac.Catalog("fields", "Two places")
    for name, west in (("north/1", 600_000), ("south.2", 700_000)):
        made = pystac.Item(name, None, None, datetime(2021, 5, 3, tzinfo=UTC), {})
        path = write_raster(f"data/{west}.tif", transform=Affine(10, 0, west, 0, -10, 5_400_000))
        fields = {"eo:bands": [{"common_name": role} for role in ("blue", "green", "red", "nir")]}
        made.add_asset("data", pystac.Asset(str(path), media_type=TIFF, extra_fields=fields))
        catalog.add_item(made)
    catalog.normalize_and_save(str(tmp_path / "index"), pystac.CatalogType.ABSOLUTE_PUBLISHED)
    scenes = open_folder(tmp_path, images="index/catalog.json").scenes
    assert [scene.id for scene in scenes] == ["index/north_1", "index/south.2"]
    assert {scene.frames[0].bands[:4] for scene in scenes} == {("blue", "green", "red", "nir")}


def test_item_says_its_nodata_and_may_have_a_period_for_its_date(write_raster, tmp_path):
    period = {"start_datetime": "2021-05-01T00:00:00Z", "end_datetime": "2021-05-16T00:00:00Z"}
    made = pystac.Item("composite", None, None, None, period)
    values = np.full((1, SIZE, SIZE), 3000, np.uint16)
    values[:, :8] = 65535
    for key in ("red", "nir"):
        path = write_raster(f"a/{key}.tif", values, None)
        extra = {"raster:bands": [{"nodata": 65535, "scale": 1e-4}]}
        made.add_asset(key, pystac.Asset(path.name, media_type=TIFF, extra_fields=extra))
    write_raster("a/green.tif", values, None)
    preview = pystac.Asset("green.tif", media_type=TIFF, roles=["overview"])
    made.add_asset("green", preview)
    save(made, tmp_path / "a/item.json")
    (scene,) = open_folder(tmp_path, images="**/*.json").scenes
    (frame,) = scene.frames
    assert (frame.acquired, frame.bands[:3]) == (date(2021, 5, 1), ("red", "nir", "ndvi"))
    red = window_of(frame, ("red",))[0]
    assert np.isnan(red[:8]).all()
    assert red[8:].mean() == pytest.approx(0.3)


def test_missing_asset_is_left_out_and_the_rest_used(write_raster, tmp_path):
    made = item(write_raster, "a", date(2021, 5, 3))
    save(made, tmp_path / "a/item.json")
    (tmp_path / "a/B08.tif").unlink()
    opened = open_folder(tmp_path, images="**/*.json")
    assert opened.scenes[0].frames[0].bands == ("red",)
    assert any("B08.tif is not a readable image" in problem.reason for problem in opened.problems)


def test_other_json_is_passed_over_and_bad_stac_listed(write_raster, tmp_path):
    save(item(write_raster, "a", date(2021, 5, 3)), tmp_path / "a/item.json")
    (tmp_path / "scene.json").write_text("{}")
    (tmp_path / "notes.json").write_text("[1, 2]")
    (tmp_path / "bad.json").write_text('{"stac_version": "1.0.0", "type": "Feature", "id": 3}')
    opened = open_folder(tmp_path, images="**/*.json")
    assert len(opened.scenes) == 1
    assert [problem.path.name for problem in opened.problems] == ["bad.json"]
    assert "not readable STAC" in opened.problems[0].reason


@pytest.mark.parametrize(
    "href", ["../data/a.tif", "/etc/passwd", "file:///etc/passwd", "https://example.org/a.tif"]
)
def test_assets_elsewhere_are_left_out_by_name(write_raster, tmp_path, href):
    write_raster("data/a.tif")
    made = pystac.Item("field", None, None, datetime(2021, 5, 3, tzinfo=UTC), {})
    made.add_asset("red", pystac.Asset(href, media_type=TIFF))
    save(made, tmp_path / "index" / "item.json")
    opened = open_folder(tmp_path / "index", images="*.json")
    assert opened.scenes == ()
    assert any(word in opened.problems[0].reason for word in ("leads out of its folder", "lies on a network"))


@pytest.mark.parametrize("rel", ["root", "item"])
@pytest.mark.parametrize("href", ["https://127.0.0.1:9/catalog.json", "../../catalog.json"])
def test_links_that_lead_elsewhere_are_not_followed(tmp_path, rel, href):
    save(pystac.Catalog("elsewhere", "Not asked for"), tmp_path / "catalog.json")
    made = pystac.Catalog("fields", "No places").to_dict(include_self_link=False)
    made["links"] = [{"rel": rel, "href": href}]
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "catalog.json").write_text(json.dumps(made))
    opened = open_folder(tmp_path / "a" / "b", images="catalog.json")
    assert [problem.path.name for problem in opened.problems] == (["catalog.json"] if rel == "item" else [])


@pytest.mark.parametrize(
    ("name", "properties", "layers"),
    [
        ("HLS.L30.T32UNC.2021123T103021.v2.0", {}, {"red": "B04", "nir": "B05"}),
        ("HLS.S30.T32UNC.2021123T103021.v2.0", {}, {"red": "B04", "red_edge_1": "B05"}),
        ("x", {"platform": "landsat-8", "instruments": ["oli", "tirs"]}, {"red": "B04", "nir": "B05"}),
        ("x", {"constellation": "sentinel-2"}, {"red": "B04", "red_edge_1": "B05"}),
        ("x", {}, {"red": "B04"}),
    ],
)
def test_assets_called_by_bands_are_those_of_the_items_sensor(
    write_raster, tmp_path, name, properties, layers
):
    made = pystac.Item(name, None, None, datetime(2021, 5, 3, 10, tzinfo=UTC), properties)
    for key in ("B04", "B05", "Fmask"):
        path = write_raster(f"{key}_{name}.tif", np.full((1, SIZE, SIZE), 3000, np.uint16), None)
        made.add_asset(key, pystac.Asset(path.name, media_type=TIFF, roles=["data"]))
    save(made, tmp_path / "item.json")
    opened = open_folder(tmp_path, images="item.json")
    (scene,) = opened.scenes
    (frame,) = scene.frames
    assert any("B05 were left unnamed" in problem.reason for problem in opened.problems) == (len(layers) == 1)
    found = {role: band.path.rpartition("/")[2].partition("_")[0] for role, band in frame.layers.items()}
    assert found == layers
