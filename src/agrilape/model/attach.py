"""Give a Hugging Face vision-language model LAPE, in place, and take it away again.

The embedding, the head and the two model classes are extended in place, by giving each object a subclass of
its own class (as FSDP2's `fully_shard` does). Parameter names, `.weight`, `isinstance`, weight tying,
`deepcopy` and `save_pretrained` stay what they were, which wrapping modules or parametrising weights would
break.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial, wraps
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from agrilape.config.lape import AXES, LapeConfig
from agrilape.errors import ModelError
from agrilape.model import families as _families  # noqa: F401  (fills the registry)
from agrilape.model.initialise import initialise
from agrilape.model.lape import Lape, check_token_ids
from agrilape.model.resolve import CONFIG, WEIGHTS
from agrilape.model.token_extents import FACTS, remember_config, token_positions

Model = TypeVar("Model", bound=nn.Module)
Method = Callable[..., Any]
Extension = tuple[str, Callable[[Any], Method]]
_IMAGE_FACTS = ("image_times", *FACTS)


def attach(model: Model, config: LapeConfig, tokenizer: Any = None, *, anew: bool = False) -> Model:
    """Attach new LAPE in place; `forward` and `generate` then accept `image_times` and `image_sizes`.

    `image_times`: time of each image in [0, 1], `[images]`, NaN for a still one; default: all still.
    `image_sizes`: height and width of each original image in pixels, `[images, 2]`; needed by families that
    cut images into tiles without saying how.

    Args:
        model: A model of a supported family, see `agrilape.model.grids`.
        config: Settings with `token_ids` resolved by `add_position_tokens`.
        tokenizer: Needed for the initialisation `numerals`.
        anew: Also where the model was loaded from a folder whose LAPE was left behind, or has it merged.

    Returns:
        The same object.

    Raises:
        ModelError: The family is unknown, the model cannot write, it has LAPE already, or token ids are
            missing or not as many as the settings say.
    """
    if not anew:
        _refuse_to_forget(inner_model(model))
    if lape_of(model) is not None:
        raise ModelError("LAPE is attached already", "call detach(model) first")
    inner = inner_model(model)
    layout = remember_config(inner.config)
    if inner.get_output_embeddings() is None:
        raise ModelError(
            f"{type(inner).__name__} has no head to write tokens with",
            "load the model with AutoModelForImageTextToText",
        )
    check_token_ids(config)
    assert config.token_ids is not None
    _make_room(inner, max(max(config.token_ids[axis]) for axis in AXES) + 1)
    embedding, head = vocabulary_modules(inner)
    tied = head.weight is embedding.weight if config.tied is None else config.tied
    lape = Lape(config, embedding.weight.shape[1], tied)
    initialise(lape, embedding.weight.detach(), head.weight.detach(), tokenizer)
    inner.lape = lape.to(embedding.weight.device)
    for module, extensions in _extensions(inner):
        module.__class__ = _extended(module.__class__, extensions)
        module._lape = [lape]  # in a list, so that the rows are registered once, on the model
    base = inner.base_model
    base._layout, base._images, base._generating = layout, {}, {}
    return model


def _refuse_to_forget(model: Any) -> None:
    """A trained model that was loaded without its LAPE would be given rows that know nothing."""
    folder = Path(getattr(model.config, "name_or_path", "") or ".")
    left_behind = any((folder / name).is_file() for name in (CONFIG, WEIGHTS)) and model.config.name_or_path
    if left_behind or getattr(model.config, "agrilape", None):
        raise ModelError(
            f"{folder} was trained with LAPE, which new rows would replace",
            f"load it with agrilape.from_pretrained({str(folder)!r}), or attach(..., anew=True)",
        )


def detach(model: Model) -> Model:
    """Take LAPE away in place; its rows are lost, see `merge` to keep them. Returns the same object.

    A vocabulary that was grown to hold the position tokens stays as large.
    """
    if lape_of(model) is None:
        raise ModelError("LAPE is not attached to this model", "call attach(model, config) first")
    inner = inner_model(model)
    for module, _ in _extensions(inner):
        module.__class__ = type(module).__mro__[1]
        del module._lape
    base = inner.base_model
    del inner.lape, base._layout, base._images, base._generating
    return model


def lape_of(model: nn.Module) -> Lape | None:
    """The LAPE of a model, also below wrappers such as PEFT's; None where there is none."""
    return next((module for module in model.modules() if isinstance(module, Lape)), None)


def inner_model(model: Any) -> Any:
    """The model below a PEFT wrapper."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def context_of(model: Any) -> int | None:
    """Most tokens that a model's language model has positions for; None if it does not say."""
    found = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return found if isinstance(found, int) and found > 0 else None


def vocabulary_modules(model: Any) -> tuple[Any, Any]:
    """The embedding and the head, below what LoRA may have put around them."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    return getattr(embedding, "base_layer", embedding), getattr(head, "base_layer", head)


def _make_room(model: Any, size: int) -> None:
    """Grow the vocabulary if the position tokens lie beyond it; many models have spare rows.

    New rows are the mean of the old ones: ids without a token among them must not depend on chance, since an
    adapter does not keep them.
    """
    old = model.get_input_embeddings().weight.shape[0]
    if old >= size:
        return
    model.resize_token_embeddings(size, mean_resizing=False)
    for module in (model.get_input_embeddings(), model.get_output_embeddings()):
        weight = module.weight.detach()
        weight[old:] = weight[:old].float().mean(0).to(weight.dtype)


def _extensions(model: Any) -> tuple[tuple[Any, tuple[Extension, ...]], ...]:
    vision: tuple[Extension, ...] = (("get_image_features", _get_image_features),)
    if hasattr(model.base_model, "get_video_features"):
        vision += (("get_video_features", _get_video_features),)
    embedding, head = vocabulary_modules(model)
    return (
        (embedding, (("forward", _embedding_forward),)),
        (head, (("forward", _head_forward),)),
        (model.base_model, vision),
        (model, (("forward", _forward), ("generate", _generate))),
    )


@lru_cache
def _extended(cls: Any, extensions: tuple[Extension, ...]) -> Any:
    """A subclass of the same name, with methods made around those of the class."""
    methods = {name: extension(cls) for name, extension in extensions}
    return type(cls.__name__, (cls,), {**methods, "__module__": cls.__module__, "__doc__": cls.__doc__})


def _embedding_forward(cls: Any) -> Method:
    @wraps(cls.forward)
    def forward(self: Any, input: Tensor) -> Tensor:
        lape: Lape = self._lape[0]
        embedded: Tensor = cls.forward(self, input)
        return lape.embed(input, embedded, getattr(self, "embed_scale", 1.0)) if lape.enabled else embedded

    return forward


def _head_forward(cls: Any) -> Method:
    @wraps(cls.forward)
    def forward(self: Any, input: Tensor) -> Tensor:
        lape: Lape = self._lape[0]
        logits: Tensor = cls.forward(self, input)
        return lape.write_logits(input, logits) if lape.enabled else logits

    return forward


def _get_image_features(cls: Any) -> Method:
    names = list(signature(cls.get_image_features).parameters)[2:]

    @wraps(cls.get_image_features)  # `generate` reads the signature to know which arguments to hand over
    def get_image_features(self: Any, pixel_values: Tensor, *args: Any, **kwargs: Any) -> Any:
        outputs = cls.get_image_features(self, pixel_values, *args, **kwargs)
        lape: Lape = self._lape[0]
        if lape.injects:
            named = {**dict(zip(names, args, strict=False)), **kwargs}
            images = {**self._generating, **self._images, **_given(named)}
            place = partial(inject, lape, self._layout, pixel_values, images)
            if torch.compiler.is_compiling():
                return _PositionedFeatures(outputs, place)
            outputs.pooler_output = place(outputs.pooler_output)
        return outputs

    return get_image_features


class _PositionedFeatures:
    """Outputs of `get_image_features` whose positions are added when the features are asked for.

    Only under torch.compile. Where a family breaks its graph while it makes features, every function on the
    way there goes on in a graph of its own: here the positions become part of the graph that uses the
    features, instead of one more between.
    """

    def __init__(self, outputs: Any, place: Callable[[Any], Any]) -> None:
        self._outputs, self._place = outputs, place

    @property
    def pooler_output(self) -> Any:
        return self._place(self._outputs.pooler_output)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._outputs, name)


def _get_video_features(cls: Any) -> Method:
    @wraps(cls.get_video_features)
    def get_video_features(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self._lape[0].injects:
            raise ModelError(
                "a video has no acquisition dates",
                "give the acquisitions as a list of images, with image_times",
            )
        return cls.get_video_features(self, *args, **kwargs)

    return get_video_features


def _forward(cls: Any) -> Method:
    takes_sizes = "image_sizes" in signature(cls.forward).parameters

    @wraps(cls.forward)
    def forward(self: Any, *args: Any, image_times: Tensor | None = None, **kwargs: Any) -> Any:
        base = self.base_model
        _check_rows_are_shared(self)
        # No context manager: torch.compile cannot resume inside one. Every call sets the facts anew anyway.
        base._images = _image_facts(args, {**kwargs, "image_times": image_times})
        if not takes_sizes:
            kwargs.pop("image_sizes", None)
        outputs = cls.forward(self, *args, **kwargs)
        base._images = {}
        return outputs

    return forward


def _check_rows_are_shared(model: Any) -> None:
    """PEFT's `modules_to_save` trains a copy of a module, which would keep a copy of the rows of its own."""
    if any(module._lape[0] is not model.lape for module in vocabulary_modules(model)):
        raise ModelError(
            "PEFT has copied the embedding or the head, and LAPE's rows with it",
            "leave them out of modules_to_save; call requires_grad_(True) on them after get_peft_model",
        )


def _generate(cls: Any) -> Method:
    takes_sizes = "image_sizes" in signature(cls.forward).parameters

    @wraps(cls.generate)  # its decoding steps call `forward`, but features are made once, before the first
    def generate(self: Any, *args: Any, image_times: Tensor | None = None, **kwargs: Any) -> Any:
        base = self.base_model
        base._generating = _image_facts(args, {**kwargs, "image_times": image_times})
        if not takes_sizes:
            kwargs.pop("image_sizes", None)
        try:
            return cls.generate(self, *args, **kwargs)
        finally:
            base._generating = {}

    return generate


def _image_facts(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """What the injection needs to know of the images, from the arguments of `forward` or `generate`."""
    tokens = {"input_ids": kwargs.get("inputs", args[0] if args else None)}
    return {**_given(tokens), **_given(kwargs)}


def _given(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: arguments[name] for name in _IMAGE_FACTS if arguments.get(name) is not None}


def image_features(model: Any, inputs: dict[str, Any]) -> list[Tensor]:
    """Visual features as the language model gets them, with the positions of LAPE where it is attached.

    Args:
        model: A model of a supported family.
        inputs: What its `forward` takes: `pixel_values` with what its processor says of the images,
            `input_ids`, and `image_times`.

    Returns:
        Of each image `[tokens, D]`, in the order of the placeholders.
    """
    base = inner_model(model).base_model
    known = signature(type(base).get_image_features).parameters
    given = {name: value for name, value in inputs.items() if name in known}
    if lape_of(model) is not None:
        base._images = _image_facts((), inputs)
    try:
        features = base.get_image_features(**given).pooler_output
    finally:
        if lape_of(model) is not None:
            base._images = {}
    return list(features)


def inject(lape: Lape, layout: int, pixel_values: Tensor, images: dict[str, Any], features: Any) -> Any:
    """Add positions to visual features.

    Args:
        lape: The rows.
        layout: Handle of the model's configuration, see `agrilape.model.token_extents`.
        pixel_values: As given to the model.
        images: What else is known of them, see `agrilape.model.token_extents`.
        features: `[images, G, D]`, or a list or tuple of `[G, D]`, in placeholder order.

    Returns:
        New features of the same structure.
    """
    flat = features.flatten(0, -2) if isinstance(features, Tensor) else torch.cat(list(features))
    bins = lape.config.bins("height"), lape.config.bins("width")
    weights, times = token_positions(layout, pixel_values, images, len(flat), *bins, lape.config.injection_at)
    lape.calibrate(flat)
    if lape.config.still_time == "first":
        times = flat.new_zeros(len(flat), dtype=torch.float32) if times is None else times.nan_to_num(0.0)
    times = None if times is None else times.to(flat.device)
    added = lape.mix(weights.to(flat.device), times).to(flat.dtype)
    if isinstance(features, Tensor):
        return features + added.view_as(features)
    parts = torch.split(added, [len(part) for part in features])
    return type(features)(part + extra for part, extra in zip(features, parts, strict=True))
