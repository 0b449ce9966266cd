"""Instability as numbers, and advice drawn from them.

Everything here reads the rows of `log.jsonl` and needs no model.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
WINDOW = 50
EDGE = 20


def measure(rows: Sequence[Row], before: Sequence[Row] = ()) -> dict[str, Any]:
    """Sum up how steadily a stage trained.

    Args:
        rows: The stage's log, one row per step.
        before: Log of the stage before it, for the jump between both.

    Returns:
        JSON-ready: `steps`, `loss` (first, last, spikes), `grad_norm` (median, p95, max, spread = p95 /
        median), `switch` (loss before and after the stage began; None for a first stage), `left_out` (chips
        that could not be used), `too_long` (questions that did not fit) and `advice` (sentences).
    """
    losses = [row["loss"] for row in rows]
    norms = [row["grad_norm"] for row in rows if "grad_norm" in row]
    return {
        "steps": len(rows),
        "loss": {
            "first": _mean(losses[:EDGE]),
            "last": _mean(losses[-EDGE:]),
            "spikes": [rows[i]["step"] for i in spikes(losses)],
        },
        "grad_norm": _spread(norms),
        "switch": _switch(before, rows),
        **_lost(rows),
        "advice": advice(rows),
    }


def spikes(losses: Sequence[float], threshold: float = 6.0) -> list[int]:
    """Indices of losses far above the recent ones.

    A spike exceeds the median of the `WINDOW` losses before it by `threshold` robust standard deviations
    (1.4826 x the median absolute deviation); the first `WINDOW / 2` steps, where the loss falls fast, are not
    judged.
    """
    found = []
    for i in range(WINDOW // 2, len(losses)):
        recent = losses[max(0, i - WINDOW) : i]
        middle = statistics.median(recent)
        deviation = 1.4826 * statistics.median(abs(x - middle) for x in recent)
        if losses[i] > middle + threshold * max(deviation, 1e-3 * abs(middle)):
            found.append(i)
    return found


def advice(rows: Sequence[Row]) -> list[str]:
    """Say it when position tokens never learn or crowd out text, and when data were not used."""
    sentences = []
    lost = _lost(rows)
    if lost["left_out"]:
        sentences.append(
            f"{lost['left_out']} chips drawn could not be used; the console named them. Prepare the data "
            "again."
        )
    if lost["too_long"]:
        sentences.append(
            f"{lost['too_long']} questions did not fit into a row and were skipped whole. Show fewer or "
            "smaller images (series, image_size), or ask for shorter answers."
        )
    errors = [row["coordinate_error"] for row in rows if "coordinate_error" in row]
    if len(errors) > 2 * EDGE and _mean(errors[-EDGE:]) > 0.9 * _mean(errors[:EDGE]):
        sentences.append(
            "Position tokens hardly learn: the expected coordinate is off by "
            f"{_mean(errors[-EDGE:]):.1f} bins, after {_mean(errors[:EDGE]):.1f} at the start. Raise "
            "learning_rates.lape, shorten lape_warmup_steps, or use the smooth initialisation."
        )
    if rise := _rise(rows):
        sentences.append(
            f"Position tokens crowd out text: its loss rose from {rise[0]:.3f} to {rise[1]:.3f}. Lower "
            "spatial_pos_weight or learning_rates.lape, or mix in more text tasks."
        )
    return sentences


def _rise(rows: Sequence[Row]) -> tuple[float, float] | None:
    """The lowest and the last loss on text, if it rose by a fifth and by more than it scatters.

    Steps before LAPE's gate is open do not count: an injection that comes in disturbs text by itself, however
    little is learnt. The lowest of many means is low by luck too, hence four standard errors.
    """
    texts = [row["loss_text"] for row in rows if "loss_text" in row and row.get("gate", 1) >= 1]
    if len(texts) <= 2 * EDGE:
        return None
    windows = [texts[i : i + EDGE] for i in range(0, len(texts) - EDGE + 1, EDGE)]
    lowest, last = min(windows, key=_mean), texts[-EDGE:]
    usual = statistics.median(map(statistics.variance, windows))
    error = math.sqrt(sum(max(statistics.variance(window), usual) for window in (lowest, last)) / EDGE)
    low, high = _mean(lowest), _mean(last)
    return (low, high) if high > 1.2 * low and high - low > 4 * error else None


def _lost(rows: Sequence[Row]) -> dict[str, int]:
    return {name: sum(row.get(name, 0) for row in rows) for name in ("left_out", "too_long")}


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if values else float("nan")


def _spread(norms: Sequence[float]) -> dict[str, float] | None:
    if not norms:
        return None
    ranked = sorted(norms)
    median, p95 = statistics.median(ranked), ranked[min(int(0.95 * len(ranked)), len(ranked) - 1)]
    return {
        "first": norms[0],
        "median": median,
        "p95": p95,
        "max": ranked[-1],
        "spread": p95 / median if median else float("nan"),
    }


def _switch(before: Sequence[Row], rows: Sequence[Row]) -> dict[str, float] | None:
    """Loss at the end of the last stage and at the start of this one."""
    if not before or not rows:
        return None
    old, new = _mean([r["loss"] for r in before[-EDGE:]]), _mean([r["loss"] for r in rows[:EDGE]])
    return {"before": old, "after": new, "jump": new - old}
