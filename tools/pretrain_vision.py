"""Pre-train the vision tower that the presets `nano` and `smollm2` start from.

A vision-language model starts from a vision tower that can already see. The published ones do not fit a
laptop, so this script makes a small one: a vision transformer that learns, on simulated farmland, which crop
grows under each quarter of a patch, from where to where its field reaches, and where field edges run. The
heads are thrown away; the tower is what `src/agrilape/model/weights/` holds.

Scenes have seeds of their own (`SEED`): no recipe trains or tests on them.

    python tools/pretrain_vision.py --scenes 480 --minutes 6     # one GPU and 16 cores; hours on a laptop
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import SiglipVisionModel

from agrilape.config.recipe import SimulateSource
from agrilape.model.presets import IMAGE_SIDE, PATCH_SIDE, vision_config
from agrilape.simulate.crops import CROPS
from agrilape.simulate.scene import draw_scene
from agrilape.sources.composite import percentile_stretch, render

SEED = 7_000_000
SIZE, DATES = 512, 5
GSD = (2.5, 2.5, 2.5, 2.5, 1.5, 4.0, 6.5)  # metres; in turn
RGB = {"red": 2, "green": 1, "blue": 0}  # role -> simulated band
CELLS = 2 * IMAGE_SIDE // PATCH_SIDE  # a side: a patch has 2 x 2
EDGES = 4  # a patch's edge map is 4 x 4
HELD_OUT = 24  # scenes


@dataclass(frozen=True)
class Truth:
    """What heads are trained on, per image; cells and patches row by row.

    Attributes:
        crop: Crop number of each cell, 0 for no field, `[B, CELLS, CELLS]`.
        box: Left, top, right, bottom of the cell's field in the image, 0-1, `[B, CELLS, CELLS, 4]`.
        edge: Share of field edge in each part of a patch, `[B, G, EDGES * EDGES]`.
    """

    crop: Tensor
    box: Tensor
    edge: Tensor


class Heads(nn.Module):
    """Linear readings of a visual token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.crop = nn.Linear(width, 4 * (len(CROPS) + 1))
        self.box = nn.Linear(width, 16)
        self.edge = nn.Linear(width, EDGES * EDGES)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Crop logits `[B, CELLS, CELLS, K]`, boxes `[B, CELLS, CELLS, 4]`, edge logits `[B, G, 16]`."""
        tokens = self.norm(tokens)
        return _cells(self.crop(tokens)), _cells(self.box(tokens)).sigmoid(), self.edge(tokens)


def _cells(values: Tensor) -> Tensor:
    """`[B, G, 4 * K]` -> `[B, CELLS, CELLS, K]`."""
    side = CELLS // 2
    grid = values.reshape(len(values), side, side, 2, 2, -1)
    return grid.transpose(2, 3).reshape(len(values), CELLS, CELLS, -1)


def draw(index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One scene: pictures `[DATES, H, W, 3]`, field number of each pixel (-1: none), crop of each field."""
    config = SimulateSource(scenes=1, size=SIZE, gsd=GSD[index % len(GSD)], dates=DATES, seed=SEED)
    scene = draw_scene(config, index)
    images = [(image, mask) for _, image, mask in scene.acquisitions()]
    clear = np.concatenate(
        [image[:, slice(None) if m is None else ~m].reshape(4, -1)[:, ::7] for image, m in images], 1
    )
    stretch = percentile_stretch({role: clear[band] for role, band in RGB.items()})
    pictures = [render(image[list(RGB.values())], tuple(RGB), stretch) for image, _ in images]
    names = list(CROPS)
    crops = np.array([names.index(crop) + 1 for crop in scene.farmland.crops], np.int16)
    return np.stack(pictures), scene.ground.canvas.plot.astype(np.int16), crops


class Chips:
    """Chips cut from scenes at random, turned and mirrored, on the training device."""

    def __init__(self, scenes: list[tuple[np.ndarray, np.ndarray, np.ndarray]], device: torch.device) -> None:
        most = max(len(crops) for _, _, crops in scenes)
        self.pictures = torch.stack([torch.from_numpy(p) for p, _, _ in scenes]).to(device)
        self.plots = torch.stack([torch.from_numpy(p) for _, p, _ in scenes]).to(device)
        crops = torch.zeros(len(scenes), most + 1, dtype=torch.int16)
        for row, (_, _, found) in zip(crops, scenes, strict=True):
            row[1 : len(found) + 1] = torch.from_numpy(found)
        self.crops, self.most, self.device = crops.to(device), most, device

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Truth]:
        """Pixel values in [-1, 1], `[B, 3, H, W]`, and the truth."""

        def number(limit: int) -> Tensor:
            return torch.randint(limit, (count,), generator=generator, device=self.device)

        scene, day, symmetry = number(len(self.plots)), number(DATES), number(8)
        rows, columns = _window(symmetry, number(SIZE - IMAGE_SIDE + 1), number(SIZE - IMAGE_SIDE + 1))
        at = (scene[:, None, None], rows, columns)
        plots = self.plots[at].long() + 1
        pixels = self.pictures[at[0], day[:, None, None], rows, columns].permute(0, 3, 1, 2).float()
        tone, tint = (torch.randn(count, k, 1, 1, generator=generator, device=self.device) for k in (1, 3))
        values = (pixels * (1 + 0.12 * tone + 0.04 * tint) + 8 * tint).clamp(0, 255) / 127.5 - 1
        return values, self._truth(scene, plots)

    def _truth(self, scene: Tensor, plots: Tensor) -> Truth:
        count, flat = len(plots), plots.flatten(1)
        ramp = torch.arange(IMAGE_SIDE, device=self.device, dtype=torch.float32)
        x, y = ramp.repeat(count, IMAGE_SIDE), ramp.repeat_interleave(IMAGE_SIDE).repeat(count, 1)
        low = torch.full((count, self.most + 1), float(IMAGE_SIDE), device=self.device)
        high = torch.zeros_like(low)
        sides = [
            low.scatter_reduce(1, flat, x, "amin"), low.scatter_reduce(1, flat, y, "amin"),
            high.scatter_reduce(1, flat, x + 1, "amax"), high.scatter_reduce(1, flat, y + 1, "amax"),
        ]  # fmt: skip
        half = IMAGE_SIDE // CELLS // 2
        centres = plots[:, half :: 2 * half, half :: 2 * half]
        crop = self.crops[scene[:, None, None], centres].long()
        box = torch.stack([side.gather(1, centres.flatten(1)) for side in sides], -1) / IMAGE_SIDE
        edge = torch.zeros_like(plots, dtype=torch.float32)
        edge[:, :, 1:] = (plots[:, :, 1:] != plots[:, :, :-1]).float()
        edge[:, 1:] = torch.maximum(edge[:, 1:], (plots[:, 1:] != plots[:, :-1]).float())
        parts = F.max_pool2d(edge[:, None], PATCH_SIDE // EDGES)
        parts = F.unfold(parts, EDGES, stride=EDGES).transpose(1, 2)
        return Truth(crop, box.reshape(*centres.shape, 4), parts)


def _window(symmetry: Tensor, top: Tensor, left: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns `[B, H, W]` of windows under one of the square's eight symmetries."""
    ramp = torch.arange(IMAGE_SIDE, device=top.device)
    down, right = ramp[:, None].expand(IMAGE_SIDE, -1), ramp.expand(IMAGE_SIDE, -1)
    turned, up, back = (symmetry.bitwise_and(bit).bool()[:, None, None] for bit in (1, 2, 4))
    rows, columns = torch.where(turned, right, down), torch.where(turned, down, right)
    rows = torch.where(up, IMAGE_SIDE - 1 - rows, rows) + top[:, None, None]
    return rows, torch.where(back, IMAGE_SIDE - 1 - columns, columns) + left[:, None, None]


def iou(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of boxes `[..., 4]`."""
    inner = (torch.minimum(one[..., 2:], other[..., 2:]) - torch.maximum(one[..., :2], other[..., :2])).clamp(
        0
    )
    area, wanted = (
        (box[..., 2] - box[..., 0]).clamp(0) * (box[..., 3] - box[..., 1]).clamp(0) for box in (one, other)
    )
    shared = inner[..., 0] * inner[..., 1]
    return shared / (area + wanted - shared).clamp(1e-3)


def losses(readings: tuple[Tensor, Tensor, Tensor], truth: Truth) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum of the heads' losses, and figures to watch."""
    crop, box, edge = (part.float() for part in readings)
    field = truth.crop > 0
    overlap = iou(box, truth.box)[field]
    parts = (
        F.cross_entropy(crop.flatten(0, 2), truth.crop.flatten())
        + 5 * F.l1_loss(box[field], truth.box[field]) + (1 - overlap).mean()
        + F.binary_cross_entropy_with_logits(edge, truth.edge)
    )  # fmt: skip
    named = (crop[..., 1:].argmax(-1) + 1 == truth.crop)[field].float().mean()
    return parts, {"crop": named, "iou": overlap.mean(), "iou75": (overlap > 0.75).float().mean()}


def train(
    chips: Chips, held_out: Chips, minutes: float, batch: int, rate: float
) -> Iterator[tuple[SiglipVisionModel, dict[str, float]]]:
    """Train for a time; yields the tower and the figures on scenes held out, now and then."""
    device = chips.device
    torch.manual_seed(0)
    generator = torch.Generator(device).manual_seed(0)
    tower = SiglipVisionModel(vision_config()).to(device)
    heads = Heads(tower.config.hidden_size).to(device)
    parameters = [*tower.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.05, fused=device.type == "cuda"
    )

    def read(pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            return heads(tower(pixels, output_hidden_states=True).hidden_states[-1])

    read_fast = torch.compile(read) if device.type == "cuda" else read
    began, step, shown = time.perf_counter(), 0, 0.0
    while (spent := (time.perf_counter() - began) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate * min(step / 500, 1) * (0.02 + 0.98 * (1 + math.cos(math.pi * spent)) / 2)
        pixels, truth = chips.draw(batch, generator)
        loss, _ = losses(read_fast(pixels), truth)
        optimizer.zero_grad()
        loss.backward()
        if nn.utils.clip_grad_norm_(parameters, 1.0).isfinite():
            optimizer.step()
        step += 1
        if spent - shown > 0.1:
            shown = spent
            yield tower, {"step": step, "images": step * batch, "loss": loss.item(), **judge(read, held_out)}
    yield tower, {"step": step, "images": step * batch, **judge(read, held_out)}


@torch.no_grad()
def judge(read, held_out: Chips) -> dict[str, float]:  # noqa: ANN001
    """Figures on 2,048 chips of scenes held out."""
    generator = torch.Generator(held_out.device).manual_seed(1)
    found = [
        losses(read(pixels), truth)[1] for pixels, truth in (held_out.draw(256, generator) for _ in range(8))
    ]
    return {name: torch.stack([one[name] for one in found]).mean().item() for name in found[0]}


def main() -> None:
    """Draw scenes, train, save."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--scenes", type=int, default=480)
    options.add_argument("--minutes", type=float, default=6.0)
    options.add_argument("--batch", type=int, default=512)
    options.add_argument("--rate", type=float, default=1e-3)
    options.add_argument("--output", type=Path, default=Path("src/agrilape/model/weights"))
    asked = options.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        scenes = list(pool.map(draw, range(asked.scenes + HELD_OUT), chunksize=4))
    chips, held_out = Chips(scenes[HELD_OUT:], device), Chips(scenes[:HELD_OUT], device)
    asked.output.mkdir(parents=True, exist_ok=True)
    for tower, figures in train(chips, held_out, asked.minutes, asked.batch, asked.rate):
        print(json.dumps(figures), flush=True)
        weights = {name: value.half().contiguous() for name, value in tower.state_dict().items()}
        save_file(weights, asked.output / "vision.safetensors", metadata={"figures": json.dumps(figures)})


if __name__ == "__main__":
    main()
