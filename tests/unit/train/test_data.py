from collections import Counter

import pytest
import torch

from agrilape.errors import DataError
from agrilape.geo.shapes import Box
from agrilape.samples.types import Chip, Example, Picture, Sample
from agrilape.tokens import TrainingItem
from agrilape.train.data import PART_ROWS, alike, in_parts, symmetry_of


def item(number: int, pictures: int = 1, words: int = 1) -> TrainingItem:
    chip = Chip(str(number), "s", "test", (Picture(b""),) * pictures)
    box = Box(0, 0, 0.5, 0.5)
    sample = Sample(f"{number}/q", str(number), "crop_in_box", ("what " * words, box), ("maize",))
    return TrainingItem(Example(chip, (sample,)), (sample,) * (1 + number % 2))


def test_parts_hold_every_item_once_and_series_apart_from_stills() -> None:
    items = [item(n, pictures=(5, 4, 1, 1)[n % 4], words=(7 * n) % 11) for n in range(50)]
    parts = alike(items)
    assert sorted(map(id, (i for part in parts for i in part))) == sorted(map(id, items))
    assert all(len({i.example.chip.pictures[1:] == () for i in part}) == 1 for part in parts)
    assert max(map(len, parts)) == PART_ROWS
    longest = [max(len(i.samples[0].question[0]) * len(i.samples) for i in part) for part in parts[:2]]
    assert longest[0] <= longest[1]


def test_a_batch_counts_its_samples() -> None:
    items = [item(n) for n in range(20)]
    batch = in_parts(lambda part: {"labels": torch.zeros(len(part), 3)})(items)
    assert [len(part["labels"]) for part in batch["parts"]] == [16, 4]
    assert sum(int(part["asked"]) for part in batch["parts"]) == 30


def test_chips_that_cannot_be_read_are_left_out_and_named() -> None:
    def collate(part):
        if any(i.example.chip.id in ("3", "17") for i in part):
            raise DataError("the picture is damaged", "prepare again")
        return {"labels": torch.zeros(len(part), 3)}

    batch = in_parts(collate)([item(n) for n in range(20)])
    assert sum(len(part["labels"]) for part in batch["parts"]) == 18
    assert sorted(batch["left_out"]) == ["17: the picture is damaged", "3: the picture is damaged"]
    assert sum(int(part["asked"]) for part in batch["parts"]) == 30 - 2 - 2
    with pytest.raises(DataError, match="no chip of a batch"):
        in_parts(collate)([item(3)])


def test_symmetries_are_fixed_by_seed_and_index_and_all_occur() -> None:
    drawn = [symmetry_of(3, index) for index in range(800)]
    assert drawn == [symmetry_of(3, index) for index in range(800)]
    assert drawn != [symmetry_of(4, index) for index in range(800)]
    counts = Counter(drawn)
    assert set(counts) == set(range(8))
    assert min(counts.values()) > 60
