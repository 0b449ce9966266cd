"""Suites, and what scores are broken down by."""

from datetime import date

import pytest

from agrilape.config.recipe import EvaluationConfig
from agrilape.dataset.tasks import TASKS
from agrilape.errors import RecipeError
from agrilape.evaluate.breakdowns import cloud_share, season
from agrilape.evaluate.scores import TASK_METRICS
from agrilape.evaluate.subset import Subset
from agrilape.evaluate.suites import load_suite, suite_of
from agrilape.evaluate.summary import summarise
from agrilape.geo.timewindow import TimeWindow


def settings(**given):
    return EvaluationConfig(datasets=("any",), **given)


def test_the_suites_that_ship():
    assert set(load_suite("agri").tasks) == set(TASK_METRICS) >= set(TASKS)
    assert load_suite("quick").limit


def test_an_evaluation_narrows_its_suite():
    found = suite_of(settings(suite="quick", tasks=("count", "scene"), limit=500))
    assert (set(found.tasks), found.limit) == ({"count", "scene"}, 100)
    assert suite_of(settings(limit=5)).limit == 5
    assert suite_of(settings()).tasks is None
    with pytest.raises(RecipeError, match="none of the tasks growth_stage"):
        suite_of(settings(suite="quick", tasks=("growth_stage",)))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tasks: {crop_bax: []}", "did you mean 'crop_box'"),
        ("tasks: {crop_box: [tiou]}", "no metric 'tiou'"),
        ("tasks: {crop_box: [mio]}", "did you mean 'miou'"),
        ("breakdowns: [seasons]", "did you mean 'season'"),
        ("breakdowns: [colour]", "unknown breakdown 'colour'"),
        ("metric: [miou]", "metric: Extra inputs"),
        ("limit: 0", "limit"),
        ("- crop_box", "is no suite"),
        ("tasks: [", "no readable YAML|not readable YAML"),
        ("", "is no suite"),
    ],
)
def test_wrong_suites_are_refused(tmp_path, text, problem):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=problem):
        load_suite(path)
    with pytest.raises(RecipeError, match="one of agri, quick"):
        load_suite("nobody")
    with pytest.raises(RecipeError, match="did you mean 'quick'"):
        load_suite("quik")


def test_only_the_tasks_of_the_suite_are_asked_and_only_its_metrics_reported(examples, make_row):
    asked = Subset("any", examples, limit=4, tasks={"peak_of_season"})
    assert [sample.task for example in asked for sample in example.samples] == ["peak_of_season"] * 4
    row = make_row("count", ["3"], ["4"], meta={"unseen": [0.0, 0.04]})
    found = summarise([row], {}, wanted={"count": ["mae"]}, by=["cloud", "scene"])
    assert list(found["tasks"]["count"]) == ["mae"]
    assert found["by"]["cloud"]["1 to 5 %"]["count"]["mae"]["n"] == 1
    assert list(found["by"]["scene"]) == ["simulate/a"]


def test_breakdowns(make_row):
    winter = TimeWindow(date(2017, 9, 1), date(2018, 8, 31))
    assert season(make_row("count", ["3"], ["3"], window=winter)) == "2017/2018"
    assert season(make_row("count", ["3"], ["3"], meta={"year": 2016})) == "2016"
    assert season(make_row("count", ["3"], ["3"])) is None
    shares = {0.0: "none", 0.005: "under 1 %", 0.3: "over 5 %"}
    for share, name in shares.items():
        assert cloud_share(make_row("count", ["3"], ["3"], meta={"unseen": [share]})) == name
    assert cloud_share(make_row("count", ["3"], ["3"])) is None
