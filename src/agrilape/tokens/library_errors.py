"""What transformers, its tokenizers and torch say in words of their own, explained with what to set."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

from agrilape.errors import AgrilapeError, ModelError, chain_of, text_of

TEMPLATE_S = 10.0  # for a chat template; the longest known takes milliseconds
COPY = "copy or download the model's folder again"


class KnownError(NamedTuple):
    """An error that is known.

    Attributes:
        sign: Pattern of its kind and words; its groups are put into the problem.
        problem: What is wrong.
        remedy: What to set.
    """

    sign: str
    problem: str
    remedy: str


KNOWN = (
    KnownError(
        r"Asking to pad but the tokenizer does not have a padding token|pad_token.{0,40}(?:not set|is None)",
        "the model's tokenizer has no padding token",
        "give it one and save it beside the model: tokenizer.pad_token = tokenizer.eos_token; "
        "tokenizer.save_pretrained(FOLDER)",
    ),
    KnownError(
        r"features and image tokens do not match:?,? tokens:? (\d+),? features:? (\d+)",
        "the processor writes {0} image placeholders where the model makes {1} visual features",
        "let the processor's settings (processor_config.json: patch_size, num_additional_image_tokens, "
        "vision_feature_select_strategy, image_seq_length) be those of the model's vision tower, or take the "
        "processor that was published with the model",
    ),
    KnownError(
        r"Mismatch in `?image`? token count between text and `?input_ids`?",
        "a row was cut in the middle of its image placeholders",
        "raise the tokenizer's model_max_length, or show smaller images",
    ),
    KnownError(
        r"(?:must have the same dtype|expected scalar type \w+ but found \w+|"
        r"Input type .* and (?:bias|weight) type .* should be the same|"
        r"expected m1 and m2 to have the same dtype)",
        "weights of several number types meet in the model",
        "set model.dtype=float32, or load the whole model in one type",
    ),
    KnownError(
        r"has model type `?([^`\s]+)`? but Transformers does not recognize this architecture",
        "the installed transformers does not know models of type {0}",
        "pip install --upgrade transformers; or, if the model brings its own code, set "
        "model.trust_remote_code=true",
    ),
    KnownError(
        r"Unrecognized configuration class .*?configuration_(\w+)\..* for this kind of AutoModel",
        "a model of type {0} does not look at images",
        "name a vision-language model (image-text-to-text on the Hugging Face hub)",
    ),
    KnownError(
        r"Unrecognized (?:model|processing class|image processor|processor) in (\S+?)\.? ",
        "{0} does not say what it is: config.json or preprocessor_config.json lacks the type",
        COPY,
    ),
    KnownError(
        r"(?:Torchvision|torchvision) (?:library|is)|No module named 'torchvision'|requires the Torchvision",
        "the model's processor needs torchvision",
        "pip install 'agrilape[families]'",
    ),
    KnownError(
        r"requires the (\w+) library but it was not found",
        "the model's processor needs {0}",
        "pip install {0}",
    ),
    KnownError(
        r"SafetensorError: |Error while deserializing header|InvalidHeader|MetadataIncompleteBuffer",
        "a file of weights (.safetensors) is damaged or not whole",
        COPY,
    ),
    KnownError(
        r"(?:Can't load tokenizer for|Couldn't instantiate the backend tokenizer|Unable to load vocabulary"
        r"|vocabulary file at path)",
        "the model's folder has no tokenizer that can be read (tokenizer.json, tokenizer_config.json)",
        COPY,
    ),
    KnownError(
        r"(?:Can't load (?:image processor|feature extractor|processor) for|"
        r"does not appear to have a file named (?:pre)?processor_config\.json)",
        "the model's folder has no image processor (preprocessor_config.json)",
        "take it from the model that it was made from: "
        "AutoProcessor.from_pretrained(ID).save_pretrained(FOLDER)",
    ),
    KnownError(
        r"Can't load the configuration of|does not appear to have a file named config\.json",
        "the model's folder has no configuration that can be read (config.json)",
        COPY,
    ),
    KnownError(
        r"no file named (?:model\.safetensors|pytorch_model\.bin)",
        "the model's folder has no weights (model.safetensors)",
        COPY,
    ),
    KnownError(
        r"(?:trust_remote_code=True|requires you to execute the configuration file)",
        "the model brings code of its own, which is not run unasked",
        "look at the code, and set model.trust_remote_code=true",
    ),
    KnownError(
        r"(?:gated repo|GatedRepoError|Access to model .* is restricted)",
        "the model is given only to those who accept its terms",
        "accept them on its page of the Hugging Face hub, and log in: hf auth login",
    ),
    KnownError(
        r"(?:is not a valid model identifier|RepositoryNotFoundError)",
        "there is no such folder, and no such model on the Hugging Face hub",
        "correct model.path: a folder, or an id such as organisation/name",
    ),
    KnownError(
        r"(?:couldn't connect to '?https?://huggingface\.co|LocalEntryNotFoundError|OfflineModeIsEnabled)",
        "the model is not on this machine, and the Hugging Face hub cannot be reached",
        "download it where there is a network, and set model.path to its folder",
    ),
    KnownError(
        r"(\w+) (?:does not support|is not compatible with) gradient checkpointing",
        "{0} cannot compute activations anew",
        "set model.gradient_checkpointing=false",
    ),
    KnownError(
        r"Target modules? .* not found in the base model",
        "LoRA finds none of the layers that it is to be put on",
        "set model.lora_rank=null, and train all weights",
    ),
    KnownError(
        r"DataLoader worker \(pid\(?s?\)? [\d, ]+\) "
        r"(?:exited unexpectedly|is killed by signal: (?:Killed|Bus))",
        "a process that makes batches was killed, most likely for want of memory, or of /dev/shm",
        "give the machine or container more (docker: --shm-size), or lower batch_size, and run again",
    ),
    KnownError(
        r"CUDA driver version is insufficient|no kernel image is available",
        "the installed torch does not fit this GPU or its driver",
        "install the torch that fits (pytorch.org), or run on the CPU: CUDA_VISIBLE_DEVICES=''",
    ),
)


def explanation(error: BaseException) -> tuple[str, str] | None:
    """Problem and remedy of an error that is known; None for any other."""
    text = text_of(error)
    for known in KNOWN:
        if found := re.search(known.sign, text, re.DOTALL):
            groups = found.groups()
            return known.problem.format(*groups), known.remedy.format(*groups)
    return None


@contextmanager
def explained(name: str, width: int | None = None) -> Iterator[None]:
    """Raise what is known as an error that says what to set; all else passes as it is.

    Args:
        name: The model, processor or file.
        width: Numbers in a visual feature: some families count numbers where they mean features.

    Raises:
        ModelError: What is known.
    """
    try:
        yield
    except AgrilapeError:
        raise
    except Exception as error:
        found = next((one for behind in chain_of(error) if (one := explanation(behind))), None)
        if found is None:
            raise
        problem = re.sub(r"(\d+) visual", lambda count: f"{_features(int(count[1]), width)} visual", found[0])
        raise ModelError(f"{name}: {problem}", found[1]) from error


def name_and_width(model: Any) -> tuple[str, int | None]:
    """Classes of a model and its processor, and the numbers in a visual feature, for `explained`."""
    config = getattr(model, "config", None)
    processor = PROCESSOR_MAPPING_NAMES.get(getattr(config, "model_type", ""))
    name = " with ".join(filter(None, (type(model).__name__, processor)))
    text = config.get_text_config() if config is not None and hasattr(config, "get_text_config") else config
    return name, getattr(text, "hidden_size", None)


def _features(count: int, width: int | None) -> int:
    return count // width if width and count >= width and count % width == 0 else count


class _TooLongError(Exception):
    """A chat template does not end."""


def rendered(processor: Any, render: Callable[[], Any]) -> str:
    """What a chat template makes, within `TEMPLATE_S`.

    Args:
        processor: Whose template it is.
        render: Applies it.

    Raises:
        ModelError: The template fails, or does not end.
    """
    name = type(processor).__name__
    try:
        with _bounded(TEMPLATE_S):
            return str(render())
    except _TooLongError:
        problem = f"the chat template of {name} does not end: it was stopped after {TEMPLATE_S:.0f} s"
    except (Exception, RecursionError) as error:
        problem = f"the chat template of {name} fails: {text_of(error)}"
    raise ModelError(
        problem,
        "correct chat_template.jinja in the model's folder, or take the one that was published with it",
    )


@contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    """Stop a template after so long: at each line of it that is run, whatever thread runs it."""
    until = time.monotonic() + seconds

    def watch(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename != "<template>":
            return None
        if time.monotonic() > until:
            raise _TooLongError
        return watch

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        yield
    finally:
        sys.settrace(before)
