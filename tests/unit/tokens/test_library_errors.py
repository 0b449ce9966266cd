"""What transformers says is explained with what to set."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import transformers as hf
from safetensors import SafetensorError

from agrilape.errors import ModelError
from agrilape.model.checkpoint_files import load_model, load_processor
from agrilape.model.presets import build_preset
from agrilape.tokens import library_errors
from agrilape.tokens.chat import read_chat_format
from agrilape.tokens.library_errors import explained, explanation, rendered


def text_in_transformers(words: str) -> bool:
    """Does the installed transformers still say so?"""
    root = Path(hf.__file__).parent
    places = [root / "tokenization_utils_base.py", root / "models/llava/modeling_llava.py"]
    places += [root / "models/auto/configuration_auto.py", root / "modeling_utils.py"]
    return any(words in path.read_text() for path in places)


@pytest.mark.parametrize(
    "words",
    [
        "Asking to pad but the tokenizer does not have a padding token",
        "Image features and image tokens do not match, tokens: ",
        "but Transformers does not recognize this architecture",
        "is not compatible with gradient checkpointing",
    ],
)
def test_the_installed_transformers_says_what_is_looked_for(words):
    assert text_in_transformers(words)


@pytest.mark.parametrize(
    ("error", "problem", "remedy"),
    [
        (
            ValueError("Image features and image tokens do not match: tokens: 34, features 32"),
            "34 image placeholders where the model makes 32 visual",
            "num_additional_image_tokens",
        ),
        (
            RuntimeError("mat1 and mat2 must have the same dtype, but got Float and BFloat16"),
            "number",
            "model.dtype",
        ),
        (
            RuntimeError("expected scalar type Float but found BFloat16"),
            "number types",
            "model.dtype=float32",
        ),
        (
            ImportError("Qwen2VLVideoProcessor requires the Torchvision library but it was"),
            "torchvision",
            "[families]",
        ),
        (
            ImportError("X requires the num2words library but it was not found"),
            "num2words",
            "pip install num2words",
        ),
        (SafetensorError("Error while deserializing header: header too large"), "damaged", "again"),
        (OSError("Can't load tokenizer for 'x'. If you were"), "no tokenizer", "again"),
        (
            OSError("x does not appear to have a file named preprocessor_config.json."),
            "image processor",
            "save_pre",
        ),
        (
            OSError("We couldn't connect to 'https://huggingface.co' to load"),
            "cannot be reached",
            "model.path",
        ),
        (
            ValueError("NanoForCausalLM is not compatible with gradient checkpointing."),
            "anew",
            "gradient_checkpointing",
        ),
        (
            RuntimeError("DataLoader worker (pid 12) is killed by signal: Killed. "),
            "want of memory",
            "batch_size",
        ),
        (RuntimeError("DataLoader worker (pid(s) 1, 2) exited unexpectedly"), "want of memory", "shm"),
    ],
)
def test_known_errors(error, problem, remedy):
    found = explanation(error)
    assert found is not None
    assert problem in found[0]
    assert remedy in found[1]


def test_what_is_unknown_passes_as_it_is():
    assert explanation(ValueError("something else")) is None
    with pytest.raises(ValueError, match="something else"), explained("x"):
        raise ValueError("something else")


def test_numbers_are_not_taken_for_features():
    error = ValueError("Image features and image tokens do not match, tokens: 34, features: 1024")
    with (
        pytest.raises(ModelError, match="34 image placeholders where the model makes 32 visual"),
        explained("x", 32),
    ):
        raise error


class Speaker:
    """A processor with a chat template."""

    image_token = "<image>"
    image_processor = None

    def __init__(self, template):
        self.chat_template = template

    def apply_chat_template(self, turns, chat_template=None, add_generation_prompt=False, tokenize=False):
        from transformers.utils.chat_template_utils import render_jinja_template

        return render_jinja_template(
            [turns], chat_template=self.chat_template, add_generation_prompt=add_generation_prompt
        )[0][0]


TURNS = "{% for m in messages %}{% for c in m.content %}"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% for m in messages %}", "fails: TemplateSyntaxError"),
        ("{{ raise_exception('only [one] turn') }}", "only [one] turn"),
        ("{{ messages[0].nothing.more }}", "fails: UndefinedError"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "fails: RecursionError"),
        (TURNS + "x{% endfor %}{% endfor %}", "shows the question 0 times"),
        (TURNS + "{{ c.text }}{{ c.text }}{% endfor %}{% endfor %}", "shows the question 2 times"),
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "does not end"),
        (None, "has no chat template"),
    ],
)
def test_a_chat_template_that_fails_is_refused(template, said, monkeypatch):
    monkeypatch.setattr(library_errors, "TEMPLATE_S", 0.2)
    with pytest.raises(ModelError) as caught:
        read_chat_format(Speaker(template))
    assert said in str(caught.value)


def test_a_template_in_time_is_rendered_and_other_tracing_goes_on():
    import sys

    before = sys.gettrace()
    assert rendered(None, lambda: "text") == "text"
    assert sys.gettrace() is before


def test_a_processor_without_images_is_refused():
    tokenizer = build_preset("nano", 0).processor.tokenizer
    tokenizer.chat_template = "x"
    with pytest.raises(ModelError, match="does not prepare images"):
        read_chat_format(tokenizer)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    built = build_preset("nano", 0)
    built.model.save_pretrained(folder)
    built.processor.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        (
            "config.json",
            json.dumps({"model_type": "nothing_known"}),
            "does not know models of type nothing_known",
        ),
        ("config.json", json.dumps({"model_type": "llama"}), "does not look at images"),
        ("config.json", "[1, 2]", "cannot load"),
        ("config.json", "5", "cannot load"),
        ("config.json", '{"model_type": 5}', "cannot load"),
        ("model.safetensors", b"\xff" * 100, "damaged or not whole"),
        ("model.safetensors", b"", "damaged or not whole"),
    ],
)
def test_a_folder_that_cannot_be_loaded_says_why(saved, tmp_path, file, content, said):
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ModelError) as caught:
        load_model(tmp_path, torch.float32)
    assert said in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json", "processor_config.json"])
@pytest.mark.parametrize("content", ["", "[]", "{", "5", '{"processor_class": 7}'])
def test_a_processor_with_odd_files_raises_nothing_else(saved, tmp_path, file, content):
    for path in saved.iterdir():
        if path.suffix == ".json" or path.suffix == ".jinja":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / file).write_text(content)
    with suppress(ModelError):  # what is not needed may be anything; any other exception fails the test
        load_processor(tmp_path)
