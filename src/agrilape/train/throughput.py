"""Numbers of each training step, kept on the device and read all at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from agrilape.train.loss import KINDS, summarise
from agrilape.train.sharding import full_tensor


class Throughput:
    """Collects what every step did; reading it costs one synchronisation for any number of steps."""

    def __init__(self) -> None:
        self._steps: list[Tensor] = []
        self._open: Tensor | None = None

    def add(self, loss: Tensor, sums: Tensor) -> None:
        """Add one micro-batch.

        Args:
            loss: Its share of the step's loss; shares of a step add up.
            sums: `AnswerLoss.sums`.
        """
        values = torch.cat([loss.detach().float().reshape(1), sums.flatten().float()])
        self._open = values if self._open is None else self._open + values

    def forget_open(self) -> None:
        """Forget the micro-batches of a step that is made again."""
        self._open = None

    def close_step(self, grad_norm: Tensor | float) -> None:
        """End a step.

        Args:
            grad_norm: Norm of the whole gradient before clipping.
        """
        assert self._open is not None, "a step without a batch"
        norm = full_tensor(grad_norm) if isinstance(grad_norm, Tensor) else grad_norm
        norm = torch.as_tensor(norm, dtype=torch.float32, device=self._open.device).reshape(1)
        self._steps.append(torch.cat([self._open, norm]))
        self._open = None

    def drain(self, accelerator: Accelerator) -> list[dict[str, Any]]:
        """Rows of the steps since the last call, of all processes together.

        Returns:
            `loss`, `grad_norm` and what `agrilape.train.loss.summarise` makes of the sums.
        """
        if not self._steps:
            return []
        table = accelerator.reduce(torch.stack(self._steps), "sum").cpu()
        table[:, [0, -1]] /= (
            accelerator.num_processes
        )  # the same gradient everywhere; losses are shares of a mean
        self._steps = []
        return [
            {"loss": float(row[0]), **summarise(row[1:-1].view(len(KINDS), -1)), "grad_norm": float(row[-1])}
            for row in table
        ]


class BatchCounts:
    """Counts what the batches between two log lines held.

    Attributes:
        reasons: Why chips were skipped, in this process.
    """

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self._counts = dict.fromkeys(("asked", "tokens", "left_out", "too_long"), 0)
        self._task_tokens: Counter[str] = Counter()

    def add(self, batch: Mapping[str, Any]) -> None:
        """Count a batch as `agrilape.train.micro_batches.in_micro_batches` makes it."""
        self.reasons += batch["left_out"]
        self._counts["asked"] += batch["asked"]
        self._counts["tokens"] += sum(part["input_ids"].numel() for part in batch["parts"])
        self._counts["left_out"] += len(batch["left_out"])
        self._counts["too_long"] += batch["too_long"]
        self._task_tokens.update(batch["task_tokens"])

    def drain(self, accelerator: Accelerator) -> dict[str, Any]:
        """Counts since the last call, of all processes together.

        Returns:
            `asked`: questions learnt from; `tokens`: in the rows, padding and visual tokens included;
            `left_out`: chips that could not be used; `too_long`: questions that did not fit; `task_tokens`:
            tokens of questions and answers by task.
        """
        counts = torch.tensor(list(self._counts.values()), device=accelerator.device)
        tasks = sum(gather_object([self._task_tokens]), Counter[str]())  # processes may know other tasks
        self.reasons, self._counts, self._task_tokens = [], dict.fromkeys(self._counts, 0), Counter()
        summed = zip(self._counts, accelerator.reduce(counts, "sum").tolist(), strict=True)
        return {**dict(summed), "task_tokens": dict(sorted(tasks.items()))}
