"""What is looked for between the data sets of one recipe."""

from itertools import product
from pathlib import Path

import pytest
from affine import Affine

from agrilape.config import load_recipe, parse_recipe, shipped_recipes
from agrilape.config.load import recipe_folder
from agrilape.config.recipe import DatasetConfig
from agrilape.dataset import recipe_leakage
from agrilape.dataset.manifest import Manifest, Shard, hash_file
from agrilape.dataset.recipe_leakage import CHECKED, check_recipe_leakage, share_source
from agrilape.dataset.store import write_rows
from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.errors import DataError
from agrilape.geo.georeference import Georeference
from agrilape.study.plan import load_plan
from agrilape.study.run_recipes import recipe_of
from agrilape.study.run_recipes import test_runs as plan_runs

OWN = {"kind": "folder", "path": "fields"}


def chip(name, easting=None, picture=None, parcels=(), window=None):
    """A chip of 640 m, or one of pixels alone."""
    grid = easting and Georeference("EPSG:32632", Affine(10, 0, easting, 0, -10, 5e6), 64, 64)
    meta = {} if window is None else {"pixel_window": window}
    sample = Sample(f"{name}/t/0", name, "t", ("?",), ("!",), provenance={"parcels": list(parcels)})
    picture = Picture(picture or name.encode())
    return Example(Chip(name, "scene", "fake", (picture,), grid or None, meta=meta), (sample,))


def write(data, name, source=OWN, train=(), test=(), **settings):
    """A prepared data set with chips in two splits."""
    config = {"source": source, "tasks": ["t"], "split": [0.5, 0, 0.5], **settings}
    shards = []
    for split, chips in (("train", train), ("test", test)):
        if chips:
            path = data / name / f"{split}-00000.parquet"
            write_rows(path, chips)
            facts = {"path": path.name, "split": split, "chips": len(chips)}
            shards.append(Shard(**facts, bytes=path.stat().st_size, sha256=hash_file(path)))
    Manifest(
        name=name, key=name, version="1", config=DatasetConfig.model_validate(config), shards=tuple(shards),
        splits={}, window=None, origins=(), skipped_scenes=(), skipped_chips={},
    ).write(data / name)  # fmt: skip


def recipe(*trained, asked=("asked",), split="test"):
    names = {*trained, *asked}
    stage = {"name": "one", "enable_lape": True, "learning_rates": {"llm": 1e-3}, "steps": 1}
    return parse_recipe(
        {
            "name": "r", "output": "r", "datasets": {name: {"source": OWN, "tasks": []} for name in names},
            "stages": [{**stage, "mixture": {"all": {"weight": 1, "datasets": list(trained)}}}],
            "evaluation": {"datasets": list(asked), "split": split},
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("learnt", "asked", "what"),
    [
        ({"easting": 500_000}, {"easting": 500_600}, "the same ground"),
        ({"picture": b"same"}, {"picture": b"same"}, "the same picture"),
        ({"easting": 500_000, "parcels": ["p"]}, {"easting": 600_000, "parcels": ["p"]}, "parcel p"),
        ({"window": [0, 0, 64, 64]}, {"window": [60, 0, 64, 64]}, "the same ground"),
        ({}, {}, "scene scene"),
    ],
)
def test_training_on_what_another_data_set_asks_about_is_refused(tmp_path, learnt, asked, what):
    write(tmp_path, "learnt", train=[chip("far", 700_000), chip("a", **learnt)], seed=1)
    write(tmp_path, "asked", test=[chip("b", **asked)])
    with pytest.raises(DataError, match=what) as refused:
        check_recipe_leakage(recipe("learnt"), tmp_path)
    assert "the train split of data set learnt and the test split of data set asked" in refused.value.problem
    assert "chips a and b" in refused.value.problem
    assert "the same split, split_by, seed and buffer_m; here seed differs" in refused.value.remedy


def test_of_another_number_of_scenes_others_are_tested(tmp_path):
    write(tmp_path, "learnt", {"kind": "simulate", "scenes": 4}, train=[chip("a", 500_000)])
    write(tmp_path, "asked", {"kind": "simulate", "scenes": 6}, test=[chip("b", 500_000)])
    with pytest.raises(DataError, match="the same ground") as refused:
        check_recipe_leakage(recipe("learnt"), tmp_path)
    assert "buffer_m and source; here source differs" in refused.value.remedy


def test_a_data_set_that_cannot_be_read_is_no_leak(tmp_path):
    write(tmp_path, "learnt", train=[chip("a", 500_000)])
    write(tmp_path, "asked", test=[chip("b", 600_000)])
    for path in tmp_path.glob("*/*.parquet"):
        path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(DataError, match="is not a readable sample file") as refused:
        check_recipe_leakage(recipe("learnt"), tmp_path)
    assert "prepare" in refused.value.remedy


def test_only_what_is_trained_on_and_what_is_asked_about_is_compared(tmp_path):
    here, there = [chip("a", 500_000)], [chip("b", 500_000)]
    write(tmp_path, "learnt", train=here, seed=1)
    write(tmp_path, "asked", test=there)
    write(tmp_path, "other", train=there, test=there)
    check_recipe_leakage(recipe("learnt", asked=["asked"], split="val"), tmp_path)
    check_recipe_leakage(recipe("asked", asked=["learnt"]), tmp_path)
    check_recipe_leakage(recipe("other", asked=["other"]), tmp_path)  # looked into when it was made
    with pytest.raises(DataError, match="data set learnt and the test split of data set other"):
        check_recipe_leakage(recipe("learnt", asked=["other"]), tmp_path)


def test_data_sets_that_are_not_there_yet_are_passed_over(tmp_path):
    write(tmp_path, "learnt", train=[chip("a", 500_000)])
    check_recipe_leakage(recipe("learnt"), tmp_path)


def test_the_stricter_buffer_counts(tmp_path):
    write(tmp_path, "learnt", train=[chip("a", 500_000)], split_by="block", buffer_m=100)
    write(tmp_path, "asked", test=[chip("b", 500_700)], split_by="block", chip=64)  # 60 m apart
    with pytest.raises(DataError, match="within the buffer") as refused:
        check_recipe_leakage(recipe("learnt"), tmp_path)
    assert "buffer_m and chip; here buffer_m, chip differ" in refused.value.remedy


def test_the_same_ground_in_other_years_is_apart_only_where_both_are_divided_by_year(tmp_path):
    def in_year(name, year):
        one = chip(name, 500_000)
        meta = {"acquired": f"{year}-06-01"}
        return Example(Chip(name, "s", "fake", one.chip.pictures, one.chip.georeference, meta=meta), ())

    write(tmp_path, "learnt", train=[in_year("a", 2020)], split_by="year")
    write(tmp_path, "asked", test=[in_year("b", 2021)], split_by="year")
    check_recipe_leakage(recipe("learnt"), tmp_path)
    write(tmp_path, "asked", test=[in_year("b", 2020)], split_by="year")
    with pytest.raises(DataError, match="the year 2020"):
        check_recipe_leakage(recipe("learnt"), tmp_path)
    write(tmp_path, "asked", test=[in_year("b", 2021)])
    with pytest.raises(DataError, match="the same ground"):
        check_recipe_leakage(recipe("learnt"), tmp_path)


def test_other_landscapes_may_have_the_same_coordinates(tmp_path):
    for number, name in enumerate(("learnt", "asked")):
        source = {"kind": "simulate", "seed": number}
        write(tmp_path, name, source, train=[chip("a", 500_000)], test=[chip("b", 500_000)])
    check_recipe_leakage(recipe("learnt"), tmp_path)


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        (OWN, OWN, True),
        (OWN, {**OWN, "path": "others"}, False),
        (OWN, {"kind": "kit", "name": "fields"}, False),
        ({"kind": "kit", "name": "a"}, {"kind": "folder", "path": "data/kits/a"}, True),
        ({"kind": "folder", "path": "farm"}, {"kind": "folder", "path": "./farm", "images": "*.png"}, True),
        ({"kind": "folder", "path": "farm"}, {"kind": "folder", "path": "farm/north"}, True),
        ({"kind": "folder", "path": "farm"}, {"kind": "folder", "path": "farmland"}, False),
        ({"kind": "folder", "path": "a"}, {"kind": "format", "name": "coco", "path": "a"}, True),
        ({"kind": "simulate"}, {"kind": "simulate", "scenes": 9, "dates": 3}, True),
        ({"kind": "simulate"}, {"kind": "simulate", "gsd": 5}, False),
    ],
)
def test_which_sources_may_show_the_same_ground(one, other, shared):
    def source(value):
        return DatasetConfig.model_validate({"source": value}).source

    assert share_source(source(one), source(other)) is shared
    assert share_source(source(other), source(one)) is shared


def test_scenes_of_one_seed_are_the_same_land_however_many_and_however_often_seen():
    """Why `share_source` passes over both numbers."""
    from agrilape.config.recipe import SimulateSource
    from agrilape.simulate.scene import draw_scene

    few, many = (draw_scene(SimulateSource(size=128, scenes=n, dates=n), 0) for n in (1, 5))
    assert few.grid == many.grid
    assert few.farmland.year == many.farmland.year


def test_what_is_apart_is_read_once_and_again_when_it_changed(tmp_path, monkeypatch):
    write(tmp_path, "learnt", train=[chip("a", 500_000)])
    write(tmp_path, "asked", test=[chip("b", 600_000)])
    check_recipe_leakage(recipe("learnt"), tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(recipe_leakage, "leakage_keys", lambda example: pytest.fail("read again"))
        check_recipe_leakage(recipe("learnt"), tmp_path)
    write(tmp_path, "asked", test=[chip("b", 500_000)])
    with pytest.raises(DataError, match="the same ground"):
        check_recipe_leakage(recipe("learnt"), tmp_path)
    (tmp_path / CHECKED).write_text("damaged")
    with pytest.raises(DataError, match="the same ground"):
        check_recipe_leakage(recipe("learnt"), tmp_path)


def test_where_nothing_draws_maps_it_is_said_that_nothing_was_compared(tmp_path, monkeypatch, capsys):
    write(tmp_path, "learnt", train=[chip("a", 500_000)])
    write(tmp_path, "asked", test=[chip("b", 600_000)])

    def absent(example):
        raise ModuleNotFoundError("No module named 'pyproj'", name="pyproj")

    monkeypatch.setattr(recipe_leakage, "leakage_keys", absent)
    check_recipe_leakage(recipe("learnt"), tmp_path)
    assert "cannot be compared: pyproj is not installed" in capsys.readouterr().err
    assert not (tmp_path / CHECKED).exists()


def shipped():
    for name in shipped_recipes():
        yield load_recipe(name)
    for file in sorted((recipe_folder() / "studies").glob("*.yaml")):
        plan, base = load_plan(file.stem)
        for run in plan_runs(plan, {variant.name: {} for variant in plan.all_variants()}):
            yield recipe_of(plan, base, run, Path("runs/x"))


def test_shipped_recipes_divide_data_sets_of_one_source_alike():
    found = set()
    for one in shipped():
        for learnt, asked in product(one.trained_on, one.evaluation.datasets):
            ours, theirs = one.datasets[learnt], one.datasets[asked]
            if learnt != asked and share_source(ours.source, theirs.source):
                found.add(learnt)
                assert "differ" not in recipe_leakage._remedy(ours, theirs), (one.name, learnt, asked)
    assert found == {"naip_close", "naip_far"}
