"""The notebook runs from top to bottom, as its readers run it."""

import json
from pathlib import Path

import geopandas
import matplotlib.pyplot as plt
import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "first-map.ipynb"


@pytest.fixture
def cells():
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == "code"]


def test_every_cell_runs_and_the_file_opens(cells, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    seen: dict = {}
    for cell in cells:
        exec(compile(cell, str(NOTEBOOK), "exec"), seen)
    plt.close("all")
    assert len(seen["fields"]) > 3
    assert seen["field"].intersects(seen["field"].geometry.iloc[0]).all()
    assert len(geopandas.read_file(tmp_path / "first-map" / "fields.gpkg")) == len(seen["fields"])
    assert "fields" in capsys.readouterr().out
