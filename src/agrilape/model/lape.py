"""LAPE, the language-aligned positional embedding: rows for places and times, shared by text and vision.

Each axis (height, width, temporal) has one input row and one output row per bin. A position token is read
through its input row and written through its output row, and visual features receive the mean of both at
their own place, so that text and imagery speak of positions in one language. Introduced by LLaVA-ST (CVPR
2025).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agrilape.config.lape import AXES, Axis, LapeConfig
from agrilape.errors import ModelError
from agrilape.model.footprint import footprints, two_hot
from agrilape.model.gradients import Direction, GradientRecord, Use
from agrilape.model.propagation import propagate, propagation_matrix

SCALARS = ("unit", "gate_value", "axis_gates")
"""What a state holds besides rows: how strongly positions are injected."""


class Lape(nn.Module):
    """The rows of all position tokens, and the three uses that a model makes of them.

    Rows stay in float32 whatever the model's dtype, because small updates vanish in bfloat16.

    Args:
        config: Settings with resolved `token_ids`.
        hidden_size: Width D of the language model.
        tied: Whether one table per axis serves as input and output rows.

    Attributes:
        enabled: When False, position tokens are ordinary tokens of the base model and nothing is injected.
        record: Where the gradient of the rows comes from, if it is to be measured.
    """

    token_ids: Tensor
    propagation: Tensor
    slot_of_id: Tensor
    gate_value: Tensor
    unit: Tensor

    def __init__(self, config: LapeConfig, hidden_size: int, tied: bool) -> None:
        super().__init__()
        check_token_ids(config)
        assert config.token_ids is not None
        self.config = config.model_copy(update={"tied": tied})
        self.tied, self.width = tied, hidden_size
        self.enabled = True
        self.record: GradientRecord | None = None
        for axis in AXES:
            for direction in self.directions:
                rows = torch.zeros(config.bins(axis), hidden_size, dtype=torch.float32)
                self.register_parameter(f"{axis}_{direction}", nn.Parameter(rows))
        matrices = [propagation_matrix(config.bins(axis), normalised=config.ntp == "value") for axis in AXES]
        propagation: Tensor = torch.block_diag(*matrices)  # type: ignore[no-untyped-call]
        self.register_buffer("propagation", propagation, persistent=False)
        if config.gate == "learned":
            self.axis_gates = nn.Parameter(torch.zeros(len(AXES)))
        ids = torch.tensor([token for axis in AXES for token in config.token_ids[axis]])
        adjacent = bool((ids.diff() == 1).all())  # writing a slice is cheaper
        self._columns = slice(int(ids[0]), int(ids[-1]) + 1) if adjacent else None
        slot_of_id = torch.full((int(ids.max()) + 2,), -1)
        slot_of_id[ids] = torch.arange(len(ids))
        self.register_buffer("token_ids", ids, persistent=False)
        self.register_buffer("slot_of_id", slot_of_id, persistent=False)
        self.register_buffer("gate_value", torch.ones(()))
        self.register_buffer("unit", torch.full((), torch.nan))
        self.calibrated = False

    def table(self, axis: Axis, direction: Direction) -> nn.Parameter:
        """The trained rows of one axis, `[N, D]`; tied rows are one object in both directions."""
        return self.get_parameter(f"{axis}_in" if self.tied else f"{axis}_{direction}")

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Which tables there are; tied ones are called `in`."""
        return ("in",) if self.tied else ("in", "out")

    @torch.no_grad()
    def set_rows(self, direction: Direction, rows: Tensor) -> None:
        """Choose the tables so that the model uses these rows, `[P, D]`, after propagation."""
        if self.config.ntp == "value":
            rows = torch.linalg.solve(self.propagation, rows.to(self.propagation))
        for axis, part in zip(AXES, torch.split(rows, [self.config.bins(a) for a in AXES]), strict=True):
            self.table(axis, direction).copy_(part)

    def rows(self, direction: Direction, use: Use | None = None) -> Tensor:
        """Rows as the model uses them, after neighbour propagation: `[P, D]` float32, as `token_ids`."""
        tables = torch.cat([self.table(axis, direction) for axis in AXES])
        rows = propagate(tables, self.propagation, self.config.ntp)
        if self.record is not None and use is not None and rows.requires_grad:
            self.record.watch(rows, use, "in" if self.tied else direction)
        return rows

    def embed(self, input_ids: Tensor, embedded: Tensor, scale: Tensor | float = 1.0) -> Tensor:
        """Put input rows where position tokens stand.

        Args:
            input_ids: Token ids, `[B, L]`.
            embedded: What the base embedding made of them, `[B, L, D]`.
            scale: Factor that the base embedding applies to its own rows (Gemma: the root of D).
        """
        slot = self.slot_of_id[input_ids.clamp(0, len(self.slot_of_id) - 1)]
        rows = self.rows("in", "input")
        rows = (rows if isinstance(scale, float) and scale == 1 else rows * scale).to(embedded.dtype)
        return torch.where((slot >= 0).unsqueeze(-1), F.embedding(slot.clamp(min=0), rows), embedded)

    def write_logits(self, hidden: Tensor, logits: Tensor) -> Tensor:
        """Overwrite the columns of position tokens, in place.

        Args:
            hidden: Last hidden states, `[..., D]`.
            logits: Logits of the base head, `[..., V]`; no second `[V, D]` matrix is ever built.
        """
        columns = F.linear(hidden, self.rows("out", "output").to(hidden.dtype)).to(logits.dtype)
        if self._columns is None:
            return logits.index_copy_(-1, self.token_ids, columns)
        logits[..., self._columns] = columns
        return logits

    def injection(self, extents: Tensor, times: Tensor) -> Tensor:
        """What is added to visual features, `[G, D]` float32.

        Args:
            extents: Edges (left, top, right, bottom) of each visual token in [0, 1] of its image, `[G, 4]`;
                NaN for a token without a place, such as the newline after a row of patches.
            times: Time of each visual token in [0, 1], `[G]`; NaN for none, as in a still image.
        """
        bins = [self.config.bins(axis) for axis in AXES]
        return self.mix(footprints(extents, bins[0], bins[1], self.config.injection_at), times)

    def mix(self, weights: Tensor, times: Tensor | None) -> Tensor:
        """What is added to visual features whose weights on the rows of height and width are known.

        Args:
            weights: As `agrilape.model.footprint.footprints` gives them, `[G, N_height + N_width]`.
            times: As in `injection`; None where no image has one.

        Returns:
            `[G, D]` float32.
        """
        if times is not None:
            weights = torch.cat([weights, two_hot(times, self.config.bins("temporal"))], dim=-1)
        used = weights.shape[-1]
        strength = self.gate_value if self.config.injection_rms is None else self.gate_value * self.unit
        if (scales := self._scales()) is not None:
            strength = strength * scales[:used]
        return (weights * strength) @ self._injected_rows("injection")[:used]

    def _scales(self) -> Tensor | None:
        """Factor of each row, `[P]`; None where all are 1."""
        scales = [getattr(self.config, f"injection_scale_{axis}") for axis in AXES]
        if self.config.gate == "learned":
            factors = self.axis_gates * self.axis_gates.new_tensor(scales)
        elif any(scale != 1 for scale in scales):
            factors = self.unit.new_tensor(scales)
        else:
            return None
        bins = torch.tensor([self.config.bins(axis) for axis in AXES], device=factors.device)
        return factors.repeat_interleave(bins, output_size=len(self.token_ids))

    def _injected_rows(self, use: Use | None = None) -> Tensor:
        rows = self.rows("in", use)
        if self.config.injection == "mean" and not self.tied:
            rows = (rows + self.rows("out", use)) / 2
        return rows

    @property
    def injects(self) -> bool:
        """Whether visual features receive positions at all."""
        return self.enabled and self.config.injection != "off"

    @property
    def gate(self) -> float:
        """Opening of the injection, 0 to 1; kept in checkpoints."""
        return float(self.gate_value)

    @gate.setter
    def gate(self, value: float) -> None:
        # A buffer rather than a float: torch.compile would recompile at every step of the schedule.
        self.gate_value.fill_(value)

    @torch.no_grad()
    def calibrate(self, features: Tensor) -> None:
        """Fix the scale of the injection by the first features seen; later calls change nothing.

        The processes of a distributed run share the mean power of their features, so each must see images in
        its first pass. Training fixes the scale before it, see `agrilape.train.injection_scale`.

        Args:
            features: Visual features before injection, `[G, D]`.
        """
        if self.calibrated or self.config.injection_rms is None:
            return
        power = features.float().square().mean()
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(power)
            power /= torch.distributed.get_world_size()
        self.scale_to(power)

    @torch.no_grad()
    def scale_to(self, power: Tensor) -> None:
        """Let each axis add `injection_rms` times the root mean square of the features, for good.

        Args:
            power: Mean square of visual features before injection, a scalar.
        """
        if self.config.injection_rms is None:
            return
        rows = self._injected_rows().square().mean()
        unit = self.config.injection_rms * (power / rows).sqrt()
        self.unit.copy_(torch.where((rows > 0) & (power > 0), unit, 1.0))
        self.calibrated = True

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self.calibrated = not bool(self.unit.isnan())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move with the model, but stay in float32 when the model is cast."""

        def move(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            cast = moved.is_floating_point() and moved.dtype != tensor.dtype
            return tensor.to(moved.device) if cast else moved

        super()._apply(move, recurse)  # type: ignore[no-untyped-call]
        return self


def check_token_ids(config: LapeConfig) -> None:
    """Every bin of every axis needs an id of its own, or rows would be read in the wrong places."""
    if config.token_ids is None:
        raise ModelError("the position tokens have no vocabulary ids", "call add_position_tokens first")
    counts = {axis: len(config.token_ids[axis]) for axis in AXES}
    if counts != {axis: config.bins(axis) for axis in AXES}:
        raise ModelError(
            f"the vocabulary has {counts} position tokens, other numbers than the settings",
            "call add_position_tokens with these settings",
        )
    ids = [token for axis in AXES for token in config.token_ids[axis]]
    if len(set(ids)) < len(ids):
        raise ModelError(
            "two position tokens share a vocabulary id", "call add_position_tokens with a fresh tokenizer"
        )
