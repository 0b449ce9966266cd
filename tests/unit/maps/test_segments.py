"""Segments of flat colours: right where anybody would be right, and tuned on training maps alone."""

from dataclasses import replace

import numpy as np
import pytest
import shapely

from agrilape.evaluate.map_metrics import MAP_METRICS, map_objects
from agrilape.maps import segments
from agrilape.maps.field_map import MapQuestion, map_of
from agrilape.maps.segments import CANDIDATES, Parameters, fit

EVERYTHING = MapQuestion("map_fields", "?")
FINE, COARSE = Parameters(300.0, 0.5, 20), Parameters(1e9, 0.5, 20)


def score(row, metric="box_recall"):
    return next(one for one in MAP_METRICS[row.task] if one.name == metric).point([row])


def covers(row, point):
    return any(shapely.Polygon(part.points).covers(point) for part in row.prediction)


def test_flat_fields_are_found_and_their_crops_named(make_scene, four_fields, monkeypatch):
    monkeypatch.setattr(segments, "CANDIDATES", (COARSE, FINE))
    maps = [map_of(str(n), make_scene([(edges, crop) for edges, crop in four_fields])) for n in range(3)]
    baseline = fit(maps, "true_colour")
    assert baseline.parameters == FINE  # of COARSE nothing is left but one segment
    asked = [EVERYTHING, *(MapQuestion("map_crop", "?", crop) for crop in ("maize", "oats", "rye"))]
    found = baseline.answer(maps[0], [*asked, MapQuestion("map_absent_crop", "?", "barley")])
    assert score(found[0]) == 1
    assert [score(row) for row in found[1:4]] == [1, 1, 1]  # and slivers of blurred edges, by chance
    middles = [shapely.Point(np.mean(edges[::2]) / 96, np.mean(edges[1::2]) / 96) for edges, _ in four_fields]
    for row in found[1:4]:
        named = {crop for at, (_, crop) in zip(middles, four_fields, strict=True) if covers(row, at)}
        assert named == {row.truth["crop"]}
    assert found[4].prediction == ()
    assert not found[0].confidence
    assert not found[0].meta["ranked"]


def test_without_crops_it_finds_fields_and_has_no_answer_to_the_rest(make_scene, four_fields, monkeypatch):
    monkeypatch.setattr(segments, "CANDIDATES", (FINE,))
    parcels = tuple(replace(one, crop=None) for one in make_scene(four_fields).parcels)
    bare = map_of("m", make_scene(four_fields, parcels=parcels))
    everything, maize = fit([bare], "true_colour").answer(
        bare, [EVERYTHING, MapQuestion("map_crop", "?", "maize")]
    )
    assert score(everything) == 1
    assert maize is None


@pytest.mark.parametrize(("side", "shrink"), [(150, 1.0), (384, 4.0)])
def test_patches_and_reduced_pictures_lie_where_they_belong(make_scene, monkeypatch, side, shrink):
    monkeypatch.setattr(segments, "CANDIDATES", (FINE,))
    monkeypatch.setattr(segments, "PATCH", 70)
    fields = [((10, 10, 60, 50), "maize"), ((side - 70, side - 60, side - 10, side - 10), "oats")]
    found = map_of("m", make_scene(fields, side=side))
    row = fit([found], "true_colour", shrink).answer(found, [EVERYTHING])[0]
    assert score(row, "outline_recall") == 1
    given = map_objects(row).given
    assert shapely.area(given).sum() == pytest.approx(1, abs=0.02)  # the picture, once
    assert shapely.union_all(given).area == pytest.approx(1, abs=0.02)


def test_candidates_differ_in_all_three_parameters():
    assert (np.ptp(np.array(CANDIDATES), axis=0) > 0).all()
    assert len(set(CANDIDATES)) == len(CANDIDATES)
