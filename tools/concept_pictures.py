"""The pictures of docs/concepts.md, drawn from the code that they explain: `tools/concept_pictures.py`."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes

from agrilape.config.recipe import LapeSchedule, LearningRates, MixtureEntry, StageConfig
from agrilape.model.footprint import footprint
from agrilape.model.propagation import propagation_matrix
from agrilape.train.schedule import gate_factor, lape_factor

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
GREEN, EARTH, SKY = "#2f7d4f", "#b3622a", "#2b6ca3"


def main() -> None:
    """Write all pictures."""
    plt.rcParams |= {
        "svg.hashsalt": "agrilape",
        "font.size": 9,
        "svg.fonttype": "none",
        "axes.spines.top": False,
    }
    plt.rcParams |= {"axes.spines.right": False}
    for name, draw in {"lape": _lape, "propagation": _propagation, "warmup": _warmup}.items():
        figure = draw()
        figure.savefig(IMAGES / f"{name}.svg", metadata={"Date": None})
        plt.close(figure)


def _lape() -> plt.Figure:
    """Where an image patch lies on the axis of position tokens, and with which weights."""
    bins, patches = 16, 5
    figure, (image, weights) = plt.subplots(
        1, 2, figsize=(7.2, 2.6), layout="constrained", width_ratios=[1, 2.4]
    )
    image.imshow(np.add.outer(np.arange(patches), np.arange(patches)) % 2, cmap="Greens", vmin=-2, vmax=4)
    image.add_patch(plt.Rectangle((-0.5, 1.5), patches, 1, fill=False, edgecolor=EARTH, linewidth=2))
    image.set(xticks=[], yticks=range(patches), ylabel="row of patches", title="visual features")
    for patch in range(patches):
        row = footprint(torch.tensor([patch / patches]), torch.tensor([(patch + 1) / patches]), bins)[0]
        colour = EARTH if patch == 2 else "#b9cfc0"
        weights.plot(range(bins), row, color=colour, marker="o", markersize=3, zorder=3 if patch == 2 else 2)
    weights.set(
        xticks=range(bins), xlabel="height token", ylabel="weight", title="weights of its height tokens"
    )
    return figure


def _propagation() -> plt.Figure:
    """The gradient that reaches each embedding when one position token is in a batch."""
    bins, token = 21, 10
    figure, axes = plt.subplots(figsize=(6.4, 2.3), layout="constrained")
    reached = propagation_matrix(bins)[token] + (torch.arange(bins) == token)
    axes.bar(range(bins), reached, color=[EARTH if n == token else GREEN for n in range(bins)])
    axes.set(xticks=range(0, bins, 2), xlabel="position token", ylabel="gradient of token 10 = 1")
    return figure


def _warmup() -> plt.Figure:
    """LAPE's learning rate over its base rate, and the injection gate, over the steps of a stage."""
    figure, (rates, gates) = plt.subplots(1, 2, figsize=(7.2, 2.6), layout="constrained", sharex=True)
    for name, colour in (("stepped", EARTH), ("continuous", GREEN), ("same", SKY)):
        stage = _stage(LapeSchedule(schedule=name, lape_warmup_steps=100))
        _line(rates, [lape_factor(step, stage) for step in range(stage.steps)], name, colour)
    for name, colour in (("off", SKY), ("linear", GREEN), ("cosine", EARTH)):
        lape = LapeSchedule(gate=name, lape_warmup_steps=100)
        _line(gates, [gate_factor(step, lape) for step in range(400)], name, colour)
    rates.set(xlabel="step", ylabel="learning rate / base rate", title="schedule")
    gates.set(xlabel="step", ylabel="factor on the injection", title="gate", ylim=(-0.05, 1.1))
    return figure


def _stage(lape: LapeSchedule) -> StageConfig:
    return StageConfig(
        name="warmup", enable_lape=True, learning_rates=LearningRates(lape=1e-3), steps=400, warmup_steps=20,
        mixture={"all": MixtureEntry(weight=1, datasets=("d",))}, lape_schedule=lape,
    )  # fmt: skip


def _line(axes: Axes, values: list[float], label: str, colour: str) -> None:
    axes.plot(values, color=colour, label=label)
    axes.legend(frameon=False, loc="center right")


if __name__ == "__main__":
    main()
