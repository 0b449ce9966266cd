"""State of the optimiser on disk, by parameter name."""

import torch

from agrilape.train.sharding import load_moments, save_moments


def trained(seed):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2), torch.nn.Linear(2, 2))
    groups = [{"params": model[0].parameters()}, {"params": model[1].parameters()}]
    optimizer = torch.optim.AdamW(groups, lr=0.1, fused=True)
    return model, optimizer


def step(model, optimizer):
    optimizer.zero_grad()
    model[1](model[0](torch.ones(5, 3))).square().mean().backward()
    optimizer.step()


def test_a_restored_optimiser_makes_the_same_next_step(tmp_path):
    model, optimizer = trained(0)
    for _ in range(3):
        step(model, optimizer)
    save_moments(tmp_path / "state", model, optimizer)
    assert all(path.suffix == ".safetensors" for path in (tmp_path / "state").iterdir())
    again, restored = trained(1)
    again.load_state_dict(model.state_dict())
    load_moments(tmp_path / "state", again, restored)
    for pair in ((model, optimizer), (again, restored)):
        step(*pair)
    for ours, theirs in zip(again.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert not any(parameter in restored.state for parameter in again[2].parameters())
