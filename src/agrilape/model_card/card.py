"""The model card: README.md with front matter, as the Hugging Face Hub reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from agrilape import __version__
from agrilape.dataset.tasks import TASKS
from agrilape.dataset.training_data import TaughtWith
from agrilape.model_card.facts import Facts, bands_of
from agrilape.report.score_tables import Score, comparisons, describe, show, task_scores, verdict, words

MARK = "<!-- Written by agrilape, and anew by its next push: delete this line to keep what you change. -->"
FEW_QUESTIONS = 100
"""Below this number of training questions a task is named among the limits."""


def model_card(facts: Facts) -> str:
    """The card in Markdown; figures are those of the run's own evaluation, or none."""
    front = _front_matter(facts).to_yaml()
    return str(
        ModelCard(f"---\n{front}\n---\n\n" + "\n".join(_body(facts)) + "\n", ignore_metadata_errors=True)
    )


def _front_matter(facts: Facts) -> ModelCardData:
    results = _eval_results(facts)
    languages = sorted({one.language for one in facts.datasets})
    return ModelCardData(
        base_model=facts.base,
        base_model_relation=("adapter" if facts.contents["kind"] == "adapter" else "finetune")
        if facts.base
        else None,
        language=languages or None,
        library_name="agrilape",
        license=facts.licence,
        metrics=sorted({one.metric_type for one in results}) or None,
        model_name=facts.name,
        eval_results=results or None,
        pipeline_tag="image-text-to-text",
        tags=["agriculture", "remote-sensing", "geospatial", "visual-grounding"]
        + ["lape"] * bool(facts.contents["lape"]),
    )


def _eval_results(facts: Facts) -> list[EvalResult]:
    """Of each task the metric that stands for it."""
    found = []
    for task, metric, own in _headlines(facts):
        found.append(
            EvalResult(
                task_type="image-text-to-text", dataset_type=f"agrilape/{task}",
                dataset_name=f"{words(task)}, the run's own evaluation data",
                metric_type=metric, metric_name=describe(metric).label, metric_value=round(own.value, 4),
            )
        )  # fmt: skip
    return found


def _headlines(facts: Facts) -> Iterator[tuple[str, str, Score]]:
    for table in task_scores(facts.metrics):
        own = table.rows[0][1][0]
        if own is not None:
            yield table.task, table.metrics[0], own


def _body(facts: Facts) -> Iterator[str]:
    yield f"{MARK}\n\n# {facts.name}\n"
    yield f"{_what_it_is(facts)}\n"
    yield f"## How to use\n\n{_USE.format(address=facts.address)}"
    yield "## Tasks\n"
    known = {name: TASKS[name].description if name in TASKS else words(name) for name in facts.tasks}
    rows = [(words(name), known[name], count) for name, count in facts.tasks.items()]
    yield _table(("task", "question", "training questions"), rows) if rows else f"{_NOT_RECORDED}\n"
    yield "## How good\n"
    yield from _scores(facts)
    yield "## Training data\n"
    yield from _training_data(facts.datasets)
    yield "## Limits\n"
    yield from (f"- {limit}" for limit in _limits(facts))
    yield f"\nWritten by agrilape {__version__}; `stac-mlm.json` says the same to a STAC catalogue."


def _what_it_is(facts: Facts) -> str:
    count = facts.contents["parameters"]["total"]
    kind = "An adapter" if facts.contents["kind"] == "adapter" else "A vision-language model"
    base = f", trained from [{facts.base}](https://huggingface.co/{facts.base})" if facts.base else ""
    stage, steps = facts.stage.get("name"), facts.stage.get("steps")
    last = f" Last training stage: {words(stage)}, {steps} steps." if stage else ""
    return (
        f"{kind} for questions about farmland seen from above ({facts.architecture}, {count:,} parameters "
        f"here{base}).{last}"
    )


def _scores(facts: Facts) -> Iterator[str]:
    versus = {one.task: one for one in comparisons(facts.metrics)}
    rows = []
    for task, metric, own in _headlines(facts):
        rival = versus.get(task)
        beside = f"{show(rival.reference.value, metric)} {words(rival.baseline)}" if rival else "not compared"
        rows.append((words(task), describe(metric).label, _with_interval(own, metric), beside, own.n))
    if not rows:
        yield "It was not evaluated where it was trained: `agrilape evaluate` says how good it is.\n"
        return
    if versus:
        yield f"{verdict(list(versus.values()))}\n"
    yield _table(("task", "metric", "model", "image-free baseline", "n"), rows)
    yield "In brackets: 95 % interval, where scenes were enough. Measured on the run's own evaluation data.\n"


def _with_interval(score: Score, metric: str) -> str:
    if score.low is None or score.high is None:
        return show(score.value, metric)
    return (
        f"{show(score.value, metric)} ({show(score.low, metric, False)} – {show(score.high, metric, False)})"
    )


def _training_data(datasets: Sequence[TaughtWith]) -> Iterator[str]:
    if not datasets:
        yield f"{_NOT_RECORDED}\n"
        return
    rows = [
        (one.name, _bands(one), _ground(one), f"{one.chip} px" if one.chip else "any", one.series or "one",
         sum(one.tasks.values()))
        for one in datasets
    ]  # fmt: skip
    yield _table(("data set", "bands", "metres per pixel", "tile", "dates", "questions"), rows)
    sources = {
        (origin.source, origin.licence or "not recorded", origin.citation or "not recorded")
        for one in datasets
        for origin in one.origins
    }
    unnamed = [(one.name, "not recorded", "not recorded") for one in datasets if not one.origins]
    yield _table(("source", "licence", "cite"), [*sorted(sources), *unnamed])


def _bands(data: TaughtWith) -> str:
    shown = data.composite.replace("_", " ")
    bands = ", ".join(bands_of(data.composite)).replace("_", " ")
    return f"{shown} ({bands})" if bands else shown


def _ground(data: TaughtWith) -> str:
    if data.gsd_m is None:
        return "not known"
    low, high = (f"{size:.3g}" for size in data.gsd_m)
    return low if low == high else f"{low} - {high}"


def _limits(facts: Facts) -> Iterator[str]:
    if facts.gsd_m:
        smallest, largest = facts.gsd_m
        yield f"Trained on {smallest:.3g} to {largest:.3g} m a pixel; nothing is known of other images."
    crops = sorted({crop for one in facts.datasets for crop in one.crops})
    if crops:
        yield f"Crops that it learnt: {', '.join(map(_cell, crops))}. It cannot name another."
    if few := [words(task) for task, count in facts.tasks.items() if count < FEW_QUESTIONS]:
        yield f"Fewer than {FEW_QUESTIONS} training questions: {', '.join(few)}."
    if facts.metrics:
        yield "The scores hold for ground like that of the evaluation data; nothing else was tried."
    if facts.licence is None:
        yield "No licence was stated for these weights."
    if not all(one.origins and all(origin.licence for origin in one.origins) for one in facts.datasets):
        yield "Some licences of training data are not recorded: see the table of sources."
    yield "Answers can be wrong: do not decide about a field, a payment or a treatment by them alone."


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines) + "\n"


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else " ".join(str(value).replace("|", "\\|").split())


_NOT_RECORDED = "Not recorded: the checkpoint has no `training_data.json`."
_USE = """\
```python
import agrilape

predictor = agrilape.Predictor("{address}")
answers = predictor.ask("image.tif", "what grows at 9.5012, 55.9134?")  # a GeoDataFrame
agrilape.plot(answers, "image.tif")
```
"""
