from dataclasses import replace
from datetime import date

import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from agrilape.dataset.leakage import check_leakage, check_split, leakage_keys
from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.errors import DataError
from agrilape.geo.georeference import Georeference
from agrilape.prepare.splits import assign, blocks, official_split, official_splits, scene_groups, year_groups

NAMES = [f"g{i}" for i in range(40)]


@given(
    st.integers(3, 40), st.sampled_from([(0.8, 0.05, 0.15), (0.5, 0.0, 0.5), (1, 0, 0)]), st.integers(0, 99)
)
def test_every_group_gets_one_split_in_the_wanted_shares(count, shares, seed):
    splits = assign(NAMES[:count], shares, seed)
    assert set(splits) == set(NAMES[:count])
    for split, share in zip(("train", "val", "test"), shares, strict=True):
        got = list(splits.values()).count(split)
        assert abs(got - share / sum(shares) * count) <= 2
        assert (got > 0) == (share > 0)


@pytest.mark.parametrize(
    ("name", "split"),
    [("train", "train"), ("Training", "train"), ("trainval", "train"), ("Val", "val"), ("validation", "val"),
     ("dev", "val"), ("TEST", "test"), ("test_phili", "test"), ("test-b", "test"),
     (None, None), ("", None), ("all", None), ("none", None)],
)  # fmt: skip
def test_names_of_splits_as_releases_have_them(name, split):
    assert official_split(name) == split


def test_what_is_in_no_split_of_a_release_falls_into_none():
    stated = [("a", "train"), ("b", None), ("a", None), ("c", "test"), ("d", "all")]
    assert official_splits(stated) == {"a": "train", "c": "test"}


def test_too_few_groups_are_refused():
    with pytest.raises(DataError, match="cannot be divided"):
        assign(["one"], (0.8, 0, 0.2), 0)


def test_scenes_of_one_place_stay_together(make_scene):
    scenes = [
        make_scene("a", easting=500_000),
        make_scene("b", easting=500_600),  # overlaps a
        make_scene("c", easting=501_880),  # touches b
        make_scene("d", easting=600_000, meta={"group": "state"}),
        make_scene("e", meta={"group": "state"}),
    ]
    groups = scene_groups(scenes)
    assert groups[0] == groups[1]
    assert groups[3] == groups[4] == "state"
    assert len(set(groups)) == 3


@given(st.integers(64, 700), st.integers(32, 128), st.sampled_from([0.0, 35.0, 100.0]))
def test_blocks_are_inside_and_apart(size, chip, buffer):
    from agrilape.sources.scene import Scene

    grid = Georeference("EPSG:32632", Affine(10, 0, 500_000, 0, -10, 5_000_000), size, size)
    found = list(blocks(Scene("s", "fake", (), size, size, grid), chip, buffer).blocks.values())
    gap = buffer / grid.gsd_m
    for number, one in enumerate(found):
        assert min(one.width, one.height) >= min(chip, size)
        assert one.column + one.width <= size
        for other in found[number + 1 :]:
            across = max(one.column, other.column) - min(one.column + one.width, other.column + other.width)
            down = max(one.row, other.row) - min(one.row + one.height, other.row + other.height)
            assert max(across, down) >= gap


def test_a_buffer_in_metres_needs_metres(make_scene):
    with pytest.raises(DataError, match="ground sampling distance"):
        blocks(make_scene(), 64, 100.0)


def dated(scene, *years):
    frame = scene.frames[0]
    frames = tuple(replace(frame, acquired=date(year, 6, 1)) for year in years)
    return replace(scene, frames=frames or (replace(frame, acquired=None),))


def test_years_of_one_scene_stay_together(make_scene):
    years = [(2019,), (2020, 2021), (2021, 2022), (2023,), (2019,)]
    scenes = [dated(make_scene(str(number)), *found) for number, found in enumerate(years)]
    assert year_groups(scenes) == ["2019", "2020+2021+2022", "2020+2021+2022", "2023", "2019"]
    with pytest.raises(DataError, match=r"1 scene\(s\) have no date .*, bare among them"):
        year_groups([*scenes, dated(make_scene("bare"))])


def example(name, picture=b"", easting=None, parcel=None, window=None, days=(), still=None, northing=5e6):
    place = Affine(10, 0, easting or 0, 0, -10, northing)
    grid = None if easting is None else Georeference("EPSG:32632", place, 64, 64)
    meta = {} if window is None else {"pixel_window": window}
    if still:
        meta["acquired"] = still
    pictures = tuple(Picture(f"{name}{day}".encode(), date.fromisoformat(day)) for day in days)
    samples = (
        ()
        if parcel is None
        else (Sample(f"{name}/t/0", name, "t", (), (), provenance={"parcels": [parcel]}),)
    )
    chip = Chip(name, "scene", "fake", pictures or (Picture(picture or name.encode()),), grid, meta=meta)
    return leakage_keys(Example(chip, samples))


@pytest.mark.parametrize(
    ("train", "test", "what"),
    [
        ({"picture": b"same"}, {"picture": b"same"}, "the same picture"),
        ({"parcel": "p"}, {"parcel": "p"}, "parcel p"),
        ({"easting": 500_000}, {"easting": 500_600}, "the same ground"),
        ({"easting": 500_000}, {"easting": 500_700}, "within the buffer"),  # 60 m apart
        ({"window": [0, 0, 64, 64]}, {"window": [60, 0, 64, 64]}, "the same ground"),
    ],
)
def test_leaks_are_found(train, test, what):
    splits = {"train": [example("a", **train)], "test": [example("b", **test)]}
    with pytest.raises(DataError, match=f"{what}.*a and b"):
        check_leakage(splits, buffer_m=100 if "buffer" in what else 0)
    check_leakage({"train": [example("a", **train), example("b", **test)]})


def test_neighbours_do_not_leak():
    check_leakage({"train": [example("a", easting=500_000)], "test": [example("b", easting=500_640)]})
    apart = {"train": [example("a", easting=500_000)], "test": [example("b", easting=500_740)]}
    check_leakage(apart, buffer_m=100)


def test_the_buffer_holds_near_the_pole_too():
    """Where a degree of longitude is short."""
    learnt, tested = (
        example(name, easting=east, northing=7.6e6) for name, east in (("a", 5e5), ("b", 5.007e5))
    )
    with pytest.raises(DataError, match="within the buffer"):  # 60 m apart
        check_leakage({"train": [learnt], "test": [tested]}, buffer_m=100)


def test_what_may_not_leak_follows_from_how_a_data_set_is_split(config):
    near = {"train": [example("a", easting=500_000)], "test": [example("b", easting=500_700)]}
    check_split(near, config(split_by="scene", buffer_m=100))
    with pytest.raises(DataError, match="within the buffer"):
        check_split(near, config(split_by="block", buffer_m=100))
    same_year = {
        "train": [example("a", easting=500_000, still="2021-05-01")],
        "test": [example("b", easting=600_000, still="2021-09-01")],
    }
    check_split(same_year, config())
    with pytest.raises(DataError, match="share the year 2021"):
        check_split(same_year, config(split_by="year"))


def test_by_year_the_same_ground_is_no_leak_but_the_same_year_is():
    learnt = example("a", easting=500_000, days=["2021-05-01", "2021-07-01"])
    tested = example("b", easting=500_000, still="2022-07-01")
    check_leakage({"train": [learnt], "test": [tested]}, by_year=True)
    with pytest.raises(DataError, match="the same ground"):
        check_leakage({"train": [learnt], "test": [tested]})
    for late in (example("c", still="2021-12-31"), example("c", days=["2021-12-31", "2022-01-16"])):
        with pytest.raises(DataError, match="train and test share the year 2021: chips a and c"):
            check_leakage({"train": [learnt], "test": [tested, late]}, by_year=True)
    with pytest.raises(DataError, match="chip d has no date"):
        check_leakage({"train": [learnt], "test": [example("d")]}, by_year=True)
