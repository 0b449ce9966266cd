"""The page of one study or several, and the same as Markdown for the documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agrilape.files import write_text
from agrilape.report.study.charts import learning_charts
from agrilape.report.study.effects import amount, compare_variants, least, verdict
from agrilape.report.study.study_files import IMAGE_FREE, StudyRecord, read_study
from agrilape.report.study.training import (
    IN_A_ROW,
    LAST_LOOKS,
    STABILITY,
    costs,
    stability,
    steps_to_reach,
    take_offs,
)
from agrilape.report.templating import environment


def write_study_report(
    folders: Sequence[Path], output: Path | None = None, baseline: str | None = None
) -> Path:
    """Write one self-contained page about studies.

    Args:
        folders: Folders of studies, in order.
        output: The page; by default `report.html` in the first folder.
        baseline: Variant that the others are compared with; None: the plan's.

    Returns:
        Path of the page.

    Raises:
        DataError: A folder holds no study, or it has no variant of that name.
    """
    studies = [_facts(read_study(folder, baseline), charts=True) for folder in folders]
    return write_text(output or folders[0] / "report.html", _render("study.html.j2", studies))


def write_study_markdown(
    folders: Sequence[Path], output: Path | None = None, baseline: str | None = None
) -> Path:
    """Write the same numbers as Markdown, without charts; by default `report.md` in the first folder.

    Args:
        folders: Folders of studies, in order.
        output: The file.
        baseline: Variant that the others are compared with; None: the plan's.

    Returns:
        Path of the file.

    Raises:
        DataError: A folder holds no study, or it has no variant of that name.
    """
    studies = [_facts(read_study(folder, baseline), charts=False) for folder in folders]
    return write_text(output or folders[0] / "report.md", _render("study.md.j2", studies))


def _render(template: str, studies: Sequence[Mapping[str, Any]]) -> str:
    jinja = environment()
    jinja.filters |= {
        "percent": percent, "amount": amount, "least": least, "duration": duration, "settings": settings,
    }  # fmt: skip
    return jinja.get_template(template).render(
        studies=studies, image_free=IMAGE_FREE, stability=tuple(STABILITY.values()),
        last_looks=LAST_LOOKS, in_a_row=IN_A_ROW,
    )  # fmt: skip


def _facts(study: StudyRecord, *, charts: bool) -> dict[str, Any]:
    """All that a page says about a study."""
    comparisons = compare_variants(study)
    looked_at = (study.facts["plan"].get("curve") or {}).get("on", ())
    return {
        "study": study,
        "verdict": verdict(comparisons),
        "comparisons": comparisons,
        "tests": sum(
            effect.gain is not None and effect.variant != IMAGE_FREE
            for c in comparisons
            for effect in c.effects
        ),
        "reaches": {measure: found for measure in looked_at if (found := steps_to_reach(study, measure))},
        "take_offs": take_offs(study),
        "steadiness": stability(study),
        "costs": {cost.variant: cost for cost in costs(study)},
        "rivals": next((run.get("rivals", {}) for run in study.image_free.values()), {}),
        "charts": learning_charts(study) if charts else [],
        "codes": sorted({str(run["code"]) for runs in study.runs.values() for run in runs.values()}),
    }


def percent(value: float | None) -> str:
    """A share in per cent."""
    return "–" if value is None else f"{100 * value:.0f} %"


def duration(seconds: float | None) -> str:
    """A time for people."""
    if seconds is None:
        return "–"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def settings(values: Mapping[str, Any]) -> str:
    """Settings in a line."""
    return ", ".join(f"{key} = {value}" for key, value in values.items()) or "–"
