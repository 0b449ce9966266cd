"""Visual extents of the supported families; `agrilape.model.grids` explains how to add one."""

from __future__ import annotations

import math
from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.image_processing_utils import select_best_resolution
from transformers.models.llava_next.modeling_llava_next import unpad_image

from agrilape.errors import ModelError
from agrilape.model.grids import ImageCall, cells, family, grid, nowhere, tiles


@family("llava")
def llava(call: ImageCall) -> list[Tensor]:
    """The whole image on one grid; a class token, where it is kept, has no place."""
    vision = call.config.vision_config
    if vision.model_type == "pixtral":  # images of any size, padded to one
        return [
            grid(height // vision.patch_size, width // vision.patch_size)
            for height, width in call.need("image_sizes")
        ]
    height, width = call.pixel_values.shape[-2:]
    extents = grid(height // vision.patch_size, width // vision.patch_size)
    if vision.model_type == "clip_vision_model" and call.config.vision_feature_select_strategy == "full":
        extents = torch.cat([nowhere(1), extents])
    return [extents] * len(call.pixel_values)


@family("paligemma")
def paligemma(call: ImageCall) -> list[Tensor]:
    """The whole image on a square grid."""
    side = call.config.vision_config.image_size // call.config.vision_config.patch_size
    return [grid(side, side)] * len(call.pixel_values)


@family("gemma3")
def gemma3(call: ImageCall) -> list[Tensor]:
    """The whole image on a pooled square grid; pan-and-scan crops count as images of their own."""
    side = math.isqrt(call.config.mm_tokens_per_image)
    return [grid(side, side)] * len(call.pixel_values)


@family("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
def qwen(call: ImageCall) -> list[Tensor]:
    """A grid as large as the image, patches merged."""
    merge = call.config.vision_config.spatial_merge_size
    return [
        grid(height // merge, width // merge).repeat(time, 1)
        for time, height, width in call.need("image_grid_thw")
    ]


@family("llava_next")
def llava_next(call: ImageCall) -> list[Tensor]:
    """An overview of the whole image, then rows of any-resolution tiles with a newline after each row."""
    return [_any_resolution(call.config, size, most_tiles=None) for size in call.need("image_sizes")]


@family("llava_onevision")
def llava_onevision(call: ImageCall) -> list[Tensor]:
    """As LLaVA-NeXT with a bound on the tokens; several images in one prompt are each padded to a square."""
    counts = (
        [1] * len(call.need("image_sizes"))
        if call.batch_num_images is None
        else call.need("batch_num_images")
    )
    alone = [count == 1 for count in counts for _ in range(count)]
    most_tiles = int(call.config.vision_aspect_ratio.removeprefix("anyres_max_"))
    return [
        _any_resolution(call.config, size, most_tiles) if single else _padded_square(call.config, size)
        for size, single in zip(call.need("image_sizes"), alone, strict=True)
    ]


def _any_resolution(config: Any, size: list[int], most_tiles: int | None) -> Tensor:
    vision = config.vision_config
    side = vision.image_size // vision.patch_size
    target = select_best_resolution(size, config.image_grid_pinpoints)
    edges = [_edges(size, target, axis, vision.patch_size) for axis in (0, 1)]
    kept = unpad_image(cells(*edges).permute(2, 0, 1), size)
    rows, columns = kept.shape[1:]
    if not kept.numel():  # thinner than a patch: the model keeps no cell of it, only the newlines of its rows
        return torch.cat([grid(side, side), nowhere(rows)])
    y, x = kept[[1, 3]][:, :, 0], kept[[0, 2]][:, 0, :]
    shrink = math.sqrt(rows * columns / (most_tiles * side**2)) if most_tiles else 0
    if shrink > 1.1:
        rows, columns = int(rows // shrink), int(columns // shrink)
    detail = cells(_whole(y, rows), _whole(x, columns))
    lines = torch.cat([detail, nowhere(rows).unsqueeze(1)], dim=1)
    return torch.cat([grid(side, side), lines.flatten(0, 1)])


def _edges(size: list[int], target: tuple[int, int], axis: int, patch: int) -> Tensor:
    """Edges of patches along one axis of the padded canvas, in [0, 1] of the image in its middle."""
    scale = min(target[0] / size[0], target[1] / size[1])
    length = min(math.ceil(size[axis] * scale), target[axis])
    start = (target[axis] - length) // 2
    return (torch.arange(target[axis] // patch + 1) * patch - start) / length


def _whole(starts_ends: Tensor, count: int) -> Tensor:
    """Edges of `count` cells between the first start and the last end, `[2, n]` -> `[count + 1]`.

    Trimming the canvas to whole patches cuts off or leaves up to half a patch at each side of the image; the
    outermost cells take it, so that the image is covered exactly.
    """
    edges = torch.linspace(float(starts_ends[0, 0]), float(starts_ends[1, -1]), count + 1).clamp(0, 1)
    edges[0], edges[-1] = 0, 1
    return edges


def _padded_square(config: Any, size: list[int]) -> Tensor:
    """One tile of an image padded to a square, and a newline; tokens on padding alone have no place."""
    side = config.vision_config.image_size // config.vision_config.patch_size
    longest = max(size)
    y, x = ((torch.linspace(0, longest, side + 1) - (longest - length) // 2) / length for length in size)
    raw = cells(y, x).flatten(0, 1)
    outside = (raw[:, :2] >= 1).any(1) | (raw[:, 2:] <= 0).any(1)
    return torch.cat([raw.clamp(0, 1).masked_fill(outside.unsqueeze(1), torch.nan), nowhere(1)])


@family("idefics3", "smolvlm")
def idefics3(call: ImageCall) -> list[Tensor]:
    """Tiles row by row, then an overview; an image of one tile has the overview alone.

    The prompt tells how an image was cut. A fence (`<fake_token_around_image>`) and a label, of one token or
    several, stand before each tile and before the overview, whose label is always the same; one more fence
    stands after the overview. A tile that begins a new row has a line break before its fence.
    """
    vision = call.config.vision_config
    side = vision.image_size // vision.patch_size // call.config.scale_factor
    prompts = [_fenced(ids, call.config.image_token_id, side * side) for ids in call.need("input_ids")]
    overview = next((runs[-1].label for runs in reversed(prompts) if runs), None)
    extents, rows = [], list[int]()
    for runs in prompts:
        for run in runs:
            if run.label == overview:
                extents.append(torch.cat([_equal_rows(rows, side), grid(side, side)]))
                rows = []
            elif rows and run.continues:
                rows[-1] += 1
            else:
                rows.append(1)
    return extents


class _LabelledTile(NamedTuple):
    """A tile or overview in a prompt: its label, and whether it directly follows the one before."""

    label: list[int]
    continues: bool


def _fenced(ids: list[int], placeholder: int, length: int) -> list[_LabelledTile]:
    runs = _runs(ids, placeholder)
    if not runs:
        return []
    fence = [*ids[runs[-1].stop :], placeholder][0]  # a placeholder, which is in no gap, where there is none
    if any(run.stop - run.start != length or fence not in run.gap for run in runs):
        raise ModelError(
            "the prompt has image placeholders that no image processor of this family writes",
            "use the processor that belongs to the model",
        )
    labels = [run.gap[len(run.gap) - run.gap[::-1].index(fence) :] for run in runs]
    return [_LabelledTile(label, run.gap[0] == fence) for run, label in zip(runs, labels, strict=True)]


def _equal_rows(rows: list[int], side: int) -> Tensor:
    if len(set(rows)) > 1:
        raise ModelError(
            f"an image has rows of {rows} tiles in the prompt", "use the processor that belongs to the model"
        )
    return tiles(len(rows), rows[0] if rows else 0, side)


@family("internvl")
def internvl(call: ImageCall) -> list[Tensor]:
    """Tiles row by row, then a thumbnail; an image of one tile has no thumbnail.

    The prompt tells the number of tiles, and the shape of the image how they are arranged.
    """
    vision = call.config.vision_config
    side = int(vision.image_size[0] // vision.patch_size[0] * call.config.downsample_ratio)
    counts = [
        (run.stop - run.start) // side**2
        for ids in call.need("input_ids")
        for run in _runs(ids, call.config.image_token_id)
    ]
    if all(count == 1 for count in counts):
        return [grid(side, side)] * len(counts)
    sizes = call.need("image_sizes")
    if len(sizes) != len(counts):
        raise ModelError(
            f"{len(sizes)} image sizes for {len(counts)} images", "give height and width of each image"
        )
    return [_tiles_and_thumbnail(count, size, side) for count, size in zip(counts, sizes, strict=True)]


def _tiles_and_thumbnail(count: int, size: list[int], side: int) -> Tensor:
    if count == 1:
        return grid(side, side)
    height, width = size
    arrangements = [(row, (count - 1) // row) for row in range(1, count) if (count - 1) % row == 0]
    rows, columns = min(arrangements, key=lambda shape: abs(width / height - shape[1] / shape[0]))
    return torch.cat([tiles(rows, columns, side), grid(side, side)])


class _Run(NamedTuple):
    """A stretch of image placeholders in a prompt, and the tokens since the last one."""

    start: int
    stop: int
    gap: list[int]


def _runs(ids: list[int], placeholder: int) -> list[_Run]:
    runs, start, end = [], 0, 0
    for is_image, group in groupby(ids, key=lambda token: token == placeholder):
        stop = start + len(list(group))
        if is_image:
            runs.append(_Run(start, stop, ids[end:start]))
            end = stop
        start = stop
    return runs
