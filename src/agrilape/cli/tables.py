"""How facts and scores are printed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from agrilape.console import out, printable

NOTHING = "–"


def print_facts(facts: Mapping[str, Any]) -> None:
    """Print facts, those of a mapping indented below its name."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for depth, name, text in _lines(facts):
        table.add_row(printable("  " * depth + name), printable(text))
    out.print(table)


def print_scores(metrics: Mapping[str, Any]) -> None:
    """Print the deciding score of every task, beside the best baseline where it was compared.

    Of image-free baselines the best; where there is none, that of those that see the image.

    Args:
        metrics: As `metrics.json` holds them.
    """
    from agrilape.report.score_tables import (
        Score,
        comparisons,
        describe,
        informed_verdict,
        show,
        task_scores,
        verdict,
        words,
    )

    def said(score: Score | None, metric: str) -> Text:
        if score is None:
            return Text(NOTHING)
        edges = (score.low, score.high)
        spread = " to ".join(show(edge, metric, unit=False) for edge in edges if edge is not None)
        return Text.assemble(show(score.value, metric), (f" ({spread})" if spread else "", "dim"))

    against, seeing = comparisons(metrics), comparisons(metrics, informed=True)
    rivals = {one.task: one for one in (*seeing, *against)}
    table = Table("task", "n", "metric", "model", box=None, pad_edge=False)
    if rivals:
        table.add_column("best baseline")
        table.add_column("")
    for scores in task_scores(metrics):
        task, metric = scores.task, scores.metrics[0]
        row: list[str | Text] = [words(task), f"{scores.n:,}", describe(metric).label]
        row.append(said(scores.rows[0][1][0], metric))
        if rival := rivals.get(task):
            short = {"better": "better", "worse": "worse", "similar": "similar"}.get(
                rival.outcome, rival.label
            )
            row += [f"{show(rival.reference.value, metric)} {words(rival.baseline)}", short]
        table.add_row(*row)
    out.print(table)
    failed = (metrics.get("parse_failures") or {}).get("total") or {}
    if failed.get("n"):
        out.print(f"unparsable answers, counted as wrong: {failed['count']:,} of {failed['n']:,}")
    if against:
        out.print(verdict(against))
    if seeing:
        out.print(informed_verdict(seeing))


def _lines(facts: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[int, str, str]]:
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield depth, name, ""
            yield from _lines(value, depth + 1)
        else:
            yield depth, name, _text(value)


def _text(value: Any) -> str:
    match value:
        case None:
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.4g}"
        case list() | tuple():
            return " x ".join(map(str, value))
        case _:
            return str(value)
