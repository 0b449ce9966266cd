"""The ground of a split, whole: what chips are cut from, and nothing of another split."""

import json

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from agrilape.errors import DataError
from agrilape.prepare.from_scenes import prepare_dataset
from agrilape.prepare.split_ground import open_ground

SIDE, GSD, NORTH = 160, 10.0, 5_500_000.0


@pytest.fixture
def world(tmp_path):
    """Two images with a field in each corner and one in the middle, which blocks of any split share."""
    for number in range(2):
        folder, west = tmp_path / "world" / f"s{number}", 500_000 + 5_000 * number
        folder.mkdir(parents=True)
        image = np.random.default_rng(number).integers(500, 3000, (3, SIDE, SIDE), dtype=np.uint16)
        with rasterio.open(
            folder / "20220617.tif", "w", driver="GTiff", width=SIDE, height=SIDE, count=3, dtype="uint16",
            crs="EPSG:32632", transform=Affine(GSD, 0, west, 0, -GSD, NORTH),
        ) as file:  # fmt: skip
            file.write(image)
            file.descriptions = ("B04", "B03", "B02")
        corners = [shapely.box(x, y, x + 40, y + 40) for x in (10, 110) for y in (10, 110)]
        on_map = [
            shapely.transform(one, lambda xy, w=west: xy * (GSD, -GSD) + (w, NORTH))
            for one in [*corners, shapely.box(50, 60, 110, 100)]
        ]
        table = geopandas.GeoDataFrame(
            {"crop": ["maize", "oats"] * 2 + ["rye"]}, geometry=on_map, crs="EPSG:32632"
        )
        table.to_file(folder / "parcels.gpkg", driver="GPKG")
    (tmp_path / "world" / "scene.json").write_text(json.dumps({"exhaustively_labelled": True}))
    return tmp_path / "world"


@pytest.fixture
def prepared(world, config, tmp_path):
    def prepare(**settings):
        source = {"kind": "folder", "path": str(world)}
        made = config(source=source, split=(0.5, 0.0, 0.5), **settings)
        manifest = prepare_dataset("d", made, tmp_path / "data", tmp_path / "scenes", workers=1)
        return made, manifest

    return prepare


def test_scenes_of_a_split_are_whole(prepared, tmp_path):
    config, manifest = prepared()
    with open_ground("d", config, tmp_path / "data", tmp_path / "scenes") as ground:
        assert ground.crops == ("maize", "oats", "rye")
        for split in ("train", "test"):
            (found,) = ground.of(split)
            scene, others = found.open()
            assert found.name in manifest.splits[split].groups
            assert (scene.width, len(scene.parcels), others, found.block) == (SIDE, 5, frozenset(), None)


def test_blocks_of_both_splits_cover_the_scenes_apart(prepared, tmp_path):
    config, manifest = prepared(split_by="block", buffer_m=40)
    with open_ground("d", config, tmp_path / "data", tmp_path / "scenes") as ground:
        places = {}
        for split in ("train", "test"):
            assert {one.name for one in ground.of(split)} >= set(manifest.splits[split].groups)
            for one in ground.of(split):
                scene, others = one.open()
                assert (scene.width, scene.height) == (one.window.width, one.window.height)
                assert one.block == [
                    one.window.column, one.window.row,
                    one.window.column + scene.width, one.window.row + scene.height,
                ]  # fmt: skip
                places[one.name] = one.scene.id, split, shapely.box(*one.block), others
        assert sum(box.area for _, _, box, _ in places.values()) > 0.85 * 2 * SIDE**2
        for scene, split, box, _ in places.values():
            apart = [b for s, other, b, _ in places.values() if s == scene and other != split]
            assert all(box.distance(one) >= 3.9 for one in apart)
        owners = {
            split: {(s, n) for s, w, _, others in places.values() if w == split for n in others}
            for split in ("train", "test")
        }
        assert not owners["train"] & owners["test"]


def test_a_source_that_has_changed_is_refused(prepared, world, tmp_path):
    config, _ = prepared()
    (world / "s0" / "notes.txt").write_text("new")
    with (
        pytest.raises(DataError, match="has changed since"),
        open_ground("d", config, tmp_path / "data", tmp_path / "scenes"),
    ):
        pass
