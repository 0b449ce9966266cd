"""The page itself: facts of a run, laid out by the templates beside this file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from agrilape import __version__
from agrilape.dataset.tasks import MAP_TASKS, TASKS
from agrilape.files import write_text
from agrilape.report.answers import galleries
from agrilape.report.comparison import compare_runs
from agrilape.report.drawing import SIDE
from agrilape.report.figures import training_charts
from agrilape.report.maps import map_pictures
from agrilape.report.reliability_chart import confidence_chart, reliability_chart
from agrilape.report.run_folder import Run, read_run
from agrilape.report.run_summary import data_sets, limits, stability, stage_rows
from agrilape.report.score_map import error_maps
from agrilape.report.score_tables import (
    OUTCOMES,
    RULE,
    breakdowns,
    comparisons,
    confusions,
    informed_verdict,
    task_scores,
    verdict,
    words,
)
from agrilape.report.templating import environment


def write_report(run: Path, compare: Sequence[Path] = (), output: Path | None = None) -> Path:
    """Write `report.html` into a run folder: one page, no network, images inside.

    Args:
        run: A run folder; what is missing from it is said on the page.
        compare: Folders of other runs, or files of another model's answers (`compare_runs`), to set beside
            it on the samples that both answered.
        output: Another place for the page.

    Returns:
        Path of the page.

    Raises:
        DataError: The folder does not exist or holds nothing of a run.
    """
    record = read_run(run)
    charts = training_charts(record.stages)
    page = _render(
        "report.html.j2",
        record,
        compare,
        charts=charts,
        maps=error_maps(record),
        whole_maps=map_pictures(record),
        galleries=galleries(record),
        reliability=[chart for chart in (reliability_chart(record), confidence_chart(record)) if chart],
        confusions=confusions(record.metrics),
    )
    return write_text(output or run / "report.html", page)


def write_markdown(run: Path, compare: Sequence[Path] = (), output: Path | None = None) -> Path:
    """Write `report.md` into a run folder: the verdict and the tables, for a README.

    Args:
        run: A run folder.
        compare: Folders of other runs, or files of another model's answers (`compare_runs`), to set beside
            it on the samples that both answered.
        output: Another place for the file.

    Returns:
        Path of the file.

    Raises:
        DataError: The folder does not exist or holds nothing of a run.
    """
    return write_text(output or run / "report.md", _render("report.md.j2", read_run(run), compare))


def _render(template: str, run: Run, compare: Sequence[Path], **extra: Any) -> str:
    jinja = environment()
    jinja.filters |= {"failures": failures, "about": about}
    versus = compare_runs(run.folder, compare)
    tables = task_scores(run.metrics, [(other.name, other.scores) for other in versus])
    against = comparisons(run.metrics)
    seeing = comparisons(run.metrics, informed=True)
    return jinja.get_template(template).render(
        run=run,
        name=run.recipe.get("name") or run.folder.name,
        verdict=verdict(against),
        informed_verdict=informed_verdict(seeing),
        comparisons={comparison.task: comparison for comparison in against},
        informed={comparison.task: comparison for comparison in seeing},
        tables=tables,
        breakdowns=breakdowns(run.metrics),
        versus=versus,
        version=__version__,
        stages=stage_rows(run),
        stability=stability(run.stages),
        data_sets=data_sets(run),
        limits=limits(run, tables),
        speeds=dict(_speeds(run)),
        recipe=yaml.safe_dump(dict(run.recipe), sort_keys=False, allow_unicode=True) if run.recipe else "",
        side=SIDE,
        rule=RULE,
        tally=OUTCOMES,
        **extra,
    )


def _speeds(run: Run) -> Iterator[tuple[str, float]]:
    """Questions per second in training and evaluation."""
    for stage in run.stages:
        rates = sorted(row["samples_per_second"] for row in stage.log if row.get("samples_per_second"))
        if rates:
            yield f"training, {words(stage.name)} (median)", rates[len(rates) // 2]
    if run.metrics.get("samples_per_second"):
        yield "evaluation", run.metrics["samples_per_second"]


def about(task: str) -> str:
    """What a task asks; nothing for one that this version does not know."""
    return TASKS[task].description if task in TASKS else MAP_TASKS.get(task, "")


def failures(record: Any) -> str:
    """Share of answers that could not be read."""
    total = (record.get("total") if isinstance(record, dict) else None) or {}
    return f"{100 * total.get('count', 0) / total['n']:.1f} %" if total.get("n") else "not measured"
