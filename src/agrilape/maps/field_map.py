"""One map: a scene, or the block of it that is a split's own, with its parcels and what is asked of it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Geometry

from agrilape.dataset.prompt_templates import load_prompt_templates
from agrilape.evaluate.map_metrics import outline_part
from agrilape.evaluate.predictions import Prediction
from agrilape.geo.shapes import Part
from agrilape.prepare.split_ground import SplitGround
from agrilape.serve.features import SMALLEST
from agrilape.sources.crop import crop_scene
from agrilape.sources.scene import Frame, PixelWindow, Scene
from agrilape.sources.tiling import plan_windows

NO_FACTS: Mapping[str, Any] = {}
HOME = 0.5
"""Share of a parcel that a map must show for it to be missed if nobody finds it."""
PROBE = 256
"""Side in pixels of the windows in which dates are compared."""
MOST_PROBES = 9
CLEAR = 0.95
"""Share of the best date's clear ground that a date must show to be asked about."""


@dataclass(frozen=True)
class MapQuestion:
    """A question about a whole map.

    Attributes:
        task: `map_fields`, `map_crop` or `map_absent_crop`.
        text: Its words.
        crop: The crop that it names.
    """

    task: str
    text: str
    crop: str | None = None


@dataclass(frozen=True)
class FieldMap:
    """A map with its truth.

    Attributes:
        id: Name of its data set and of its ground.
        scene: The ground as a scene of its own.
        frame: The acquisition that is asked about.
        outlines: All parcels, cut at the map's edges, in its pixels.
        crops: Crop of each; None if unknown.
        ignored: Which of them decide nothing `[N]`.
        unlabelled: Ground on which nobody labelled anything, if there is some.
        meta: Facts for its rows.
    """

    id: str
    scene: Scene
    frame: Frame
    outlines: tuple[Geometry, ...]
    crops: tuple[str | None, ...]
    ignored: NDArray[np.bool_]
    unlabelled: Geometry | None
    meta: dict[str, Any]

    def questions(self, language: str, vocabulary: Sequence[str], most: int, seed: int) -> list[MapQuestion]:
        """What is asked of it: all fields, crops that grow here, and crops that do not.

        Whether a crop is absent is only known where the crop of every parcel is.

        Args:
            language: Language of the questions.
            vocabulary: Crops of the data set.
            most: Most crops of either kind; of more, some are drawn.
            seed: Decides which.
        """
        templates = load_prompt_templates(language)
        every, of_crop = templates.questions["field_boxes"][0], templates.questions["crop_boxes"][0]
        here = {crop for crop, aside in zip(self.crops, self.ignored, strict=True) if crop and not aside}
        known = None not in self.crops
        absent = [crop for crop in vocabulary if crop not in set(self.crops)] if known else []
        rng = random.Random(f"{seed}/{self.id}")  # noqa: S311 - not for secrets
        drawn = (("map_crop", sorted(here)), ("map_absent_crop", absent))
        return [
            MapQuestion("map_fields", every),
            *(
                MapQuestion(task, of_crop.format(crop=templates.crop(crop)), crop)
                for task, crops in drawn
                for crop in sorted(rng.sample(crops, min(most, len(crops))))
            ),
        ]

    def row(
        self,
        question: MapQuestion,
        given: Sequence[Geometry],
        confidence: Sequence[float] | None = None,
        facts: Mapping[str, Any] = NO_FACTS,
    ) -> Prediction:
        """The row of an answer.

        Args:
            question: The question.
            given: Outlines that were given, in pixels of the map.
            confidence: How sure each of them is; None where that is not known.
            facts: Facts of the answer, for `meta`.
        """
        answer, truth = self._wanted(question)
        return Prediction(
            id="/".join(filter(None, (self.id, question.task, question.crop))),
            chip=self.id,
            scene=self.scene.id,
            source=self.scene.source,
            task=question.task,
            question=(question.text,),
            answer=answer,
            prediction=self._parts(given),
            prediction_text=f"{len(given)} outlines",
            confidence=tuple(confidence or ()),
            truth=truth,
            georeference=self.scene.georeference,
            meta={**self.meta, **facts, "ranked": confidence is not None},
        )

    def _wanted(self, question: MapQuestion) -> tuple[tuple[Part, ...], dict[str, Any]]:
        """The wanted answer and its truth; a parcel of unknown crop may be of any, and is ignored."""
        if question.task == "map_absent_crop":
            return ("none",), {"crop": question.crop}
        chosen = [n for n, crop in enumerate(self.crops) if question.crop in (None, crop) or crop is None]
        aside = [
            at for at, n in enumerate(chosen) if self.ignored[n] or (question.crop and self.crops[n] is None)
        ]
        outlines = [self.outlines[n] for n in chosen]
        if self.unlabelled is not None:
            aside.append(len(outlines))
            outlines.append(self.unlabelled)
        return self._parts(outlines), {"crop": question.crop, "ignored": aside}

    def _parts(self, outlines: Sequence[Geometry]) -> tuple[Part, ...]:
        size = (self.scene.width, self.scene.height)
        return tuple(outline_part(shapely.transform(one, lambda xy: xy / size)) for one in outlines)


def read_map(dataset: str, ground: SplitGround) -> FieldMap | str:
    """A map of a data set's ground, or why it cannot be scored."""
    scene, others = ground.open()
    if not scene.frames:
        return "no imagery"
    if not scene.exhaustively_labelled:
        return "not every field is labelled, so that wrong answers cannot be told from right ones"
    facts = {"block": ground.block} if ground.block else {}
    return map_of(f"{dataset}/{ground.name}", scene, others, facts)


def map_of(
    name: str, scene: Scene, others: frozenset[str] = frozenset(), facts: Mapping[str, Any] = NO_FACTS
) -> FieldMap:
    """A scene as a map.

    A parcel decides nothing if the map shows less than half of it, if it is another split's, or if it is too
    small for anybody to answer it; nor does ground on which nobody labelled anything.

    Args:
        name: Id of the map.
        scene: The scene, all parcels of which are there.
        others: Ids of parcels of another split.
        facts: Facts for its rows.
    """
    frame = shapely.box(0, 0, scene.width, scene.height)
    whole = np.array([parcel.outline for parcel in scene.parcels], dtype=object)
    cut = shapely.intersection(whole, frame)
    kept = np.flatnonzero(shapely.area(cut) > 0).tolist()
    elsewhere = np.array([scene.parcels[n].id in others for n in kept], dtype=bool)
    shown = shapely.area(cut[kept]) / shapely.area(whole[kept])
    shot = best_frame(scene)
    meta: dict[str, Any] = {"size": [scene.width, scene.height], **facts}
    if scene.georeference is not None:
        meta["ground_m"] = list(scene.georeference.ground_m)
    if shot.acquired is not None:
        meta["acquired"] = shot.acquired.isoformat()
    unlabelled = None if scene.region is None else frame.difference(scene.region)
    return FieldMap(
        id=name,
        scene=scene,
        frame=shot,
        outlines=tuple(cut[kept]),
        crops=tuple(scene.parcels[n].crop for n in kept),
        ignored=(shown < HOME) | elsewhere | (shapely.area(cut[kept]) < SMALLEST),
        unlabelled=unlabelled if unlabelled is not None and unlabelled.area > 0 else None,
        meta=meta,
    )


def best_frame(scene: Scene) -> Frame:
    """The acquisition that shows fields best: of those with the clearest ground the greenest, or the last."""
    if len(scene.frames) == 1:
        return scene.frames[0]
    windows = plan_windows(scene.width, scene.height, PROBE)
    probes = [
        windows[n] for n in np.unique(np.linspace(0, len(windows) - 1, MOST_PROBES).round().astype(int))
    ]
    looks = [_clearness(frame, probes) for frame in scene.frames]
    clearest = max(clear for clear, _ in looks)
    seen = [(green, n) for n, (clear, green) in enumerate(looks) if clear >= CLEAR * clearest]
    return scene.frames[max(seen)[1]]


def _clearness(frame: Frame, windows: Sequence[PixelWindow]) -> tuple[float, float]:
    """Share of clear ground and median NDVI of an acquisition; without the bands for it, 0."""
    bands = ("nir", "red") if {"nir", "red"} <= set(frame.bands) else frame.bands[:1]
    values = np.concatenate([frame.read(window, bands).reshape(len(bands), -1) for window in windows], axis=1)
    clear = np.isfinite(values).all(axis=0)
    if len(bands) < 2 or not clear.any():
        return float(clear.mean()), 0.0
    nir, red = values[:, clear]
    return float(clear.mean()), float(np.median((nir - red) / np.maximum(nir + red, 1e-6)))


def window_of(field_map: FieldMap, side: int) -> FieldMap:
    """The middle of a map as a map of its own, at most so many pixels a side."""
    scene = field_map.scene
    width, height = min(side, scene.width), min(side, scene.height)
    window = PixelWindow((scene.width - width) // 2, (scene.height - height) // 2, width, height)
    cropped = crop_scene(replace(scene, frames=(field_map.frame,)), window)
    return map_of(field_map.id, cropped)
