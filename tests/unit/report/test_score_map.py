"""Maps of agreement."""

import json
import shutil
from dataclasses import replace

import pytest
from affine import Affine

from agrilape.dataset.serialization import georeference_to_json
from agrilape.geo.georeference import Georeference
from agrilape.report import write_report
from agrilape.report.run_folder import read_run
from agrilape.report.score_map import error_maps


@pytest.fixture
def run(run_folder, tmp_path):
    """A run whose answers lie in a row, 2 km apart, and one row that is damaged."""
    folder = shutil.copytree(run_folder, tmp_path / "trial")
    path = folder / "evaluation" / "predictions.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for number, row in enumerate(rows):
        transform = Affine(10, 0, 500_000 + 2000 * (number % 9), 0, -10, 5_500_000)
        row["georeference"] = georeference_to_json(Georeference("EPSG:32632", transform, 128, 128))
    rows[0]["answer"] = 3
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_map_per_source_with_enough_chips(run):
    (chart,) = error_maps(read_run(run))
    assert chart.title == "Simulate"
    assert chart.note.startswith("9 chips around 49.6")
    assert "Map of agreement: Simulate" in write_report(run).read_text()


def test_no_map_without_places(run_folder, run):
    assert error_maps(read_run(run_folder)) == []
    record = read_run(run)
    assert error_maps(replace(record, predictions=record.predictions[:5])) == []
