"""`transformers.Trainer` for a stage: our loss, groups and checkpoints, everything else its own."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from agrilape.config.recipe import StageConfig
from agrilape.console import warn
from agrilape.errors import AgrilapeError, DataError, RecipeError, doing
from agrilape.files import write_json
from agrilape.model import lape_of, parameter_groups
from agrilape.model.gradients import GradientRecord
from agrilape.model.shared_images import shared_images
from agrilape.tokens.library_errors import explained, name_and_width
from agrilape.train import checkpoints
from agrilape.train.alignment import word_alignment
from agrilape.train.diagnostics import describe_gates, describe_rows
from agrilape.train.gradient_checkpointing import Frozen
from agrilape.train.log import scalars
from agrilape.train.loss import AnswerCriterion
from agrilape.train.memory import release_memory
from agrilape.train.micro_batches import TokenLimit, without_answers
from agrilape.train.optim import build_optimizer, build_scheduler
from agrilape.train.precision import keep_cpu_attention_in_float32
from agrilape.train.sampling import TrainingSamples
from agrilape.train.schedule import factor_of, gate_factor
from agrilape.train.sharding import gather, is_sharded, load_moments, save_moments
from agrilape.train.throughput import BatchCounts, Throughput
from agrilape.train.validation import ValidationCallback
from agrilape.train.worker_errors import ErrorForwardingCollator, ErrorForwardingDataset, raise_failed

MOST_BARREN = 20  # batches in a row of which nothing can be used
MOMENTS, SCHEDULE = "optimizer", "schedule.json"  # in a checkpoint to resume from
Row = dict[str, Any]
Part = tuple[dict[str, Any], int]  # with the number of its questions


class TrainingDivergedError(AgrilapeError):
    """The loss or the gradient is no longer a finite number."""


class _Attempt(NamedTuple):
    """A pass under way.

    Attributes:
        questions: How many its part asks.
        alone: Does no other process wait for it?
    """

    questions: int = 0
    alone: bool = False

    @property
    def can_be_divided(self) -> bool:
        """Can it be made again in smaller passes?"""
        return self.alone and self.questions > 1


class StageTrainer(Trainer):  # type: ignore[misc]  # Any: transformers is not analysed
    """Trains one stage.

    Samples are drawn by index, in order, so that a resumed run goes on with the very next batch. Nothing is
    read back from the device between two log lines.

    Args:
        model: The prepared model: LAPE attached if the stage has it, frozen groups frozen.
        stage: Settings of the stage.
        peaks: Peak learning rate of the groups that train.
        criterion: The loss.
        data: Training items by draw index.
        collate: Makes a batch of items, see `agrilape.train.micro_batches.in_micro_batches`.
        save: Writes the model to a folder, with its tensors where the model itself holds only pieces.
        on_rows: Receives finished steps: rows for the log.
        mixed_precision: Matrix products in bfloat16.
        arguments: Of `transformers.Trainer`.
        callback: Scores the model now and then.
        limit: Of the tokens of a part, as `collate` keeps it; lowered where a GPU runs out of memory.

    Attributes:
        tokens_in_pass: Tokens of the last pass that began, padding included.
    """

    optimizer: Any
    lr_scheduler: Any
    control: Any

    def __init__(
        self,
        model: nn.Module,
        stage: StageConfig,
        peaks: Mapping[str, float],
        criterion: AnswerCriterion,
        data: TrainingSamples,
        collate: Callable[[Any], dict[str, Any]],
        save: Callable[[Path, Mapping[str, Tensor] | None], object],
        on_rows: Callable[[list[Row]], None],
        mixed_precision: bool,
        arguments: TrainingArguments,
        callback: ValidationCallback | None = None,
        limit: TokenLimit | None = None,
    ) -> None:
        self.stage, self.peaks = stage, peaks
        self.criterion, self.meter, self.data = criterion, Throughput(), data
        self._save_model, self._on_rows, self.mixed_precision = save, on_rows, mixed_precision
        if mixed_precision:
            keep_cpu_attention_in_float32()
        self._tally = BatchCounts()
        self._spare: Mapping[str, Any] | None = None
        self._barren = 0
        self.tokens_in_pass = 0
        self._collate, self._limit = collate, limit or TokenLimit()
        self._begun: list[dict[str, Any]] = []  # batches of the step under way
        self._attempt = _Attempt()
        self._clock = time.perf_counter()
        self._gate_schedule, self._callback = _GateSchedule(stage, model), callback
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=ErrorForwardingDataset(data),
            data_collator=ErrorForwardingCollator(collate),
            callbacks=[self._gate_schedule, *([callback] if callback else [])],
        )
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = True  # makes the Trainer count the answer tokens of a whole step
        if self.is_fsdp_enabled:
            self._require_shareable(model)
            self._choose_pieces(model)
        self._frozen = Frozen(model)
        self._lape = lape_of(model)
        self._named = name_and_width(model)

    def _require_shareable(self, model: nn.Module) -> None:
        """Refuse what does not work on a model in pieces."""
        if any(parameter.dtype != torch.float32 for parameter in model.parameters()):
            raise RecipeError(
                "processes can share only weights of one type, and LAPE's are float32",
                "set model.dtype=float32, or launch with recipes/accelerate/ddp.yaml",
            )
        if self.stage.word_alignment:
            raise RecipeError(
                f"stage {self.stage.name}: word alignment needs all of the embeddings in every process",
                f"set stages.{self.stage.name}.word_alignment=0, or launch with recipes/accelerate/ddp.yaml",
            )

    def _choose_pieces(self, model: nn.Module) -> None:
        """Share the model layer by layer: of the classes that its family names, those that it has."""
        plugin = self.accelerator.state.fsdp_plugin
        if plugin.transformer_cls_names_to_wrap is None:
            named = set(getattr(model, "_no_split_modules", None) or ())
            plugin.transformer_cls_names_to_wrap = sorted(
                named & {type(module).__name__ for module in model.modules()}
            )

    # -- what Trainer asks for -------------------------------------------------

    def create_optimizer(self, model: nn.Module | None = None) -> Any:
        """AdamW over the groups of the stage.

        Nothing else may keep these parameters: where processes share the model (FSDP2), pieces take their
        place, and whoever held them would hold the whole model beside its piece.
        """
        if not self.optimizer:
            self.optimizer = build_optimizer(parameter_groups(self.model), self.stage, self.peaks)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """One schedule per group."""
        self.lr_scheduler = self.lr_scheduler or build_scheduler(optimizer or self.optimizer, self.stage)
        return self.lr_scheduler

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Forward and backward, part by part; processes exchange gradients after the last.

        Where a GPU has no room for a part, the whole step is made again in smaller ones: what a backward pass
        left of its gradients when it ended early is no gradient of anything.
        """
        self._tally.add(inputs)
        self._begun.append(inputs)
        again = [inputs]
        with doing("training step", self.state.global_step + 1), explained(*self._named):
            while True:
                try:
                    return [self._train_parts(model, batch, num_items_in_batch) for batch in again][-1]
                except torch.OutOfMemoryError:
                    if not self._attempt.can_be_divided:
                        raise
                # Outside, where the error no longer holds what it was raised over.
                self._forget_step(model)
                again = self._begun

    def _forget_step(self, model: nn.Module) -> None:
        """Take back what the step has done so far, and lower the limit to half of what was too much."""
        most = self.tokens_in_pass // 2
        self._limit.lower(most)
        warn(
            f"stage {self.stage.name}, step {self.state.global_step + 1}: no room on the GPU for a pass over "
            f"{self.tokens_in_pass:,} tokens; from here on at most {most:,} (model.tokens_at_once)"
        )
        model.zero_grad(set_to_none=True)
        self.meter.forget_open()
        if self._lape is not None and self._lape.record is not None:
            self._lape.record = GradientRecord()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _train_parts(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None
    ) -> Tensor:
        *first, last = self._in_step(self._usable(inputs))
        losses = []
        for part, questions in first:
            self._attempt = _Attempt(questions, alone=not is_sharded(self.model))
            with self.accelerator.no_sync(model):
                losses.append(super().training_step(model, part, num_items_in_batch))
        part, questions = last
        waits = self.accelerator.num_processes > 1 and self.accelerator.sync_gradients
        self._attempt = _Attempt(questions, alone=not (waits or is_sharded(self.model)))
        losses.append(super().training_step(model, part, num_items_in_batch))
        return torch.stack(losses).sum()

    def _usable(self, inputs: Mapping[str, Any]) -> list[Part]:
        """The batch's parts; where no chip of it can be used, an earlier part to learn nothing from."""
        if inputs["parts"]:
            self._barren, self._spare = 0, inputs["parts"][0]
            return self._within_limit(inputs)
        self._barren += 1
        if self._spare is None or self._barren >= MOST_BARREN:
            raise DataError(
                f"stage {self.stage.name}: no chip of {self._barren} batches in a row can be used: "
                + inputs["left_out"][-1],
                "see the reason, and prepare the data again",
            )
        return [(without_answers(self._spare), 0)]

    def _within_limit(self, inputs: Mapping[str, Any]) -> list[Part]:
        """A batch's parts with their questions; those made before the limit sank are made again."""
        most, parts = self._limit.most, []
        for part, made_of in zip(inputs["parts"], inputs["items"], strict=True):
            if most is None or part["input_ids"].numel() <= most or made_of.questions < 2:
                parts.append((part, made_of.questions))
            else:
                smaller = self._collate(made_of.items)
                numbers = [one.questions for one in smaller["items"]]
                parts += zip(smaller["parts"], numbers, strict=True)
        return parts

    def _in_step(self, parts: list[Part]) -> list[Part]:
        """Parts for as many passes as every process makes, since those share their pieces of the model."""
        if not is_sharded(self.model):
            return parts
        count = torch.tensor(len(parts), device=self.args.device)
        torch.distributed.all_reduce(count, torch.distributed.ReduceOp.MAX)
        return [(without_answers(parts[0][0]), 0)] * (int(count) - len(parts)) + parts

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Project only the places that are scored, and score them."""
        self._frozen.rest()
        self.tokens_in_pass = inputs["input_ids"].numel()
        labels, targets = inputs.pop("labels"), inputs.pop("position_targets")
        cover = inputs.pop("cover", None)
        if self._lape is None:
            inputs.pop("image_times", None)
        labels, targets = labels[:, 1:], targets[:, 1:]
        scored, answered = inputs.pop("scored"), inputs.pop("answered")
        shared = shared_images(self.model, inputs["input_ids"], inputs.pop("chip_of_row", None))
        with shared:
            outputs = model(**inputs, logits_to_keep=scored, use_cache=False)
        with torch.autocast(self.args.device.type, enabled=False):
            result = self.criterion(
                outputs.logits, labels[:, scored], targets[:, scored], num_items_in_batch, answered
            )
        loss = result.loss
        if cover is not None:
            loss = loss + self._word_alignment(model, outputs, cover)
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes  # the processes' gradients are averaged
        self.meter.add(loss, result.sums)
        return (loss, outputs) if return_outputs else loss

    def _word_alignment(self, model: Any, outputs: Any, cover: Tensor) -> Tensor:
        """Share of this part of the batch in the step's word alignment."""
        features = getattr(outputs, "image_hidden_states", None)
        if not isinstance(features, Tensor):
            raise RecipeError(
                f"stage {self.stage.name}: the model does not give its visual features as one grid per image",
                f"set stages.{self.stage.name}.word_alignment=0",
            )
        embeddings = self.accelerator.unwrap_model(model).get_input_embeddings().weight
        share = len(cover) / self.get_total_train_batch_size(self.args)
        loss: Tensor = self.stage.word_alignment * share * word_alignment(features, cover, embeddings)
        return loss

    def autocast_smart_context_manager(self, cache_enabled: bool | None = True) -> torch.autocast:
        """Mixed precision in the forward pass, if the stage has it."""
        return torch.autocast(
            self.args.device.type, torch.bfloat16, enabled=self.mixed_precision, cache_enabled=cache_enabled
        )

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Tensor:
        """Number of answer tokens in the whole step, in all processes; at least 1, to divide by."""
        self._begun = []
        for batch in batch_samples:
            raise_failed(batch)
        parts = [part for batch in batch_samples for part in batch["parts"]]
        count = torch.tensor(sum(len(part["answered"]) for part in parts), device=device)
        total: Tensor = self.accelerator.reduce(count, "sum").clamp(min=1)
        return total

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not estimated: the estimate walks all parameters at every step and knows nothing of packed rows."""
        return 0

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(train_dataset or self.train_dataset)

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm)
        self.meter.close_step(norm)
        return norm

    # -- log -------------------------------------------------------------------

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Write the rows of the steps since the last log, and stop if one of them is not finite."""
        rows = self.meter.drain(self.accelerator)
        if not rows:  # the Trainer's closing summary
            return
        first = self.state.global_step - len(rows) + 1
        for step, row in enumerate(rows, first):
            row.update(self._settings_at(step - 1))
        rows = [{"step": step, **row} for step, row in enumerate(rows, first)]
        rows[-1].update(self._window(len(rows)))
        self._on_rows(rows)
        release_memory()
        for row in rows:
            if not (math.isfinite(row["loss"]) and math.isfinite(row["grad_norm"])):
                raise self._diverged(row)
        logs.update(scalars(rows[-1]))
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, logs)

    def _settings_at(self, step: int) -> Row:
        """Learning rates and gate of the update at a step."""
        rates = {f"lr_{name}": peak * factor_of(name, self.stage)(step) for name, peak in self.peaks.items()}
        scheduled = "lape" in self.peaks and self.stage.lape_schedule.gate != "learned"
        return {**rates, "gate": gate_factor(step, self.stage.lape_schedule)} if scheduled else rates

    def _window(self, steps: int) -> Row:
        """What is known of the steps since the last log together: speed, mixture, LAPE."""
        now = time.perf_counter()
        seconds, self._clock = now - self._clock, now
        seconds -= self._callback.take_seconds() if self._callback else 0.0
        for reason in self._tally.reasons:
            warn(f"stage {self.stage.name}: a chip is skipped, {reason}")
        counts = self._tally.drain(self.accelerator)
        drawn = self.state.global_step * self.get_total_train_batch_size(self.args)
        return {
            "steps_per_second": steps / seconds,
            "samples_per_second": counts.pop("asked") / seconds,
            "tokens_per_second": counts.pop("tokens") / seconds,
            **counts,
            "mixture": self.data.mixture.shares(drawn),
            **self._gate_schedule.measured,
        }

    def _diverged(self, row: Row) -> TrainingDivergedError:
        last = checkpoints.latest(Path(self.args.output_dir))
        return TrainingDivergedError(
            f"stage {self.stage.name}: the loss is {row['loss']} and the gradient norm {row['grad_norm']} "
            f"at step {row['step']}",
            "lower the learning rates or max_grad_norm, lengthen warmup_steps, and run again; "
            + (f"the last good checkpoint is {last}" if last else "no checkpoint had been written yet"),
        )

    # -- checkpoints -----------------------------------------------------------

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        with doing("saving the checkpoint of step", self.state.global_step):
            self._write_checkpoint(model, trial)

    def _write_checkpoint(self, model: nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        self.accelerator.wait_for_everyone()  # each process writes files of its own
        if self.args.should_save:
            checkpoints.mark_complete(Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}")

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the checkpoint; every process takes part where each holds a piece of the model."""
        main = bool(self.args.should_save)
        state = gather(self.model, keep=main) if is_sharded(self.model) else None
        if main:
            self._save_model(Path(output_dir or self.args.output_dir), state)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        save_moments(Path(output_dir) / MOMENTS, self.model, self.optimizer)
        if self.args.should_save:
            write_json(Path(output_dir) / SCHEDULE, self.lr_scheduler.state_dict())

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            load_moments(Path(checkpoint) / MOMENTS, self.model, self.optimizer)
            self.lr_scheduler.load_state_dict(checkpoints.read_json(Path(checkpoint) / SCHEDULE))
            rates = self.lr_scheduler.get_last_lr()
            for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Nothing to load: the model was opened from this very checkpoint."""


class _GateSchedule(TrainerCallback):  # type: ignore[misc]
    """Opens LAPE's gate, and listens to its gradients in the steps that are logged.

    Attributes:
        measured: `lape_gradient`, norms by source, and `lape_rows`, at the last logged step; empty without
            LAPE.
    """

    def __init__(self, stage: StageConfig, model: nn.Module) -> None:
        self.stage, self.model = stage, model
        lape = lape_of(model)
        self._lape = lape if lape is not None and lape.enabled else None
        self.measured: Row = {}

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._lape is not None:
            self._lape.gate = gate_factor(state.global_step, self.stage.lape_schedule)
            step = state.global_step + 1
            logged = step == args.max_steps or not (step % args.logging_steps and step % args.save_steps)
            self._lape.record = GradientRecord() if logged else None

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._lape is not None and self._lape.record is not None:
            norms = self._lape.record.norms(self._lape)
            self.measured = {"lape_gradient": norms, "lape_rows": describe_rows(self._lape, self.model)}
            if gates := describe_gates(self._lape):
                self.measured["lape_gate"] = gates
            self._lape.record = None

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Log before each save, so that the log of a resumed run has no hole."""
        control.should_log |= control.should_save
        return control
