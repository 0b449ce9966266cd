"""The model that comes with agrilape, asked as its users ask it."""

import json

import geopandas
import numpy as np
import pytest
import rasterio
from typer.testing import CliRunner

from agrilape.cli.app import app
from agrilape.config.load import load_recipe
from agrilape.config.recipe import SimulateSource
from agrilape.serve import SHIPPED
from agrilape.simulate import simulate_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A landscape of a seed that nothing was trained on, and its fields that lie wholly inside."""
    folder = tmp_path_factory.mktemp("ground") / "scene"
    simulate_scene(folder, SimulateSource(size=256, gsd=2.5, dates=3, seed=4711), 0)
    image = sorted(folder.rglob("2*.tif"))[1]
    with rasterio.open(image) as raster:
        inner = rasterio.transform.array_bounds(raster.height, raster.width, raster.transform)
    fields = geopandas.read_file(next(folder.rglob("parcels.gpkg")), layer="parcels").cx[
        inner[0] : inner[2], inner[1] : inner[3]
    ]
    wide = fields[fields.area > 5_000]
    return image, wide.head(12)


def ask(*words) -> str:
    done = CliRunner().invoke(app, ["--quiet", "predict", *map(str, words)])
    assert done.exit_code == 0, done.output
    return done.output


def overlap(found, truth) -> float:
    return found.intersection(truth).area / found.union(truth).area


def test_it_knows_fields_of_ground_that_it_has_never_seen(scene, tmp_path) -> None:
    image, fields = scene
    agreement = []
    for point, field in zip(fields.representative_point().to_crs("OGC:CRS84"), fields.geometry, strict=True):
        output = tmp_path / "field.gpkg"
        ask(image, f"Which field is at {point.x:.6f}, {point.y:.6f}?", "-o", output, "--crs", "source")
        found = geopandas.read_file(output)
        agreement.append(max((overlap(box, field.envelope) for box in found.geometry), default=0))
    assert np.mean(agreement) > 0.7  # a box of mean size there: 0.4


def test_a_checkpoint_may_still_be_named(scene, tmp_path) -> None:
    image, fields = scene
    point = fields.representative_point().to_crs("OGC:CRS84").iloc[0]
    words = f"what grows at {point.x:.6f}, {point.y:.6f}?"
    ours, named = (tmp_path / name for name in ("a.geojson", "b.geojson"))
    ask(image, words, "-o", ours)
    ask(SHIPPED, image, words, "-o", named)
    assert json.loads(ours.read_text())["features"] == json.loads(named.read_text())["features"]


@pytest.mark.parametrize("words", [["image.tif"], ["a", "b", "c", "d"]])
def test_what_is_missing_is_said(words) -> None:
    done = CliRunner().invoke(app, ["predict", *words])
    assert done.exit_code == 2
    assert "give an image and a question" in " ".join(done.output.replace("│", "").split())


def test_it_is_what_the_recipe_makes_and_small_enough_to_travel() -> None:
    shipped, recipe = load_recipe(SHIPPED), load_recipe("nano")
    assert shipped.model_copy(update={"output": recipe.output}) == recipe
    files = [path for path in SHIPPED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 15_000_000
    assert not [
        path.name for path in files if path.suffix not in {".json", ".jinja", ".md", ".safetensors", ".yaml"}
    ]


@pytest.mark.parametrize("words", ["Where are the banana fields?", "Wo sind die Bananenfelder?"])
def test_a_crop_that_it_never_learnt_is_refused_before_anything_is_asked(scene, tmp_path, words) -> None:
    done = CliRunner().invoke(app, ["predict", str(scene[0]), words, "-o", str(tmp_path / "a.geojson")])
    assert done.exit_code != 0
    assert "never learnt banana" in str(done.exception)
    assert "sugar beet" in str(done.exception)
    assert not (tmp_path / "a.geojson").exists()


def test_it_says_how_sure_it_is_and_keeps_what_is_worth_keeping(scene, tmp_path) -> None:
    image, _ = scene
    counts = {}
    for least in (None, 0, 0.9):
        chosen = [] if least is None else ["--min-confidence", least]
        ask(
            image,
            "Where are the fields?",
            "-o",
            tmp_path / "a.gpkg",
            "--crs",
            "source",
            "--overwrite",
            *chosen,
        )
        found = geopandas.read_file(tmp_path / "a.gpkg")
        assert found["confidence"].between(least or 0, 1).all()
        assert found.area.sum() <= (256 * 2.5) ** 2 * 1.001
        counts[least] = len(found)
    assert counts[0] > counts[None] > counts[0.9] > 0
