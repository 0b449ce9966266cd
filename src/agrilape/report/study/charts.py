"""Learning curves of a study: each variant's mean over seeds, in the band from lowest to highest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agrilape.report.figures import BANDS, COLOURS, STYLE, Chart, data_uri
from agrilape.report.score_tables import describe, words
from agrilape.report.study.study_files import Json, StudyRecord
from agrilape.report.study.training import validation_scores

Points: TypeAlias = list[tuple[int, float]]
LOGGED = (
    ("position_loss", "Position loss", "Mean cross-entropy on position tokens; numerals have none."),
    (
        "position_accuracy",
        "Position accuracy",
        "Position tokens whose likeliest bin is right, teacher-forced.",
    ),
    ("loss_text", "Loss on words", "Cross-entropy on words."),
)


def learning_charts(study: StudyRecord) -> list[Chart]:
    """Charts of the held-out scores, then of what was logged while training."""
    measures = (study.facts["plan"].get("curve") or {}).get("on", ())
    with rc_context(STYLE):
        drawn = [
            *(
                _charts(study, _looking(measure), _title(measure), "On the val split.")
                for measure in measures
            ),
            *(_charts(study, _logging(key), title, note) for key, title, note in LOGGED),
        ]
        return [chart for charts in drawn for chart in charts]


def _title(measure: str) -> str:
    task, _, metric = measure.rpartition(".")
    return f"{words(task).capitalize()}, {describe(metric).label}"


def _looking(measure: str) -> Callable[[Json], Points]:
    return lambda run: validation_scores(run, measure)


def _logging(key: str) -> Callable[[Json], Points]:
    """A logged quantity by step over the whole run."""

    def points(run: Json) -> Points:
        found: Points = []
        before = 0
        for stage in run.get("stages", ()):
            log = stage.get("log") or {}
            pairs = zip(log.get("step", ()), log.get(key, ()), strict=False)
            found += [(before + int(step), float(value)) for step, value in pairs if value is not None]
            before += int(stage["steps"])
        return found

    return points


def _charts(study: StudyRecord, points: Callable[[Json], Points], title: str, note: str) -> Iterator[Chart]:
    """As many charts as colours need, the baseline in each."""
    lines = {
        variant: [found for run in runs.values() if (found := points(run))]
        for variant, runs in study.runs.items()
    }
    drawn = {variant: found for variant, found in lines.items() if found}
    rivals = [variant for variant in drawn if variant != study.baseline]
    room = len(COLOURS) - 1
    for start in range(0, max(len(rivals), 1) if drawn else 0, room):
        shown = [*([study.baseline] if study.baseline in drawn else []), *rivals[start : start + room]]
        more = f" ({start // room + 1})" if len(rivals) > room else ""
        yield Chart(title + more, note, _drawing(study, {variant: drawn[variant] for variant in shown}))


def _drawing(study: StudyRecord, lines: Mapping[str, Sequence[Points]]) -> str:
    figure = Figure(figsize=(4.6, 3.0), layout="constrained")
    axes = figure.add_subplot()
    _shade_stages(axes, study)
    for colour, (variant, runs) in zip(COLOURS, lines.items(), strict=False):
        steps, low, mean, high = _band(runs)
        axes.fill_between(steps, low, high, color=colour, alpha=0.16, linewidth=0)
        axes.plot(steps, mean, color=colour, linewidth=1.6, label=f"{variant} ({len(runs)})")
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.set_xlabel("step", loc="right", fontsize=8, labelpad=-1)
    axes.legend(ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.12), handlelength=1.2)
    return data_uri(figure)


def _band(runs: Sequence[Points]) -> tuple[Sequence[int], Sequence[float], Sequence[float], Sequence[float]]:
    """Lowest, mean and highest value at each step that any run was seen at."""
    by_step: dict[int, list[float]] = {}
    for points in runs:
        for step, value in points:
            by_step.setdefault(step, []).append(value)
    steps = sorted(by_step)
    values = [by_step[step] for step in steps]
    return steps, [min(v) for v in values], [float(np.mean(v)) for v in values], [max(v) for v in values]


def _shade_stages(axes: Axes, study: StudyRecord) -> None:
    """The stages of the baseline as bands, named along the top."""
    run = next(iter(study.runs.get(study.baseline, {}).values()), None)
    start = 0
    for number, stage in enumerate(run.get("stages", ()) if run else ()):
        end = start + int(stage["steps"])
        axes.axvspan(start, end, color=BANDS[number % len(BANDS)], linewidth=0)
        axes.text(
            (start + end) / 2, 1.02, words(stage["stage"]), transform=axes.get_xaxis_transform(),
            ha="center", fontsize=8, color="#556055",
        )  # fmt: skip
        start = end
