"""Predictions in the formats of other tools."""

import csv
import json

import geopandas
import pytest
from affine import Affine
from typer.testing import CliRunner

from agrilape.cli.app import app
from agrilape.errors import DataError, RecipeError
from agrilape.evaluate.external import score_file
from agrilape.evaluate.prediction_files import export_run
from agrilape.geo.georeference import Georeference
from agrilape.geo.shapes import Box, Point, Polygon

GROUND = Georeference("EPSG:32632", Affine(10, 0, 500_000, 0, -10, 5_500_000), 100, 50)
FIELD = Box(0.2, 0.2, 0.6, 0.8)


@pytest.fixture
def run(tmp_path, make_row):
    """A run with two boxes right, one reversed, an outline, a name, and a box without a map."""
    outline = Polygon((Point(0, 0), Point(1, 0), Point(1, 1)))
    facts = {"georeference": GROUND, "truth": {"crop": "oats, winter", "size": "small"}}
    asked = {"question": ("Where are the oats, winter?",), **facts}
    rows = [
        make_row("crop_boxes", [FIELD, Box(0, 0, 0.1, 0.1)], [FIELD, Box(0, 0, 0.1, 0.1)], id="a", **asked),
        make_row("crop_box", [FIELD], [Box(0.6, 0.2, 0.2, 0.8)], id="b", **facts),
        make_row("field_outline", [outline], [outline], id="c", **facts),
        make_row("crop_in_box", ["oats"], ["rye\n"], id="d", **facts),
        make_row("crop_box", [FIELD], [FIELD], id="e"),
    ]
    folder = tmp_path / "evaluation"
    folder.mkdir()
    (folder / "predictions.jsonl").write_text("".join(json.dumps(row.to_json()) + "\n" for row in rows))
    return tmp_path


def test_coco_results_are_scored_by_any_coco_tool(run):
    results, truth = export_run(run, "coco")
    found = score_file("coco", results, truth)
    assert (found["n"], found["precision"], found["recall"]) == (3, 1, 0.75)
    first = json.loads(results.read_text())[0]
    assert first["bbox"] == pytest.approx([20, 10, 40, 30])
    assert {image["width"] for image in json.loads(truth.read_text())["images"]} == {100, 1000}


@pytest.mark.parametrize("style", ["geojson", "geoparquet"])
def test_places_lie_on_the_map_with_fiboa_names(run, style):
    (path,) = export_run(run, style)
    read = geopandas.read_parquet if style == "geoparquet" else geopandas.read_file
    fields = read(path)
    assert len(fields) == 3
    assert fields.crs.to_epsg() == 4326 or fields.crs.to_string() == "OGC:CRS84"
    assert list(fields["crop:name"].fillna("")) == ["oats, winter", "oats, winter", ""]
    assert set(fields["determination:method"]) == {"auto-imagery"}
    # 40 x 30 pixels of 10 m; the grid's metres are 0.04 % short of the ground's at the central meridian.
    assert fields["metrics:area"][0] == pytest.approx(400 * 300, rel=2e-3)
    centre = fields.geometry[0].centroid
    assert (centre.x, centre.y) == pytest.approx(GROUND.centre_wgs84(), abs=2e-3)
    mine = fields.to_crs("EPSG:32632").geometry[0].bounds
    assert mine == pytest.approx(GROUND.box_to_map(FIELD).bounds, abs=0.1)


def test_a_table_of_all_samples(run):
    done = CliRunner().invoke(
        app, ["export", str(run), "--format", "csv", "--output", str(run / "x" / "t.csv")]
    )
    assert done.exit_code == 0
    with (run / "x" / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == list("abcde")
    assert rows[0]["crop"] == "oats, winter"
    assert (rows[3]["prediction"], rows[3]["agreement"], rows[3]["readable"]) == ("rye", "0.0", "True")
    assert rows[4]["longitude"] == ""


def test_what_cannot_be_exported_is_said(run, tmp_path, make_row):
    path = tmp_path / "names.jsonl"
    path.write_text(json.dumps(make_row("crop_in_box", ["oats"], ["rye"]).to_json()))
    for style, problem in {"coco": "no answer is a box", "geoparquet": "no prediction is a place"}.items():
        with pytest.raises(DataError, match=problem):
            export_run(path, style)
    path.write_text("")
    with pytest.raises(DataError, match="no predictions"):
        export_run(path, "csv")
    with pytest.raises(RecipeError, match="coco, geojson, geoparquet, csv"):
        export_run(run, "kml")
    assert not [file for file in run.rglob("*") if file.name.startswith(".")]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-cmd", "@SUM(A1)", "\t=1"])
def test_no_cell_is_a_formula(tmp_path, make_row, text):
    folder = tmp_path / "evaluation"
    folder.mkdir()
    row = make_row("crop_in_box", ["oats"], [text], id="a")
    (folder / "predictions.jsonl").write_text(json.dumps(row.to_json()) + "\n")
    (path,) = export_run(tmp_path, "csv")
    with path.open(newline="") as file:
        cells = [cell for cells in csv.reader(file) for cell in cells]
    assert not any(cell.startswith(("=", "+", "@", "\t", "-c")) for cell in cells)
    assert any(cell.endswith(text.strip()) for cell in cells)
