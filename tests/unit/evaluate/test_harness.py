"""The side of lmms-eval that needs no lmms-eval: its tasks, and the notation of answers."""

import json

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agrilape.errors import DataError
from agrilape.evaluate.harness import aggregation, tasks
from agrilape.evaluate.harness.bracket_text import hint, read_parts, write_parts
from agrilape.evaluate.scores import score_tasks
from agrilape.evaluate.subset import Subset
from agrilape.geo.shapes import Box, Instant, Point, Polygon, Span

from .conftest import SEASON

share = st.integers(0, 1000).map(lambda n: n / 1000)
points = st.builds(Point, share, share)
shapes = (
    st.builds(Box, share, share, share, share)
    | st.builds(Instant, share)
    | st.lists(points, min_size=3, max_size=6).map(lambda found: Polygon(tuple(found)))
)


@given(
    st.lists(shapes | st.sampled_from(["maize", "from here to "]), max_size=4),
    points | st.builds(Span, share, share),
)
def test_what_is_written_is_read(parts, pair):
    message = [*parts, pair]
    read = [part for part in read_parts(write_parts(message), [pair]) if not isinstance(part, str)]
    assert read == [part for part in message if not isinstance(part, str)]


@given(st.text() | st.from_regex(r"(\[[0-9., -]{0,20}\]?)*"))
def test_any_answer_can_be_read(text):
    for part in read_parts(text, [Box(0, 0, 1, 1)]):
        assert isinstance(part, str | Point | Box | Instant | Polygon)


def test_brackets_that_are_no_shape_stay_text():
    assert read_parts("see [1] and [0.1, 0.2, 0.3]", [Box(0, 0, 1, 1)]) == (
        "see ",
        Instant(1),
        " and [0.1, 0.2, 0.3]",
    )
    assert read_parts("[-1, 2]", []) == ("[-1, 2]",)


@pytest.mark.parametrize("written", ["0.3333333333333333", "5e-05", "0.10000000000000001", "1.", "1E-7"])
def test_numbers_are_read_as_python_prints_them(written):
    assert read_parts(f"[0, {written}]", [Point(0, 0)]) == (Point(0, float(written)),)


@pytest.mark.parametrize("written", ["[2021]", "[1e3, 0.5]", "[0.5e, 0.5]"])
def test_years_and_large_numbers_are_no_shape(written):
    assert read_parts(written, [Point(0, 0)]) == (written,)


def test_hints_say_what_is_wanted():
    assert hint(["maize"], SEASON) == ""
    assert "left, top, right, bottom" in hint([Box(0, 0, 1, 1)], None)
    said = hint([Span(0, 1)], SEASON)
    assert "[start, end]" in said
    assert "2021-01-01 (0) to 2021-12-31 (1)" in said


@pytest.fixture
def exported(examples, tmp_path):
    return tasks.export_tasks("my run", [Subset("stills", examples)], tmp_path / "lmms")


def documents(path):
    return pq.read_table(path.with_suffix(".parquet")).to_pylist()


def test_every_task_becomes_one_of_the_harness(exported):
    whole, *single = exported
    assert yaml.safe_load(whole.read_text()) == {
        "group": "agrilape_my_run",
        "task": [path.stem for path in single],
    }
    assert [path.stem for path in single][:2] == [
        "agrilape_my_run_crop_in_box",
        "agrilape_my_run_field_at_point",
    ]
    for path in single:
        assert len(documents(path)) == 6
        assert f"task: {path.stem}\n" in path.read_text()


def test_answers_score_as_in_an_evaluation(exported):
    """Every second answer is the true one, written by another model's hand."""
    for path in exported[1:]:
        rows = documents(path)
        assert tasks.images(rows[0])[0].size == (32, 32)
        assert tasks.question(rows[0]).endswith(("?", "."))
        said = [tasks.target(row) if number % 2 else "no idea" for number, row in enumerate(rows)]
        found = [tasks.outcome(row, [text]) for row, text in zip(rows, said, strict=True)]
        answered = [tasks.Prediction.from_json(json.loads(json.dumps(one[next(iter(one))]))) for one in found]
        (expected,) = score_tasks(answered).values()
        assert {name for one in found for name in one} == set(expected)
        for name, estimate in expected.items():
            assert getattr(aggregation, name)([one[name] for one in found]) == pytest.approx(estimate.value)
            assert (
                f"aggregation: !function agrilape.evaluate.harness.aggregation.{name}\n" in path.read_text()
            )
        assert next(iter(expected.values())).value not in (0, 1)


def test_nothing_to_export_is_said(tmp_path):
    with pytest.raises(DataError, match="no questions"):
        tasks.export_tasks("empty", [], tmp_path)
