"""Released checkpoints of LLaVA-ST (CVPR 2025) as LLaVA-OneVision with LAPE.

A release is a folder with all weights (`model*.safetensors`, `pytorch_model*.bin`), or one with LoRA
(`adapter_model.*`) and `non_lora_trainables.bin`. Either holds LAPE's six tables, `[N, D]` each, whatever
stands before their names:

    spatial_height_input_embeddings   spatial_height_output_embeddings
    spatial_width_input_embeddings    spatial_width_output_embeddings
    temporal_input_embeddings         temporal_output_embeddings

Its position tokens are spelled as ours, but numbered behind its own vocabulary, temporal ones first; rows of
the vocabulary are therefore carried over by the text of their tokens. What remains of a video model, the
resampler of its frames, has no place in LLaVA-OneVision and is counted.
"""

from __future__ import annotations

import pickle
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from agrilape.config.lape import AXES, Axis, LapeConfig
from agrilape.errors import DataError, ModelError
from agrilape.io.json_text import read_json_object
from agrilape.model.attach import attach, lape_of, vocabulary_modules
from agrilape.model.checkpoint import save_checkpoint
from agrilape.model.checkpoint_files import load_processor, load_weights, read_object, read_tensors
from agrilape.model.gradients import Direction
from agrilape.tokens.vocabulary import add_position_tokens, tokenizer_of

TABLES: Mapping[Axis, str] = {"height": "spatial_height", "width": "spatial_width", "temporal": "temporal"}
DIRECTIONS: Mapping[Direction, str] = {"in": "input", "out": "output"}
PUBLISHED = LapeConfig(
    initialisation="reference", ntp="gradient", injection="mean", injection_at="centre", still_time="first",
    injection_rms=None, tied=False,
)  # fmt: skip
"""LAPE as LLaVA-ST has it, but for the number of tokens."""
ADAPTER, LORA_CONFIG = "adapter_model", "adapter_config.json"
_WRAPPERS = re.compile(r"^(module\.)?(base_model\.model\.)?(?=model\.|lm_head\.)|\.base_layer(?=\.)")
_RENAMED = (
    (re.compile(r"^model\.(embed_tokens|layers|norm)\."), r"model.language_model.\1."),
    (re.compile(r"^model\.vision_tower\.vision_tower\.vision_model\."), "model.vision_tower."),
    (re.compile(r"^model\.mm_projector\.0\."), "model.multi_modal_projector.linear_1."),
    (re.compile(r"^model\.mm_projector\.2\."), "model.multi_modal_projector.linear_2."),
)
"""Names of LLaVA's code, and what transformers calls the same."""


@dataclass
class Imported:
    """What became of a release.

    Attributes:
        config: Settings of LAPE, with `token_ids` resolved.
        taken: Tensors that replaced the base model's.
        adapted: Tensors of the base model to which LoRA was added.
        skipped: Number of tensors without a place in LLaVA-OneVision, by the first parts of their names.
    """

    config: LapeConfig
    taken: int = 0
    adapted: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


def import_llava_st(folder: Path, base: str | Path, output: Path) -> Imported:
    """Write a release as a checkpoint of LLaVA-OneVision with LAPE.

    Args:
        folder: The release.
        base: The model of transformers that it was trained from, folder or hub id: gives the processor, the
            configuration, and every weight that the release does not hold.
        output: Folder of the checkpoint; replaced as a whole.

    Raises:
        ModelError: A table is missing, does not fit the base model, or a file holds more than tensors.
    """
    tables = _tables(folder)
    model, processor = load_weights(base), load_processor(base)
    _check_base(model, tables, folder)
    found = Imported(_config(tables, processor))
    _take_weights(model, folder, _rows_by_text(folder, processor), found)
    _attach(model, found.config, tables)
    facts = {
        "coordinates": "position_tokens",
        "imported": {"from": "LLaVA-ST", "skipped": dict(found.skipped)},
    }
    save_checkpoint(output, model, processor, facts)
    return found


def table_name(axis: Axis, direction: Direction) -> str:
    """Name of a table in a release, without what stands before it."""
    return f"{TABLES[axis]}_{DIRECTIONS[direction]}_embeddings.weight"


def _tables(folder: Path) -> dict[tuple[Axis, Direction], Tensor]:
    """The six tables, `[N, D]` float32 each.

    Raises:
        ModelError: They are not all there, or not of one size.
    """
    wanted = {table_name(axis, way): (axis, way) for axis in AXES for way in DIRECTIONS}
    found = {
        wanted[last]: tensor.float()
        for name, tensor in _tensors(folder)
        if (last := ".".join(name.split(".")[-2:])) in wanted
    }
    if missing := [name for name, key in wanted.items() if key not in found]:
        raise ModelError(
            f"{folder} holds {len(found)} of LLaVA-ST's six tables; {missing[0]} is missing",
            "give the folder that holds its non_lora_trainables.bin, or all of its weights",
        )
    for axis in AXES:
        shapes = {tuple(found[axis, way].shape) for way in DIRECTIONS}
        if len(shapes) > 1 or any(len(shape) != 2 or min(shape) < 2 for shape in shapes):
            raise ModelError(
                f"{folder}: the {axis} tables are of the shapes {sorted(shapes)}, not of one shape [N, D]",
                "download the release again",
            )
    if found["height", "in"].shape != found["width", "in"].shape:
        raise ModelError(
            f"{folder} has other numbers of height tokens than of width tokens",
            "agrilape has one number for both: only releases with equal ones can be imported",
        )
    return found


def _check_base(model: Any, tables: Mapping[tuple[Axis, Direction], Tensor], folder: Path) -> None:
    if model.config.model_type != "llava_onevision":
        raise ModelError(
            f"the base model is of the family {model.config.model_type}, LLaVA-ST is a LLaVA-OneVision",
            "give the model it was trained from, e.g. --base llava-hf/llava-onevision-qwen2-7b-ov-hf",
        )
    width = model.get_input_embeddings().weight.shape[1]
    if (found := tables["height", "in"].shape[1]) != width:
        raise ModelError(
            f"the tables in {folder} are {found} wide, the base model's embeddings {width}",
            "give the base model of the same size",
        )


def _config(tables: Mapping[tuple[Axis, Direction], Tensor], processor: Any) -> LapeConfig:
    counts = {
        "num_spatial_tokens": len(tables["height", "in"]),
        "num_temporal_tokens": len(tables["temporal", "in"]),
    }
    return add_position_tokens(processor, PUBLISHED.model_copy(update=counts))


@torch.no_grad()
def _attach(model: Any, config: LapeConfig, tables: Mapping[tuple[Axis, Direction], Tensor]) -> None:
    attach(model, config.model_copy(update={"initialisation": "mean"}), anew=True)
    lape = lape_of(model)
    assert lape is not None
    lape.config = lape.config.model_copy(update={"initialisation": config.initialisation})
    for direction in lape.directions:
        lape.set_rows(direction, torch.cat([tables[axis, direction] for axis in AXES]))


# --- the other weights ----------------------------------------------------------------------------


@torch.no_grad()
def _take_weights(model: Any, folder: Path, rows: tuple[Tensor, Tensor], found: Imported) -> None:
    """Replace the base model's weights by the release's, then add its LoRA."""
    own = model.state_dict()
    vocabulary = {id(module.weight) for module in vocabulary_modules(model)}
    vocabulary_names = {name for name, value in model.named_parameters() if id(value) in vocabulary}
    vocabulary_names |= {"lm_head.weight"} & set(own)
    factors: dict[str, dict[str, Tensor]] = {}
    for name, tensor in _tensors(folder):
        short = _renamed(name)
        module, _, factor = short.partition(".lora_")
        if factor:
            factors.setdefault(f"{module}.weight", {})[factor[0]] = tensor
        elif short in vocabulary_names:
            found.taken += _copy_rows(own[short], tensor, rows)
        elif short in own and own[short].shape == tensor.shape:
            own[short].copy_(tensor)
            found.taken += 1
        elif not _is_table(name):
            found.skipped[".".join(short.split(".")[:2])] += 1
    if factors:
        _add_lora(own, factors, _lora_scale(folder), found)


def _copy_rows(own: Tensor, theirs: Tensor, rows: tuple[Tensor, Tensor]) -> int:
    """Carry rows of the vocabulary over to where their tokens are in the base model's."""
    origins, targets = rows
    there = (origins < len(theirs)) & (targets < len(own))
    if not len(origins):  # no tokenizer beside the weights: both number the text's tokens alike
        origins = targets = torch.arange(min(len(own), len(theirs)))
        there = torch.ones(len(origins), dtype=torch.bool)
    own[targets[there]] = theirs[origins[there]].to(own)
    return 1


def _add_lora(
    own: Mapping[str, Tensor], factors: Mapping[str, Mapping[str, Tensor]], scale: float, found: Imported
) -> None:
    for name, pair in factors.items():
        if name not in own or {*pair} != {"A", "B"}:
            found.skipped[".".join(name.split(".")[:2])] += len(pair)
            continue
        own[name] += (scale * pair["B"].float() @ pair["A"].float()).to(own[name])
        found.adapted += 1


def _lora_scale(folder: Path) -> float:
    """Factor on the product of LoRA's two matrices.

    Raises:
        ModelError: It is another kind of adapter, or of other ranks by layer.
    """
    settings = read_object(folder / LORA_CONFIG)
    rank, alpha = settings.get("r"), settings.get("lora_alpha")
    odd = [
        key for key in ("use_dora", "rank_pattern", "alpha_pattern", "fan_in_fan_out") if settings.get(key)
    ]
    if settings.get("peft_type") != "LORA" or odd or not isinstance(rank, int) or alpha is None or rank < 1:
        what = f"with {odd[0]}" if odd else f"of the kind {settings.get('peft_type')}"
        raise ModelError(
            f"{folder / LORA_CONFIG} is of an adapter {what}",
            "merge it by PEFT (merge_and_unload) and import the folder with all weights",
        )
    return float(alpha) / (rank**0.5 if settings.get("use_rslora") else rank)


def _renamed(name: str) -> str:
    short = _WRAPPERS.sub("", name)
    for pattern, replacement in _RENAMED:
        short = pattern.sub(replacement, short)
    return short


def _is_table(name: str) -> bool:
    return any(f"{axis}_{way}_embeddings." in name for axis in TABLES.values() for way in DIRECTIONS.values())


# --- files ----------------------------------------------------------------------------------------


def _tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """All tensors of a release with their names, one file at a time, those that go before others last."""
    files = _weight_files(folder)
    if not files:
        raise ModelError(
            f"{folder} holds no weights",
            "give the folder of a release: non_lora_trainables.bin, model*.safetensors or pytorch_model*.bin",
        )
    for path in files:
        tensors = read_tensors(path) if path.suffix == ".safetensors" else _read_pickled(path)
        yield from tensors.items()


def _weight_files(folder: Path) -> list[Path]:
    kinds: Iterable[str] = ("model*", "pytorch_model*", "non_lora_trainables", ADAPTER)
    found: list[Path] = []
    for kind in kinds:
        found += sorted(folder.glob(f"{kind}.safetensors")) or sorted(folder.glob(f"{kind}.bin"))
    return found


def _read_pickled(path: Path) -> dict[str, Tensor]:
    """A file of `torch.save` that holds tensors and nothing else: nothing in it is ever run.

    Raises:
        ModelError: It is damaged, or holds something else.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ModelError(
            f"cannot read {path}: {reason}",
            "download it again; files that hold more than tensors are not opened",
        ) from error
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ModelError(f"{path} holds something else than named tensors", "download it again")
    return {str(name): value for name, value in content.items()}


def _rows_by_text(folder: Path, processor: Any) -> tuple[Tensor, Tensor]:
    """Ids of the same tokens in the vocabularies of release and base model; none without a tokenizer."""
    theirs, own = _vocabulary(folder), tokenizer_of(processor).get_vocab()
    shared = sorted(theirs[text] for text in theirs.keys() & own.keys())
    texts = {number: text for text, number in theirs.items()}
    return torch.tensor(shared, dtype=torch.long), torch.tensor(
        [own[texts[number]] for number in shared], dtype=torch.long
    )


def _vocabulary(folder: Path) -> dict[str, int]:
    """Every token of a release with its id: `tokenizer.json`, or `vocab.json` and `added_tokens.json`."""
    if (folder / "tokenizer.json").is_file():
        try:
            vocabulary: dict[str, int] = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
        except Exception as error:  # the library raises nothing more specific
            raise ModelError(
                f"cannot read {folder / 'tokenizer.json'}: {error}", "download the release again"
            ) from error
        return vocabulary
    found: dict[str, int] = {}
    for name in ("vocab.json", "added_tokens.json"):
        if (folder / name).is_file():
            try:
                found |= {text: int(number) for text, number in read_json_object(folder / name).items()}
            except (DataError, TypeError, ValueError) as error:
                raise ModelError(f"cannot read {folder / name}: {error}", "download it again") from error
    return found
