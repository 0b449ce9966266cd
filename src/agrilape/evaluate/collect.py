"""The predictions of a run on disk: made once, by one process or several, and gone on with after a kill."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Container, Sequence
from datetime import timedelta
from pathlib import Path

import torch
from accelerate import PartialState

from agrilape import __version__
from agrilape.config.former_names import in_digests
from agrilape.config.recipe import EvaluationConfig
from agrilape.console import ProgressCallback, progress
from agrilape.dataset import read_manifest
from agrilape.evaluate.calibrator import NAME as CALIBRATION
from agrilape.evaluate.inference import BatchShare, Decoding, predict_samples
from agrilape.evaluate.journal import Journal
from agrilape.evaluate.subset import Subset
from agrilape.model import load_checkpoint

WHICH_SAMPLES = {"batch_size", "suite", "tasks", "limit", "fitted_on", "maps", "crops_per_map"}
"""Settings of an evaluation on which no single prediction depends."""
LONGEST_WAIT = timedelta(days=7)
"""For the slowest process, and for the first one's scores: the default of minutes ends long evaluations."""


def processes() -> PartialState:
    """This process among those that `torchrun` or `accelerate launch` started; alone, the only one."""
    return PartialState(cpu=not torch.accelerator.is_available(), timeout=LONGEST_WAIT)


def collect(
    path: Path, key: str, checkpoint: Path, subsets: Sequence[Subset], settings: EvaluationConfig
) -> Journal:
    """Predictions of all samples, those that are on disk already and the rest.

    Of several processes each answers every n-th batch into a file of its own, and the first one gathers
    them, also those that a killed evaluation left behind, however many processes it had.

    Args:
        path: `predictions.jsonl`.
        key: What predictions depend on, see `predictions_key`.
        checkpoint: Folder of the model; loaded only if something is left to do.
        subsets: The samples.
        settings: How answers are generated.

    Returns:
        The journal with every sample, in order; in processes other than the first, as it was before.
    """
    process = processes()
    order = [sample.id for subset in subsets for example in subset for sample in example.samples]
    journal = None
    if process.is_main_process:
        journal = Journal(path, key)
        journal.absorb_parts()
    process.wait_for_everyone()
    journal = journal or Journal(path, key)
    if left := sum(name not in journal.rows for name in order):
        share = BatchShare(process.process_index, process.num_processes)
        own = journal if share.step == 1 else journal.part(share.first)
        with progress("evaluate", left, "samples") as track:
            _answer(own, checkpoint, subsets, settings, set(journal.rows), share, track)
        process.wait_for_everyone()
    if process.is_main_process:
        journal.absorb_parts()
        journal.sort(order)
    return journal


def predictions_key(settings: EvaluationConfig, data: Path, checkpoint: Path) -> str:
    """Digest of what predictions depend on: settings, data, the checkpoint's files by size and time."""
    files = sorted(path for path in checkpoint.iterdir() if path.is_file() and path.name != CALIBRATION)
    facts = {
        "version": __version__,
        "evaluation": settings.model_dump(mode="json", exclude=WHICH_SAMPLES),
        "data": [read_manifest(data / name).key for name in settings.datasets],
        "checkpoint": [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files],
    }
    return hashlib.sha256(json.dumps(in_digests(facts), sort_keys=True).encode()).hexdigest()


def _answer(
    journal: Journal,
    folder: Path,
    subsets: Sequence[Subset],
    settings: EvaluationConfig,
    done: Container[str],
    share: BatchShare,
    track: ProgressCallback,
) -> None:
    """Write the answers of one process's share; progress counts as if all processes were as fast."""
    checkpoint = load_checkpoint(folder)
    decoding = Decoding.of(settings)
    left = sum(one.id not in done for subset in subsets for example in subset for one in example.samples)
    for subset in subsets:
        began = time.perf_counter()
        for rows in predict_samples(
            checkpoint, subset, batch_size=settings.batch_size, decoding=decoding, done=done, share=share
        ):
            journal.append(rows, time.perf_counter() - began)
            shown = min(share.step * len(rows), left)  # the last batches of all are not equally long
            left -= shown
            track(shown)
            began = time.perf_counter()
