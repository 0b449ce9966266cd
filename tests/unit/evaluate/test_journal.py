from dataclasses import replace

import pytest

from agrilape.evaluate.journal import Journal
from agrilape.evaluate.predictions import read_rows
from agrilape.evaluate.subset import Subset


@pytest.fixture
def rows(make_row):
    return [make_row("count", ["1"], ["1"], id=str(i)) for i in range(5)]


def test_goes_on_after_a_kill_in_the_middle_of_a_line(tmp_path, rows):
    path = tmp_path / "evaluation" / "predictions.jsonl"
    journal = Journal(path, "key")
    journal.append(rows[:2], 1.5)
    journal.append(rows[2:3], 0.5)
    path.write_bytes(path.read_bytes()[:-20])
    again = Journal(path, "key")
    assert list(again.rows) == ["0", "1"]
    again.append(rows[2:], 1.0)
    assert read_rows(path) == rows
    assert again.samples_per_second == pytest.approx(5 / 3)


@pytest.mark.parametrize("damage", [b"\0" * 40, b"{]", b'{"id": "1"}', b"\xff\xfe"])
def test_what_a_crash_left_of_a_line_is_predicted_anew(tmp_path, rows, damage):
    path = tmp_path / "predictions.jsonl"
    Journal(path, "key").append(rows[:3], 1.0)
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([lines[0], damage, lines[2], b""]))
    again = Journal(path, "key")
    assert list(again.rows) == ["0", "2"]
    again.append([rows[1], *rows[3:]], 1.0)
    again.sort(row.id for row in rows)
    assert read_rows(path) == rows


def test_another_key_starts_anew(tmp_path, rows):
    path = tmp_path / "predictions.jsonl"
    Journal(path, "old").append(rows, 1)
    fresh = Journal(path, "new")
    assert fresh.rows == {}
    assert fresh.samples_per_second is None
    assert not path.exists()


def test_a_damaged_state_file_starts_anew(tmp_path, rows):
    path = tmp_path / "predictions.jsonl"
    Journal(path, "key").append(rows, 1)
    path.with_suffix(".state.json").write_text("{")
    assert Journal(path, "key").rows == {}


def test_parts_are_gathered_whatever_their_number(tmp_path, rows):
    path = tmp_path / "predictions.jsonl"
    journal = Journal(path, "key")
    journal.append(rows[:1], 1.0)
    journal.part(0).append(rows[1:3], 4.0)
    journal.part(1).append(rows[2:4], 2.0)
    Journal(path, "other").part(2)  # of another checkpoint: nothing in it counts
    again = Journal(path, "key")
    again.append(rows[:1], 1.0)
    again.absorb_parts()
    assert sorted(again.rows) == ["0", "1", "2", "3"]
    assert again.samples_per_second == pytest.approx(4 / 5)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["predictions.jsonl", "predictions.state.json"]
    assert len(path.read_text().splitlines()) == 4


def test_sorting_keeps_the_asked_rows(tmp_path, rows):
    path = tmp_path / "predictions.jsonl"
    journal = Journal(path, "key")
    journal.append(rows, 1)
    journal.sort(["3", "0"])
    assert [row.id for row in read_rows(path)] == ["3", "0"]


def test_subset_spreads_the_limit_over_chips(examples):
    subset = Subset("stills", examples, limit=3)
    asked = [sample for example in subset for sample in example.samples]
    assert len(asked) == 3 * 4
    chips = [sample.chip for sample in asked if sample.task == "peak_of_season"]
    assert chips == ["stills/c0", "stills/c2", "stills/c5"]
    assert {sample.chip for example in subset for sample in example.samples} == {e.chip.id for e in subset}


def test_subset_without_limit_is_everything_under_new_names(examples):
    subset = Subset("stills", examples)
    assert len(subset) == len(examples)
    assert subset[1].samples[0].id == "stills/c1/field_at_point/0"
    assert [replace(s, id="", chip="") for s in subset[1].samples] == [
        replace(s, id="", chip="") for s in examples[1].samples
    ]
