"""The reliability curve: how often the stated intervals of places and times hold the truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from agrilape.report.figures import COLOURS, STYLE, Chart, data_uri
from agrilape.report.run_folder import Run

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
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="#9aa39a", linewidth=1, linestyle=(0, (4, 3)))
        for (axis, curve), colour, marker in zip(curves.items(), COLOURS, "os", strict=False):
            shares = curve["coverage"]
            values = [share["value"] for share in shares]
            edges = [
                [abs(share["value"] - _or(share[end], share["value"])) for share in shares]
                for end in ("low", "high")
            ]
            axes.errorbar(levels, values, edges, color=colour, marker=marker, capsize=2.5, label=f"{axis}s")
        axes.set(
            xlim=(0, 1), ylim=(0, 1), xlabel="share that the interval states", ylabel="share that it holds"
        )
        axes.set_aspect("equal", adjustable="box")
        axes.legend(loc="lower right")
        uri = data_uri(figure)
    return Chart("Does it know how sure it may be?", _note(curves, levels), uri)


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
