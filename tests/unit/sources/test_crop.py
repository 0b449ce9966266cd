"""A rectangle of a scene shows what the scene shows there, with its labels in its own pixels."""

from dataclasses import replace

import numpy as np
import shapely

from agrilape.sources import PixelWindow
from agrilape.sources.crop import crop_scene
from agrilape.sources.folder import read_raster
from agrilape.sources.scene import Observation, Parcel, Zone

WINDOW = PixelWindow(20, 30, 40, 25)


def test_a_rectangle_of_a_scene(write_raster):
    scene = read_raster(write_raster())
    labels = {
        "parcels": (Parcel("in", shapely.box(25, 35, 40, 50)), Parcel("out", shapely.box(70, 70, 80, 80))),
        "zones": (Zone("landcover", "wood", shapely.box(0, 0, 30, 96)),),
        "observations": (Observation(21, 31, "crop", "maize"), Observation(61, 31, "crop", "rye")),
        "region": shapely.box(0, 0, 50, 96),
    }
    scene = replace(scene, **labels)
    part = crop_scene(scene, WINDOW)
    assert (part.width, part.height) == (40, 25)
    inner = PixelWindow(3, 4, 10, 8)
    same = inner._replace(column=23, row=34)
    (own,), (whole,) = part.frames, scene.frames
    assert np.array_equal(own.read(inner, ("red",)), whole.read(same, ("red",)))
    assert np.array_equal(own.picture(inner, "true_colour"), whole.picture(same, "true_colour"))
    assert (own.acquired, own.bands) == (whole.acquired, whole.bands)
    assert [(one.id, one.outline.bounds) for one in part.parcels] == [("in", (5, 5, 20, 20))]
    assert [one.outline.bounds for one in part.zones] == [(-20, -30, 10, 66)]
    assert [(one.x, one.y) for one in part.observations] == [(1, 1)]
    assert part.region.bounds == (-20, -30, 30, 66)
    place = shapely.box(5, 5, 20, 20)
    on_map = scene.georeference.from_pixels(shapely.box(25, 35, 40, 50))
    assert part.georeference.from_pixels(place).equals(on_map)
    assert crop_scene(scene, PixelWindow(0, 0, scene.width, scene.height)) is scene
