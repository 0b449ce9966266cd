"""Settings of LAPE, the language-aligned positional embedding."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from agrilape.config.base import Settings

Axis = Literal["height", "width", "temporal"]
AXES: tuple[Axis, ...] = ("height", "width", "temporal")
Initialisation = Literal["reference", "statistics", "mean", "numerals", "smooth"]


class LapeConfig(Settings):
    """What the LAPE module is; saved beside its weights as `lape_config.json`."""

    num_spatial_tokens: int = Field(100, ge=2, le=1000, description="Tokens on the height and width axes.")
    num_temporal_tokens: int = Field(50, ge=2, le=1000, description="Tokens on the time axis.")
    initialisation: Initialisation = Field(
        "smooth",
        description="reference: N(0, 1); statistics, mean, numerals: from embeddings of the LLM; "
        "smooth: a code that changes slowly along the axis.",
    )
    ntp: Literal["gradient", "value", "off"] = Field(
        "gradient",
        description="Neighbouring-token propagation: of the gradient (as published), of the value, or none.",
    )
    injection: Literal["mean", "input", "off"] = Field(
        "mean",
        description="Added to visual features: mean of input and output embeddings, input alone, or nothing.",
    )
    injection_at: Literal["footprint", "centre"] = Field(
        "footprint",
        description="Embeddings of a patch: mean over its extent, or those at its centre (as published).",
    )
    still_time: Literal["none", "first"] = Field(
        "none", description="Time of an image without a date: none, or the first token's (as published)."
    )
    injection_scale_height: float = Field(
        1.0, ge=0, description="Weight of the height axis in the injection."
    )
    injection_scale_width: float = Field(1.0, ge=0, description="Weight of the width axis in the injection.")
    injection_scale_temporal: float = Field(
        1.0, ge=0, description="Weight of the time axis in the injection."
    )
    injection_rms: float | None = Field(
        1.0,
        gt=0,
        description="Initial RMS of the injection over that of the visual features; null: as published.",
    )
    gate: Literal["fixed", "learned"] = Field(
        "fixed", description="Injection gate: set by the schedule, or a learned scalar per axis."
    )
    tied: bool | None = Field(
        None, description="Tie input and output embeddings; null: as the language model ties its own."
    )
    resize: Literal["refuse", "interpolate"] = Field(
        "refuse",
        description="Starting from a model with other numbers of tokens: refuse, or interpolate them.",
    )
    token_ids: dict[Axis, tuple[int, ...]] | None = Field(
        None, description="Vocabulary ids of the position tokens, resolved by `add_position_tokens`."
    )

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what came later, or is of the recipe and not of the module, unless it is used."""
        content: dict[str, Any] = dump(self)
        for key, unused in (("resize", "refuse"), ("injection_at", "footprint"), ("still_time", "none")):
            if content.get(key) == unused:
                content.pop(key)
        return content

    def bins(self, axis: Axis) -> int:
        """Number of tokens on an axis."""
        return self.num_temporal_tokens if axis == "temporal" else self.num_spatial_tokens
