"""Training curves as small SVG charts: one per quantity, stages as bands, readable on a phone."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from agrilape.report.run_folder import Stage
from agrilape.report.score_tables import words

Values: TypeAlias = NDArray[np.float64]

BANDS = ("#eef4e8", "#fdf6e3", "#eaf2f8", "#f6eef6")
COLOURS = ("#2f6b3a", "#c2571a", "#2c6fa6", "#8a3f8f", "#6b6b6b", "#b08900")
POINTS = 150
"""About as many points of a line per stage: more cannot be seen and only make the page heavy."""

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "agrilape",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa39a",
    "xtick.color": "#556055",
    "ytick.color": "#556055",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


class Chart(NamedTuple):
    """A chart of the page.

    Attributes:
        title: Heading.
        note: What to see in it.
        uri: The picture as a data URI.
    """

    title: str
    note: str
    uri: str


class Curve(NamedTuple):
    """Which logged keys make a chart.

    Attributes:
        title: Heading of the chart.
        note: What to see in it.
        keys: Logged keys and their names in the legend.
        prefix: Take all keys with this prefix as well.
        log: Logarithmic axis?
        smooth: Draw a running mean over the pale raw line?
    """

    title: str
    note: str
    keys: tuple[tuple[str, str], ...] = ()
    prefix: str = ""
    log: bool = False
    smooth: bool = True


CURVES = (
    Curve(
        "Loss by kind of token",
        "Cross-entropy on words and on the position tokens of each axis.",
        (
            ("loss_text", "words"),
            ("loss_height", "height"),
            ("loss_width", "width"),
            ("loss_temporal", "time"),
        ),
    ),
    Curve(
        "Position accuracy",
        "Share of position tokens whose most likely bin is right, teacher-forced.",
        (("position_accuracy", "position tokens"), ("text_accuracy", "words")),
    ),
    Curve(
        "Coordinate error",
        "Mean distance of the expected coordinate from the true one.",
        (("coordinate_error", "bins"),),
        log=True,
    ),
    Curve("Learning rates", "Peak and decay of each parameter group.", prefix="lr_", log=True, smooth=False),
    Curve(
        "Injection gate",
        "How much of LAPE reaches the visual features; by axis where it is learned.",
        (("gate", "gate"),),
        prefix="lape_gate/",
        smooth=False,
    ),
    Curve(
        "Gradient norm",
        "Before clipping; a spike at a band's edge is a rough change of stage.",
        (("grad_norm", "gradient norm"),),
        log=True,
    ),
    Curve(
        "Where LAPE's gradient comes from", "Norm of each path's share.", prefix="lape_gradient/", log=True
    ),
    Curve("Speed", "Questions answered in training per second.", (("samples_per_second", "samples/s"),)),
)


def training_charts(stages: Sequence[Stage]) -> list[Chart]:
    """Charts of everything that the stages logged; none for what they did not."""
    with rc_context(STYLE):
        return [chart for curve in CURVES if (chart := _chart(curve, stages)) is not None]


def _chart(curve: Curve, stages: Sequence[Stage]) -> Chart | None:
    """One chart over all stages; None if nothing of it was logged."""
    names = dict(curve.keys) | {key: key.removeprefix(curve.prefix) for key in _logged(stages, curve.prefix)}
    lines = {name: pieces for key, name in names.items() if (pieces := list(_pieces(stages, key, curve.log)))}
    if not lines:
        return None
    figure = Figure(figsize=(4.6, 2.7), layout="constrained")
    axes = figure.add_subplot()
    _bands(axes, stages)
    for colour, (name, pieces) in zip(cycle(COLOURS), lines.items(), strict=False):
        for number, (x, y) in enumerate(pieces):
            _line(axes, x, y, colour, name if number == 0 else "", curve.smooth)
    if curve.log:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
    if len(lines) > 1:
        axes.legend(
            ncols=min(len(lines), 4), loc="upper center", bbox_to_anchor=(0.5, -0.14), handlelength=1.2
        )
    return Chart(curve.title, curve.note, data_uri(figure))


def _pieces(stages: Sequence[Stage], key: str, positive: bool) -> Iterator[tuple[Values, Values]]:
    """Steps over the whole run and what was logged at them, stage by stage."""
    for start, _, stage in _extents(stages):
        found = [
            (start + float(row.get("step", 0)), float(value))
            for row in stage.log
            if isinstance(value := row.get(key), int | float)
            and math.isfinite(value)
            and (value > 0 or not positive)
        ]
        if found:
            x, y = np.asarray(found).T
            yield x, y


def _line(axes: Axes, x: Values, y: Values, colour: str, name: str, smooth: bool) -> None:
    """A thinned line; where it is noisy, pale with its running mean on top."""
    step = max(1, len(x) // POINTS)
    if smooth and len(y) > 20:
        axes.plot(x[::step], y[::step], color=colour, alpha=0.22, linewidth=0.8)
        y = _running_mean(y, max(5, len(y) // 25))
    alone = "." if len(x) == 1 else ""  # a line of one point is not seen
    axes.plot(x[::step], y[::step], color=colour, linewidth=1.6, marker=alone, label=name)


def _running_mean(y: Values, width: int) -> Values:
    """Mean over a centred window, cut at the ends."""
    kernel = np.ones(width)
    return np.convolve(y, kernel, mode="same") / np.convolve(np.ones_like(y), kernel, mode="same")


def _bands(axes: Axes, stages: Sequence[Stage]) -> None:
    """Shade the stages and name them along the top."""
    end = 0.0
    for number, (start, end, stage) in enumerate(_extents(stages)):
        axes.axvspan(start, end, color=BANDS[number % len(BANDS)], linewidth=0)
        axes.text(
            (start + end) / 2,
            1.02,
            words(stage.name),
            transform=axes.get_xaxis_transform(),
            ha="center",
            fontsize=8.5,
            color="#556055",
        )
    axes.set_xlim(0, max(end, 1.0))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("step", loc="right", fontsize=8, labelpad=-1)
    axes.margins(y=0.08)


def _extents(stages: Sequence[Stage]) -> Iterator[tuple[float, float, Stage]]:
    """First and last step of each stage, counted over the whole run."""
    start = 0.0
    for stage in stages:
        steps = [float(row.get("step", 0)) for row in stage.log]
        end = start + max(steps, default=0.0)
        if steps:
            yield start, end, stage
        start = end


def _logged(stages: Sequence[Stage], prefix: str) -> list[str]:
    if not prefix:
        return []
    rows: list[dict[str, Any]] = [row for stage in stages for row in stage.log]
    return sorted({key for row in rows for key in row if key.startswith(prefix)})


def data_uri(figure: Figure) -> str:
    """A figure as an SVG that a page can hold; the same figure gives the same bytes."""
    picture = io.BytesIO()
    figure.savefig(picture, format="svg", transparent=True, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(picture.getvalue()).decode()
