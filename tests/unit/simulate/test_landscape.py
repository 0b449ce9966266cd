"""The map: fields that neither overlap nor leave the scene, and regions that differ."""

import numpy as np
import pytest
import shapely

from agrilape.simulate.landscape import build_landscape
from agrilape.simulate.outlines import SmoothDisplacement, blob, cut, long_axis, rectangle
from agrilape.simulate.regions import REGIONS

EXTENT = 2560.0
NAMES = {region.name: region for region in REGIONS}


@pytest.fixture(scope="module", params=REGIONS, ids=lambda region: region.name)
def landscape(request):
    return build_landscape(np.random.default_rng(5), request.param, EXTENT, smallest=2500)


def test_fields_lie_in_the_scene_and_do_not_overlap(landscape):
    outlines = [plot.outline for plot in landscape.plots]
    assert len(outlines) >= 12
    assert all(o.is_valid and o.geom_type == "Polygon" and not o.interiors for o in outlines)
    assert shapely.box(0, 0, EXTENT, EXTENT).buffer(1e-6).contains(shapely.union_all(outlines))
    assert sum(o.area for o in outlines) == pytest.approx(shapely.union_all(outlines).area, rel=1e-6)
    assert min(o.area for o in outlines) >= 2500


def test_fields_leave_room_for_water_and_farms(landscape):
    fields = shapely.union_all([plot.outline for plot in landscape.plots])
    taken = shapely.union_all(landscape.cover["water"] + landscape.cover["farmstead"])
    assert fields.intersection(taken).area < 1.0


def test_fields_vary_in_size_and_direction(landscape):
    areas = np.array([plot.outline.area for plot in landscape.plots])
    azimuths = np.array([plot.azimuth for plot in landscape.plots]) % np.pi
    assert np.quantile(areas, 0.9) > 2 * np.quantile(areas, 0.1)
    assert np.ptp(azimuths) > 1.0


def test_regions_differ_in_field_size():
    def median_ha(name):
        plots = build_landscape(np.random.default_rng(0), NAMES[name], EXTENT, 2500).plots
        return np.median([plot.outline.area for plot in plots]) / 1e4

    assert median_ha("Lesser Poland") < 3 < median_ha("Lower Saxony") < median_ha("Nebraska Panhandle")


def test_only_dry_regions_have_round_fields():
    def pivots(name):
        return [
            p for p in build_landscape(np.random.default_rng(1), NAMES[name], EXTENT, 2500).plots if p.pivot
        ]

    assert not pivots("Brittany")
    whole = [p.outline for p in pivots("Nebraska Panhandle")]
    roundness = [4 * np.pi * o.area / o.length**2 for o in whole]
    assert max(roundness) > 0.98


def test_a_cut_keeps_the_area_but_for_the_gap():
    field = rectangle(np.array([50.0, 20.0]), 100, 40, 0.3)
    pieces = cut(field, np.array([50.0, 20.0]), 0.3 + np.pi / 2, gap=4)
    assert len(pieces) == 2
    assert sum(p.area for p in pieces) == pytest.approx(4000 - 4 * 40)
    assert pieces[0].distance(pieces[1]) == pytest.approx(4)


def test_long_axis_of_a_turned_rectangle():
    centre, azimuth, length, width = long_axis(rectangle(np.array([7.0, -3.0]), 90, 30, 0.7))
    np.testing.assert_allclose(centre, [7, -3], atol=1e-6)
    assert azimuth % np.pi == pytest.approx(0.7)
    assert (length, width) == (pytest.approx(90), pytest.approx(30))


def test_bending_keeps_neighbours_apart_and_valid():
    rng = np.random.default_rng(3)
    left, right = shapely.box(0, 0, 500, 500), shapely.box(503, 0, 1000, 500)
    bent = SmoothDisplacement(rng, 40, 1600)([left, right])
    assert all(b.is_valid for b in bent)
    assert bent[0].intersection(bent[1]).area == 0
    assert not bent[0].equals(left)


def test_a_blob_is_about_as_large_as_asked():
    areas = [blob(np.random.default_rng(s), np.zeros(2), 100).area for s in range(20)]
    assert np.mean(areas) == pytest.approx(np.pi * 100**2, rel=0.15)
