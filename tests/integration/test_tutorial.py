"""docs/tutorial.md: its files are written and its commands run, in its order, on a small farm."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from agrilape.cli.app import app
from agrilape.config.recipe import SimulateSource
from agrilape.simulate import simulate_scene

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
QUICK = "--set stages.domain.steps=2 --set stages.domain.batch_size=2 --set evaluation.limit=3"


def commands() -> list[list[str]]:
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, flags=re.S)
    return [shlex.split(line, comments=True)[1:] for block in blocks for line in block.splitlines() if line]


def test_the_tutorial(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    layout = re.search(r"<!-- folder -->\n```text\n(.*?)```", PAGE, flags=re.S)[1]
    places = re.findall(r"^  (\w+)/$", layout, flags=re.M)
    dates = list(dict.fromkeys(re.findall(r"^    (\w+\.tif)", layout, flags=re.M)))
    source = SimulateSource(scenes=2, size=256, gsd=2.5, dates=len(dates), seed=5)
    for number, place in enumerate(places):
        scene = simulate_scene(tmp_path / "simulated", source, number)
        folder = tmp_path / "farm" / place
        folder.mkdir(parents=True)
        for name, image in zip(dates, sorted(scene.glob("*.tif")), strict=True):
            image.rename(folder / name)
        (scene / "parcels.gpkg").rename(folder / "parcels.gpkg")
    files = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", PAGE, flags=re.S)
    assert [name for name, _ in files] == ["farm/scene.json", "farm.yaml"]
    for name, text in files:
        Path(name).write_text(text)

    for command in commands():
        quick = shlex.split(QUICK) if "farm.yaml" in command else []
        ended = CliRunner().invoke(app, [*command, *quick])
        assert ended.exit_code == 0, (command, ended.output, ended.exception)
        assert "is now" not in ended.output, "the page uses present names"
    assert Path("runs/farm/report.html").stat().st_size
    assert Path("fields.geojson").stat().st_size
