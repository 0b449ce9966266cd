"""Scores of tasks; unreadable answers count as wrong everywhere."""

import math
from itertools import pairwise

import pytest

from agrilape.dataset.tasks import TASKS
from agrilape.evaluate import scores as scores_module
from agrilape.evaluate.answer_arrays import is_readable
from agrilape.evaluate.answer_kinds import CAPTION
from agrilape.evaluate.scores import answer_quality, metrics_of, score_tasks
from agrilape.evaluate.summary import choose_baselines, summarise
from agrilape.geo.shapes import Box, Instant, Point, Polygon, Span

from .conftest import GROUND, SEASON

TRUE = Box(0.2, 0.2, 0.4, 0.6)


def scores(*rows):
    (found,) = score_tasks(rows).values()
    return {name: estimate.value for name, estimate in found.items()}


def test_every_task_has_metrics():
    from agrilape.evaluate.scores import TASK_METRICS

    assert set(TASKS) <= set(TASK_METRICS)


def test_one_box(make_row):
    half = Box(0.2, 0.2, 0.4, 0.4)
    found = scores(
        make_row("crop_box", [TRUE], [TRUE], georeference=GROUND),
        make_row("crop_box", [TRUE], [half], georeference=GROUND, scene="b"),
        make_row("crop_box", [TRUE], ["somewhere"], georeference=GROUND, scene="b"),
    )
    assert found["miou"] == pytest.approx(0.5)
    assert found["acc_50"] == pytest.approx(2 / 3)
    assert found["acc_70"] == found["acc_75"] == found["acc_90"] == pytest.approx(1 / 3)
    # The centre of the half box is 0.1 of 500 m away; nothing read is charged the diagonal.
    assert found["position_error_m"] == pytest.approx((0 + 50 + math.hypot(1000, 500)) / 3, rel=1e-3)


def test_no_metres_without_georeference(make_row):
    assert "position_error_m" not in scores(make_row("crop_box", [TRUE], [TRUE]))


def test_further_guesses_at_one_box_do_not_help(make_row):
    assert scores(make_row("crop_box", [TRUE], [Box(0, 0, 0.1, 0.1), TRUE]))["acc_50"] == 0


def test_several_boxes(make_row):
    other = Box(0.6, 0.6, 0.9, 0.9)
    found = scores(make_row("crop_boxes", [TRUE, other], [TRUE, TRUE, TRUE]))
    assert found["precision"] == pytest.approx(1 / 3)
    assert found["recall"] == 0.5
    assert found["f1"] == pytest.approx(0.4)
    assert found["matched_iou"] == 1


def test_names(make_row):
    rows = [
        make_row("crop_in_box", ["maize"], ["Maize."]),
        make_row("crop_in_box", ["maize"], ["maize or oats"]),
        make_row("crop_in_box", ["oats"], ["These are oats"]),
        make_row("crop_in_box", ["oats"], []),
    ]
    assert scores(*rows)["accuracy"] == 0.5


def test_grids(make_row):
    answer = ["maize, oats; other, maize"]
    assert scores(make_row("layout", answer, ["maize, oats; other, oats"]))["accuracy"] == 0.75
    assert scores(make_row("layout", answer, ["maize"]))["accuracy"] == 0.25


def test_counts(make_row):
    found = scores(
        make_row("count", ["3"], ["three"]),
        make_row("count", ["4"], ["5"]),
        make_row("count", ["4"], ["many"]),
    )
    assert found["exact"] == pytest.approx(1 / 3)
    assert found["mae"] == pytest.approx((0 + 1 + 4) / 3)


def test_dates(make_row):
    found = scores(
        make_row("peak_of_season", [Instant(0.5)], [Instant(0.5 + 15 / SEASON.days)], window=SEASON),
        make_row("peak_of_season", [Instant(0.5)], ["in June"], window=SEASON),
    )
    assert found["days"] == pytest.approx((15 + SEASON.days) / 2)
    assert (found["within_10_days"], found["within_20_days"]) == (0, 0.5)


def test_spans(make_row):
    found = scores(
        make_row("growing_season", [Span(0.2, 0.6)], [Span(0.4, 0.8)], window=SEASON),
        make_row("growing_season", [Span(0.2, 0.6)], [Instant(0.4)], window=SEASON),
    )
    assert found["tiou"] == pytest.approx(1 / 6)
    assert found["recall_30"] == 0.5
    assert found["start_days"] == pytest.approx((0.2 * SEASON.days + SEASON.days) / 2)


def square(left, top, side=0.2):
    return Polygon(
        (Point(left, top), Point(left + side, top), Point(left + side, top + side), Point(left, top + side))
    )


def test_one_outline(make_row):
    """A square of 0.2, and one half beside it; the image is 1000 m x 500 m."""
    found = scores(
        make_row("users_outline", [square(0.2, 0.2)], [square(0.3, 0.2)], georeference=GROUND),
        make_row("users_outline", [square(0.2, 0.2)], ["nowhere"], georeference=GROUND, scene="b"),
    )
    assert found["miou"] == pytest.approx(1 / 3 / 2)
    assert found["acc_50"] == 0
    assert found["area_error"] == pytest.approx((0 + 1) / 2, abs=1e-6)  # unreadable: nothing known
    # Of 600 m, the upper and lower side are met for 100 m and the tolerance, and 10 m of each crossing end.
    met = 2 * 110 + 2 * 10
    assert found["boundary_f1"] == pytest.approx(2 * met / (600 + 1200), abs=0.01)


def test_several_outlines(make_row):
    one, other = square(0.1, 0.1), square(0.6, 0.6)
    edges = (0.6, 0.67, 0.73, 0.8)
    strips = [
        Polygon((Point(left, 0.6), Point(right, 0.6), Point(right, 0.8), Point(left, 0.8)))
        for left, right in pairwise(edges)
    ]
    found = scores(make_row("users_outlines", [one, other], [one, *strips], georeference=GROUND))
    assert found["f1"] == pytest.approx(2 * 1 / 6)
    assert found["pixel_iou"] == pytest.approx(1)
    assert found["over_segmentation"] == pytest.approx((0 + 0.65) / 2)
    assert found["under_segmentation"] == pytest.approx(0, abs=1e-9)
    assert (found["sq"], found["pq"]) == pytest.approx((1, found["rq"]))


def test_an_outline_at_exactly_half_is_not_yet_the_object(make_row):
    """Panoptic quality asks for more than 0.5; boxes count from 0.5 on."""
    whole = Polygon((Point(0.0, 0.0), Point(0.5, 0.0), Point(0.5, 0.5), Point(0.0, 0.5)))
    half = Polygon((Point(0.0, 0.0), Point(0.25, 0.0), Point(0.25, 0.5), Point(0.0, 0.5)))
    found = scores(make_row("users_outlines", [whole, square(0.6, 0.6)], [half, square(0.6, 0.6)]))
    assert found["f1"] == found["rq"] == pytest.approx(1 / 2)
    boxes = scores(make_row("crop_boxes", [Box(0, 0, 0.5, 0.5)], [Box(0, 0, 0.25, 0.5)]))
    assert boxes["f1"] == 1


def test_scenes_of_two_sources_that_share_a_name_are_two(make_row):
    rows = [
        make_row("count", ["3"], ["3"], id=f"{source}{n}", source=source, scene=f"scene_{n}")
        for source in ("naip", "simulate")
        for n in range(3)
    ]
    assert score_tasks(rows)["count"]["exact"].scenes == 6


def test_which_field_and_when(make_row):
    """Half of the place for half of the time, and an answer without a time."""
    found = scores(
        make_row(
            "users_tube", [TRUE, Span(0.2, 0.6)], [Box(0.2, 0.2, 0.4, 0.4), Span(0.4, 0.6)], window=SEASON
        ),
        make_row("users_tube", [TRUE, Span(0.2, 0.6)], [TRUE], window=SEASON),
    )
    assert found["viou"] == pytest.approx(0.25 / 2)
    assert found["miou"] == pytest.approx((0.5 + 1) / 2)
    assert found["tiou"] == pytest.approx(0.5 / 2)
    assert found["viou_50"] == 0


def test_hcat_credit_where_the_truth_has_codes(make_row):
    codes = {"winter wheat": "3301010101", "summer wheat": "3301010102", "pasture": "3302000000"}
    pairs = [("winter wheat", "summer wheat"), ("summer wheat", "pasture"), ("pasture", "pasture")]
    rows = [make_row("crop_in_box", [true], [given], truth={"hcat": codes[true]}) for true, given in pairs]
    assert scores(*rows)["hcat_credit"] == pytest.approx((0.75 + 0 + 1) / 3)
    assert "hcat_credit" not in scores(make_row("crop_in_box", ["rye"], ["rye"], truth={"hcat": "rye"}))


def test_the_way_round_the_year_is_measured_where_a_suite_asks_for_it(make_row):
    row = make_row("peak_of_season", [Instant(2 / 364)], [Instant(362 / 364)], window=SEASON)
    assert list(score_tasks([row])["peak_of_season"]) == ["days", "within_10_days", "within_20_days"]
    wanted = {"peak_of_season": ["days_circular", "days"]}
    found = score_tasks([row], wanted)["peak_of_season"]
    assert found["days_circular"].value == pytest.approx(365.2425 - 360)
    assert found["days"].value == pytest.approx(360)


def test_descriptions(make_row):
    rows = [make_row("users", ["a green maize field by the road"], ["a green maize field by the road"])]
    found = {metric.name: metric.point(rows) for metric in CAPTION}
    assert found == pytest.approx({"word_f1": 1, "rouge_l": 1, "bleu": 1})


def test_what_is_not_installed_is_not_measured(make_row, monkeypatch):
    monkeypatch.setitem(scores_module.TASK_METRICS, "users", CAPTION)
    assert [metric.name for metric in metrics_of("users", [])] == ["word_f1", "rouge_l", "bleu"]
    monkeypatch.setattr(scores_module, "find_spec", lambda name: None)
    assert [metric.name for metric in metrics_of("users", [])] == ["word_f1"]


@pytest.mark.parametrize(
    ("answer", "first"), [([TRUE], "miou"), ([TRUE, TRUE], "f1"), ([Span(0, 1)], "tiou"), (["x"], "accuracy"),
                          ([TRUE, Span(0, 1)], "viou"), ([square(0, 0)], "miou"), ([square(0, 0)] * 2, "f1")]
)  # fmt: skip
def test_unknown_tasks_are_measured_by_their_answers(make_row, answer, first):
    assert metrics_of("users_own", [make_row("users_own", answer, [])])[0].name == first


def test_agreement_ranks_answers(make_row):
    assert answer_quality(
        make_row("peak_of_season", [Instant(0.5)], [Instant(0.75)], window=SEASON)
    ) == pytest.approx(0.75)
    assert answer_quality(make_row("crop_box", [TRUE], [])) == 0


@pytest.mark.parametrize(
    ("answer", "prediction", "readable"),
    [
        ([TRUE], [TRUE], True),
        ([TRUE], ["x"], False),
        (["3"], ["three"], True),
        (["3"], ["x"], False),
        (["oats"], ["x"], True),
        (["oats"], [], False),
        (["it is ", Instant(0.2)], [Instant(0.1)], True),
    ],
)
def test_readable(make_row, answer, prediction, readable):
    assert is_readable(make_row("any", answer, prediction)) is readable


def test_summary(make_row):
    rows = [
        make_row("crop_box", [TRUE], [TRUE], id=str(i), scene=scene, truth={"crop": crop, "size": "small"})
        for i, (scene, crop) in enumerate(
            zip("abbcdef", ["maize", "oats", "oats", *["maize"] * 4], strict=True)
        )
    ]
    rows.append(make_row("peak_of_season", [Instant(0.5)], [], id="t", window=SEASON))
    wrong = [make_row("crop_box", [TRUE], [Box(0, 0, 1, 1)], id=row.id, scene=row.scene) for row in rows[:7]]
    baselines = {"whole image": [*wrong, None], "silent": [None] * 8}
    rivals = {"crop_box": "whole image", "peak_of_season": "silent", "count": "silent"}
    found = summarise(rows, baselines, rivals)
    assert found["tasks"]["crop_box"]["acc_90"] == {
        "value": 1, "low": 1, "high": 1, "n": 7, "scenes": 6,
    }  # fmt: skip
    assert found["baselines"]["whole image"]["crop_box"]["acc_50"]["value"] == 0
    assert "silent" not in found["baselines"]
    assert found["by"]["crop"]["oats"]["crop_box"]["miou"]["n"] == 2
    assert found["parse_failures"]["total"] == {"count": 1, "n": 8}
    versus = found["versus_baseline"]["crop_box"]
    assert (versus["metric"], versus["baseline"], versus["n"]) == ("miou", "whole image", 7)
    assert versus["value"] == pytest.approx(1 - TRUE.area)
    assert versus["p"] == 2 / 64
    assert "peak_of_season" not in found["versus_baseline"]


def test_which_name_is_taken_for_which(make_row):
    rows = [
        make_row("crop_in_box", [true], [given]) for true, given in (("a1", "a1"), ("b2", "a1"), ("b2", ""))
    ]
    found = summarise([*rows, make_row("count", ["3"], ["3"])], {})["confusion"]
    assert found == {"crop_in_box": {"classes": ["a1", "b2"], "matrix": [[1, 0, 0], [1, 0, 1]]}}


def test_the_rival_is_chosen_where_the_model_is_not_judged(make_row):
    def rows(task, answer, predictions):
        return [make_row(task, [answer], [given], window=SEASON) if given else None for given in predictions]

    near, far, box = Instant(0.5), Instant(0.9), TRUE
    rehearsal = {
        "early": [*rows("peak_of_season", near, [near, near]), *rows("crop_box", box, [None, None])],
        "late": [*rows("peak_of_season", near, [far, far]), *rows("crop_box", box, [Box(0, 0, 1, 1)] * 2)],
        "partial": [*rows("peak_of_season", near, [None, None]), *rows("crop_box", box, [box, None])],
    }
    assert choose_baselines(rehearsal) == {"peak_of_season": "early", "crop_box": "late"}


def test_every_answer_of_a_task_has_its_kind():
    from typing import get_args

    from agrilape.dataset.tasks import AnswerKind
    from agrilape.evaluate.answer_kinds import ANSWERS

    assert set(ANSWERS) == set(get_args(AnswerKind))
    assert {task.answer for task in TASKS.values()} == set(ANSWERS)


def test_named_boxes_are_matched_under_their_name(make_row):
    other = Box(0.6, 0.6, 0.9, 0.9)
    answer = ["maize ", TRUE, "; oats ", other]
    right = scores(make_row("scene_description", answer, ["Oats: ", other, ", maize ", TRUE]))
    assert right["named_f1"] == right["f1"] == 1
    swapped = scores(make_row("scene_description", answer, ["oats ", TRUE, "; maize ", other]))
    assert (swapped["named_f1"], swapped["f1"]) == (0, 1)
    listed = scores(
        make_row("scene_description", ["maize ", TRUE, "; maize ", other], ["maize ", TRUE, other])
    )
    assert listed["named_f1"] == 1
    assert scores(make_row("scene_description", answer, []))["named_f1"] == 0


def test_a_place_for_what_is_not_there_is_wrong(make_row):
    answer = ["There is no rice here."]
    found = scores(
        make_row("absent_crop", answer, ["there is no rice here"]),
        make_row("absent_crop", answer, ["none"]),
        make_row("absent_crop", answer, ["There is no rice here. ", TRUE]),
        make_row("absent_crop", answer, []),
    )
    assert (found["refusal_rate"], found["exact_match"]) == (0.5, 0.5)


def test_shares_and_areas(make_row):
    found = scores(
        make_row("stress_share", ["21 %"], ["25 %"]), make_row("stress_share", ["10 %"], ["a lot"])
    )
    assert (found["within_5"], found["mae_points"]) == (0.5, (4 + 100) / 2)
    areas = scores(make_row("field_area", ["12.5"], ["10 ha"]), make_row("field_area", ["4"], [""]))
    assert areas["relative_error"] == pytest.approx((0.2 + 1) / 2)


def test_where_and_when_are_scored_together(make_row):
    answer = [TRUE, Span(0.2, 0.6)]
    found = scores(make_row("field_and_season", answer, [TRUE, Span(0.4, 0.8)], window=SEASON))
    assert (found["miou"], found["viou"]) == (1, pytest.approx(1 / 3))


def test_published_questions_are_matched_word_for_word(make_row):
    found = scores(make_row("vqa", ["yes"], ["Yes."]), make_row("vqa", ["rural"], ["it is rural"]))
    assert (found["exact_match"], found["accuracy"]) == (0.5, 1)
    assert "word_f1" in scores(make_row("caption", ["a farm"], ["a barn"]))
