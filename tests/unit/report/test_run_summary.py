import pytest

from agrilape.report.run_folder import Run, Stage
from agrilape.report.run_summary import data_sets, stage_rows


def run(**facts):
    empty = {"recipe": {}, "manifests": {}, "stages": (), "metrics": {}, "predictions": (), "missing": ()}
    return Run(folder=None, **(empty | facts))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"enable_lape": False}, "off"),
        (
            {"enable_lape": True, "lape_schedule": {"schedule": "same", "lape_lr_multiplier": 0.5}},
            "on; 0.5 x its rate; gate open",
        ),
        (
            {
                "enable_lape": True,
                "lape_schedule": {"schedule": "stepped", "lape_warmup_steps": 60, "gate": "linear"},
            },
            "on; stepped up to 1 x its rate after 60 steps; gate linear over 60 steps",
        ),
    ],
)
def test_how_lape_takes_part_is_said_in_words(settings, says):
    (row,) = stage_rows(run(stages=(Stage("warmup", settings),)))
    assert row.lape == says


def test_seconds_are_summed_from_the_logged_speeds():
    log = (
        {"step": 100, "steps_per_second": 2.0},
        {"step": 110, "loss": 1.0},
        {"step": 160, "steps_per_second": 1.0},
    )
    (row,) = stage_rows(run(stages=(Stage("align", {}, log),)))
    assert row.seconds == pytest.approx(100 / 2 + 60 / 1)


def test_wanted_and_drawn_shares_stand_side_by_side():
    log = (
        {"step": 10, "mixture/a": 0.5, "mixture/b": 0.5, "task_tokens/count": 20},
        {"step": 20, "mixture/a": 0.7, "mixture/b": 0.3, "task_tokens/box": 60, "task_tokens/count": 20},
    )
    settings = {"mixture": {"a": {"weight": 3.0}, "b": {"weight": 1.0}}}
    (row,) = stage_rows(run(stages=(Stage("align", settings, log),)))
    assert row.mixture == (("a", 0.75, 0.7), ("b", 0.25, 0.3))
    assert row.task_tokens == (("box", 0.6), ("count", 0.4))


def test_licences_are_given_once_per_source_and_their_absence_is_said():
    origins = [
        {"source": "ours", "licence": "CC-BY-4.0", "citation": "Doe 2020"},
        {"source": "ours", "licence": "CC-BY-4.0", "citation": "Doe 2020"},
        {"source": "theirs", "licence": None},
    ]
    (data,) = data_sets(run(manifests={"farms": {"origins": origins}}))
    assert data.credits == ("ours: CC-BY-4.0. Doe 2020", "theirs: no licence recorded")
