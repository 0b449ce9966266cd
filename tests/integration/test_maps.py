"""Whole maps from prepared data to metrics and report: flat-coloured fields, answered by an oracle."""

import json
import sys

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import yaml
from affine import Affine

from agrilape.cli import main
from agrilape.config import dump_recipe
from agrilape.config.lape import LapeConfig
from agrilape.config.recipe import Recipe
from agrilape.errors import DataError
from agrilape.evaluate.predictions import Prediction, read_rows
from agrilape.geo.shapes import Box
from agrilape.io.json_text import read_json_object
from agrilape.maps import ask_maps, guess_maps, segments
from agrilape.model import attach, build_preset, save_checkpoint
from agrilape.pipeline import evaluate_run, prepare_run, report_run
from agrilape.serve import asking
from agrilape.serve.training_questions import Training, training_of
from agrilape.study.single_run import run_one
from agrilape.study.study_folder import Study
from agrilape.tokens import add_position_tokens

SIDE, GSD, NORTH = 96, 10.0, 5_500_000.0
COLOURS = {"maize": (2200, 900, 400), "oats": (500, 2100, 600), "rye": (400, 500, 2300)}
BARE = (1500, 1500, 1500)
CELLS = [(x, y) for y in (4, 36, 66) for x in (4, 36, 66)]


def fields(number, rng):
    """Six rectangles of two of the three crops."""
    crops = [crop for crop in COLOURS if crop != list(COLOURS)[number % 3]]
    chosen = rng.permutation(len(CELLS))[:6]
    for n, cell in enumerate(chosen):
        x, y = CELLS[cell]
        yield shapely.box(x, y, x + rng.integers(18, 27), y + rng.integers(18, 27)), crops[n % 2]


def write_scene(folder, number, west):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(number)
    grid = Affine(GSD, 0, west, 0, -GSD, NORTH)
    image = np.full((3, SIDE, SIDE), np.array(BARE)[:, None, None], np.uint16)
    rows = []
    for outline, crop in fields(number, rng):
        left, top, right, bottom = map(int, outline.bounds)
        image[:, top:bottom, left:right] = np.array(COLOURS[crop])[:, None, None]
        rows.append((crop, shapely.transform(outline, lambda xy: xy * (GSD, -GSD) + (west, NORTH))))
    with rasterio.open(
        folder / "20220617.tif", "w", driver="GTiff", width=SIDE, height=SIDE, count=3, dtype="uint16",
        crs="EPSG:32632", transform=grid,
    ) as file:  # fmt: skip
        file.write(image)
        file.descriptions = ("B04", "B03", "B02")
    crops, outlines = zip(*rows, strict=True)
    table = geopandas.GeoDataFrame({"crop": crops}, geometry=list(outlines), crs="EPSG:32632")
    table.to_file(folder / "parcels.gpkg", driver="GPKG")


def write_world(folder, scenes, labelled):
    for number in range(scenes):
        write_scene(folder / f"s{number}", number, 500_000 + 2_000 * number)
    (folder / "scene.json").write_text(json.dumps({"exhaustively_labelled": labelled}))
    return folder


def recipe_of(world, run, **settings):
    data = {
        "source": {"kind": "folder", "path": world}, "tasks": ["field_boxes", "crop_boxes"], "chip": 48,
        "split": [0.5, 0.0, 0.5], **settings,
    }  # fmt: skip
    stage = {
        "name": "domain", "enable_lape": True, "learning_rates": {"llm": 1e-3}, "steps": 1,
        "mixture": {"all": {"weight": 1, "datasets": ["fields"]}},
    }  # fmt: skip
    return Recipe.model_validate({
        "name": "maps", "output": run, "datasets": {"fields": data}, "stages": [stage],
        "evaluation": {"datasets": ["fields"], "tasks": ["map_fields", "map_crop", "map_absent_crop"]},
    })  # fmt: skip


def number_of(scene):
    return int(scene.removeprefix("s").split("/")[0])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    model, processor = build_preset("nano", 0)
    config = add_position_tokens(processor, LapeConfig(num_spatial_tokens=50))
    attach(model, config, processor.tokenizer)
    folder = tmp_path_factory.mktemp("checkpoint") / "1-domain"
    return save_checkpoint(folder, model, processor, {"coordinates": "position_tokens"})


@pytest.fixture
def make_run(tmp_path, checkpoint):
    """A prepared run with a checkpoint."""

    def make(scenes=12, labelled=True, **settings):
        world = write_world(tmp_path / "world", scenes, labelled)
        recipe = recipe_of(world, tmp_path / "run", **settings)
        prepare_run(recipe)
        dump_recipe(recipe, recipe.output / "recipe.yaml")
        stages = recipe.output / "stages"
        stages.mkdir()
        (stages / "1-domain").symlink_to(checkpoint, target_is_directory=True)
        return recipe

    return make


@pytest.fixture(autouse=True)
def few_candidates(monkeypatch):
    """Tuning takes most of the time."""
    monkeypatch.setattr(segments, "CANDIDATES", segments.CANDIDATES[::10])


@pytest.fixture
def oracle(monkeypatch):
    """Answers in place of the model: what the fields of a tile are, as far as the tile shows them."""
    asked = []

    def predict_samples(checkpoint, examples, *, batch_size, decoding, device):
        for example in examples:
            sample, grid = example.samples[0], example.chip.georeference
            number = number_of(example.chip.scene)
            asked.append((example.chip.scene, " ".join(map(str, sample.question)), grid))
            corner = (500_000 + 2_000 * number, NORTH)
            left = round((grid.transform.c - corner[0]) / GSD)
            top = round((corner[1] - grid.transform.f) / GSD)
            tile = shapely.box(left, top, left + grid.width, top + grid.height)
            boxes = []
            for outline, crop in fields(number, np.random.default_rng(number)):
                shown = outline.intersection(tile)
                named = [name for name in COLOURS if name in asked[-1][1]]
                if shown.area > 0 and (not named or crop in named):
                    edges = (np.array(shown.bounds).reshape(2, 2) - (left, top)) / (grid.width, grid.height)
                    boxes.append(Box(*edges.ravel().tolist()))
            sure = tuple(0.5 + 0.4 * box.area for box in boxes)
            yield [Prediction.of(example.chip, sample, tuple(boxes), confidence=sure)]

    monkeypatch.setattr(asking, "predict_samples", predict_samples)
    return asked


def test_right_answers_score_in_full_beside_segments(make_run, oracle):
    recipe = make_run()
    metrics = evaluate_run(recipe)
    everything, crops, absent = (
        metrics["tasks"][task] for task in ("map_fields", "map_crop", "map_absent_crop")
    )
    for name in ("box_f1", "outline_f1", "area_ratio", "summed_area_ratio"):
        assert everything[name]["value"] == pytest.approx(1, abs=0.02), name
        assert crops[name]["value"] == pytest.approx(1, abs=0.02), name
    assert everything["box_ap"]["value"] == pytest.approx(1, abs=0.02)
    assert everything["off_fields"]["value"] == 0
    assert (everything["box_f1"]["n"], everything["box_f1"]["scenes"], crops["box_f1"]["n"]) == (6, 6, 12)
    assert (absent["refusal_rate"]["value"], absent["places"]["value"], absent["places"]["n"]) == (1, 0, 6)
    segments = metrics["informed_baselines"]["segments"]
    assert segments["map_fields"]["box_recall"]["value"] > 0.9  # flat colours: it finds them, and the rest
    assert segments["map_fields"]["box_precision"]["value"] < 1
    assert segments["map_crop"]["box_f1"]["value"] > 0.9
    assert segments["map_absent_crop"]["refusal_rate"]["value"] == 1
    assert "box_ap" not in segments["map_fields"]
    assert metrics["versus_informed"]["map_fields"]["baseline"] == "segments"
    assert metrics["versus_informed"]["map_fields"]["low"] is not None
    assert metrics["maps_left_out"] == {}
    assert set(metrics["by"]["crop"]) == {"maize", "oats", "rye"}
    rows = read_rows(recipe.output / "evaluation" / "maps.jsonl")
    assert len(rows) == 6 + 12 + 6
    assert metrics["parse_failures"]["total"]["count"] == 0


def test_a_killed_evaluation_goes_on_map_by_map(make_run, oracle, monkeypatch):
    recipe = make_run()
    first = ask_maps(recipe, recipe.output)
    files = sorted((recipe.output / "evaluation" / "maps").rglob("*.model.json"))
    assert len(files) == 6
    lost = files[2].name.removesuffix(".model.json")
    files[2].unlink()
    oracle.clear()
    assert ask_maps(recipe, recipe.output) == first
    assert {scene.rpartition("/")[2] for scene, _, _ in oracle} == {lost.rpartition("/")[2]}
    oracle.clear()
    narrower = recipe.evaluation.model_copy(update={"crops_per_map": 1})
    again = ask_maps(recipe.model_copy(update={"evaluation": narrower}), recipe.output)
    assert len(oracle) > 0
    assert len(again.rows) == 6 * 3


def test_one_damaged_scene_and_one_partly_labelled_never_sink_the_others(make_run, oracle, monkeypatch):
    recipe = make_run()
    (recipe.output.parent / "world" / "s5").joinpath("scene.json").write_text("{}")
    with pytest.raises(DataError, match="has changed since it was prepared"):
        ask_maps(recipe, recipe.output)
    prepare_run(recipe)
    damaged = []

    def broken(checkpoint, tiles, batch_size):
        if not damaged or tiles.scene.id == damaged[0]:
            damaged.append(tiles.scene.id)
            raise OSError("a bad sector")
        return answers(checkpoint, tiles, batch_size)

    answers = asking.answer_tiles
    monkeypatch.setattr("agrilape.maps.asking.answer_tiles", broken)
    found = ask_maps(recipe, recipe.output)
    assert found.left_out == {"fields: a bad sector": 1}
    assert len({row.chip for row in found.rows}) == 5


def test_scenes_with_fields_that_nobody_labelled_are_left_out_and_counted(make_run, oracle):
    recipe = make_run(labelled=False, tasks=["field_at_point"])
    found = ask_maps(recipe, recipe.output)
    assert (found.rows, sum(found.left_out.values())) == ([], 6)
    assert all("not every field is labelled" in reason for reason in found.left_out)


def test_of_blocks_only_the_ground_of_the_split_is_asked_and_scored(make_run, oracle):
    recipe = make_run(scenes=2, split_by="block", chip=32, buffer_m=20, split=[0.5, 0, 0.5], seed=1)
    found = ask_maps(recipe, recipe.output)
    manifest = read_json_object(recipe.output / "data" / "fields" / "manifest.json")
    for scene, _, grid in oracle:
        number = number_of(scene)
        left = round((grid.transform.c - 500_000 - 2_000 * number) / GSD)
        top = round((NORTH - grid.transform.f) / GSD)
        tile = shapely.box(left, top, left + grid.width, top + grid.height)
        blocks = [shapely.box(*row.meta["block"]) for row in found.rows if row.scene == scene]
        assert any(block.covers(tile) for block in blocks)
    asked = {row.chip.removeprefix("fields/") for row in found.rows}
    assert not asked & set(manifest["splits"]["train"]["groups"])
    everything = [row for row in found.rows if row.task == "map_fields"]
    assert any(row.truth["ignored"] for row in everything)  # parcels that straddle
    metrics = evaluate_run(recipe)
    assert metrics["tasks"]["map_fields"]["box_precision"]["value"] > 0.9
    assert metrics["tasks"]["map_fields"]["box_precision"]["blocks"] == len(everything)


def test_a_crop_that_the_model_never_learnt_is_refused_unasked(make_run, oracle, monkeypatch):
    recipe = make_run(scenes=4)
    taught = training_of(recipe.output / "stages" / "1-domain")
    only = Training(tuple(data.model_copy(update={"crops": {"maize": 9}}) for data in taught.datasets))
    monkeypatch.setattr("agrilape.maps.asking.training_of", lambda folder: only)
    found = ask_maps(recipe, recipe.output)
    refused = [row for row in found.rows if row.meta.get("refused")]
    assert refused
    assert all(row.truth["crop"] != "maize" and not row.prediction for row in refused)
    assert not any("oats" in text or "rye" in text for _, text, _ in oracle)


def test_segments_need_no_checkpoint(make_run):
    recipe = make_run(scenes=4)
    (recipe.output / "stages" / "1-domain").unlink()
    rows = guess_maps(recipe, recipe.output)
    assert {row.task for row in rows} == {"map_fields", "map_crop", "map_absent_crop"}


def test_the_option_asks_maps(make_run, oracle, monkeypatch, capsys):
    recipe = make_run()
    command = ["agrilape", "evaluate", str(recipe.output), "--maps", "--set", "evaluation.tasks=[map_fields]"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert "map fields" in capsys.readouterr().out


def test_the_report_shows_each_map(make_run, oracle):
    recipe = make_run(scenes=4)
    evaluate_run(recipe)
    page = report_run(recipe.output).read_text()
    assert page.count('class="map"') == 2
    assert page.count("data:image/jpeg;base64,") == 2
    assert page.count("6 answers, 6 parcels; box\N{NO-BREAK SPACE}F1\N{NO-BREAK SPACE}100.0") == 2


def test_a_study_measures_maps_beside_segments(make_run, oracle, tmp_path):
    base = make_run(scenes=4)
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(base.model_dump(mode="json")))
    plan = {
        "name": "maps", "why": "to see that maps are measured", "base": "base.yaml",
        "variants": [{"name": "plain", "why": "as it is", "set": {"stages.domain.batch_size": 2}}],
        "seeds": {"values": [0]}, "device": "cpu",
        "measure": ["map_fields.box_f1", "map_absent_crop.refusal_rate"],
    }  # fmt: skip
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    study = Study.open(str(tmp_path / "plan.yaml"), tmp_path / "out", tmp_path / "work")
    (run,) = study.test_runs()
    record = read_json_object(run_one(study, run))
    own, blind = record["scores"]["tasks"], read_json_object(tmp_path / "out/results/blind/0.json")
    assert own["map_fields"]["values"]["box_f1"] == 1
    assert own["map_absent_crop"]["values"]["refusal_rate"] == 1
    assert blind["rivals"]["map_fields"] == "segments"
    assert blind["scores"]["tasks"]["map_fields"]["values"]["box_recall"] > 0.9
