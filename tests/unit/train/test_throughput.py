import pytest
import torch
from accelerate import Accelerator

from agrilape.train.throughput import BatchCounts, Throughput


def test_steps_are_read_back_at_once_and_micro_batches_add_up() -> None:
    meter, accelerator = Throughput(), Accelerator(cpu=True)
    sums = torch.zeros(4, 4)
    sums[0] = torch.tensor([3.0, 2.0, 1.0, 0.0])
    sums[1] = torch.tensor([8.0, 4.0, 1.0, 6.0])
    meter.add(torch.tensor(0.25), sums)
    meter.add(torch.tensor(0.5), sums)
    meter.close_step(2.0)
    meter.add(torch.tensor(1.0), torch.zeros(4, 4))
    meter.close_step(torch.tensor(3.0))
    first, second = meter.drain(accelerator)
    assert first["loss"] == 0.75
    assert first["loss_text"] == pytest.approx(1.5)
    assert first["loss_height"] == pytest.approx(2.0)
    assert first["coordinate_error"] == pytest.approx(1.5)
    assert first["position_accuracy"] == pytest.approx(0.25)
    assert second == {"loss": 1.0, "grad_norm": 3.0}
    assert meter.drain(accelerator) == []


def test_a_tally_counts_batches_and_starts_again() -> None:
    tally, accelerator = BatchCounts(), Accelerator(cpu=True)
    part = {"input_ids": torch.zeros(2, 8)}
    tally.add({"parts": [part, part], "asked": 7, "too_long": 1, "left_out": ["3: torn"],
               "task_tokens": {"count": 30, "box": 12}})  # fmt: skip
    tally.add({"parts": [part], "asked": 2, "too_long": 0, "left_out": [], "task_tokens": {"box": 5}})
    assert tally.reasons == ["3: torn"]
    assert tally.drain(accelerator) == {
        "asked": 9, "tokens": 48, "left_out": 1, "too_long": 1, "task_tokens": {"box": 17, "count": 30}
    }  # fmt: skip
    assert tally.reasons == []
    assert not any(tally.drain(accelerator).values())
