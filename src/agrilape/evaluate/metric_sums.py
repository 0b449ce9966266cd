"""The additive quantities of metrics, summed by scene: all that scores over many runs are made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from agrilape.errors import RecipeError
from agrilape.evaluate import answer_kinds
from agrilape.evaluate.answer_arrays import Rows
from agrilape.evaluate.metric import Metric
from agrilape.evaluate.metrics.arrays import Floats
from agrilape.evaluate.metrics.intervals import cluster_sums
from agrilape.evaluate.resampling_units import scene_of
from agrilape.evaluate.scores import EVERY_METRIC, TASK_METRICS, Wanted, by_task, metrics_of

_KINDS = (
    answer_kinds.ONE_BOX,
    answer_kinds.SEVERAL_BOXES,
    answer_kinds.PERIOD,
    answer_kinds.MOMENT,
    answer_kinds.OUTLINE,
    answer_kinds.CAPTION,
    answer_kinds.NAME,
)


class SceneSums(NamedTuple):
    """What some metrics of a task need of each scene.

    Attributes:
        metrics: Names of the metrics, which share these quantities.
        scenes: Scenes in order of name.
        sums: Additive quantities of each scene, `[scenes, K]`.
        n: Number of samples.
    """

    metrics: tuple[str, ...]
    scenes: tuple[str, ...]
    sums: Floats
    n: int


def metric_named(name: str) -> Metric:
    """A metric by the name of its score, `task.metric`.

    Of a task that is not in the table, it is the first metric of that name that any kind of answer has.

    Raises:
        RecipeError: There is none.
    """
    task, _, metric = name.rpartition(".")
    families = (TASK_METRICS[task],) if task in TASK_METRICS else _KINDS
    known = {one.name: one for family in reversed(families) for one in family}
    if metric not in known:
        raise RecipeError(
            f"there is no score {name!r}", f"write task.metric, e.g. {task}.{next(iter(known))}"
        )
    return known[metric]


def scene_sums(rows: Rows, wanted: Wanted = EVERY_METRIC) -> dict[str, list[SceneSums]]:
    """Quantities of each task's metrics by scene; metrics that share them stand together.

    Args:
        rows: Predictions of any tasks.
        wanted: Metrics of each task; a task without an entry has all.
    """
    found: dict[str, list[SceneSums]] = {}
    for task, group in by_task(rows).items():
        shared: dict[object, list[Metric]] = {}
        for metric in metrics_of(task, group, wanted):
            if metric.select(group):
                shared.setdefault((metric.columns, metric.applies), []).append(metric)
        found[task] = [_sums(same, group) for same in shared.values()]
    return found


def _sums(metrics: Sequence[Metric], rows: Rows) -> SceneSums:
    chosen = metrics[0].select(rows)
    scenes = [scene_of(row) for row in chosen]
    sums = cluster_sums(metrics[0].columns(chosen), scenes)
    return SceneSums(tuple(one.name for one in metrics), tuple(sorted(set(scenes))), sums, len(chosen))
