"""The recipe: everything that a run is made from, as data.

A recipe names data sets (where samples come from), one model, LAPE, and the training stages.
`agrilape.config.load` reads one from YAML with overrides; a resolved copy is saved with every run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer

from agrilape.config.base import Settings
from agrilape.config.former_names import present_coordinates, present_source, present_tasks
from agrilape.config.lape import LapeConfig
from agrilape.errors import DataError
from agrilape.files import check_name


def _folder_name(name: str) -> str:
    try:
        return check_name(name, "the name", parts=1)
    except DataError as error:
        raise ValueError(error.problem) from error


FolderName = Annotated[str, AfterValidator(_folder_name)]
"""A name that a folder is called by."""


class SimulateSource(Settings):
    """A simulated farm landscape with known truth (`agrilape.simulate`)."""

    kind: Literal["simulate"] = Field("simulate", description="Always `simulate`.")
    scenes: int = Field(24, ge=1, description="Independent landscapes.")
    size: int = Field(512, ge=128, description="Side of a scene in pixels.")
    gsd: float = Field(10.0, gt=0, description="Ground sampling distance in metres.")
    dates: int = Field(8, ge=1, description="Acquisitions over the season.")
    years: tuple[int, ...] = Field((2021, 2022, 2023), min_length=1, description="Seasons to draw from.")
    seed: int = Field(0, ge=0, description="Seed; the same seed gives the same bytes.")


class FolderSource(Settings):
    """The user's own imagery and labels below one folder; a `scene.json` in it says what files do not."""

    kind: Literal["folder"] = Field(description="Always `folder`.")
    path: Path = Field(description="Folder that holds both.")
    images: str = Field(
        "**/*.tif", description="Glob of the images: GeoTIFF, JPEG 2000, NetCDF, Zarr, STAC items, PNG."
    )
    parcels: str = Field(
        "**/*.gpkg",
        description="Glob of the vectors; where there is no GeoPackage, GeoJSON and others are found too.",
    )
    exhaustively_labelled: bool | None = Field(
        None, description="Is every field of the images labelled? What a scene.json says goes before."
    )


class FormatSource(Settings):
    """A published data set, in the layout in which it was released (docs/data.md lists the formats)."""

    kind: Literal["format"] = Field(description="Always `format`.")
    name: str = Field(
        description="The format: geochat, vrsbench, llava, coco, pastis, fields_of_the_world ..."
    )
    path: Path = Field(description="Folder of the release, as it was unpacked.")
    images: Path | None = Field(
        None, description="Folder of the pictures that its annotations name; null: the release's own."
    )
    boxes: Literal["fractions", "percent", "thousandths", "pixels"] = Field(
        "fractions", description="What `[left, top, right, bottom]` in the text runs to; for llava alone."
    )


Fact = Literal["sensor", "gsd", "date", "location", "bands"]
"""Metadata of an image that a question may begin with."""

TaskNames = Annotated[tuple[str, ...], BeforeValidator(present_tasks)]
"""Names of tasks, see docs/data.md."""

Source = Annotated[SimulateSource | FolderSource | FormatSource, Field(discriminator="kind")]


class DatasetConfig(Settings):
    """How one data set is made: from a source, cut into chips, asked about by tasks, and split."""

    source: Annotated[Source, BeforeValidator(present_source)] = Field(
        description="Where images and labels come from; its `kind` says how."
    )
    tasks: TaskNames = Field(
        (), description="Task names, see docs/data.md; none: all that a release of questions holds."
    )
    chip: int = Field(128, ge=32, description="Side of a chip in source pixels.")
    overlap: float = Field(
        0.25, ge=0, le=0.9, description="Least share of a chip that its neighbour repeats."
    )
    image_size: int | None = Field(
        None, ge=32, description="Side in pixels to which stored images are reduced, for speed; null: as cut."
    )
    composite: str = Field("true_colour", description="true_colour, false_colour or an index (ndvi).")
    series: int = Field(0, ge=0, description="Dates per chip, for tasks about time; 0: single-date images.")
    questions: int = Field(8, ge=1, description="Most questions about one chip.")
    language: str = Field("en", description="Language of questions and answers, see docs/data.md.")
    metadata: tuple[Fact, ...] = Field(
        (), description="Metadata of the image that every question begins with, as far as they are known."
    )
    split: tuple[float, float, float] = Field((0.8, 0.05, 0.15), description="Shares of train, val, test.")
    split_by: Literal["scene", "block", "year", "published"] = Field(
        "scene", description="What is never divided between splits; published: the release's own splits."
    )
    only_split: Literal["train", "val", "test"] | None = Field(
        None, description="Of published splits, this one alone; null: all."
    )
    buffer_m: float = Field(
        0.0, ge=0, description="Width of the strip between blocks that no split uses, in metres."
    )
    limit: int | None = Field(None, ge=1, description="Most chips; null: all.")
    longest_list: int = Field(8, ge=1, description="Most boxes in an answer; longer ones are not asked for.")
    partial_fields: bool = Field(
        False,
        description="Ask for lists also where the chip's edge cuts fields to parts too small to be listed, "
        "and for one field of a crop in the words for several: as tiles of a map are asked.",
    )
    seed: int = Field(0, ge=0, description="Seed of questions and splits.")

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what came later and is not used: all that is prepared already would be stale."""
        content: dict[str, Any] = dump(self)
        for name in ("only_split", "longest_list", "partial_fields"):
            if getattr(self, name) == type(self).model_fields[name].default:
                content.pop(name, None)
        return content


class MixtureEntry(Settings):
    """One kind of data in a stage's mixture."""

    weight: float = Field(gt=0, description="Share of the samples, relative to the other entries.")
    datasets: tuple[str, ...] = Field(min_length=1, description="Names of data sets.")
    tasks: TaskNames | None = Field(None, description="Only these tasks; null: all that the data sets hold.")
    balance: tuple[Literal["crop", "size"], ...] = Field(
        (), description="Sample every crop, or every size of field, equally often, however rare it is."
    )


class LearningRates(Settings):
    """Peak learning rate of each parameter group; a group that does not train needs none."""

    vision: float | None = Field(None, gt=0, description="Of the vision tower; null: it is frozen.")
    projector: float | None = Field(None, gt=0, description="Of the projector; null: it is frozen.")
    llm: float | None = Field(None, gt=0, description="Of the language model; null: it is frozen.")
    lora: float | None = Field(None, gt=0, description="Of LoRA, where `model.lora_rank` is set.")
    lape: float | None = Field(None, gt=0, description="Base rate of LAPE; null: the largest of the others.")


class LapeSchedule(Settings):
    """Warm-up of LAPE in a stage: its learning-rate schedule and its injection gate."""

    schedule: Literal["stepped", "continuous", "same"] = Field(
        "continuous",
        description="stepped: base x 0.1 x step/warm-up, then base x multiplier; continuous: 0 to base x "
        "multiplier over the warm-up, then the main schedule; same: the main schedule x multiplier.",
    )
    lape_warmup_steps: int = Field(1000, ge=0, description="Steps of the warm-up of LAPE.")
    lape_lr_multiplier: float = Field(0.5, gt=0, description="Factor on LAPE's base rate after its warm-up.")
    gate: Literal["off", "linear", "cosine", "learned"] = Field(
        "off",
        description="Injection gate from 0 to 1 over the warm-up; off: open from the start; learned: a "
        "factor per axis that starts at 0 and trains at LAPE's rate.",
    )


class StageConfig(Settings):
    """One training stage. Starts from the checkpoint of the stage before it."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="What the stage is called, as in `--stage`.")
    enable_lape: bool = Field(description="Are position tokens and injection on?")
    learning_rates: LearningRates = Field(description="What trains, and how fast.")
    mixture: dict[str, MixtureEntry] = Field(min_length=1, description="Kinds of data, by names of your own.")
    steps: int = Field(ge=1, description="Optimiser steps.")
    batch_size: int = Field(16, ge=1, description="Chips per step and process.")
    questions_per_chip: int = Field(
        8, ge=1, description="Questions packed into one sequence, under a block-diagonal attention mask."
    )
    gradient_accumulation: int = Field(1, ge=1, description="Batches whose gradients make one step.")
    warmup_steps: int = Field(50, ge=0, description="Steps over which the rates rise to their peak.")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="How the rates fall after the warm-up."
    )
    weight_decay: float = Field(0.05, ge=0, description="Never of norms, biases and LAPE.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are scaled down to this norm.")
    betas: tuple[float, float] = Field((0.9, 0.98), description="Decay of AdamW's two running means.")
    lape_schedule: LapeSchedule = Field(LapeSchedule(), description="Warm-up schedule of LAPE.")
    word_alignment: float = Field(
        0.0,
        ge=0,
        description="Weight of the loss that aligns visual tokens with the words for what they show "
        "(task layout).",
    )
    augment: bool = Field(True, description="Rotate and flip chips together with their coordinates.")
    colour_jitter: float = Field(
        0.0, ge=0, le=3, description="Vary brightness and tint of training chips; 1: by 12 % and 4 %."
    )
    checkpoint_every: int = Field(200, ge=1, description="Steps between checkpoints to resume from.")

    @property
    def datasets(self) -> list[str]:
        """Names of the data sets that the mixture draws from."""
        return sorted({name for entry in self.mixture.values() for name in entry.datasets})


class LossConfig(Settings):
    """Loss on position tokens."""

    targets: Literal["hard", "two_hot", "gaussian"] = Field(
        "two_hot",
        description="hard: the nearest bin; two_hot: both neighbours, by distance; gaussian: a bell.",
    )
    gaussian_sigma: float = Field(1.0, gt=0, description="Width of gaussian targets, in bins.")
    distance_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of the Wasserstein distance along the axis, beside the cross-entropy; 0: none.",
    )
    spatial_pos_weight: float = Field(2.0, ge=0, description="Weight of the loss on height and width tokens.")
    temporal_pos_weight: float = Field(1.0, ge=0, description="Weight of the loss on time tokens.")

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what came later and is not used: all that is trained already would be stale."""
        content: dict[str, Any] = dump(self)
        if self.distance_weight == 0:
            content.pop("distance_weight", None)
        return content


class ModelConfig(Settings):
    """The base model."""

    preset: str | None = Field("nano", description="A built-in model (nano, smollm2), or null with `path`.")
    path: str | None = Field(
        None,
        description="A Hugging Face model (hub id, folder), or a trained one: run, checkpoint, shipped:nano.",
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32", description="Precision of the weights; beside LoRA of the frozen ones, others are float32."
    )
    mixed_precision: Literal["auto", "off"] = Field(
        "auto", description="auto: train under bfloat16 autocast where the hardware is faster with it."
    )
    gradient_checkpointing: bool = Field(
        False, description="Recompute activations in the backward pass: less memory, a third more time."
    )
    tokens_at_once: int | None = Field(
        None,
        ge=1,
        description="Most tokens of a batch in one pass, padding and images included; more become several "
        "passes of one step. null: as many as the GPU has room for, by an estimate.",
    )
    trust_remote_code: bool = Field(False, description="Run Python code that comes with a model of the hub.")
    lora_rank: int | None = Field(None, ge=1, description="LoRA on the language model (needs peft).")
    quantisation: Literal["nf4"] | None = Field(
        None, description="Keep the language model in 4 bits beside its LoRA (QLoRA; needs bitsandbytes)."
    )
    compile_layers: bool = Field(
        False, description="Compile the language model's layers on a GPU: a minute per stage, faster steps."
    )
    seed: int = Field(0, description="Seed of a preset's random weights.")

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what came later and is not used: all that is trained already would be stale."""
        content: dict[str, Any] = dump(self)
        for name in ("quantisation", "compile_layers"):
            if not getattr(self, name):
                content.pop(name, None)
        return content


class EvaluationConfig(Settings):
    """What is measured at the end of a run."""

    datasets: tuple[str, ...] = Field(description="Data sets whose split is evaluated.")
    split: Literal["val", "test"] = Field("test", description="What is evaluated.")
    suite: str | None = Field(
        None, description="A suite that ships (agri, quick) or a YAML file; what follows narrows it."
    )
    tasks: TaskNames | None = Field(None, min_length=1, description="Only these tasks; null: all.")
    limit: int | None = Field(None, ge=1, description="Most samples per task; null: all.")
    fitted_on: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="Data sets whose train split the image-free baselines learn from; null: each its own.",
    )
    maps: bool = Field(
        False, description="Ask whole scenes too, as `predict` does, and score them against all parcels."
    )
    crops_per_map: int = Field(
        3, ge=0, description="Most crops that each scene is asked for, and most that it does not have."
    )
    batch_size: int = Field(64, ge=1, description="Questions that are answered at once.")
    soft_argmax: bool = Field(
        False, description="Decode coordinates as the mean of their distribution, finer than a bin."
    )
    constrained_decoding: bool = Field(
        False, description="Grammar-constrained decoding: only well-formed coordinates can be generated."
    )

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what came later and is not used: results that are there already would be stale."""
        content: dict[str, Any] = dump(self)
        for name in ("maps", "crops_per_map"):
            if getattr(self, name) == type(self).model_fields[name].default:
                content.pop(name, None)
        return content


Logger = Literal["tensorboard", "trackio", "wandb"]


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class Recipe(Settings):
    """A whole run."""

    name: str = Field(description="What the run is called in logs and reports.")
    seed: int = Field(
        0,
        ge=0,
        description="Seed of training: order and augmentation of chips, new position embeddings, dropout.",
    )
    output: Path = Field(description="Run folder.")
    enable_lape: bool = Field(True, description="False: no stage uses LAPE, and coordinates are text.")
    coordinates: Annotated[Literal["position_tokens", "text"], BeforeValidator(present_coordinates)] = Field(
        "position_tokens",
        description="How places and times are written; text (numbers as words) is the baseline without LAPE.",
    )
    model: ModelConfig = Field(ModelConfig(), description="The base model.")
    lape: LapeConfig = Field(LapeConfig(), description="The module of position tokens.")
    loss: LossConfig = Field(LossConfig(), description="The loss on position tokens.")
    datasets: dict[FolderName, DatasetConfig] = Field(
        min_length=1, description="Data sets by names of your own."
    )
    stages: tuple[StageConfig, ...] = Field(min_length=1, description="Stages of training, in order.")
    report_to: Annotated[tuple[Logger, ...], BeforeValidator(_listed)] = Field(
        ("tensorboard",), description="Where training is logged besides log.jsonl: one name, or several."
    )
    evaluation: EvaluationConfig = Field(description="What is measured at the end.")

    @property
    def trained_on(self) -> list[str]:
        """Names of the data sets that the stages train on."""
        return sorted({name for stage in self.stages for name in stage.datasets})
