"""The real kits, each read by the rules of its authors."""

from collections import Counter
from datetime import date
from functools import cache
from itertools import compress
from pathlib import Path

import numpy as np
import pytest
import shapely
from pyproj import Transformer
from tests.kits import NAMES
from tools import make_kits

from agrilape.config import load_recipe, shipped_recipes
from agrilape.config.recipe import FolderSource
from agrilape.sources import PixelWindow, load_scenes, read_point_series


@pytest.fixture(scope="module")
def scenes(kits):
    return cache(lambda name: list(load_scenes(FolderSource(**kits.source(name)))))


def whole(scene):
    return PixelWindow(0, 0, scene.width, scene.height)


def inside(scene, geometry):
    rows, columns = np.mgrid[: scene.height, : scene.width] + 0.5
    return shapely.contains_xy(geometry, columns, rows)


@pytest.mark.parametrize("name", NAMES)
def test_every_kit_gives_scenes_that_can_be_seen(name, scenes):
    found = scenes(name)
    assert len({scene.id for scene in found}) == len(found)
    for scene in found[:3]:
        assert scene.source == name
        assert {"group", "sensor", "licence", "citation"} <= set(scene.meta)
        frame = scene.frames[len(scene.frames) // 2]
        composite = "true_colour" if "blue" in frame.bands else "ndvi"
        picture = frame.picture(whole(scene), composite)
        assert picture.shape == (scene.height, scene.width, 3)
        assert picture.std() > 5
        assert (picture == 0).all(-1).mean() < 0.05  # no black fields
        days = [frame.acquired for frame in scene.frames if frame.acquired]
        assert days == sorted(set(days))
        assert not days or scene.window.start <= days[0] <= days[-1] <= scene.window.end


def test_denmark(scenes):
    (scene,) = scenes("dk_s2_lpis2016")
    crops = Counter(parcel.crop for parcel in scene.parcels)
    assert (len(scene.parcels), crops["spring barley"], crops["silage maize"], crops[None]) == (
        205,
        57,
        26,
        11,
    )
    assert scene.georeference.crs == "EPSG:32632"
    assert scene.exhaustively_labelled
    clipped = [parcel for parcel in scene.parcels if parcel.attributes.get("clipped")]
    assert 0 < len(clipped) < 60
    assert all(parcel.area_ha is None for parcel in clipped)
    assert scene.meta["group"] == "dk-west"
    # The bands are in the right order: grass reflects more green than red, and roads stay between the fields.
    grass = shapely.union_all([parcel.outline for parcel in scene.parcels if parcel.crop == "winter wheat"])
    red, green = scene.frames[0].read(whole(scene), ("red", "green"))
    mask = inside(scene, grass)
    assert np.median(green[mask]) > np.median(red[mask])


def test_france(scenes):
    (scene,) = scenes("fr_s2_ts2018")
    assert not scene.exhaustively_labelled
    assert [frame.acquired for frame in scene.frames][:2] == [date(2018, 1, 23), date(2018, 1, 28)]
    assert len(scene.frames) == 9
    assert (scene.width, scene.height) == (232, 179)
    crops = Counter(parcel.crop for parcel in scene.parcels)
    assert (crops["vineyard"], crops["grassland"], crops[None]) == (42, 8, 6)
    assert {"swir_1", "red_edge_1", "ndvi"} <= set(scene.frames[0].bands)
    clear = [np.isfinite(frame.read(whole(scene), ("red",))).mean() for frame in scene.frames]
    assert min(clear) < 0.9 < max(clear)  # clouds are masked on some dates, not on all


def test_switzerland(scenes):
    found = scenes("ch_wheat_s2_bbch2022")
    assert [scene.meta["group"] for scene in found] == ["ch/strickhof", "ch/swissfuturefarm"]
    kinds = Counter(observation.kind for scene in found for observation in scene.observations)
    assert kinds == {"bbch": 278, "leaf_area_index": 223}
    for scene in found:
        assert {parcel.crop for parcel in scene.parcels} == {"winter wheat"}
        points = [shapely.Point(o.x, o.y) for o in scene.observations]
        near = scene.region.buffer(2)  # the rating's own GPS is good to a few metres
        assert np.mean([near.contains(point) for point in points]) > 0.95
        outside = ~inside(scene, scene.region.buffer(2))
        red = np.stack([frame.read(whole(scene), ("red",))[0] for frame in scene.frames])
        assert np.isfinite(red[:, outside]).mean() < 0.005  # two dates hold a field that has no label
        assert np.isfinite(red[:, ~outside]).mean() > 0.4
        stages = sorted((o.observed, o.value) for o in scene.observations if o.kind == "bbch")
        assert stages[0][1] < 30 < 70 < stages[-1][1]  # tillering in March, ripening in July


def test_wheat_is_greenest_in_spring(scenes):
    scene = scenes("ch_wheat_s2_bbch2022")[0]
    ndvi = {
        frame.acquired: frame.read(whole(scene), ("(nir - red) / (nir + red)",)) for frame in scene.frames
    }
    greenest = max(ndvi, key=lambda day: np.nanmean(ndvi[day]))
    assert date(2022, 4, 1) < greenest < date(2022, 6, 15)


def test_united_states(scenes):
    found = scenes("us_naip_field_polygons")
    states = Counter(scene.meta["group"] for scene in found)
    assert states == {"us-il": 12, "us-ia": 7, "us-wi": 4, "us-mn": 4, "us-ks": 2, "us-mo": 2}
    assert len(found) == 31
    assert all(scene.georeference is None and len(scene.frames) == 1 for scene in found)
    fields = [parcel for scene in found for parcel in scene.parcels]
    assert 1000 < len(fields) < 1200
    assert all(parcel.outline.is_valid and parcel.crop is None for parcel in fields)


def test_bahia(scenes):
    (scene,) = scenes("br_cbers4_ndvi_2018_19")
    assert (len(scene.frames), scene.frames[0].bands) == (23, ("ndvi",))
    assert Counter(o.value for o in scene.observations) == {"pasture": 26, "cropland": 23}
    assert all(0 <= o.x <= scene.width and 0 <= o.y <= scene.height for o in scene.observations)
    # Published series of the labelled points: the first two composites of point 4.
    first = scene.observations[0]
    pixel = PixelWindow(int(first.x), int(first.y), 1, 1)
    read = [frame.read(pixel, ("ndvi",)).item() for frame in scene.frames[:2]]
    assert read == pytest.approx([0.2357, 0.2119], abs=0.06)
    assert scene.georeference.gsd_m == pytest.approx(64, abs=0.1)


def test_mato_grosso(scenes):
    every = scenes("br_mt_modis_ts")
    assert {scene.meta["group"] for scene in every} == {"br/mato-grosso"}
    found = [scene for scene in every if scene.window.days < 400]
    assert [scene.meta["season"] for scene in found][:2] == ["2007/2008", "2008/2009"]
    pairs = [scene for scene in every if scene.window.days > 400]
    assert [scene.meta["season"] for scene in pairs][:2] == ["2007/2009", "2008/2010"]
    assert len(pairs) == len(found) - 1
    labels = Counter(o.value for scene in found for o in scene.observations)
    assert labels["soybean, then millet"] == 184
    assert labels.total() == 603
    # Soybean then maize: bare before sowing in September, green at the turn of the year.
    double = [(scene, o) for scene in found for o in scene.observations if o.value == "soybean, then maize"]
    ndvi = {month: [ndvi_at(scene, o, month) for scene, o in double] for month in (9, 12)}
    assert np.mean(ndvi[9]) < 0.45 < 0.7 < np.mean(ndvi[12])


def ndvi_at(scene, observation, month):
    frame = next(frame for frame in scene.frames if frame.acquired.month == month)
    return frame.read(PixelWindow(int(observation.x), int(observation.y), 1, 1), ("ndvi",)).item()


def test_eurosat(scenes):
    found = scenes("eurosat_rgb_subset")
    labels = Counter(scene.label for scene in found)
    assert (len(found), labels["annual crop"], labels["sea or lake"]) == (2600, 500, 100)
    assert {(scene.width, scene.height) for scene in found[:50]} == {(64, 64)}


def test_point_series_of_brazil_agree_with_the_image(scenes, kits):
    """Points inside the image have its NDVI, up to half a pixel of displacement."""
    (scene,) = scenes("br_cbers4_ndvi_2018_19")
    series = read_point_series(
        Path(kits.source("br_cbers4_ndvi_2018_19")["path"]) / "point_series_16d.csv.gz"
    )
    assert Counter(point.label for point in series) == {
        "pasture": 188, "cropland": 180, "cerrado": 141, "cerradao": 110,
    }  # fmt: skip
    assert {point.dates for point in series} == {tuple(frame.acquired for frame in scene.frames)}
    to_map = Transformer.from_crs("OGC:CRS84", scene.georeference.crs, always_xy=True)
    places = [scene.georeference.to_normalised(*to_map.transform(p.longitude, p.latitude)) for p in series]
    inside = [0 <= place.x < 1 and 0 <= place.y < 1 for place in places]
    assert sum(inside) == len(scene.observations)
    stack = np.stack([frame.read(whole(scene), ("ndvi",))[0] for frame in scene.frames])
    imaged = [stack[:, int(p.y * scene.height), int(p.x * scene.width)] for p in compress(places, inside)]
    measured = [point.values["ndvi"] for point in compress(series, inside)]
    assert np.corrcoef(np.ravel(imaged), np.ravel(measured))[0, 1] > 0.94


def test_the_tool_lays_out_what_is_there_and_names_what_is_not(tmp_path, monkeypatch, capsys):
    downloads = tmp_path / "downloads"
    for tile in ("AnnualCrop_10.jpg", "AnnualCrop_9.jpg", "notes.txt"):
        path = downloads / "eurosat_rgb_subset" / "AnnualCrop" / tile
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a picture")
    monkeypatch.setattr(
        "sys.argv", ["make_kits", "--source", str(downloads), "--output", str(tmp_path / "out")]
    )
    make_kits.main()
    table = (tmp_path / "out/eurosat_rgb_subset/eurosat/metadata.csv").read_text().split()
    assert table == ["file_name,label", "AnnualCrop_9.jpg,annual", "crop", "AnnualCrop_10.jpg,annual", "crop"]
    assert "dk_s2_lpis2016: not in" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["make_kits", "--source", str(downloads), "no_such_kit"])
    with pytest.raises(SystemExit):
        make_kits.main()
    assert "there is no kit 'no_such_kit'" in capsys.readouterr().err


def test_recipes_read_kits_where_the_tool_puts_them():
    """Folder, name and kind of images of each source are those that the adapters write."""
    sources = [
        config.source
        for recipe in shipped_recipes()
        for config in load_recipe(recipe).datasets.values()
        if isinstance(config.source, FolderSource) and config.source.path.parts[:2] == ("data", "kits")
    ]
    assert {source.path.name for source in sources} <= set(NAMES)
    assert len({source.path.name for source in sources}) == 6
