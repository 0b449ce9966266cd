from collections import Counter

import torch
from hypothesis import given
from hypothesis import strategies as st

from agrilape.dataset.types import Chip, Example, Picture, Sample
from agrilape.errors import DataError
from agrilape.geo.shapes import Box
from agrilape.tokens import TrainingItem
from agrilape.tokens.packing import IGNORED
from agrilape.train.micro_batches import (
    PART_ROWS,
    TokenLimit,
    answer_positions,
    group_by_length,
    in_micro_batches,
    spare_tokens,
)


def item(number: int, pictures: int = 1, words: int = 1) -> TrainingItem:
    chip = Chip(str(number), "s", "test", (Picture(b""),) * pictures)
    box = Box(0, 0, 0.5, 0.5)
    sample = Sample(f"{number}/q", str(number), "crop_in_box", ("what " * words, box), ("maize",))
    return TrainingItem(Example(chip, (sample,)), (sample,) * (1 + number % 2))


class Collate:
    """Makes batches of rows with 64 tokens per picture and 5 per question; 300 tokens fit."""

    def __init__(self, torn: tuple[str, ...] = (), one_each: bool = False) -> None:
        self.one_each = one_each
        self.torn, self.dropped, self.task_tokens = torn, 0, Counter()

    def length(self, item: TrainingItem) -> int:
        return 64 * len(item.example.chip.pictures) + 5 * len(item.samples)

    def rows(self, item: TrainingItem) -> int:
        return len(item.samples) if self.one_each else 1

    def __call__(self, items) -> dict:
        if any(i.example.chip.id in self.torn for i in items):
            raise DataError("the picture is damaged", "prepare again")
        unfit = [len(i.samples) if self.length(i) > 300 else 0 for i in items]
        self.dropped += sum(unfit)
        for one, left_out in zip(items, unfit, strict=True):
            self.task_tokens["crop_in_box"] += 0 if left_out else 5 * len(one.samples)
        if all(unfit):
            raise DataError("no question fits", "show fewer images")
        return {"labels": torch.zeros(len(items) - sum(map(bool, unfit)), 3)}


@given(st.lists(st.integers(1, 5000), max_size=60))
def test_parts_hold_every_item_once_and_only_rows_alike_in_length(lengths) -> None:
    measured = [(length, item(n)) for n, length in enumerate(lengths)]
    parts = group_by_length(measured)
    assert sorted(map(id, (i for part in parts for i in part))) == sorted(id(i) for _, i in measured)
    length_of = {id(i): length for length, i in measured}
    for part in parts:
        inside = [length_of[id(i)] for i in part]
        assert len(part) <= PART_ROWS
        assert max(inside) <= 1.5 * min(inside)


def test_a_batch_counts_its_questions_and_keeps_series_apart() -> None:
    items = [item(n, pictures=4 if n % 10 == 0 else 1) for n in range(20)]
    batch = in_micro_batches(Collate())(items)
    assert [len(part["labels"]) for part in batch["parts"]] == [16, 2, 2]
    told = {"crop_in_box": 5 * 30}
    assert batch == {
        "parts": batch["parts"], "items": batch["items"], "asked": 30, "too_long": 0, "left_out": [],
        "task_tokens": told,
    }  # fmt: skip


def test_chips_that_cannot_be_read_are_left_out_and_named() -> None:
    batch = in_micro_batches(Collate(torn=("3", "17")))([item(n) for n in range(20)])
    assert sum(len(part["labels"]) for part in batch["parts"]) == 18
    assert sorted(batch["left_out"]) == ["17: the picture is damaged", "3: the picture is damaged"]
    assert (batch["asked"], batch["too_long"]) == (30 - 2 - 2, 0)
    assert batch["task_tokens"] == {"crop_in_box": 5 * 26}, "what was tried in vain is not counted"
    assert in_micro_batches(Collate(torn=("3",)))([item(3)])["parts"] == []


def test_questions_that_do_not_fit_are_counted_once() -> None:
    items = [item(0), item(1, pictures=5), item(2, pictures=5), item(3, pictures=4)]
    batch = in_micro_batches(Collate())(items)
    assert batch["too_long"] == 2 + 1
    assert batch["asked"] == 1 + 2
    assert batch["task_tokens"] == {"crop_in_box": 5 * 3}
    assert sum(len(part["labels"]) for part in batch["parts"]) == 2


@given(st.lists(st.integers(1, 5000), max_size=60), st.integers(0, 20_000))
def test_spare_tokens_join_what_would_be_parts_of_their_own(lengths, spare) -> None:
    measured = [(length, item(n)) for n, length in enumerate(lengths)]
    parts, apart = group_by_length(measured, spare), group_by_length(measured)
    assert sorted(map(id, (i for part in parts for i in part))) == sorted(id(i) for _, i in measured)
    assert len(parts) <= len(apart)
    length_of = {id(i): length for length, i in measured}
    for part in parts:
        inside = [length_of[id(i)] for i in part]
        strict = len(part) <= PART_ROWS and max(inside) <= 1.5 * min(inside)
        assert strict or len(inside) * max(inside) - sum(inside) < spare


@given(
    st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 9)), max_size=60),
    st.integers(0, 20_000),
    st.integers(1, 30_000),
)
def test_no_part_of_several_chips_holds_more_tokens_than_there_is_room_for(chips, spare, most) -> None:
    measured = [(length, item(n)) for n, (length, _) in enumerate(chips)]
    facts = {id(i): (length, rows) for (length, i), (_, rows) in zip(measured, chips, strict=True)}
    parts = group_by_length(measured, spare, most, lambda one: facts[id(one)][1])
    assert sorted(map(id, (i for part in parts for i in part))) == sorted(id(i) for _, i in measured)
    for part in parts:
        longest = max(facts[id(one)][0] for one in part)
        assert len(part) == 1 or longest * sum(facts[id(one)][1] for one in part) <= most


def test_the_questions_of_a_chip_are_divided_where_each_needs_a_row_for_which_there_is_no_room() -> None:
    chip = item(1, pictures=2)  # 128 tokens and 5 per question
    asked = chip._replace(samples=chip.samples[:1] * 7)
    collator = Collate(one_each=True)
    assert len(in_micro_batches(collator, most=2000)([asked])["parts"]) == 1
    cut = in_micro_batches(collator, most=3 * collator.length(asked))([asked])
    assert len(cut["parts"]) == 3
    assert cut["asked"] == 7
    assert len(in_micro_batches(collator, most=1)([asked])["parts"]) == 7
    assert len(in_micro_batches(Collate(), most=1)([asked])["parts"]) == 7, "so are those that share a row"
    alone = asked._replace(samples=asked.samples[:1])
    assert len(in_micro_batches(Collate(), most=1)([alone])["parts"]) == 1, "one question cannot be divided"


def test_a_limit_that_sinks_holds_for_batches_made_afterwards_and_for_parts_made_again() -> None:
    limit, chips = TokenLimit(), [item(n) for n in range(8)]
    make = in_micro_batches(Collate(), most=limit)
    (whole,) = make(chips)["items"]
    assert whole.questions == 4 + 2 * 4
    limit.lower(300)
    limit.lower(400)
    assert limit.most == 300
    assert [len(one.items) for one in make(whole.items)["items"]] == [4, 4]


def test_small_models_on_accelerators_take_a_batch_in_one_part() -> None:
    measured = [(1000 if n % 8 == 0 else 200, item(n)) for n in range(32)]
    assert [len(part) for part in group_by_length(measured, spare_tokens(4_000_000, on_cpu=False))] == [32]
    assert [len(part) for part in group_by_length(measured, spare_tokens(7_000_000_000, on_cpu=False))] == [
        28,
        4,
    ]
    assert spare_tokens(4_000_000, on_cpu=True) == 0


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=6))
def test_places_of_answers_lead_back_to_the_labels(answers) -> None:
    labels = torch.where(torch.tensor(answers), torch.arange(len(answers) * 5).view(-1, 5), IGNORED)
    found = answer_positions(labels)
    following = labels[:, 1:][:, found["scored"]].flatten()[found["answered"]]
    assert following.tolist() == labels[:, 1:][labels[:, 1:] != IGNORED].tolist()
    assert all((labels[:, 1:] != IGNORED).any(0)[found["scored"]])
