"""Splits that came out other than they were asked for, and test ground that allows no verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agrilape.dataset.types import SPLITS

FEWEST_UNITS = 6
"""Scenes, or blocks, of the test split below which scores get no interval (`evaluate.metrics.intervals`)."""
TOLERANCE = 0.05
"""How far the share of a split may be from what was asked."""


def split_notes(config: Mapping[str, Any], splits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is to be said of the splits of a data set, in sentences.

    Args:
        config: Its configuration, as JSON.
        splits: Chips and groups of each split, as the manifest has them.
    """
    if config.get("split_by") == "published":
        return []
    groups = {name: list(counts.get("groups") or ()) for name, counts in splits.items()}
    return [*_shares(config, splits, groups), *_test(config, groups)]


def _shares(
    config: Mapping[str, Any], splits: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """Splits that are empty, or larger or smaller than asked."""
    chips = {name: int(counts.get("chips") or 0) for name, counts in splits.items()}
    asked = [float(share) for share in config.get("split") or ()]
    if len(asked) != len(SPLITS) or not sum(asked) or not sum(chips.values()):
        return
    what = {"block": "blocks", "year": "years"}.get(str(config.get("split_by")), "scenes")
    for split, share in zip(SPLITS, asked, strict=True):
        wanted, got = share / sum(asked), chips.get(split, 0) / sum(chips.values())
        if wanted and not got:
            yield f"{split} is empty, where {wanted:.0%} were asked for: none of its {what} gave a question"
        elif abs(got - wanted) > TOLERANCE:
            whole = sum(map(len, groups.values()))
            yield (
                f"{split} has {got:.0%} of the chips, where {wanted:.0%} were asked for: "
                f"{len(groups.get(split, ()))} of {whole} {what}, which are not divided"
            )


def _test(config: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Too few scenes, or blocks, in test for an interval, and what to do about it."""
    test = groups.get("test", ())
    by_block = config.get("split_by") == "block"
    scenes = len({name.rpartition("/")[0] if by_block else name for name in test})
    if not test or config.get("split_by") == "year" or scenes >= FEWEST_UNITS:
        return
    few = f"test lies in {scenes} scene{'s' * (scenes != 1)}"
    if not by_block:
        yield (
            f"{few}, and scores get intervals from {FEWEST_UNITS} on: add scenes, or divide large ones by "
            "`split_by: block` with a `buffer_m`"
        )
    elif not config.get("buffer_m"):
        yield f"{few}, whose blocks touch: for intervals, set `buffer_m` to the width of a field"
    elif len(test) < FEWEST_UNITS:
        whole = sum(map(len, groups.values()))
        share = math.ceil(100 * FEWEST_UNITS / whole) / 100
        remedy = (
            f"give test a share of {share:g}" if share <= 0.5 else "take a smaller `chip`, or more imagery"
        )
        yield f"{few}, in {len(test)} blocks, and scores get intervals from {FEWEST_UNITS} on: {remedy}"
