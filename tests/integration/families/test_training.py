"""LAPE with what trainings use: LoRA, torch.compile, several processes."""

import os
import socket
from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tests.rounding import assert_same_but_for_rounding

from agrilape.errors import ModelError
from agrilape.model import attach, lape_of, load_adapter, merge, parameter_groups, save_adapter
from agrilape.model.grids import FAMILIES

NAMES = sorted(set(FAMILIES) - {"qwen2_vl"})
TIMES = torch.tensor([0.2, float("nan")])
HEADS = {"head": r".*(q_proj|lm_head)", "embedding": r".*(q_proj|embed_tokens)"}
COMPILED = ("llava", "idefics3")  # makes features in one graph, and in several
DISTRIBUTED = ("llava", "qwen3_vl", "idefics3")  # unlike in how images come, and in what they are told


def inputs(case, prompts=(0, 1)):
    random = np.random.default_rng(5)
    pictures = [random.integers(0, 255, (40, 60, 3), dtype=np.uint8) for _ in range(2)]
    return case.inputs([[[1, 11 + k], pictures[k], [12, 207, 310, 3, 20 + k]] for k in prompts])


def with_lora(case):
    torch.manual_seed(1)
    lora = LoraConfig(r=2, target_modules=r".*(language_model|text_model).*q_proj", init_lora_weights=False)
    model = get_peft_model(attach(case.model, case.config), lora)
    lape_of(model).requires_grad_(True)
    return model


@pytest.mark.parametrize(
    ("name", "tied"), product(NAMES, [False, True]), ids=lambda p: p if isinstance(p, str) else f"tied={p}"
)
def test_lora_and_lape_train_together_and_fit_into_one_adapter(family_case, name, tied, tmp_path):
    case = family_case(name, tied)
    data = inputs(case)
    model = with_lora(case)
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
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
        assert all(moved) or group != "lape"

    with torch.no_grad():
        trained = model.eval()(**data, image_times=TIMES).logits
        save_adapter(tmp_path / "a", model)
        again, _ = load_adapter(tmp_path / "a", family_case(name, tied).model)
        assert_same_but_for_rounding(again.eval()(**data, image_times=TIMES).logits, trained)
        assert all(p.requires_grad for p in lape_of(again).parameters())
        again.get_base_model().lape.config = lape_of(again).config.model_copy(update={"injection": "off"})
        uninjected = again(**data).logits
        assert_same_but_for_rounding(merge(again)(**data).logits, uninjected)


@pytest.mark.parametrize("target", HEADS)
@pytest.mark.parametrize("first", ["lape", "lora"])
def test_lora_on_the_head_or_embedding_adds_to_the_rows_merged_and_not(family_case, target, first):
    case, data = family_case("llava"), inputs(family_case("llava"))
    lora = LoraConfig(r=2, target_modules=HEADS[target], init_lora_weights=False)
    config = case.config.model_copy(update={"injection": "off"})
    torch.manual_seed(1)
    if first == "lape":
        model = get_peft_model(attach(case.model, config), lora)
    else:
        case.model.resize_token_embeddings(320)
        model = get_peft_model(case.model, lora)
        attach(model.get_base_model(), config)
    with torch.no_grad():
        expected = model.eval()(**data).logits
        assert_same_but_for_rounding(merge(model)(**data).logits, expected)
    assert lape_of(model) is None


def test_a_head_that_peft_copies_is_refused_before_it_trains_without_lape(family_case):
    case = family_case("llava")
    lora = LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["lm_head"])
    model = get_peft_model(attach(case.model, case.config), lora)
    with pytest.raises(ModelError, match="modules_to_save"):
        model(**inputs(case))


def broken(explained):
    """Where graphs broke: the innermost line of each break, and how often."""
    stacks = [reason.user_stack for reason in explained.break_reasons]
    return Counter((stack[-1].filename, stack[-1].lineno) for stack in stacks)


@pytest.mark.parametrize(
    "name",
    [*COMPILED, *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES if name not in COMPILED)],
)
def test_compiling_makes_no_more_graphs_than_of_the_base(family_case, name):
    """As many graphs, broken at the same lines of transformers; the same values; no recompilation."""
    case = family_case(name)
    data = inputs(case)
    data["input_ids"].clamp_(max=299)  # what the base vocabulary has
    plain = {k: v for k, v in data.items() if k != "image_sizes" or name.startswith("llava_")}
    with torch.no_grad():
        case.model(**plain)  # the first call installs hooks, which breaks graphs
        torch._dynamo.reset()
        base = torch._dynamo.explain(case.model)(**plain)
        attach(case.model, case.config)
        eager = case.model(**data, image_times=TIMES).logits  # fixes the injection's scale
        torch._dynamo.reset()
        ours = torch._dynamo.explain(case.model)(**data, image_times=TIMES)
        assert broken(ours) == broken(base)
        assert ours.graph_count == base.graph_count

        torch._dynamo.reset()
        compiled = torch.compile(case.model, backend="eager")
        assert_same_but_for_rounding(compiled(**data, image_times=TIMES).logits, eager)
        with torch.compiler.set_stance("fail_on_recompile"):
            compiled(**data, image_times=TIMES.flip(0))


def test_a_compiled_training_step_has_the_gradients_of_a_plain_one(family_case):
    """Also where graphs break between the features and their positions."""
    case = family_case("idefics3")
    data = inputs(case)
    attach(case.model, case.config)
    torch._dynamo.reset()
    gradients = []
    for model in (case.model, torch.compile(case.model, backend="eager")):
        model(**data, labels=data["input_ids"], image_times=TIMES).loss.backward()
        gradients.append({name: p.grad for name, p in case.model.named_parameters() if p.grad is not None})
        case.model.zero_grad(set_to_none=True)
    assert_same_but_for_rounding(gradients[1], gradients[0])
    assert any(name.startswith("lape.") for name in gradients[0])


def _gradients(kind, rank, case):
    """LAPE's gradients of one step: on all data (`one`), or on this process's share of it."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    chosen = (0, 1) if kind == "one" else (rank,)
    model, data, times = attach(case.model, case.config), inputs(case, chosen), TIMES[list(chosen)]
    wrapped = model
    if kind == "ddp":
        wrapped = torch.nn.parallel.DistributedDataParallel(model, find_unused_parameters=True)
    if kind == "fsdp":
        mesh = init_device_mesh("cpu", (2,))
        for layer in model.base_model.get_decoder().layers:
            fully_shard(layer, mesh=mesh)
        wrapped = fully_shard(model, mesh=mesh)
    wrapped(**data, labels=data["input_ids"], image_times=times).loss.backward()
    lape = lape_of(model)
    whole = {name: p.grad.full_tensor() if kind == "fsdp" else p.grad for name, p in lape.named_parameters()}
    return {"unit": lape.unit, **whole}


def _process(rank, port, case_type, names, folder):
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    for name, tied, kind in product(names, (False, True), ("one", "ddp", "fsdp")):
        gradients = _gradients(kind, rank, case_type(name, tied))
        file = folder / f"{name}-{tied}-{kind}-{rank}.safetensors"
        save_file({key: value.contiguous() for key, value in gradients.items()}, file)
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    "names",
    [DISTRIBUTED, pytest.param(tuple(sorted(set(NAMES) - set(DISTRIBUTED))), marks=pytest.mark.slow)],
    ids=["three", "others"],
)
def test_two_processes_equal_one(family_case, names, tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    mp.spawn(_process, (port, family_case, names, tmp_path), nprocs=2)
    for name, tied in product(names, (False, True)):
        alone = load_file(tmp_path / f"{name}-{tied}-one-0.safetensors")
        assert all(value.abs().sum() > 0 for value in alone.values())
        for kind, rank in product(("ddp", "fsdp"), (0, 1)):
            shared = load_file(tmp_path / f"{name}-{tied}-{kind}-{rank}.safetensors")
            assert_same_but_for_rounding(shared, alone)
