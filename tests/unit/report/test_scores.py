import pytest
from hypothesis import given
from hypothesis import strategies as st

from agrilape.report.scores import breakdowns, comparisons, describe, show, task_scores, verdict

EDGES = st.floats(-1, 1, allow_nan=False)


def metrics(gain, metric="miou", task="crop_box", low=None, high=None):
    record = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 50}
    versus = {
        "metric": metric,
        "baseline": "mean_box",
        "value": gain,
        "low": low,
        "high": high,
        "p": 0.5,
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
        ("miou", 0.1, 0.2, "ahead"),
        ("miou", -0.2, -0.1, "behind"),
        ("miou", -0.1, 0.1, "level"),
        ("days", -4.0, -2.0, "ahead"),
        ("days", 2.0, 4.0, "behind"),
        ("miou", None, None, "level"),
    ],
)
def test_the_outcome_follows_the_interval_and_the_direction_of_the_metric(metric, low, high, outcome):
    middle = 0.0 if low is None else (low + high) / 2
    (found,) = comparisons(metrics(middle, metric, low=low, high=high))
    assert found.outcome == outcome


@given(st.tuples(EDGES, EDGES, EDGES).map(sorted), st.sampled_from(["miou", "days", "something_new"]))
def test_the_verdict_claims_a_gain_only_if_the_interval_excludes_zero(edges, metric):
    low, middle, high = edges
    sentence = verdict(comparisons(metrics(middle, metric, low=low, high=high)))
    gained = high < 0 if metric == "days" else low > 0
    assert sentence.startswith("The model beats") == gained


def test_the_verdict_counts_tasks_and_names_the_clearest_with_its_interval():
    together = metrics(0.3, low=0.25, high=0.35)
    worse = metrics(5.0, "days", "greenest", low=4.0, high=6.0)
    for key in ("tasks", "versus_baseline"):
        together[key] |= worse[key]
    together["baselines"]["mean_box"] |= worse["baselines"]["mean_box"]
    sentence = verdict(comparisons(together))
    assert sentence.startswith(
        "The model beats the best blind baseline in 1 of 2 tasks: clearest in crop box"
    )
    assert "30.0 points better (95 % interval +25.0 to +35.0)" in sentence
    assert "1 worse, most in greenest" in sentence
    assert "5.0 days worse (95 % interval −6.0 to −4.0)" in sentence


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
        "tasks": {"greenest": {"days": {"value": own, "low": None, "high": None, "n": 3}}},
        "baselines": {"mean_date": {"greenest": {"days": {"value": rival, "low": 0, "high": rival, "n": 3}}}},
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
    assert min(int(value) for value, _ in found.rows) == 11
