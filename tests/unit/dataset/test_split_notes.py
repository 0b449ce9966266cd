"""Splits that came out other than asked are said."""

import pytest

from agrilape.dataset.split_notes import split_notes

BLOCKS = [f"one/block_{row}_{column}" for row in range(5) for column in range(5)]


def counts(**groups):
    return {name: {"chips": chips, "groups": names} for name, (chips, names) in groups.items()}


def notes(split, splits, by="scene", buffer=0.0):
    return split_notes({"split": split, "split_by": by, "buffer_m": buffer}, splits)


def test_an_empty_split_is_said():
    found = notes((0.8, 0.05, 0.15), counts(train=(80, list("abcdefgh")), test=(15, list("ijklmn"))))
    assert found == ["val is empty, where 5% were asked for: none of its scenes gave a question"]
    assert not notes((0.85, 0, 0.15), counts(train=(85, list("abcdefgh")), test=(15, list("ijklmn"))))


def test_other_shares_than_asked_are_said():
    found = notes(
        (0.8, 0.05, 0.15), counts(train=(50, BLOCKS[:8]), val=(10, BLOCKS[8:9]), test=(40, BLOCKS[9:]))
    )
    assert found[0].startswith("train has 50% of the chips, where 80% were asked for: 8 of 25 scenes")
    assert found[1].startswith("test has 40%")


@pytest.mark.parametrize(
    ("by", "buffer", "test", "said"),
    [
        ("scene", 0, ["a", "b"], "add scenes"),
        ("block", 0, BLOCKS[:8], "whose blocks touch"),
        ("block", 100, BLOCKS[:4], "give test a share of 0.24"),
        ("block", 100, BLOCKS[:6], None),
        ("block", 0, [f"{scene}/block_0_0" for scene in range(6)], None),
        ("year", 0, ["2021"], None),
        ("published", 0, ["a"], None),
    ],
)
def test_test_ground_that_allows_no_interval_is_said(by, buffer, test, said):
    rest = [name for name in BLOCKS if name not in test]
    found = notes((0.8, 0, 0.2), counts(train=(80, rest), test=(20, test)), by, buffer)
    assert len(found) == (said is not None)
    assert said is None or said in found[0]


def test_what_is_no_configuration_says_nothing():
    assert notes((), counts(train=(1, ["a"]))) == []
    assert split_notes({}, {}) == []
