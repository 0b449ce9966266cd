"""The parts of an attached model that train at rates of their own."""

from __future__ import annotations

from typing import Any, Literal

from torch import nn

Group = Literal["vision", "projector", "llm", "lora", "lape"]
_VISION = ("vision_tower", "vision_model", "visual")
_PROJECTOR = ("multi_modal_projector", "connector", "merger", "deepstack_merger_list", "image_newline")


def parameter_groups(model: nn.Module) -> dict[Group, list[tuple[str, nn.Parameter]]]:
    """All parameters by group, each once, whether they train or not.

    Qwen models keep their projector (`merger`) inside the vision module; it counts as the projector.
    """
    groups: dict[Group, list[tuple[str, nn.Parameter]]] = {
        "vision": [], "projector": [], "llm": [], "lora": [], "lape": [],
    }  # fmt: skip
    for name, parameter in model.named_parameters():
        groups[group_of(name)].append((name, parameter))
    return groups


def group_of(name: str) -> Group:
    """The group of a parameter, by its name."""
    parts: list[Any] = name.split(".")
    if "lape" in parts:
        return "lape"
    if any(part.startswith("lora_") for part in parts):
        return "lora"
    if any(part in _PROJECTOR for part in parts):
        return "projector"
    return "vision" if any(part in _VISION for part in parts) else "llm"
