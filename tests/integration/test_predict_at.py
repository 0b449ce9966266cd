"""One question about many places: whatever the model says, a row comes out for each row that went in."""

import geopandas
import numpy as np
import pandas
import pytest
import rasterio
from affine import Affine
from shapely.geometry import Point, box

from agrilape.errors import DataError
from agrilape.evaluate.predictions import Prediction
from agrilape.geo.shapes import Box
from agrilape.serve import places, predict_at

SIDE, GSD, WEST, NORTH, CRS = 300, 10.0, 600_000.0, 6_200_000.0, "EPSG:25832"
INSIDE = [(WEST + 500, NORTH - 500), (WEST + 520, NORTH - 510), (WEST + 2500, NORTH - 2200)]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "scene.tif"
    values = np.random.default_rng(0).integers(200, 4000, (3, SIDE, SIDE)).astype(np.uint16)
    with rasterio.open(
        path, "w", driver="GTiff", width=SIDE, height=SIDE, count=3, dtype="uint16", crs=CRS, nodata=0,
        transform=Affine(GSD, 0, WEST, 0, -GSD, NORTH),
    ) as file:  # fmt: skip
        file.write(values)
        file.descriptions = ("B04", "B03", "B02")
    return path


@pytest.fixture
def table():
    """Two points side by side, one elsewhere, one outside the image and one row without a place."""
    points = [Point(xy) for xy in (*INSIDE, (WEST - 9000, NORTH))]
    degrees = geopandas.GeoSeries(points, crs=CRS).to_crs(4326)
    rows = [
        {"plot": f"p{i}", "lon": str(p.x), "lat": str(p.y), "status": "visited"}
        for i, p in enumerate(degrees)
    ]
    return pandas.DataFrame([*rows, {"plot": "p4", "lon": "", "lat": "", "status": "lost"}])


@pytest.fixture
def answers(monkeypatch):
    """Let a function answer in place of the model."""
    asked = []

    def install(answer):
        def predict_samples(checkpoint, examples, *, batch_size, decoding, device=None):
            for example in examples:
                asked.append(example)
                yield [
                    Prediction.of(example.chip, one, answer(example.chip, one), confidence=(0.9,))
                    for one in example.samples
                ]

        monkeypatch.setattr(places, "predict_samples", predict_samples)
        return asked

    return install


def around(chip, sample):
    """A box of 200 m about the place that is asked about, which is told by where it lies on the map."""
    point = next(part for part in sample.question if not isinstance(part, str))
    x, y = chip.georeference.to_map(point)
    return (Box(*chip.georeference.box_from_map(box(x - 100, y - 100, x + 100, y + 100))),)


def test_a_table_comes_back_row_by_row_with_outlines(image, table, answers, tmp_path):
    asked = answers(around)
    table.to_csv(tmp_path / "points.csv", index=False)
    found = predict_at(
        None, image, "Which field is here?", tmp_path / "points.csv", tmp_path / "a.gpkg", crs="source"
    )
    rows = geopandas.read_file(found.path)
    assert rows["plot"].tolist() == table["plot"].tolist()
    assert rows["status"].tolist() == table["status"].tolist()
    assert rows["agrilape_status"].tolist() == [*["answered"] * 3, "outside the image", "no place"]
    assert rows["confidence"][:3].notna().all()
    assert rows["confidence"][3:].isna().all()
    for outline, (x, y) in zip(rows.geometry, INSIDE, strict=False):
        assert (
            outline.equals_exact(box(x - 100, y - 100, x + 100, y + 100), 0.1)
            or outline.symmetric_difference(box(x - 100, y - 100, x + 100, y + 100)).area < 100
        )
    assert rows["area_ha"][:3].tolist() == pytest.approx([4.0] * 3, rel=0.01)
    assert len(asked) == 2  # the two places side by side share a tile
    assert "3 answered" in found.summary


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".parquet"])
@pytest.mark.parametrize("question", ["What grows here?", "what grows at {place}?", "Was wächst hier?"])
def test_points_and_parcels_of_any_file_are_asked(image, answers, tmp_path, suffix, question):
    answers(lambda chip, sample: ("maize",))
    parcels = geopandas.GeoDataFrame(
        {"name": ["a", "b", "c"]}, geometry=[Point(xy).buffer(60) for xy in INSIDE], crs=CRS
    )
    path = tmp_path / f"parcels{suffix}"
    if suffix == ".parquet":
        parcels.to_parquet(path)
    else:
        parcels.to_crs(4326).to_file(path)
    predict_at(None, image, question, path, tmp_path / "a.csv")
    rows = pandas.read_csv(tmp_path / "a.csv")
    assert rows["name"].tolist() == ["a", "b", "c"]
    assert rows["answer"].tolist() == ["maize"] * 3
    assert rows["outline"].str.startswith("POLYGON").all()  # as it came
    assert rows["determination:details"].str.contains("each place").all()


def test_what_is_less_sure_than_asked_for_gets_no_answer(image, table, answers, tmp_path):
    answers(lambda chip, sample: ("maize",))
    table.to_csv(tmp_path / "points.csv", index=False)
    predict_at(
        None, image, "What grows here?", tmp_path / "points.csv", tmp_path / "a.geojson", min_confidence=1.0
    )
    rows = geopandas.read_file(tmp_path / "a.geojson")
    assert rows["agrilape_status"].tolist()[:3] == ["less sure than asked for"] * 3
    assert rows["answer"].isna().all()


@pytest.mark.parametrize(
    ("change", "question", "says"),
    [
        (lambda t: t.rename(columns={"lon": "easting"}), "What grows here?", "no columns for longitude"),
        (
            lambda t: t.assign(lat=t["lat"].replace("", "0").astype(float) * 1e5),
            "What grows here?",
            "in degrees",
        ),
        (lambda t: t.iloc[3:], "What grows here?", "none of the 2 places"),
        (lambda t: t.iloc[:0], "What grows here?", "holds no places"),
    ],
)
def test_what_cannot_be_asked_is_said(image, table, answers, tmp_path, change, question, says):
    answers(lambda chip, sample: ("maize",))
    change(table).to_csv(tmp_path / "points.csv", index=False)
    with pytest.raises(DataError, match=says):
        predict_at(None, image, question, tmp_path / "points.csv", tmp_path / "a.gpkg")
    assert not (tmp_path / "a.gpkg").exists()
