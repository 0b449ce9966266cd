import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrilape.report.score_tables import (
    breakdowns,
    comparisons,
    describe,
    informed_verdict,
    show,
    task_scores,
    verdict,
)

EDGES = st.floats(-1, 1, allow_nan=False)


def metrics(gain, metric="miou", task="crop_box", low=None, high=None, p=0.01):
    record = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 50}
    versus = {
        "metric": metric,
        "baseline": "mean_box",
        "value": gain,
        "low": low,
        "high": high,
        "p": None if low is None else p,
        "n": 50,
    }
    return {
        "tasks": {task: {metric: record}},
        "baselines": {"mean_box": {task: {metric: record}}},
        "versus_baseline": {task: versus},
    }


@pytest.mark.parametrize(
    ("metric", "low", "high", "outcome"),
    [
        ("miou", 0.1, 0.2, "better"),
        ("miou", -0.2, -0.1, "worse"),
        ("miou", -0.1, 0.1, "similar"),
        ("days", -4.0, -2.0, "better"),
        ("days", 2.0, 4.0, "worse"),
        ("miou", None, None, "unknown"),
    ],
)
def test_the_outcome_follows_the_interval_and_the_direction_of_the_metric(metric, low, high, outcome):
    middle = 0.0 if low is None else (low + high) / 2
    (found,) = comparisons(metrics(middle, metric, low=low, high=high))
    assert found.outcome == outcome


@given(
    st.tuples(EDGES, EDGES, EDGES).map(sorted),
    st.sampled_from(["miou", "days", "something_new"]),
    st.floats(0, 1),
)
def test_the_verdict_claims_a_gain_only_if_the_interval_and_the_test_say_so(edges, metric, p):
    low, middle, high = edges
    sentence = verdict(comparisons(metrics(middle, metric, low=low, high=high, p=p)))
    gained = p < 0.05 and (high < 0 if metric == "days" else low > 0)
    assert sentence.startswith("The model beats") == gained


def test_many_tasks_are_tested_at_once_and_each_p_is_adjusted():
    together = metrics(0.3, low=0.25, high=0.35, p=0.02)
    for number in range(3):
        more = metrics(0.1, task=f"task_{number}", low=0.05, high=0.15, p=0.02)
        for key in ("tasks", "versus_baseline"):
            together[key] |= more[key]
        together["baselines"]["mean_box"] |= more["baselines"]["mean_box"]
    found = comparisons(together)
    assert [one.p for one in found] == [pytest.approx(0.08)] * 4
    assert {one.outcome for one in found} == {"similar"}
    assert "p = 0.08)" in found[0].sentence


def test_too_few_scenes_are_said_and_claim_nothing():
    alone = metrics(0.3)
    (found,) = comparisons(alone)
    assert found.label == "too few scenes"  # an earlier version's file does not say how few
    alone["versus_baseline"]["crop_box"]["scenes"] = 2
    assert comparisons(alone)[0].label == "only 2 scenes"
    assert verdict([found]).startswith("Whether the model beats the image-free baselines cannot be told")
    (clear,) = comparisons(metrics(0.3, low=0.25, high=0.35))
    assert verdict([found, clear]).startswith("The model beats the best image-free baseline in 1 of 2 tasks")
    assert verdict([found, clear]).endswith("; 1 with too few scenes to tell.")


def test_blocks_of_few_scenes_are_told_from_scenes():
    alone = metrics(0.3)
    alone["versus_baseline"]["crop_box"] |= {"scenes": 1, "blocks": 4}
    alone["tasks"]["crop_box"]["miou"] |= {"scenes": 1, "blocks": 4}
    assert comparisons(alone)[0].label == "only 4 blocks of 1 scene"
    (table,) = task_scores(alone)
    assert (table.size, table.resampled, table.units) == ("50 in 4 blocks of 1 scene", "4 blocks of 1", 4)
    alone["versus_baseline"]["crop_box"]["blocks"] = 9
    (found,) = comparisons(alone)
    assert found.label == "one block decides"
    assert found.sentence.endswith("(no interval: one block decides)")
    clear = metrics(0.3, low=0.25, high=0.35)
    clear["versus_baseline"]["crop_box"] |= {"scenes": 1, "blocks": 9}
    assert comparisons(clear)[0].label == "significantly better"
    assert verdict(comparisons(clear)).endswith("about the ground of these scenes, not about others.")
    assert verdict([found]).endswith("in each task one block decides.")


def test_the_verdict_counts_tasks_and_names_the_clearest_with_its_interval():
    together = metrics(0.3, low=0.25, high=0.35)
    worse = metrics(5.0, "days", "peak_of_season", low=4.0, high=6.0)
    for key in ("tasks", "versus_baseline"):
        together[key] |= worse[key]
    together["baselines"]["mean_box"] |= worse["baselines"]["mean_box"]
    sentence = verdict(comparisons(together))
    assert sentence.startswith(
        "The model beats the best image-free baseline in 1 of 2 tasks: clearest in crop box"
    )
    assert "30.0 points better (95 % interval +25.0 to +35.0, p = 0.02)" in sentence
    assert "1 worse, most in peak of season" in sentence
    assert "5.0 days worse (95 % interval −6.0 to −4.0, p = 0.02)" in sentence


def test_without_scores_nothing_is_claimed():
    assert "nothing can be said" in verdict(comparisons({}))
    assert task_scores({}) == []


def test_scores_that_are_no_numbers_are_left_blank():
    (table,) = task_scores({"tasks": {"scene": {"accuracy": {"value": None, "n": 0}}}})
    assert table.rows == (("model", (None,)),)
    assert table.n == 0


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (0.614, "miou", "61.4 %"),
        (9.24, "days", "9.2 days"),
        (0.5, "kappa", "0.50"),
        (2.0, "new_thing", "2.00"),
    ],
)
def test_values_carry_their_unit(value, metric, text):
    assert show(value, metric) == text


def test_an_unknown_metric_gets_a_plain_name():
    assert describe("new_thing").label == "new thing"


@given(st.floats(0, 1), st.floats(0, 50))
def test_marks_stay_on_the_axis(own, rival):
    (table,) = task_scores({
        "tasks": {"peak_of_season": {"days": {"value": own, "low": None, "high": None, "n": 3}}},
        "baselines": {
            "mean_date": {"peak_of_season": {"days": {"value": rival, "low": 0, "high": rival, "n": 3}}},
        },
    })  # fmt: skip
    assert 0 <= table.share(own) <= 100
    assert 0 <= table.share(rival) <= 100


def test_long_breakdowns_show_what_has_the_most_samples():
    values = {
        str(n): {"crop_box": {"miou": {"value": 0.5, "low": None, "high": None, "n": n}}}
        for n in range(1, 51)
    }
    (found,) = breakdowns({"by": {"scene": values}})
    assert (len(found.rows), found.left_out) == (40, 10)
    assert min(int(value) for value, *_ in found.rows) == 11


def test_a_model_is_read_against_both_kinds_of_baselines():
    """Better than a guess, worse than trees on the same pictures."""
    found = metrics(-6.0, "days", "peak_of_season", low=-8.0, high=-4.0)
    seeing = metrics(9.0, "days", "peak_of_season", low=6.0, high=12.0)
    record = seeing["baselines"]["mean_box"]
    found["informed_baselines"] = {"trees": record, "crop_calendar": record}
    found["versus_informed"] = {
        "peak_of_season": {**seeing["versus_baseline"]["peak_of_season"], "baseline": "trees"}
    }
    (free,), (informed,) = comparisons(found), comparisons(found, informed=True)
    assert (free.outcome, informed.outcome, informed.baseline) == ("better", "worse", "trees")
    assert informed_verdict([informed]).endswith("significantly worse in peak of season (trees).")
    assert informed_verdict([]) == ""
    (table,) = task_scores(found)
    assert [name for name, _ in table.rows] == ["model", "mean_box", "trees", "crop_calendar"]
