"""Word alignment: labels of visual tokens, and the loss that draws features to words."""

import pytest
import torch

from agrilape.dataset.types import Chip, Example, Sample
from agrilape.tokens import TrainingItem
from agrilape.train.alignment import TEMPERATURE, AlignmentTargets, word_alignment


def item(grid):
    truth = {"grid": grid} if grid else {}
    sample = Sample("c/layout/0", "c", "layout", ("What?",), ("maize",), truth)
    return TrainingItem(Example(Chip("c", "s", "src", ()), (sample,)), (sample,))


WORDS = {" maize": [3, 9], " other": [1]}


class Spelling:
    def __call__(self, text, add_special_tokens):
        return {"input_ids": WORDS[text]}


def collate(items):
    return {"pixel_values": torch.zeros(len(items), 3, 2, 2)}


def test_a_name_of_several_tokens_counts_by_its_first():
    batch = AlignmentTargets(collate, Spelling())([item([["maize", "other"], ["other", "maize"]])])
    assert batch["cover"].tolist() == [[[3, 1], [1, 3]]]


def test_a_batch_with_an_undescribed_chip_has_no_cover():
    assert "cover" not in AlignmentTargets(collate, Spelling())([item([["maize"]]), item(None)])


def test_loss_is_least_where_each_token_is_its_word():
    embeddings = torch.eye(4)
    cover = torch.tensor([[[0, 1], [2, 3]]])
    right = word_alignment(5 * embeddings[cover.flatten()], cover, embeddings)
    wrong = word_alignment(5 * embeddings[cover.flatten().flip(0)], cover, embeddings)
    expected = torch.log(1 + 3 * torch.exp(torch.tensor(-1 / TEMPERATURE)))
    assert right.item() == pytest.approx(expected.item(), abs=1e-6)
    assert wrong > right + 5


def test_finer_tokens_take_the_cell_at_their_centre():
    embeddings = torch.eye(2)
    cover = torch.tensor([[[0, 1]]])
    tokens = embeddings[torch.tensor([0, 0, 1, 1] * 4)]
    assert word_alignment(tokens, cover, embeddings) < 0.01


def test_gradient_reaches_features_and_leaves_words_where_they_are():
    features = torch.randn(4, 8, requires_grad=True)
    words = torch.randn(5, 8, requires_grad=True)
    word_alignment(features, torch.tensor([[[0, 1], [2, 3]]]), words).backward()
    assert features.grad.abs().sum() > 0
    assert words.grad is None
