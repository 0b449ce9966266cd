"""What the words of a question mean, one table per language."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, TypeAlias

from rapidfuzz import process
from rapidfuzz.distance import DamerauLevenshtein

from agrilape.dataset.prompt_templates import load_prompt_templates
from agrilape.io.yaml_text import parse_yaml

Words: TypeAlias = tuple[str, ...]
TYPO_LENGTH = 4
"""Letters from which a word may be misspelt; of shorter ones too many are one letter apart."""
TYPO_LIKENESS = 0.79
"""Least likeness (Damerau-Levenshtein) of a misspelt word to the one meant: one slip in five letters."""

_TOKEN = re.compile(r"⟦\w+⟧|[^\W_]+|%")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


def tokens(text: str) -> Words:
    """The words of a text, in lower case, umlauts spelt out; what stands in brackets ⟦ ⟧ is one word."""
    return tuple(_TOKEN.findall(text.casefold().translate(_UMLAUTS)))


class Phrases:
    """Phrases of one word or more with what they stand for.

    Args:
        exact: Meaning by phrase.
        stems: Meaning by the beginning of a word.
        derived: Further phrases, that no misspelt word is taken for.
    """

    def __init__(
        self,
        exact: Mapping[Words, str],
        stems: Mapping[str, str] | None = None,
        derived: Mapping[Words, str] | None = None,
    ) -> None:
        self._exact, self._stems = {**(derived or {}), **exact}, list((stems or {}).items())
        self._longest = max((len(words) for words in self._exact), default=1)
        self._single = [words[0] for words in exact if len(words) == 1 and len(words[0]) >= TYPO_LENGTH]

    @classmethod
    def of_texts(cls, meanings: Mapping[str, str]) -> Phrases:
        """Of texts; an asterisk at the end of a word stands for any ending."""
        stems = {tokens(text)[0]: meaning for text, meaning in meanings.items() if text.endswith("*")}
        exact = {tokens(text): meaning for text, meaning in meanings.items() if not text.endswith("*")}
        return cls(exact, stems)

    @classmethod
    def of_words(cls, names: Mapping[Words, str], endings: Sequence[str]) -> Phrases:
        """Of names, each with its plurals too."""
        plurals = {
            (*words[:-1], words[-1] + ending): plain for words, plain in names.items() for ending in endings
        }
        return cls(names, derived=plurals)

    def at(self, words: Sequence[str], start: int) -> tuple[str, int] | None:
        """The longest phrase that begins at a word: its meaning and its number of words."""
        for length in range(min(self._longest, len(words) - start), 0, -1):
            meaning = self._exact.get(tuple(words[start : start + length]))
            if meaning is not None:
                return meaning, length
        stems = (meaning for stem, meaning in self._stems if words[start].startswith(stem))
        found = next(stems, None)
        return None if found is None else (found, 1)

    def misspelt(self, word: str) -> str | None:
        """The meaning of the one word that a misspelt one is nearest to, if near enough."""
        if len(word) < TYPO_LENGTH:
            return None
        best = process.extractOne(
            word,
            [known for known in self._single if known[0] == word[0]],  # heat is not wheat
            scorer=DamerauLevenshtein.normalized_similarity,
            score_cutoff=TYPO_LIKENESS,
        )
        return None if best is None else self._exact[(best[0],)]


@dataclass(frozen=True)
class Vocabulary:
    """The words of one language.

    Attributes:
        language: Its code.
        meanings: What words mean.
        fillers: Words that mean nothing.
        paraphrases: More ways to ask than training uses, by form of the question.
        parts: Names of the parts of an image, with their number from the top left, row by row.
        compass: Names of compass points, with their number from north, clockwise.
    """

    language: str
    meanings: Phrases
    fillers: Phrases
    paraphrases: Mapping[str, Sequence[str]]
    parts: Phrases
    compass: Phrases

    def read(self, words: Sequence[str]) -> Iterator[tuple[str | None, str]]:
        """Meanings of a text, each with the words it stands for; None for a word that is not known."""
        start = 0
        while start < len(words):
            meaning: str | None
            known = self.meanings.at(words, start)
            filler = self.fillers.at(words, start)
            if known is not None and (filler is None or known[1] >= filler[1]):
                meaning, length = known
            elif filler is not None:
                meaning, length = "", filler[1]
            else:
                meaning, length = self.meanings.misspelt(words[start]), 1
            yield meaning, " ".join(words[start : start + length])
            start += length

    def is_known(self, words: Sequence[str], start: int) -> bool:
        """Does a word mean something, or is it a filler?"""
        return any(phrases.at(words, start) is not None for phrases in (self.meanings, self.fillers))


@lru_cache
def load_vocabulary(language: str) -> Vocabulary:
    """The words of a language; without a table for it, none but the names of its prompt templates."""
    table = files(__package__) / f"{language}.yaml"
    data: dict[str, Any] = parse_yaml(table.read_text(encoding="utf-8")) if table.is_file() else {}
    templates = load_prompt_templates(language)
    parts = [[*names, own] for row, owns in zip(_rows(data), templates.places, strict=True)
             for names, own in zip(row, owns, strict=True)]  # fmt: skip
    compass = [
        [*names, own] for names, own in zip(data.get("compass") or [[]] * 8, templates.compass, strict=True)
    ]
    meanings = {text: meaning for meaning, said in (data.get("meanings") or {}).items() for text in said}
    return Vocabulary(
        language=language,
        meanings=Phrases.of_texts(meanings),
        fillers=Phrases.of_texts(dict.fromkeys(data.get("fillers") or (), "")),
        paraphrases=data.get("paraphrases") or {},
        parts=_numbered(parts),
        compass=_numbered(compass),
    )


def _numbered(groups: Sequence[Sequence[str]]) -> Phrases:
    return Phrases.of_texts({name: str(number) for number, names in enumerate(groups) for name in names})


def _rows(data: Mapping[str, Any]) -> list[list[list[str]]]:
    rows: list[list[list[str]]] = data.get("parts") or [[[] for _ in range(3)] for _ in range(3)]
    return rows
