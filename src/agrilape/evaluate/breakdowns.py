"""Properties of a sample by which scores are broken down."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from agrilape.evaluate.predictions import Prediction

CLOUD_CLASSES = ((0.001, "none"), (0.01, "under 1 %"), (0.05, "1 to 5 %"), (1.0, "over 5 %"))
"""Upper end of each class of the share of a chip that cloud or no data hides, and its name."""


def _fact(name: str) -> Callable[[Prediction], str | None]:
    """A fact of the sample's truth."""

    def fact(row: Prediction) -> str | None:
        value = row.truth.get(name)
        return None if value is None else str(value)

    return fact


def season(row: Prediction) -> str | None:
    """The year or years of the calendar, or else what the source says of the season or the year."""
    if row.window:
        years = dict.fromkeys((row.window.start.year, row.window.end.year))
        return "/".join(map(str, years))
    found = row.meta.get("season", row.meta.get("year"))
    return None if found is None else str(found)


def cloud_share(row: Prediction) -> str | None:
    """Class of the mean share of its pictures that is hidden; None where that was not measured."""
    unseen = row.meta.get("unseen")
    if not unseen:
        return None
    share = float(np.mean(unseen))
    return next((name for most, name in CLOUD_CLASSES if share <= most), CLOUD_CLASSES[-1][1])


BREAKDOWNS: Mapping[str, Callable[[Prediction], str | None]] = {
    "crop": _fact("crop"),
    "size": _fact("size"),
    "source": lambda row: row.source,
    "scene": lambda row: f"{row.source}/{row.scene}",
    "season": season,
    "cloud": cloud_share,
}
DEFAULT_BREAKDOWNS = ("crop", "size", "source")
