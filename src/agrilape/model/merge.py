"""Turn a model with LAPE into a plain Hugging Face model."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from agrilape.config.lape import LapeConfig
from agrilape.errors import ModelError
from agrilape.model.attach import detach, inner_model, lape_of, vocabulary_modules
from agrilape.model.lape import SCALARS, Lape


@torch.no_grad()
def merge(model: Any) -> Any:
    """Write LAPE's rows into the vocabulary and detach; LoRA, if there is any, is merged as well.

    The injection into visual features cannot be merged, so the merged model is another model unless the
    injection is off: evaluate it for itself. Its configuration says so under `agrilape`.

    Returns:
        The model without wrappers; the given one is changed in place.

    Raises:
        ModelError: LAPE is not attached.
    """
    lape = lape_of(model)
    if lape is None:
        raise ModelError("there is no LAPE to merge", "attach it, or load a checkpoint that has it")
    inner = inner_model(model)
    embedding, head = vocabulary_modules(inner)  # what LoRA adds comes on top of the rows, as it did before
    if head.weight is embedding.weight and not lape.tied:
        _untie(inner, head)
    embedding.weight[lape.token_ids] = lape.rows("in").to(embedding.weight)
    head.weight[lape.token_ids] = lape.rows("out").to(head.weight)
    if model is not inner:
        model = model.merge_and_unload()
    detach(model)
    settings = lape.config.model_copy(update={"injection": "off"})
    model.config.agrilape = {
        "merged": settings.model_dump(mode="json"),
        "injection_lost": lape.config.injection != "off",
        "injected": _injected(lape),
    }
    return model


def _injected(lape: Lape) -> dict[str, Any]:
    """How visual features received positions, for whoever trains on from the merged model."""
    state = {name: value.tolist() for name, value in lape.state_dict().items() if name in SCALARS}
    return {"injection": lape.config.injection, "state": {n: v for n, v in state.items() if v == v}}


def merged_settings(model: Any) -> LapeConfig | None:
    """Settings of the LAPE that was merged into a model; None if none was."""
    note = getattr(model.config, "agrilape", None)
    return None if note is None else LapeConfig.model_validate(note["merged"])


def _untie(model: Any, head: Any) -> None:
    """Give the head a matrix of its own, since its position rows differ from the embedding's."""
    head.weight = nn.Parameter(head.weight.clone())
    for config in (model.config, model.config.get_text_config()):
        config.tie_word_embeddings = False
