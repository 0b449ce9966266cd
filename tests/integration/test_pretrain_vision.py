"""The vision tower of the presets, and the script that makes it."""

import pytest
import torch
from safetensors.torch import load_file
from tools import pretrain_vision as tool
from transformers import SiglipVisionModel

from agrilape.model import build_preset
from agrilape.model.presets import VISION_WEIGHTS, vision_config


@pytest.fixture(scope="module")
def chips():
    return tool.Chips([tool.draw(index) for index in (0, 4)], torch.device("cpu"))


def test_truth_belongs_to_the_pixels(chips):
    """A cell's box is that of its field: cells of one crop and box lie inside it."""
    _, truth = chips.draw(4, torch.Generator().manual_seed(0))
    centres = (torch.arange(tool.CELLS) + 0.5) / tool.CELLS
    left, top, right, bottom = truth.box.unbind(-1)
    field = truth.crop > 0
    assert field.any()
    assert ((left <= centres) & (centres <= right))[field].all()
    assert ((top <= centres[:, None]) & (centres[:, None] <= bottom))[field].all()
    assert truth.edge.mean() > 0.01


@torch.no_grad()
def test_shipped_tower_tells_fields_apart(chips):
    """Tokens of one field are alike, those of others are not; a random tower sees much less of it."""
    pixels, truth = chips.draw(16, torch.Generator().manual_seed(1))
    corner = truth.box[:, ::2, ::2].flatten(1, 2)  # the first cell of each patch stands for it
    same = (corner[:, None] == corner[:, :, None]).all(-1)
    field = truth.crop[:, ::2, ::2].flatten(1) > 0
    pairs = field[:, None] & field[:, :, None] & ~torch.eye(64, dtype=torch.bool)

    def contrast(tower):
        tokens = tower.eval()(pixels, output_hidden_states=True).hidden_states[-1]
        tokens = torch.nn.functional.normalize(tokens - tokens.mean((0, 1)), dim=-1)
        alike = tokens @ tokens.transpose(1, 2)
        return (alike[pairs & same].mean() - alike[pairs & ~same].mean()).item()

    shipped = build_preset("nano").model.model.vision_tower
    torch.manual_seed(0)
    assert contrast(shipped) > 0.15
    assert contrast(shipped) > 1.5 * contrast(SiglipVisionModel(vision_config()))


def test_a_preset_holds_the_shipped_weights():
    tower = build_preset("nano", seed=5).model.model.vision_tower.state_dict()
    assert all(torch.equal(tower[name], value.float()) for name, value in load_file(VISION_WEIGHTS).items())


def test_training_lowers_the_loss(chips):
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    tower = SiglipVisionModel(vision_config())
    heads = tool.Heads(tower.config.hidden_size)
    optimizer = torch.optim.AdamW([*tower.parameters(), *heads.parameters()], lr=1e-3)
    pixels, truth = chips.draw(8, generator)
    seen = []
    for _ in range(12):
        loss, _ = tool.losses(heads(tower(pixels, output_hidden_states=True).hidden_states[-1]), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    assert seen[-1] < 0.7 * seen[0]
