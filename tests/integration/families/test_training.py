"""LAPE with what trainings use: LoRA, torch.compile, several processes."""

import os
import socket
from itertools import product

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from agrilape.model import attach, lape_of, load_adapter, merge, parameter_groups, save_adapter

TIMES = torch.tensor([0.2, float("nan")])


def inputs(case, prompts=2):
    random = np.random.default_rng(5)
    picture = lambda: random.integers(0, 255, (40, 60, 3), dtype=np.uint8)  # noqa: E731
    return case.inputs([[[1, 11 + k], picture(), [12, 207, 310, 3, 20 + k]] for k in range(prompts)])


def with_lora(case):
    model = get_peft_model(
        attach(case.model, case.config), LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    )
    lape_of(model).requires_grad_(True)
    return model


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
def test_lora_and_lape_train_together_and_fit_into_one_adapter(family_case, name, tmp_path):
    case = family_case(name, tied=True)
    data = inputs(case)
    model = with_lora(case)
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.3)
    groups = parameter_groups(model)
    before = {group: [p.detach().clone() for _, p in named] for group, named in groups.items()}
    losses = []
    for _ in range(3):
        loss = model(**data, labels=data["input_ids"], image_times=TIMES).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    for group, named in groups.items():
        moved = [not torch.equal(p, b) for (_, p), b in zip(named, before[group], strict=True)]
        assert any(moved) == (group in ("lora", "lape")), group

    with torch.no_grad():
        trained = model.eval()(**data, image_times=TIMES).logits
        save_adapter(tmp_path / "a", model)
        again, _ = load_adapter(tmp_path / "a", family_case(name, tied=True).model)
        torch.testing.assert_close(again.eval()(**data, image_times=TIMES).logits, trained)
        assert all(p.requires_grad for p in lape_of(again).parameters())
        again.get_base_model().lape.config = lape_of(again).config.model_copy(update={"injection": "off"})
        uninjected = again(**data).logits
        torch.testing.assert_close(merge(again)(**data).logits, uninjected)


@pytest.mark.parametrize("name", ["llava", pytest.param("internvl", marks=pytest.mark.slow)])
def test_compiling_breaks_no_graph_in_our_code(family_case, name):
    case = family_case(name)
    data = inputs(case)
    data["input_ids"].clamp_(max=299)  # what the base vocabulary has
    plain = {key: value for key, value in data.items() if key != "image_sizes"}
    torch._dynamo.reset()
    base = torch._dynamo.explain(case.model)(**plain).graph_break_count
    attach(case.model, case.config)
    with torch.no_grad():
        case.model(**data, image_times=TIMES)  # fixes the injection's scale
    torch._dynamo.reset()
    explained = torch._dynamo.explain(case.model)(**data, image_times=TIMES)
    assert explained.graph_break_count <= base
    assert not [
        r for r in explained.break_reasons if r.user_stack and "agrilape" in r.user_stack[-1].filename
    ]


def _gradients(kind, rank, case):
    """LAPE's gradients of one step: on all data (`one`), or on this process's share of it."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model, data, times = attach(case.model, case.config), inputs(case), TIMES
    if kind != "one":
        data, times = {key: value[rank : rank + 1] for key, value in data.items()}, times[rank : rank + 1]
    wrapped = model
    if kind == "ddp":
        wrapped = torch.nn.parallel.DistributedDataParallel(model, find_unused_parameters=True)
    if kind == "fsdp":
        wrapped = fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
    wrapped(**data, labels=data["input_ids"], image_times=times).loss.backward()
    lape = lape_of(model)
    whole = {name: p.grad.full_tensor() if kind == "fsdp" else p.grad for name, p in lape.named_parameters()}
    return {"unit": lape.unit, **whole}


def _process(rank, port, case_type, folder):
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    for kind in ("one", "ddp", "fsdp"):
        gradients = _gradients(kind, rank, case_type("llava"))
        save_file(
            {name: value.contiguous() for name, value in gradients.items()},
            folder / f"{kind}-{rank}.safetensors",
        )
    torch.distributed.destroy_process_group()


def test_two_processes_equal_one(family_case, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    mp.spawn(_process, (port, family_case, tmp_path), nprocs=2)
    alone = load_file(tmp_path / "one-0.safetensors")
    assert all(value.abs().sum() > 0 for value in alone.values())
    for kind, rank in product(("ddp", "fsdp"), (0, 1)):
        torch.testing.assert_close(
            load_file(tmp_path / f"{kind}-{rank}.safetensors"), alone, rtol=1e-4, atol=1e-6
        )
