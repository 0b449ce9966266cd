"""Reliability curves: how often stated intervals hold the truth, and answers of a confidence are right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agrilape.report.figures import COLOURS, STYLE, Chart, data_uri
from agrilape.report.run_folder import Run
from agrilape.report.score_tables import words

AXES = {"place": "coordinates of places", "time": "moments and ends of periods"}


def reliability_chart(run: Run) -> Chart | None:
    """Covered against stated share, with 95 % intervals; None if no intervals were recorded."""
    record: Mapping[str, Any] = run.metrics.get("calibration") or {}
    curves = {axis: record[axis] for axis in AXES if record.get(axis)}
    levels = record.get("levels") or ()
    if not curves or not levels:
        return None
    with rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.4), layout="constrained")
        axes = _axes(figure, "share that the interval states", "share that it holds")
        for (axis, curve), colour, marker in zip(curves.items(), COLOURS, "os", strict=False):
            shares = curve["coverage"]
            values = [share["value"] for share in shares]
            edges = [
                [abs(share["value"] - _or(share[end], share["value"])) for share in shares]
                for end in ("low", "high")
            ]
            axes.errorbar(levels, values, edges, color=colour, marker=marker, capsize=2.5, label=f"{axis}s")
        axes.legend(loc="lower right")
        uri = data_uri(figure)
    return Chart("Does it know how sure it may be?", _note(curves, levels), uri)


def confidence_chart(run: Run) -> Chart | None:
    """Share of answers that is right against their confidence, by task; None if no answer has one."""
    record: Mapping[str, Any] = run.metrics.get("confidence") or {}
    tasks: Mapping[str, Any] = record.get("tasks") or {}
    if not tasks:
        return None
    with rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.4), layout="constrained")
        axes = _axes(figure, "confidence", "share that is right")
        drawn = sorted(tasks, key=lambda task: -tasks[task]["answers"])[: len(COLOURS)]
        for task, colour in zip(drawn, COLOURS, strict=False):
            confidence, right, answers = zip(*tasks[task]["curve"], strict=True)
            sizes = [4 + 40 * n / max(answers) for n in answers]
            axes.plot(confidence, right, color=colour, linewidth=1, label=words(task))
            axes.scatter(confidence, right, s=sizes, color=colour)
        axes.legend(loc="upper left", fontsize="small")
        uri = data_uri(figure)
    return Chart("Is it right as often as it says?", _confidence_note(record), uri)


def _axes(figure: Figure, said: str, found: str) -> Axes:
    """A square from 0 to 1, with the broken line on which what is found is what was said."""
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#9aa39a", linewidth=1, linestyle=(0, (4, 3)))
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel=said, ylabel=found)
    axes.set_aspect("equal", adjustable="box")
    return axes


def _confidence_note(record: Mapping[str, Any]) -> str:
    """The calibration error of each task, and whether a calibration was kept."""
    errors = "; ".join(
        f"{words(task)} {one['ece']:.2f} (n = {one['answers']:,})" for task, one in record["tasks"].items()
    )
    kept = "calibrated on the val split" if record.get("calibrated") else "the model's own, not calibrated"
    return (
        f"Confidences, {kept}: expected calibration error {errors}. Below the broken line it claims too much."
    )


def _note(curves: Mapping[str, Any], levels: Any) -> str:
    """The largest level in words; below the broken line the model claims too much."""
    said = [
        f"of {AXES[axis]} the intervals of {levels[-1]:.0%} hold {curve['coverage'][-1]['value']:.0%} "
        f"(n = {curve['coverage'][-1]['n']:,})"
        for axis, curve in curves.items()
    ]
    return f"Below the broken line it claims too much: {'; '.join(said)}.".replace("%", " %")


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
