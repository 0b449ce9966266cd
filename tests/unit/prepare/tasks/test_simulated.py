"""Simulated scenes supply every task that they have truth for, and every message can be spelled and read."""

import random
from collections import defaultdict

import pytest

from agrilape.config.lape import LapeConfig
from agrilape.config.recipe import DatasetConfig, SimulateSource
from agrilape.dataset.tasks import TASKS
from agrilape.prepare.chips import ChipCutter
from agrilape.prepare.tasks import ask
from agrilape.simulate import simulate_scene
from agrilape.sources import open_folder
from agrilape.sources.tiling import plan_windows
from agrilape.tokens.grammar import parse, render
from agrilape.tokens.position_codec import PositionCodec

# One season, one crop per field, no points, no class of the scene: what a simulated scene cannot know.
UNKNOWN = {
    "crop_rotation", "crops_in_season", "double_cropping", "growth_stage", "land_use_at_point", "same_crop",
    "scene", "no_fields",
}  # fmt: skip


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Samples of each task on one simulated scene, as stills and as series."""
    folder = tmp_path_factory.mktemp("scenes")
    source = SimulateSource(scenes=2, size=320, gsd=3.0, dates=14, seed=2)
    found = defaultdict(list)
    for index in (0, 1):
        (scene,) = open_folder(simulate_scene(folder, source, index)).scenes
        for series in (0, 4):
            config = DatasetConfig(source=source, tasks=tuple(TASKS), chip=192, series=series)
            cutter = ChipCutter(scene, config)
            for window in plan_windows(scene.width, scene.height, 192, 0.25):
                view = cutter.cut(window)
                if not isinstance(view, str):
                    for sample in ask(view, config.tasks, 10_000, random.Random(0)):
                        found[sample.task].append(sample)
    return found


def test_every_task_with_truth_is_asked(asked):
    assert set(TASKS) - set(asked) == UNKNOWN


def test_every_message_can_be_spelled_and_read(asked):
    codec = PositionCodec(LapeConfig(num_spatial_tokens=150, num_temporal_tokens=50))
    for task, samples in asked.items():
        for sample in samples[:20]:
            for message in (sample.question, sample.answer):
                read = parse(render(message, codec), codec)
                assert read.problems == (), (task, message)
                assert [type(part) for part in read.parts] == [type(part) for part in message], task
