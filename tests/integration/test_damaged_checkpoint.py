"""Files beside a checkpoint that hold something else than they should: refusals that name them."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from agrilape.cli import main
from agrilape.config.recipe import SimulateSource
from agrilape.serve import SHIPPED
from agrilape.simulate import simulate_scene

DEEP_JSON = "[" * 20000 + "]" * 20000
DEEP_YAML = "a: " + "{b: " * 3000 + "1" + "}" * 3000


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Path:
    source = SimulateSource(size=128, dates=1, scenes=1)
    return next(simulate_scene(tmp_path_factory.mktemp("scene"), source, 0).glob("*.tif"))


@pytest.fixture
def run(tmp_path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "run"))


@pytest.fixture
def agrilape(capsys, monkeypatch):
    def call(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["agrilape", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, capsys.readouterr().err

    return call


def damage(run: Path, name: str, content: str) -> Path:
    (path,) = run.rglob(name)
    path.write_text(content, encoding="utf-8")
    return path


def refused(said: tuple[int, str], file: Path) -> None:
    status, text = said
    assert status == 1, text
    assert file.name in text or str(file.parent) in text
    assert "->" in text
    assert len(text) < 2000


@pytest.mark.parametrize(
    "content", ["", "5", "[]", "null", '"text"', "{", DEEP_JSON, '{"coordinates": 5}', '{"base": {"a": 1}}']
)
def test_agrilape_json(run, content, agrilape):
    file = damage(run, "agrilape.json", content)
    if "coordinates" not in content and "base" not in content:
        refused(agrilape("inspect", run), file)
    refused(agrilape("merge", run, run / "merged"), file)


@pytest.mark.parametrize(
    "content",
    ["", "5", "[]", "{", DEEP_JSON, '{"a": NaN}', '{"token_ids": 5}', '{"token_ids": {"height": [1e400]}}',
     '{"num_spatial_tokens": 99999999999999999999}'],
)  # fmt: skip
def test_lape_config_json(run, content, agrilape):
    file = damage(run, "lape_config.json", content)
    refused(agrilape("inspect", run), file)
    refused(agrilape("merge", run, run / "merged"), file)


@pytest.mark.parametrize(
    "content",
    ["5", "[]", "stages: 5", "stages: [5]", "stages: {a: b}", "datasets: 5", "datasets: {a: 5}", "lape: [1]",
     "enable_lape: false\nstages: 5", "num_spatial_tokens: 5\nlape: 3", "name: !!int abc", "date: 2020-99-99",
     "a: &a [*a]", "\t{", "? [1]\n: 2", "5: 6", "output: 5", DEEP_YAML],
)  # fmt: skip
def test_recipe_yaml(run, content, agrilape):
    file = damage(run, "recipe.yaml", content)
    refused(agrilape("train", run, "--dry-run"), file)


@pytest.mark.parametrize(
    "content",
    [
        "5",
        "datasets: {a: 5}",
        "datasets: {a: {chip: x}}",
        "datasets: {a: {chip: 64, metadata: 5}}",
        DEEP_YAML,
    ],
)
def test_a_recipe_that_prediction_cannot_use(run, content, agrilape, image):
    for told in run.rglob(
        "training_data.json"
    ):  # a checkpoint of before says what taught it in its recipe alone
        told.unlink()
    file = damage(run, "recipe.yaml", content)
    out = run / "fields.geojson"
    refused(agrilape("predict", run, image, "where are the maize fields?", "-o", out), file)
    assert not out.exists()
