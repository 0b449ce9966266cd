"""Questions about GeoTIFFs, answered by an untrained model: the files must be right, whatever it says."""

import json

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import yaml
from affine import Affine
from PIL import ExifTags, Image
from shapely.geometry import box, shape

from agrilape.config import LapeConfig
from agrilape.dataset.training_data import TaughtWith, TrainingData, write_training_data
from agrilape.errors import DataError, ModelError, RecipeError
from agrilape.evaluate.inference import Decoding
from agrilape.evaluate.predictions import Prediction
from agrilape.geo.shapes import Box, Instant, Point, Span
from agrilape.model import attach, build_preset, save_checkpoint
from agrilape.serve import asking, predict_raster
from agrilape.tokens import add_position_tokens

SIDE, GSD = 300, 10.0
WEST, NORTH = 600_000.0, 6_200_000.0
QUESTION = "where are the maize fields?"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    model, processor = build_preset("nano", seed=0)
    config = add_position_tokens(processor, LapeConfig())
    attach(model, config, processor.tokenizer)
    folder = tmp_path_factory.mktemp("run") / "stages" / "3-domain"
    return save_checkpoint(folder, model, processor, {"coordinates": "position_tokens"})


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    return write_image(tmp_path_factory.mktemp("image") / "scene.tif", np.random.default_rng(0))


def write_image(path, rng, dates=None, crs="EPSG:25832", blank=False):
    count = len(dates) if dates else 3
    values = rng.integers(200, 4000, (count, SIDE, SIDE)).astype(np.uint16)
    values[:, :, : SIDE if blank else 0] = 0
    with rasterio.open(
        path, "w", driver="GTiff", width=SIDE, height=SIDE, count=count, dtype="uint16", crs=crs, nodata=0,
        transform=Affine(GSD, 0, WEST, 0, -GSD, NORTH),
    ) as file:  # fmt: skip
        file.write(values)
        file.descriptions = tuple(dates or ("B04", "B03", "B02"))
        if not dates:
            file.update_tags(ACQUISITION_DATE="2022-06-17")
    return path


@pytest.fixture
def answers(monkeypatch):
    """Let a function answer in place of the model; the rest of the pipeline stays as it is."""

    asked = []

    def install(answer):
        def predict_samples(checkpoint, examples, *, batch_size, decoding, device):
            asked.append(decoding)
            for example in examples:
                sample = example.samples[0]
                yield [Prediction.of(example.chip, sample, answer(example.chip, sample))]

        monkeypatch.setattr(asking, "predict_samples", predict_samples)
        return asked

    return install


@pytest.mark.parametrize(
    ("question", "outlines"),
    [(QUESTION, False), ("Which field is at 10.624, 55.921?", False), ("Sing.", True)],
)
def test_coordinates_are_well_formed_and_outlines_where_they_may_be(
    checkpoint, image, answers, tmp_path, question, outlines
) -> None:
    asked = answers(lambda chip, sample: (Box(0.1, 0.1, 0.5, 0.5),))
    predict_raster(checkpoint, image, question, tmp_path / "out.geojson", word_for_word=question == "Sing.")
    assert asked == [Decoding(soft_argmax=True, constrained_decoding=True, outlines=outlines)]


def field_seen_by(field):
    """Answers that name one field of the map exactly, as far as each tile shows it."""

    def answer(chip, sample):
        left, top, right, bottom = chip.georeference.box_from_map(field)
        seen = Box(max(left, 0), max(top, 0), min(right, 1), min(bottom, 1))
        return (seen,) if seen.area > 0 and seen.left < seen.right else ()

    return answer


def test_an_untrained_model_gives_a_valid_file_inside_the_image(checkpoint, image, tmp_path):
    found = predict_raster(checkpoint, image, QUESTION, tmp_path / "a.geojson")
    content = json.loads(found.path.read_text())
    assert content["type"] == "FeatureCollection"
    assert len(content["features"]) == found.features
    if found.features:
        table = geopandas.read_file(found.path).to_crs("EPSG:25832")
        ground = box(WEST, NORTH - SIDE * GSD, WEST + SIDE * GSD, NORTH)
        assert table.within(ground.buffer(1)).all()


def test_a_model_that_was_never_given_position_tokens_is_said_to_have_none(image, tmp_path, capsys):
    model, processor = build_preset("nano", seed=0)
    model.save_pretrained(tmp_path / "plain")
    processor.save_pretrained(tmp_path / "plain")
    predict_raster(tmp_path / "plain", image, QUESTION, tmp_path / "out.geojson", tile=300)
    assert "has no LAPE" in capsys.readouterr().err


def test_a_run_folder_stands_for_its_last_stage(checkpoint, image, tmp_path):
    run = checkpoint.parent.parent
    assert predict_raster(run, image, QUESTION, tmp_path / "a.geojson").path.is_file()


def test_a_field_across_tiles_comes_out_whole_with_its_area(checkpoint, image, tmp_path, answers):
    field = box(WEST + 600, NORTH - 1900, WEST + 1800, NORTH - 900)
    answers(field_seen_by(field))
    found = predict_raster(checkpoint, image, QUESTION, tmp_path / "a.geojson")
    table = geopandas.read_file(found.path)
    assert table.to_crs("EPSG:25832").geometry[0].hausdorff_distance(field) < 0.1
    (row,) = table.to_dict("records")
    assert row["area_ha"] == pytest.approx(120, rel=0.002)
    assert row["metrics:area"] == pytest.approx(10_000 * row["area_ha"], rel=1e-3)
    assert row["crop:name"] == "maize"
    assert row["tiles"] > 1
    assert row["determination:method"] == "auto-imagery"
    assert str(row["determination:datetime"]).startswith("2022-06-17")
    assert "1 found" in found.summary


def test_the_source_crs_gives_a_geopackage_in_it(checkpoint, image, tmp_path, answers):
    field = box(WEST + 100, NORTH - 500, WEST + 400, NORTH - 200)
    answers(field_seen_by(field))
    found = predict_raster(checkpoint, image, QUESTION, tmp_path / "a.geojson", crs="source")
    assert found.path == tmp_path / "a.gpkg"
    table = geopandas.read_file(found.path)
    assert table.crs == "EPSG:25832"
    assert table.geometry[0].hausdorff_distance(field) < 1e-6


def test_nothing_found_is_said_and_written(checkpoint, image, tmp_path, answers):
    answers(lambda chip, sample: ())
    found = predict_raster(checkpoint, image, QUESTION, tmp_path / "a.geojson")
    assert "nothing found" in found.summary
    assert json.loads(found.path.read_text())["features"] == []


def test_answers_without_places_become_tiles(checkpoint, image, tmp_path, answers):
    answers(lambda chip, sample: ("pasture",))
    found = predict_raster(checkpoint, image, "what kind of land is this?", tmp_path / "a.geojson")
    table = geopandas.read_file(found.path)
    assert set(table["answer"]) == {"pasture"}
    assert found.features == len(table) > 1
    assert f"pasture ({len(table)})" in found.summary


def test_a_place_is_asked_of_one_tile_around_it(checkpoint, image, tmp_path, answers):
    asked = []
    answers(lambda chip, sample: asked.append((chip, sample)) or (Box(0.4, 0.4, 0.6, 0.6),))
    transformer = geopandas.GeoSeries.from_xy([WEST + 1500], [NORTH - 1500], crs="EPSG:25832").to_crs(4326)
    place = f"{transformer.x[0]:.6f}, {transformer.y[0]:.6f}"
    found = predict_raster(checkpoint, image, f"which field is at {place}?", tmp_path / "a.geojson")
    ((chip, sample),) = asked
    x, y = chip.georeference.to_map(sample.question[1])
    assert (x, y) == pytest.approx((WEST + 1500, NORTH - 1500), abs=0.5)
    assert found.features == 1


def test_dates_are_calendar_dates_of_the_series(checkpoint, tmp_path, answers):
    image = write_image(
        tmp_path / "ndvi.tif", np.random.default_rng(1), ["2022-04-01", "2022-06-01", "2022-08-01"]
    )
    pictures = []
    answers(lambda chip, sample: pictures.append(chip.pictures) or (Span(0.0, 1.0), Instant(0.5)))
    place = geopandas.GeoSeries.from_xy([WEST + 1500], [NORTH - 1500], crs="EPSG:25832").to_crs(4326)
    found = predict_raster(
        checkpoint, image, f"when is the field at {place.x[0]:.5f}, {place.y[0]:.5f} greenest?",
        tmp_path / "a.geojson", composite="ndvi",
    )  # fmt: skip
    assert [picture.acquired.month for picture in pictures[0]] == [4, 6, 8]
    (answer,) = geopandas.read_file(found.path)["answer"]
    assert answer.split()[0].count("/") == 1
    assert answer.split()[1] == "2022-06-01"


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"crs": "utm"}, RecipeError, "wgs84, source"),
        ({"overlap": 1.0}, RecipeError, "0 to 0.9"),
        ({"output": "a.shp"}, RecipeError, ".gpkg"),
        ({"question": "which field is at 1.5, 2.5?"}, DataError, "image covers longitude 10.5"),
        ({"question": "hello"}, DataError, "not understood"),
        ({"checkpoint": "nowhere"}, ModelError, "no checkpoint"),
        ({"image": "nowhere.tif"}, DataError, "nowhere.tif"),
    ],
)
def test_bad_input_is_refused_with_a_remedy(checkpoint, image, tmp_path, settings, error, says):
    given = {"checkpoint": checkpoint, "image": image, "question": QUESTION, "output": "a.geojson"} | settings
    given |= {"output": tmp_path / given["output"]}
    given |= {name: tmp_path / given[name] for name in ("checkpoint", "image") if name in settings}
    with pytest.raises(error, match=says):
        predict_raster(**given)
    assert list(tmp_path.iterdir()) == []


def test_an_image_without_ground_or_without_place_is_refused(checkpoint, tmp_path):
    blank = write_image(tmp_path / "blank.tif", np.random.default_rng(0), blank=True)
    with pytest.raises(DataError, match="no pixel is valid"):
        predict_raster(checkpoint, blank, QUESTION, tmp_path / "a.geojson")
    nowhere = write_image(tmp_path / "nowhere.tif", np.random.default_rng(0), crs=None)
    with pytest.raises(DataError, match="coordinate reference system"):
        predict_raster(checkpoint, nowhere, QUESTION, tmp_path / "a.geojson")


def test_a_model_is_told_what_it_was_told_in_training(checkpoint, image, answers, tmp_path):
    told = {}

    def answer(chip, sample):
        told[sample.question] = chip
        return ("maize",)

    answers(answer)
    recipe = checkpoint.parent.parent / "recipe.yaml"
    stills = {"chip": 200, "image_size": 100, "tasks": ["crop_boxes"], "language": "en",
              "metadata": ["sensor", "gsd", "date", "location", "bands"]}  # fmt: skip
    recipe.write_text(
        yaml.safe_dump({"datasets": {"stills": stills, "other": {"chip": 64, "tasks": ["count"]}}})
    )
    try:
        predict_raster(checkpoint, image, QUESTION, tmp_path / "told.geojson", sensor="Sentinel-2 MSI")
        predict_raster(checkpoint, image, "how many fields are there?", tmp_path / "plain.geojson")
    finally:
        recipe.unlink()
    preambles = {question[0] for question in told if "maize" in question[0]}
    assert len(preambles) == len([q for q in told if "maize" in q[0]])  # each tile has its own place
    for question in preambles:
        assert question.startswith(
            "Sensor: Sentinel-2 MSI. Resolution: 20 m. Date: 2022-06-17. Location: 55."
        )
        assert question.endswith("Bands: red, green, blue. Where are the maize fields?")
    assert ("How many fields are there?",) in told  # of a data set without metadata


@pytest.fixture
def trained_with(checkpoint):
    """Let the run of the checkpoint have been trained on a data set of these settings."""
    recipe = checkpoint.parent.parent / "recipe.yaml"
    yield lambda **data: recipe.write_text(yaml.safe_dump({"datasets": {"stills": {"chip": 128, **data}}}))
    recipe.unlink()


@pytest.mark.parametrize(
    ("question", "data", "said"),
    [
        (QUESTION, {"source": {"kind": "simulate", "gsd": 2.5}}, "10 m, but 2.5 m in training"),
        (QUESTION, {"source": {"kind": "simulate", "gsd": 9.0}}, ""),
        (QUESTION, {"tasks": ["count"]}, "was not taught to answer this (task crop_boxes)"),
        (QUESTION, {"tasks": ["crop_boxes"]}, ""),
        (QUESTION, {"tasks": []}, ""),
        ("Wo sind die Maisfelder?", {"tasks": ["crop_boxes"]}, ""),
    ],
)
def test_what_differs_from_training_is_warned_of(
    checkpoint, image, answers, trained_with, tmp_path, capsys, question, data, said
):
    answers(lambda chip, sample: ("maize",))
    trained_with(**data)
    predict_raster(checkpoint, image, question, tmp_path / "a.geojson")
    warnings = capsys.readouterr().err
    assert said in warnings
    assert ("warning" in warnings) == bool(said)


def test_the_data_set_counts_whose_pixels_fit_the_image(checkpoint, image, answers, tmp_path, capsys):
    answers(lambda chip, sample: ("maize",))
    recipe = checkpoint.parent.parent / "recipe.yaml"
    fine, fitting = {"chip": 128, "source": {"gsd": 2.5}}, {"chip": 64, "source": {"gsd": 9.0}}
    warned = []
    for datasets in ([fitting, fine], [{"chip": 64, "source": {"kind": "kit"}}, fine], [fine]):
        recipe.write_text(yaml.safe_dump({"datasets": dict(enumerate(datasets))}))
        try:
            predict_raster(checkpoint, image, QUESTION, tmp_path / "a.geojson")
        finally:
            recipe.unlink()
        warned.append("m in training" in capsys.readouterr().err)
    assert warned == [False, False, True]


def test_bands_become_colours_as_in_training(checkpoint, image, answers, trained_with, tmp_path):
    answers(lambda chip, sample: ("maize",))
    trained_with(composite="false_colour")
    with pytest.raises(DataError, match="false_colour"):  # the image has no near infrared
        predict_raster(checkpoint, image, QUESTION, tmp_path / "a.geojson")
    predict_raster(checkpoint, image, QUESTION, tmp_path / "a.geojson", composite="true_colour")


def test_one_total_for_the_whole_map_counts_fields_and_ground_once(checkpoint, image, tmp_path, answers):
    field = box(WEST + 600, NORTH - 1900, WEST + 1800, NORTH - 900)
    answers(field_seen_by(field))
    counted = predict_raster(checkpoint, image, "how many corn fields are there?", tmp_path / "a.geojson")
    assert counted.summary.startswith("1 on the whole map")
    measured = predict_raster(checkpoint, image, "Wie viele Hektar Mais gibt es?", tmp_path / "b.geojson")
    assert measured.summary.startswith("120.")
    assert "ha on the whole map" in measured.summary


def test_numbers_of_a_model_that_only_counts_are_added_over_tiles_that_do_not_overlap(
    checkpoint, image, answers, trained_with, tmp_path
):
    answers(lambda chip, sample: ("3",))
    trained_with(tasks=["count"], chip=100)
    found = predict_raster(checkpoint, image, "how many fields are there?", tmp_path / "a.geojson")
    assert found.summary.startswith("27 (sum over 9 tiles")


def test_several_places_are_all_asked_about(checkpoint, image, tmp_path, answers):
    asked = []
    answers(lambda chip, sample: asked.append(sample.question) or ("maize",))
    found = predict_raster(
        checkpoint, image, "What grows at 601000 6199000 and at 602000 6198000?", tmp_path / "a.geojson"
    )
    assert found.features == len(asked) == 2


def test_two_places_too_far_apart_to_be_compared_are_refused(checkpoint, image, tmp_path):
    with pytest.raises(DataError, match="further apart than a tile"):
        predict_raster(
            checkpoint, image, "Which is larger, 600100 6199900 or 602900 6197100?", tmp_path / "a.geojson"
        )


@pytest.fixture
def taught_by(checkpoint):
    """Let the checkpoint say what taught it."""
    yield lambda *datasets: write_training_data(checkpoint, TrainingData(datasets=datasets))
    (checkpoint / "training_data.json").unlink()


def test_what_taught_the_task_decides_how_the_image_is_shown(
    checkpoint, image, answers, taught_by, tmp_path, capsys
):
    shown = []
    answers(lambda chip, sample: shown.append(chip) or ("maize",))
    place = "604000, 6199000"
    stills = TaughtWith(name="stills", tasks={"crop_boxes": 9, "field_at_point": 5}, chip=100, gsd_m=(10, 10))
    ndvi = TaughtWith(name="ndvi", tasks={"land_use_at_point": 9}, chip=48, composite="ndvi", gsd_m=(10, 10))
    close = TaughtWith(name="close", tasks={"crop_boxes": 9}, chip=200, gsd_m=(2, 3))
    taught_by(close, stills, ndvi)
    predict_raster(checkpoint, image, QUESTION, tmp_path / "a.geojson")
    assert {chip.meta["composite"] for chip in shown} == {"true_colour"}
    assert shown[0].georeference.width == 100
    said = capsys.readouterr()
    line = next(line for line in (said.out + said.err).splitlines() if "as in data set" in line)
    for fact in ("stills", "true_colour", "100 px", "10 m"):
        assert fact in line
    with pytest.raises(DataError, match="is not in scene"):
        predict_raster(checkpoint, image, f"what is the land use at {place}?", tmp_path / "a.geojson")


def test_a_crop_that_was_never_learnt_is_refused_before_anything_is_asked(
    checkpoint, image, answers, taught_by, tmp_path
):
    asked = answers(lambda chip, sample: (Box(0.1, 0.1, 0.5, 0.5),))
    taught_by(TaughtWith(name="stills", tasks={"crop_boxes": 9}, chip=128, crops={"maize": 5, "rye": 4}))
    with pytest.raises(DataError, match=r"never learnt banana\n.*maize, rye"):
        predict_raster(checkpoint, image, "Where are the banana fields?", tmp_path / "a.geojson")
    assert asked == []
    predict_raster(checkpoint, image, "Wo wächst Körnermais?", tmp_path / "a.geojson")
    assert geopandas.read_file(tmp_path / "a.geojson")["crop:name"].unique() == ["maize"]


@pytest.fixture
def picture(tmp_path):
    """A photograph of a drone whose camera wrote nothing into it."""
    path = tmp_path / "drone.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 260, 3), np.uint8)).save(path)
    return path


def boxed(chip, sample):
    return (Box(0.25, 0.25, 0.75, 0.75),)


def test_a_plain_picture_is_answered_in_its_pixels(checkpoint, picture, tmp_path, answers, capsys):
    answers(boxed)
    found = predict_raster(checkpoint, picture, QUESTION, tmp_path / "a.geojson", tile=200, overlap=0)
    content = json.loads(found.path.read_text())
    assert "no place on the map" in content["coordinates"]
    boxes = [shape(feature["geometry"]).bounds for feature in content["features"]]
    assert (50.0, 50.0, 150.0, 150.0) in boxes
    assert content["features"][0]["properties"]["area_px"] == 10_000
    assert "px in all" in found.summary
    assert "its tags lack GPS position" in capsys.readouterr().out


def test_a_plain_picture_is_answered_as_coco(checkpoint, picture, tmp_path, answers):
    answers(boxed)
    found = predict_raster(checkpoint, picture, QUESTION, tmp_path / "a.json", tile=200, overlap=0)
    content = json.loads(found.path.read_text())
    assert content["images"] == [{"id": 1, "file_name": "drone.png", "width": 260, "height": 200}]
    assert [50.0, 50.0, 100.0, 100.0] in [one["bbox"] for one in content["annotations"]]
    assert content["categories"] == [{"id": 1, "name": "maize"}]


def test_places_of_a_plain_picture_are_columns_and_rows(checkpoint, picture, tmp_path, answers):
    asked = []
    answers(lambda chip, sample: asked.append(sample.question) or ("maize",))
    predict_raster(checkpoint, picture, "what grows at 130, 100?", tmp_path / "a.geojson", tile=100)
    assert asked[0][1] == Point(0.5, 0.5)
    with pytest.raises(DataError, match="name column, row, from 0, 0 to 260, 200"):
        predict_raster(checkpoint, picture, "what grows at 300, 100?", tmp_path / "a.geojson")


def test_a_plain_picture_has_no_place_in_a_geopackage(checkpoint, picture, tmp_path):
    with pytest.raises(DataError, match="no place on the map"):
        predict_raster(checkpoint, picture, QUESTION, tmp_path / "a.gpkg")


def test_a_photograph_with_gps_lies_about_where_its_camera_was(checkpoint, tmp_path, answers, capsys):
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 24
    exif[ExifTags.IFD.GPSInfo] = {1: "N", 2: (56.0, 20.0, 6.25), 3: "E", 4: (9.0, 15.0, 55.3), 6: 80.0}
    path = tmp_path / "drone.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 260, 3), np.uint8)).save(path, exif=exif)
    answers(boxed)
    found = predict_raster(checkpoint, path, QUESTION, tmp_path / "a.geojson")
    assert "its place is approximate" in capsys.readouterr().out
    table = geopandas.read_file(found.path)
    assert table.geometry[0].distance(shapely.Point(9.26536, 56.33507)) < 0.001
    assert (table["area_ha"] > 0).all()


def test_a_series_has_as_many_dates_as_in_training(checkpoint, tmp_path, answers, taught_by):
    dates = [f"2022-{month:02d}-01" for month in range(3, 11)]
    image = write_image(tmp_path / "ndvi.tif", np.random.default_rng(1), dates)
    shown = []
    answers(lambda chip, sample: shown.append(chip) or (Instant(0.5),))
    taught_by(TaughtWith(name="seasons", tasks={"peak_of_season": 5}, chip=128, series=4, composite="ndvi"))
    predict_raster(checkpoint, image, "when is the field at 601500 6198500 greenest?", tmp_path / "a.geojson")
    assert [picture.acquired.month for picture in shown[0].pictures] == [3, 5, 7, 9]
