"""Questions of a run as tasks of lmms-eval: one YAML and one Parquet file per task, and a group of all.

The functions below are named in the YAML files and called by the harness; a document is a row of the Parquet
file. Scores are computed from the same rows and by the same code as in `agrilape evaluate`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from agrilape.dataset.serialization import parts_to_json
from agrilape.errors import DataError
from agrilape.evaluate.harness.bracket_text import hint, read_parts, write_parts
from agrilape.evaluate.predictions import Prediction
from agrilape.evaluate.scores import by_task, metrics_of
from agrilape.evaluate.subset import Subset
from agrilape.files import whole_file, write_text
from agrilape.io.json_text import parse_json
from agrilape.io.pictures import as_rgb

Document: TypeAlias = Mapping[str, Any]
_HERE = "agrilape.evaluate.harness"


def export_tasks(name: str, subsets: Sequence[Subset], folder: Path) -> list[Path]:
    """Write the questions of data sets as tasks of the harness.

    Args:
        name: Name of the run; the tasks are called `agrilape_NAME_TASK`, their group `agrilape_NAME`.
        subsets: The questions.
        folder: Where to write; give it to `lmms-eval --include_path`.

    Returns:
        The YAML files.

    Raises:
        DataError: There are no questions.
    """
    documents: dict[str, list[dict[str, Any]]] = {}
    for subset in subsets:
        for example in subset:
            for sample in example.samples:
                row = Prediction.of(example.chip, sample, ())
                pictures = [picture.data for picture in example.chip.pictures]
                dates = [one.acquired.isoformat() if one.acquired else None for one in example.chip.pictures]
                documents.setdefault(sample.task, []).append(
                    {"id": sample.id, "row": json.dumps(row.to_json()), "images": pictures, "dates": dates}
                )
    if not documents:
        raise DataError(f"{name} has no questions to export", "prepare the run, or evaluate other tasks")
    folder.mkdir(parents=True, exist_ok=True)
    group = f"agrilape_{re.sub(r'[^A-Za-z0-9]+', '_', name)}"
    written = [_write_task(f"{group}_{task}", rows, folder) for task, rows in sorted(documents.items())]
    whole = folder / f"{group}.yaml"
    write_text(whole, yaml.safe_dump({"group": group, "task": [path.stem for path in written]}))
    return [whole, *written]


def _write_task(name: str, documents: list[dict[str, Any]], folder: Path) -> Path:
    data = (folder / f"{name}.parquet").resolve()
    with whole_file(data) as draft:
        pq.write_table(pa.Table.from_pylist(documents), draft)
    rows = [Prediction.from_json(parse_json(document["row"])) for document in documents]
    path = folder / f"{name}.yaml"
    write_text(path, _task_yaml(name, data, rows))
    return path


def _task_yaml(name: str, data: Path, rows: Sequence[Prediction]) -> str:
    """A task of the harness; its functions are tags that a YAML library would quote."""
    ((task, _),) = by_task(rows).items()
    functions = {
        "doc_to_visual": "tasks.images",
        "doc_to_text": "tasks.question",
        "doc_to_target": "tasks.target",
        "process_results": "tasks.outcome",
    }
    lines = [
        f"task: {name}",
        "dataset_path: parquet",
        "dataset_kwargs:",
        f"  data_files: {json.dumps({'test': str(data)})}",
        "test_split: test",
        "output_type: generate_until",
        "generation_kwargs: {max_new_tokens: 128, do_sample: false, until: []}",
        *(f"{key}: !function {_HERE}.{function}" for key, function in functions.items()),
        "metric_list:",
    ]
    for metric in metrics_of(task, rows):
        if metric.select(rows):
            lines += [
                f"  - metric: {metric.name}",
                f"    aggregation: !function {_HERE}.aggregation.{metric.name}",
                f"    higher_is_better: {json.dumps(not metric.lower_is_better)}",
            ]
    return "\n".join(lines) + "\n"


def images(document: Document) -> list[Image.Image]:
    """The pictures of a question's chip, in order of date."""
    return [as_rgb(data) for data in document["images"]]


def question(document: Document, settings: Mapping[str, Any] | None = None) -> str:
    """The question in words, with how to write the answer."""
    row = row_of(document)
    return f"{write_parts(row.question, digits=3)}\n{hint(row.answer, row.window)}".strip()


def target(document: Document) -> str:
    """The true answer."""
    return write_parts(row_of(document).answer, digits=3)


def outcome(document: Document, results: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The answered row, for each metric of its task that it counts in."""
    row = row_of(document)
    answered = row.to_json() | {"prediction_text": results[0]}
    answered["prediction"] = parts_to_json(read_parts(results[0], row.answer))
    return {metric.name: answered for metric in metrics_of(row.task, [row]) if metric.select([row])}


def row_of(document: Document) -> Prediction:
    """The question, the true answer and what else is known, without a given answer."""
    return Prediction.from_json(parse_json(document["row"]))
