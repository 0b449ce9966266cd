"""Where answers are good and where not: the chips of each source on a map, coloured by agreement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from agrilape.errors import DataError
from agrilape.evaluate.predictions import Prediction
from agrilape.evaluate.scores import answer_quality
from agrilape.report.figures import STYLE, Chart, data_uri
from agrilape.report.run_folder import Run
from agrilape.report.score_tables import words

FEWEST_CHIPS = 6
"""Fewer make no map."""
MOST_ROWS = 1000
"""Answers of each source that are drawn, spread evenly: more cannot be told apart."""
MOST_MAPS = 6
Chips: TypeAlias = dict[tuple[float, float], list[float]]


def error_maps(run: Run) -> list[Chart]:
    """One map for each source with enough georeferenced chips, those with the most first."""
    sources: dict[str, list[Prediction]] = {}
    for row in _located(run):
        sources.setdefault(row.source, []).append(row)
    chips = {source: _chips(rows) for source, rows in sources.items()}
    most_first = sorted(chips, key=lambda source: (-len(chips[source]), source))
    return [_map(one, chips[one]) for one in most_first if len(chips[one]) >= FEWEST_CHIPS][:MOST_MAPS]


def _located(run: Run) -> Iterator[Prediction]:
    """Rows that lie on a map; those of other versions or damaged ones are passed over."""
    for row in run.predictions:
        if row.get("georeference"):
            try:
                yield Prediction.from_json(row)
            except DataError:
                continue


def _chips(rows: Sequence[Prediction]) -> Chips:
    """Longitude and latitude of each chip, with the agreement of its answers."""
    chips: Chips = {}
    step = max(1, len(rows) // MOST_ROWS)
    for row in rows[::step]:
        if row.georeference:
            chips.setdefault(row.georeference.centre_wgs84(), []).append(answer_quality(row))
    return chips


def _map(source: str, chips: Chips) -> Chart:
    places = np.array(list(chips))
    centre = places.mean(axis=0)
    east, north = _kilometres(places, centre).T
    with rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.4), layout="constrained")
        axes = figure.subplots()
        met = [np.mean(values) for values in chips.values()]
        dots = axes.scatter(
            east, north, c=met, s=26, cmap="RdYlBu", vmin=0, vmax=1, edgecolors="#3a443a", linewidths=0.4
        )
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel("km east")
        axes.set_ylabel("km north")
        figure.colorbar(dots, label="mean agreement", shrink=0.8)
        uri = data_uri(figure)
    note = f"{len(chips)} chips around {centre[1]:.3f}° N, {centre[0]:.3f}° E."
    return Chart(words(source).capitalize(), note, uri)


def _kilometres(places: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """East and north of the centre, along the ellipsoid, `[n, 2]`."""
    from pyproj import Geod  # only where there is a map to draw

    origin = np.broadcast_to(centre, places.shape)
    azimuth, _, metres = Geod(ellps="WGS84").inv(origin[:, 0], origin[:, 1], places[:, 0], places[:, 1])
    radians = np.radians(azimuth)
    directions: NDArray[np.float64] = np.stack([np.sin(radians), np.cos(radians)], axis=1)
    return directions * np.asarray(metres, dtype=np.float64)[:, None] / 1000
