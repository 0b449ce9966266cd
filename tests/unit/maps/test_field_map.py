"""What a map asks, which parcels decide nothing, and which date it shows."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import shapely

from agrilape.evaluate.map_metrics import map_objects
from agrilape.maps.field_map import MapQuestion, best_frame, map_of, window_of
from agrilape.maps.picture import keep_picture
from agrilape.sources.scene import Parcel

EVERYTHING = MapQuestion("map_fields", "Where are the fields?")


def test_parcels_that_the_map_hardly_shows_and_those_of_other_splits_decide_nothing(make_scene):
    fields = [
        ((10, 10, 40, 40), "maize"), ((-30, 50, 10, 70), "oats"),
        ((-10, 75, 30, 90), "rye"), ((50, 50, 80, 80), "oats"),
    ]  # fmt: skip
    scene = make_scene(fields)
    tiny = Parcel("tiny", shapely.box(90, 5, 91, 7), "rye")
    outside = Parcel("outside", shapely.box(200, 5, 220, 30), "rye")
    found = map_of("m", replace(scene, parcels=(*scene.parcels, tiny, outside)), frozenset({"p3"}))
    assert found.ignored.tolist() == [False, True, False, True, True]
    objects = map_objects(found.row(EVERYTHING, []))
    assert [one.bounds for one in objects.wanted] == [
        pytest.approx(np.array(edges) / 96) for edges in ((10, 10, 40, 40), (0, 75, 30, 90))
    ]
    assert len(objects.ignored) == 3


def test_what_is_asked(make_scene, four_fields):
    found = map_of("m", make_scene(four_fields))
    vocabulary = ["barley", "maize", "oats", "rye", "sugar beet"]
    asked = found.questions("en", vocabulary, 9, 0)
    assert [(one.task, one.crop) for one in asked] == [
        ("map_fields", None), ("map_crop", "maize"), ("map_crop", "oats"), ("map_crop", "rye"),
        ("map_absent_crop", "barley"), ("map_absent_crop", "sugar beet"),
    ]  # fmt: skip
    assert [one.text for one in asked[:2]] == ["Where are the fields?", "Where are the maize fields?"]
    few = found.questions("en", vocabulary, 1, 0)
    assert [one.task for one in few] == ["map_fields", "map_crop", "map_absent_crop"]
    assert few == found.questions("en", vocabulary, 1, 0)
    drawn = {found.questions("en", vocabulary, 1, seed)[1].crop for seed in range(20)}
    assert drawn == {"maize", "oats", "rye"}


def test_where_a_crop_is_unknown_nothing_is_called_absent(make_scene, four_fields):
    scene = make_scene(four_fields)
    unknown = replace(scene.parcels[3], crop=None)
    found = map_of("m", replace(scene, parcels=(*scene.parcels[:3], unknown)))
    asked = found.questions("en", ["barley", "maize"], 9, 0)
    assert [one.task for one in asked] == ["map_fields", "map_crop", "map_crop"]
    objects = map_objects(found.row(asked[1], []))
    assert (len(objects.wanted), len(objects.ignored)) == (2, 1)
    assert len(map_objects(found.row(EVERYTHING, [])).wanted) == 4


def test_ground_without_labels_decides_nothing_whatever_is_asked(make_scene, four_fields):
    found = map_of("m", make_scene(four_fields, region=shapely.box(0, 0, 96, 48)))
    for question in (EVERYTHING, MapQuestion("map_crop", "?", "maize")):
        ignored = map_objects(found.row(question, [])).ignored
        assert shapely.union_all(ignored).covers(shapely.box(0.1, 0.55, 0.9, 0.95))


@pytest.mark.parametrize(
    ("ndvi", "chosen"),
    [
        ([0.2, 0.8, 0.5], 1),
        ([0.2, np.where(np.arange(96) < 40, np.nan, 0.9), 0.5], 2),
        ([0.4, 0.4, 0.4], 2),
    ],
)
def test_the_greenest_of_the_clearest_dates_is_asked(make_scene, four_fields, ndvi, chosen):
    days = [date(2022, month, 1) for month in (4, 6, 8)]
    scene = make_scene(four_fields, ndvi=list(zip(days, ndvi, strict=True)))
    assert best_frame(scene).acquired == days[chosen]
    assert map_of("m", scene).meta["acquired"] == days[chosen].isoformat()


def test_the_middle_of_a_map_is_a_map(make_scene, four_fields):
    part = window_of(map_of("m", make_scene(four_fields)), 48)
    assert (part.scene.width, part.scene.height) == (48, 48)
    whole = [shapely.box(*edges) for edges, _ in four_fields]
    middle = shapely.box(24, 24, 72, 72)
    shown = [one.intersection(middle).area for one in whole if one.intersects(middle)]
    assert sorted(one.area for one in part.outlines) == pytest.approx(sorted(shown))
    assert part.ignored.tolist() == [
        one.intersection(middle).area < 0.5 * one.area for one in whole if one.intersects(middle)
    ]


def test_the_picture_of_a_large_map_is_small(make_scene, tmp_path):
    from PIL import Image

    found = map_of("data/m", make_scene([((0, 0, 1000, 2000), "maize")], side=2000))
    keep_picture(tmp_path, found, "true_colour")
    with Image.open(tmp_path / "data" / "m.jpg") as image:
        assert max(image.size) <= 768
        left, right = np.asarray(image)[300, [50, 600]].astype(int)
    assert left[0] > 200 > 140 > right[0]
