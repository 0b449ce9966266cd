"""Weights and optimiser state of a model that several processes may hold in pieces (FSDP2).

What is written does not depend on how many processes there were: weights are gathered into ordinary
checkpoints, and the optimiser's state is kept by parameter name in safetensors, of which every process writes
and reads its own pieces. A run may go on with another number of processes, sharded or not.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.tensor import DTensor

from agrilape.model.adapter import saved_names

SUMS = ("exp_avg", "exp_avg_sq")


def is_sharded(model: nn.Module) -> bool:
    """Do processes hold pieces of the parameters?"""
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def full_tensor(tensor: Tensor) -> Tensor:
    """All of a tensor; every process must call it if the tensor is in pieces."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gather(model: nn.Module, keep: bool) -> dict[str, Tensor]:
    """The state that a checkpoint of the model holds, tensor by tensor; every process must call it.

    Args:
        model: In pieces.
        keep: Return it here; the other processes get an empty mapping.
    """
    wanted = saved_names(model)
    twins = {name: id(p) for name, p in model.named_parameters(remove_duplicate=False)}
    gathered: dict[int | str, Tensor] = {}
    state: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        if name not in wanted:
            continue
        key = twins.get(name, name)  # tied weights stay one tensor
        if key not in gathered:
            full = full_tensor(value)
            gathered[key] = full.cpu() if keep else full.new_empty(0)
        if keep:
            state[name] = gathered[key]
    return state


def save_moments(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Write the optimiser's state; every process must call it."""
    writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
    with _quiet():
        save(dict(_moments(model, optimizer)), storage_writer=writer, no_dist=_alone())


@torch.no_grad()
def load_moments(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Read back what `save_moments` wrote, in any number of processes; every process must call it."""
    reader = HuggingFaceStorageReader(str(folder))
    written = set(reader.read_metadata().state_dict_metadata)
    for name, parameter in model.named_parameters():
        if f"{name}.step" in written:  # a parameter that never had a gradient has no state
            moments = {moment: torch.zeros_like(parameter) for moment in SUMS}
            optimizer.state[parameter] = {"step": torch.zeros((), device=parameter.device), **moments}
    with _quiet():
        load(dict(_moments(model, optimizer)), storage_reader=reader, no_dist=_alone())


def _moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, Tensor]]:
    """Views of AdamW's state by `<parameter>.<name>`; scalars as vectors, which storage asks for."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            for key, value in optimizer.state[parameter].items():
                yield f"{names[id(parameter)]}.{key}", value.view(-1) if value.ndim == 0 else value


def _alone() -> bool:
    return not torch.distributed.is_initialized()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's warning that a process without others stores what it has by itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        yield
