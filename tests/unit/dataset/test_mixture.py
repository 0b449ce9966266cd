import pickle
from collections import Counter

import pytest

from agrilape.config.recipe import MixtureEntry
from agrilape.dataset.mixture import PERIOD, Mixture
from agrilape.dataset.store import Store, write_rows
from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.errors import DataError, RecipeError


def write(path, chips, tasks):
    rows = []
    for number in range(chips):
        name = f"{path.stem}{number}"
        samples = tuple(Sample(f"{name}/{t}/{n}", name, t, ("?",), ("!",)) for t in tasks for n in range(3))
        rows.append(Example(Chip(name, "s", "fake", (Picture(b""),)), samples))
    write_rows(path, rows)
    return Store([path])


@pytest.fixture
def stores(tmp_path):
    return {
        "a": write(tmp_path / "a.parquet", 30, ["box", "count"]),
        "b": write(tmp_path / "b.parquet", 50, ["box"]),
    }


ENTRIES = {
    "general": MixtureEntry(weight=0.4, datasets=("a", "b")),
    "fields": MixtureEntry(weight=0.4, datasets=("b",), tasks=("box",)),
    "spatial": MixtureEntry(weight=0.2, datasets=("a", "b"), tasks=("count",)),
}


def test_a_draw_depends_on_seed_and_index_alone(stores):
    mixture = Mixture(ENTRIES, stores, 7, 4)
    forwards = [mixture.draw(i) for i in range(300)]
    resumed = pickle.loads(pickle.dumps(Mixture(ENTRIES, stores, 7, 4)))
    assert [resumed.draw(i) for i in reversed(range(300))][::-1] == forwards
    assert [Mixture(ENTRIES, stores, 8, 4).draw(i) for i in range(300)] != forwards


def test_shares_are_exact(stores):
    mixture = Mixture(ENTRIES, stores, 0, 4)
    assert mixture.shares(3 * PERIOD) == {"general": 0.4, "fields": 0.4, "spatial": 0.2}
    counted = Counter(mixture.entry(i) for i in range(333))
    assert mixture.shares(333) == {name: counted[name] / 333 for name in ENTRIES}


def test_turns_differ_from_period_to_period_and_with_the_seed(stores):
    mixture = Mixture(ENTRIES, stores, 0, 4)
    turns = [[mixture.entry(period * PERIOD + i) for i in range(PERIOD)] for period in range(2)]
    other = [Mixture(ENTRIES, stores, 1, 4).entry(i) for i in range(PERIOD)]
    assert turns[0] != turns[1]
    assert turns[0] != other
    assert Counter(turns[0]) == Counter(turns[1]) == Counter(other)


def test_an_entry_of_very_small_weight_gets_its_turn(stores):
    entries = ENTRIES | {"rare": MixtureEntry(weight=1e-4, datasets=("a",))}
    assert Mixture(entries, stores, 0, 4).shares(PERIOD)["rare"] == 1 / PERIOD


def test_every_chip_comes_once_before_any_comes_again(stores):
    mixture = Mixture({"all": ENTRIES["general"]}, stores, 0, 1)
    assert mixture.sizes() == {"all": 80}
    for epoch in range(3):
        drawn = [mixture.draw(80 * epoch + i)[0].chip.id for i in range(80)]
        assert len(set(drawn)) == 80
    assert drawn != [mixture.draw(i)[0].chip.id for i in range(80)]


def test_only_wanted_tasks_are_asked_and_take_turns(stores):
    mixture = Mixture(ENTRIES, stores, 0, 4)
    for index in range(PERIOD):
        example, picked = mixture.draw(index)
        tasks = Counter(sample.task for sample in picked)
        assert all(sample in example.samples for sample in picked)
        match mixture.entry(index):
            case "fields":
                assert tasks == {"box": 3}
            case "spatial":
                assert tasks == {"count": 3}
            case _ if example.chip.id.startswith("a"):
                assert tasks == {"box": 2, "count": 2}


def test_an_entry_without_chips_is_refused(stores):
    with pytest.raises(DataError, match=r"entry 'none'.*b holds count"):
        Mixture({"none": MixtureEntry(weight=1, datasets=("b",), tasks=("count",))}, stores, 0, 4)


def test_a_misspelt_task_is_refused_also_beside_a_right_one(stores):
    entry = MixtureEntry(weight=1, datasets=("a",), tasks=("box", "cuont"))
    with pytest.raises(RecipeError, match=r"entry 'all' .*'cuont'(.|\n)*did you mean 'count'"):
        Mixture({"all": entry}, stores, 0, 4)
    absent = MixtureEntry(weight=1, datasets=("a",), tasks=("box", "crop_box"))
    assert Mixture({"all": absent}, stores, 0, 4).sizes() == {"all": 30}  # a task, of which there is none


@pytest.fixture
def skewed(tmp_path):
    """40 chips of wheat, the last 4 with a little maize; one sample in 20 is about maize."""
    rows = []
    for number in range(40):
        crops = ["wheat"] * 5 + (["maize"] * 2 if number >= 36 else [])
        samples = tuple(
            Sample(f"{number}/{n}", str(number), "box", ("?",), ("!",), {"crop": crop, "size": "large"})
            for n, crop in enumerate(crops)
        )
        unsaid = Sample(f"{number}/count", str(number), "count", ("?",), ("!",), {"crop": None})
        rows.append(Example(Chip(str(number), "s", "fake", (Picture(b""),)), (*samples, unsaid)))
    write_rows(tmp_path / "skewed.parquet", rows)
    return {"skewed": Store([tmp_path / "skewed.parquet"])}


def crops_drawn(stores, draws=200, **settings):
    entry = MixtureEntry(weight=1, datasets=("skewed",), tasks=("box",), **settings)
    mixture = Mixture({"all": entry}, stores, 3, 2)
    return mixture, Counter(one.truth["crop"] for i in range(draws) for one in mixture.draw(i)[1])


def test_rare_crops_are_drawn_as_often_as_common_ones(skewed):
    _, plain = crops_drawn(skewed)
    mixture, balanced = crops_drawn(skewed, balance=("crop",))
    assert plain["maize"] / plain.total() < 0.1
    assert balanced["maize"] / balanced.total() > 0.33  # where no maize is shown, all questions are of wheat
    assert [mixture.draw(i)[1][0].truth["crop"] for i in range(4)] == ["maize", "wheat"] * 2
    shown = [mixture.draw(2 * i + 1)[0].chip.id for i in range(40)]  # wheat's turns: every chip once
    assert len(set(shown)) == 40


def test_a_balanced_draw_depends_on_seed_and_index_alone(skewed):
    mixture, _ = crops_drawn(skewed, draws=0, balance=("crop", "size"))
    forwards = [mixture.draw(i) for i in range(100)]
    again, _ = crops_drawn(skewed, draws=0, balance=("crop", "size"))
    assert [again.draw(i) for i in reversed(range(100))][::-1] == forwards


def test_what_is_not_said_cannot_be_balanced(skewed):
    entry = MixtureEntry(weight=1, datasets=("skewed",), tasks=("count",), balance=("crop",))
    with pytest.raises(DataError, match="says its crop"):
        Mixture({"all": entry}, skewed, 0, 2)
