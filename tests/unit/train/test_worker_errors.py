"""Errors of the processes that make batches."""

import pytest
from torch.utils.data import DataLoader

from agrilape.errors import DataError, WorkerError
from agrilape.train.worker_errors import ErrorForwardingCollator, ErrorForwardingDataset, raise_failed


class Items:
    def __init__(self, error=None):
        self.error = error

    def __len__(self):
        return 4

    def __getitem__(self, index):
        if self.error is not None and index == 3:
            raise self.error
        return index


class LocalError(Exception):
    def __reduce__(self):
        raise TypeError("cannot pickle it")  # tblib, which Dask may have installed, calls this too


def collate(items):
    return {"parts": list(items)}


def fail(items):
    raise DataError("chip 3 is [torn]", "prepare again")


def last_batch(items, make=collate, workers=1):
    loader = DataLoader(
        ErrorForwardingDataset(items),
        batch_size=2,
        num_workers=workers,
        collate_fn=ErrorForwardingCollator(make),
    )
    *_, last = loader
    return last


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_is_raised_as_it_was(workers):
    with pytest.raises(DataError) as caught:
        raise_failed(last_batch(Items(), fail, workers))
    assert (caught.value.problem, caught.value.remedy) == ("chip 3 is [torn]", "prepare again")
    with pytest.raises(ValueError, match="no number"):
        raise_failed(last_batch(Items(ValueError("no number")), workers=workers))


def test_one_that_cannot_be_carried_keeps_its_text():
    with pytest.raises(WorkerError, match="LocalError: words"):
        raise_failed(last_batch(Items(LocalError("words"))))


def test_batches_that_can_be_made_are_as_ever():
    batch = last_batch(Items())
    raise_failed(batch)
    assert batch == {"parts": [2, 3]}


class UnsendableError(Exception):
    def __reduce__(self):
        raise OSError(28, "No space left on device")


def unsendable(items):
    return {"parts": [UnsendableError()]}


def test_a_batch_that_cannot_be_sent_is_not_waited_for_for_ever():
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        last_batch(Items(), unsendable)
