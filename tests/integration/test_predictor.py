"""A model in Python: loaded once, asked about images of every form, with the same answers."""

import numpy as np
import pytest
import rasterio
import rioxarray
import xarray
from affine import Affine
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT
from shapely import Point, box

import agrilape
from agrilape.errors import DataError, ModelError, RecipeError
from agrilape.serve import Predictor, predict_raster

SIDE, GSD, WEST, NORTH = 200, 2.5, 600_000.0, 6_200_000.0
TRANSFORM = Affine(GSD, 0, WEST, 0, -GSD, NORTH)
QUESTION = "which field is at {place}?"
BANDS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def predictor():
    return Predictor()


@pytest.fixture(scope="module")
def values():
    """Fields of four colours, in 8 bits."""
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.integers(40, 220, (3, 4, 4)), np.ones((1, SIDE // 4, SIDE // 4)))
    return (blocks + rng.integers(0, 12, blocks.shape)).astype(np.uint8)


@pytest.fixture(scope="module")
def path(tmp_path_factory, values):
    file = tmp_path_factory.mktemp("image") / "image.tif"
    with rasterio.open(
        file, "w", driver="GTiff", width=SIDE, height=SIDE, count=3, dtype="uint8", crs="EPSG:25832",
        transform=TRANSFORM,
    ) as raster:  # fmt: skip
        raster.write(values)
        raster.descriptions = BANDS
    return file


@pytest.fixture(scope="module")
def place(path):
    return middle_of(path)


def middle_of(path):
    with rasterio.open(path) as raster:
        (x,), (y,) = rasterio.warp.transform(raster.crs, "OGC:CRS84", [WEST + 250], [NORTH - 250])
    return x, y


@pytest.fixture(scope="module")
def expected(predictor, path, place):
    return predictor.ask(path, QUESTION, at=place, min_confidence=0)


def test_an_answer_is_a_table_on_the_map(expected):
    assert expected.crs == "EPSG:25832"
    assert len(expected) == 1
    (row,) = expected.to_dict("records")
    assert row["determination:method"] == "auto-imagery"
    assert row["metrics:area"] == pytest.approx(10_000 * row["area_ha"], rel=0.01)
    assert 0 <= row["confidence"] <= 1
    assert row["geometry"].within(box(WEST, NORTH - 500, WEST + 500, NORTH).buffer(1))
    assert expected.attrs["summary"].startswith("1 found in 1 tile")


def test_every_form_of_an_image_gives_the_same_answer(predictor, path, values, place, expected):
    plain = xarray.DataArray(
        values, dims=("band", "y", "x"), attrs={"crs": "EPSG:25832", "transform": tuple(TRANSFORM)[:6]}
    ).assign_coords(band=list(BANDS))  # fmt: skip
    turned = rioxarray.open_rasterio(path).transpose("y", "x", "band")
    where = {"transform": TRANSFORM, "crs": "EPSG:25832"}

    def ask(image, **how):
        return predictor.ask(image, QUESTION, at=place, min_confidence=0, **how)

    with (
        rasterio.open(path) as opened,
        WarpedVRT(opened) as warped,
        MemoryFile(path.read_bytes()) as file,
        file.open() as memory,
    ):
        found = [ask(str(path)), ask(opened), ask(warped), ask(memory)]
    found += [ask(plain), ask(turned), ask(values, bands=BANDS, **where), ask(values, **where)]
    found.append(ask(np.ma.masked_array(values), **where))
    for answer in found:
        assert answer.geometry.iloc[0].equals_exact(expected.geometry.iloc[0], 1e-6)
        assert answer["confidence"].tolist() == expected["confidence"].tolist()


def test_a_series_of_xarray_keeps_its_dates(predictor, place):
    rng = np.random.default_rng(1)
    season = xarray.DataArray(
        rng.uniform(0.1, 0.9, (3, SIDE, SIDE)).astype("float32"),
        dims=("time", "y", "x"),
        coords={
            "time": np.array(["2022-04-01", "2022-06-01", "2022-08-01"], "datetime64[ns]"),
            "y": NORTH - GSD * (np.arange(SIDE) + 0.5),
            "x": WEST + GSD * (np.arange(SIDE) + 0.5),
        },
        name="ndvi",
    ).rio.write_crs("EPSG:25832")
    answer = predictor.ask(
        season, "when is the field at {place} greenest?", at=place, min_confidence=0, composite="ndvi"
    )
    assert len(answer) == 1
    assert "3 dates" in " ".join(answer.attrs["notes"])
    assert answer["answer"].str.contains("2022-0").all()
    one = predictor.ask(season.sel(time="2022-06-01"), QUESTION, at=place, min_confidence=0, composite="ndvi")
    assert one["determination:datetime"].tolist() == ["2022-06-01T00:00:00Z"]


def test_masked_pixels_are_no_ground(predictor, values):
    hidden = np.ma.masked_array(values, np.ones_like(values, bool))
    with pytest.raises(DataError, match="no pixel is valid"):
        predictor.ask(hidden, "where are the fields?", transform=TRANSFORM, crs="EPSG:25832")


def test_a_place_can_stand_in_the_question_or_beside_it(predictor, path, place, expected):
    spoken = QUESTION.format(place=f"{place[0]:.7f}, {place[1]:.7f}")
    answers = [
        predictor.ask(path, spoken, min_confidence=0),
        predictor.ask(path, "which field is", at=Point(place), min_confidence=0),
    ]
    for answer in answers:
        assert answer.geometry.iloc[0].equals_exact(expected.geometry.iloc[0], 1e-6)


def test_answers_come_tile_by_tile(predictor, path):
    tiles = list(predictor.stream(path, "where are the fields?", min_confidence=0, tile=128))
    assert [one.number for one in tiles] == list(range(1, len(tiles) + 1))
    assert {one.total for one in tiles} == {len(tiles)}
    assert len(tiles) == 4
    assert any(len(one.answers) for one in tiles)


def test_the_command_gives_what_the_predictor_gives(path, place, expected, tmp_path):
    import geopandas

    question = QUESTION.format(place=f"{place[0]:.7f}, {place[1]:.7f}")
    out = tmp_path / "out.gpkg"
    predict_raster(None, path, question, out, crs="source", min_confidence=0)
    written = geopandas.read_file(out)
    assert written.geometry.iloc[0].equals_exact(expected.geometry.iloc[0], 1e-6)


def test_a_run_folder_a_stage_and_a_name_mean_the_model_that_lies_there(predictor, path, place, expected):
    from agrilape.serve import SHIPPED

    stage = next((SHIPPED / "stages").iterdir())
    for named in (str(SHIPPED), stage, "shipped:nano"):
        answer = Predictor(named, device="cpu", dtype="float32").ask(path, QUESTION, place, 0)
        assert answer.geometry.iloc[0].equals_exact(expected.geometry.iloc[0], 1e-6)
    assert agrilape.from_pretrained(str(SHIPPED)).config == predictor.checkpoint.config


def test_what_cannot_be_is_refused_with_a_remedy(predictor, path, values, tmp_path):
    for error, says, settings in (
        (ModelError, "no checkpoint", {"checkpoint": tmp_path / "nowhere"}),
        (RecipeError, "no device", {"device": "abacus"}),
        (RecipeError, "no type", {"dtype": "float31"}),
    ):
        with pytest.raises(error, match=says):
            Predictor(**settings)
    for says, image, how in (
        ("where it lies", values, {}),
        ("3 bands, but 2", values, {"transform": TRANSFORM, "crs": 4326, "bands": ["a", "b"]}),
        ("cannot be asked about", values[0, 0], {}),
        ("unknown coordinate", values, {"transform": TRANSFORM, "crs": "Mars"}),
        ("is no place", path, {"at": "here"}),
        ("no x and y", xarray.DataArray(values, dims=("a", "b", "c")), {}),
        ("coordinate reference", xarray.DataArray(values, dims=("band", "y", "x")), {}),
    ):
        with pytest.raises(DataError, match=says):
            predictor.ask(image, "where are the fields?", **how)


def test_answers_are_drawn_over_their_image(predictor, path, expected):
    axes = agrilape.plot(expected, path)
    assert len(axes.images) == 1
    left, right = axes.get_xlim()
    assert (left, right) == (WEST, WEST + SIDE * GSD)
    assert axes.collections
    axes.figure.canvas.draw()
