"""From logits to places and times: grammar-constrained decoding, and soft-argmax finer than one bin."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, NamedTuple

import torch
from transformers import LogitsProcessor

from agrilape.config.lape import AXES, Axis
from agrilape.errors import ModelError
from agrilape.tokens.chat import Chat
from agrilape.tokens.grammar import ParsedMessage, parse
from agrilape.tokens.vocabulary import PositionIds

_FEWEST_FOR_A_PLACE = 4  # tokens of `[<WIDTH><HEIGHT>]`
_LONGEST = 1 << 30


class _Step(NamedTuple):
    """What the grammar lets follow inside a bracket.

    Attributes:
        lowest: Lowest index per axis that may come next.
        close: May the bracket close?
    """

    lowest: dict[Axis, int]
    close: bool


def _text(token: str | None) -> str:
    """What a token writes, as far as it matters here.

    SentencePiece has tokens for single bytes, such as `<0x5B>` for a bracket. A run of them is decoded as
    one, and a bracket in it may be lost: those of `[`, `]` and `<` count as `<`, which is never written.
    """
    if token is None or re.fullmatch("<0x[0-9A-F]{2}>", token) is None:
        return token or ""
    return "<" if chr(int(token[3:5], 16)) in "[]<" else ""


class CoordinateGrammar(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped here
    """Lets a model write only well-formed coordinates; pass it to `generate(logits_processor=[...])`.

    Whatever the scores, the answer has position tokens inside brackets only, every bracket holds one shape
    with left <= right, top <= bottom and start <= end, and none is cut off. Brackets are for shapes: no other
    text is written in them. Nor is `<` written, so that no position token is spelled letter by letter.
    Stateless, so that beams and batches need nothing more.

    Args:
        tokenizer: Tokenizer with position tokens.
        positions: Their ids.
        max_length: Length of prompt and answer together at which generation stops; None if it has no limit,
            in which case a limit set elsewhere may cut a bracket.
        max_vertices: Most vertices of a polygon; below 3, no polygons are written.

    Raises:
        ModelError: If the vocabulary has no brackets.
    """

    def __init__(
        self, tokenizer: Any, positions: PositionIds, max_length: int | None = None, max_vertices: int = 32
    ) -> None:
        self._positions = positions
        self._max_length = _LONGEST if max_length is None else max_length
        self._max_vertices = max_vertices
        added = tokenizer.added_tokens_decoder  # in these, `<` is part of a name
        texts = [_text(token) for token in tokenizer.convert_ids_to_tokens(range(len(tokenizer)))]
        opening = {i for i, text in enumerate(texts) if text.rfind("[") > text.rfind("]")}
        self._opens = {i for i in opening if texts[i].endswith("[")}
        closing = [i for i, text in enumerate(texts) if text.startswith("]")]
        if not self._opens or not closing:
            raise ModelError(
                "the vocabulary has no tokens for [ and ]", "Use a tokenizer that can write square brackets."
            )
        self._opening = torch.tensor(sorted(opening))
        spelled = {i for i, text in enumerate(texts) if "<" in text and i not in added}
        never = spelled | (opening - self._opens)
        self._never = torch.tensor(sorted(never), dtype=torch.long)
        self._closing = torch.tensor([i for i in closing if i not in never])
        self._closing_only = torch.tensor([i for i in closing if i not in opening | never])

    def until(self, max_length: int) -> CoordinateGrammar:
        """The same for another length; the vocabulary, perhaps of 150,000 tokens, is not searched again."""
        other = copy(self)
        other._max_length = max_length
        return other

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores `[B, V]` with -inf where a token would break the grammar."""
        scores = scores.clone()
        left = self._max_length - input_ids.shape[1]  # tokens that can still be written, this one included
        scores[:, self._never] = -torch.inf
        for row, (run, opened) in zip(scores, self._runs(input_ids), strict=True):
            if run or opened:
                self._keep_only(row, self._next(run, left), left)
            else:
                row[self._positions.all] = -torch.inf
                if left < _FEWEST_FOR_A_PLACE:
                    row[self._opening] = -torch.inf
        return scores

    def _runs(self, input_ids: torch.Tensor) -> list[tuple[list[tuple[Axis, int]], bool]]:
        """Position tokens at the end of each row, and whether a row ends with an open bracket."""
        tail = input_ids[:, -2 * max(self._max_vertices, 2) - 1 :]
        axes, indices = (found.tolist() for found in self._positions.lookup(tail))
        runs = []
        for tokens, row_axes, row_indices in zip(tail.tolist(), axes, indices, strict=True):
            start = len(tokens)
            while start and row_axes[start - 1] >= 0:
                start -= 1
            run = [(AXES[a], i) for a, i in zip(row_axes[start:], row_indices[start:], strict=True)]
            runs.append((run, not run and tokens[-1] in self._opens))
        return runs

    def _next(self, run: list[tuple[Axis, int]], left: int) -> _Step:
        """What may follow the coordinates of an open bracket, with `left` tokens to write.

        A box whose second corner lies before its first can only be the beginning of a polygon, which needs
        another vertex: W, H, W, H and the bracket from the first corner on, W, H and the bracket after both.
        """
        polygons = self._max_vertices >= 3
        indices = [index for _, index in run]
        if not run:
            return _Step({"temporal": 0, "width": 0} if left >= 3 else {"temporal": 0}, close=False)
        if run[0][0] == "temporal":
            return _Step({"temporal": indices[0]} if len(run) == 1 and left >= 2 else {}, close=True)
        if len(run) % 2:
            free = len(run) != 3 or (polygons and (left >= 4 or indices[2] < indices[0]))
            return _Step({"height": 0 if free else indices[1]}, close=False)
        if len(run) == 2:
            lowest = 0 if polygons and left >= 5 else indices[0]
            return _Step({"width": lowest} if left >= 3 else {}, close=True)
        reversed_box = len(run) == 4 and (indices[2] < indices[0] or indices[3] < indices[1])
        another = polygons and left >= 3 and len(run) < 2 * self._max_vertices
        return _Step({"width": 0} if another else {}, close=not reversed_box)

    def _keep_only(self, row: torch.Tensor, step: _Step, left: int) -> None:
        allowed = [self._positions.ids[axis][lowest:] for axis, lowest in step.lowest.items()]
        if step.close:  # the closing token may open the next bracket, if there is room for it
            allowed.append(self._closing if left >= _FEWEST_FOR_A_PLACE else self._closing_only)
        keep = torch.cat(allowed).to(row.device)
        kept = row[keep]
        row.fill_(-torch.inf)
        row[keep] = kept


def expected_position(scores: torch.Tensor, window: int = 2) -> torch.Tensor:
    """Continuous index read from the distribution over one axis.

    The mean over the tokens within `window` of the most likely one; far tokens, another mode among them, do
    not count. Exact for a two-hot distribution, where the most likely token alone is up to half a bin off.

    Args:
        scores: Logits or log-probabilities of an axis's tokens in order, `[..., N]`; one at least is finite.
        window: Bins on each side.

    Returns:
        Index u in [0, N - 1], float32 `[...]`.
    """
    bins = torch.arange(scores.shape[-1], device=scores.device)
    near = (bins - scores.argmax(dim=-1, keepdim=True)).abs() <= window
    weights = scores.float().masked_fill(~near, -torch.inf).softmax(dim=-1)
    return (weights * bins).sum(dim=-1)


def expected_positions(
    generated: torch.Tensor, scores: Sequence[torch.Tensor], positions: PositionIds, window: int = 2
) -> list[list[float]]:
    """Continuous index of every position token that was generated, greedily or by sampling.

    Args:
        generated: Vocabulary ids without the prompt, `[B, T]`.
        scores: Scores at each step, T tensors `[B, V]`: `generate(output_scores=True)`.
        positions: Ids of the position tokens.
        window: As in `expected_position`.

    Returns:
        Per row, the indices in the order of its position tokens.
    """
    rows = read_positions(generated, scores, positions, lambda one: expected_position(one, window)[:, None])
    return [[index for (index,) in row] for row in rows]


def read_positions(
    generated: torch.Tensor,
    scores: Sequence[torch.Tensor],
    positions: PositionIds,
    read: Callable[[torch.Tensor], torch.Tensor],
) -> list[list[list[float]]]:
    """Numbers read from the distribution behind every position token that was generated.

    Args:
        generated: Vocabulary ids without the prompt, `[B, T]`.
        scores: Scores at each step, T tensors `[B, V]`.
        positions: Ids of the position tokens.
        read: From the scores `[n, N]` of n tokens on their axis to the same number of values each, `[n, k]`.

    Returns:
        Per row and position token, the values.
    """
    axes, _ = positions.lookup(generated)
    # Only the position columns: all scores of a large vocabulary at once would fill the memory.
    columns = torch.stack([step[:, positions.all.to(step.device)] for step in scores], dim=1)
    values: list[list[list[float]]] = [[[]] * generated.shape[1] for _ in generated]
    start = 0
    for number, axis in enumerate(AXES):
        end = start + len(positions.ids[axis])
        here = axes == number
        found = read(columns[here][:, start:end]).tolist()
        for (row, step), numbers in zip(here.nonzero().tolist(), found, strict=True):
            values[row][step] = numbers
        start = end
    return [[numbers for numbers in row if numbers] for row in values]


def token_probabilities(generated: torch.Tensor, scores: Sequence[torch.Tensor]) -> torch.Tensor:
    """Probability of each generated token among all that could have been written in its place.

    Args:
        generated: Vocabulary ids without the prompt, `[B, T]`.
        scores: Scores at each step, T tensors `[B, V]`; of a grammar, -inf for what it forbids.

    Returns:
        float32 `[B, T]`.
    """
    chosen = [
        step.float().log_softmax(dim=-1).gather(1, tokens[:, None])
        for step, tokens in zip(scores, generated.T, strict=True)
    ]
    return torch.cat(chosen, dim=1).exp()


def read_answers(
    chat: Chat, generated: torch.Tensor, positions: Sequence[Sequence[float]] | None = None
) -> list[tuple[str, ParsedMessage]]:
    """Texts and parts of generated answers.

    Args:
        chat: How they are spelled.
        generated: Vocabulary ids without the prompt, `[B, T]`.
        positions: From `expected_positions`; None reads whole tokens.

    Returns:
        Per row, the text as written and what it says.
    """
    texts = chat.tokenizer.batch_decode(generated, skip_special_tokens=True)
    finer = [None] * len(texts) if positions is None else positions
    return [
        (text.strip(), parse(text.strip(), chat.codec, chat.coordinates, u))
        for text, u in zip(texts, finer, strict=True)
    ]
