"""Crops by the names that people give them, in any language, and what of them a model has learnt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from agrilape.dataset.prompt_templates import languages, load_prompt_templates
from agrilape.errors import DataError
from agrilape.io.yaml_text import parse_yaml
from agrilape.serve.vocabulary import Phrases, Vocabulary, Words, load_vocabulary, tokens
from agrilape.sources.crop_names import plain_crop
from agrilape.sources.formats.eurocrops import HCAT

CROP = "⟦crop⟧"
STRESSES = frozenset({"drought", "waterlogging", "nitrogen deficiency", "disease", "pest"})
"""What the tables of crop names translate besides crops."""
_LINKS = ("", "n", "en", "s", "es", "e")
"""What German puts between the parts of a compound; Sonnenblume-n-feld."""


@dataclass(frozen=True)
class Lexicon:
    """Names of crops.

    Attributes:
        names: The plain English name, by all names of a crop.
        wider: The crop that one belongs to, by plain English name.
    """

    names: Phrases
    wider: Mapping[str, str]

    def find(self, words: Words) -> tuple[Words, tuple[str, ...]]:
        """Crops in a text.

        Args:
            words: The text (`tokens`).

        Returns:
            The text with `CROP` in place of each crop, and their plain English names in order.
        """
        vocabularies = [load_vocabulary(language) for language in languages()]
        left: list[str] = []
        crops: list[str] = []
        start = 0
        while start < len(words):
            found = self.names.at(words, start)
            if found is None:
                rest, crop = self._in_word(words, start, vocabularies)
                left += rest
                crops += [crop] if crop else []
                start += 1
            else:
                left.append(CROP)
                crops.append(found[0])
                start += found[1]
        return tuple(left), tuple(dict.fromkeys(crops))

    def _in_word(
        self, words: Words, start: int, vocabularies: Sequence[Vocabulary]
    ) -> tuple[list[str], str | None]:
        """A crop at the beginning of a compound (Maisfelder, cornfield), or misspelt."""
        word = words[start]
        if word.startswith("⟦") or any(one.is_known(words, start) for one in vocabularies):
            return [word], None
        for cut in range(len(word) - 2, 2, -1):
            head, tail = word[:cut], word[cut:]
            if not any(one.meanings.at([tail], 0) for one in vocabularies):
                continue
            for link in _LINKS:
                stem = head.removesuffix(link) if link else head
                crop = self.names.at([stem], 0)
                if crop is not None:
                    return [CROP, tail], crop[0]
            if misspelt := self.names.misspelt(head):
                return [CROP, tail], misspelt
        if any(one.meanings.misspelt(word) for one in vocabularies):
            return [word], None
        misspelt = self.names.misspelt(word)
        return ([CROP], misspelt) if misspelt else ([word], None)

    def plain(self, name: str) -> str:
        """The plain English name of a crop that goes by some name; a name that is not listed stays."""
        words = tokens(name)
        found = self.names.at(words, 0) if words else None
        return found[0] if found is not None and found[1] == len(words) else (plain_crop(name) or name)

    def learnt(self, crop: str, known: Iterable[str]) -> str:
        """The name under which a model has learnt a crop.

        The crop itself, else the narrowest wider crop that the model knows (silage maize: maize), else the
        only narrower one (wheat: winter wheat).

        Args:
            crop: Plain English name.
            known: Names of the crops of the model's training data.

        Raises:
            DataError: It has not learnt it, or several that may be meant; with those it knows.
        """
        by_plain = {self.plain(name): name for name in sorted(known, reverse=True)}
        asked: str | None = crop
        while asked is not None:
            if asked in by_plain:
                return by_plain[asked]
            asked = self.wider.get(asked)
        narrower = sorted(name for plain, name in by_plain.items() if crop in self._above(plain))
        if len(narrower) == 1:
            return narrower[0]
        if narrower:
            raise DataError(f"{crop} may be any of: {', '.join(narrower)}", "ask about one of them")
        raise DataError(f"the model never learnt {crop}", f"it knows: {', '.join(sorted(by_plain.values()))}")

    def _above(self, plain: str) -> list[str]:
        """The wider crops of one."""
        found: list[str] = []
        while plain in self.wider:
            plain = self.wider[plain]
            found.append(plain)
        return found


@lru_cache
def crop_lexicon(more: tuple[str, ...] = ()) -> Lexicon:
    """All names of crops: of the table beside this module, of the prompt templates, and of HCAT.

    Args:
        more: Names of a model's own crops, that no table may hold.
    """
    table = files("agrilape.serve") / "crops.yaml"
    data: dict[str, dict[str, Any]] = parse_yaml(table.read_text(encoding="utf-8"))
    names: dict[Words, str] = {}

    def add(said: str, plain: str) -> None:
        names.setdefault(tokens(said), names.get(tokens(plain), plain))

    for plain in data:
        add(plain, plain)
    for plain, entry in data.items():
        for said in entry.get("also", ()):
            add(said, plain)
    for said, plain in HCAT.items():
        if plain:
            add(said.replace("_", " "), plain)
            add(plain, plain)
    for crops in (load_prompt_templates(language).crops for language in languages()):
        for plain, said in crops.items():
            if plain not in STRESSES:
                add(plain, plain)
                add(said, plain)
    for said in more:
        add(said, said)
    wider = {plain: entry["is"] for plain, entry in data.items() if "is" in entry}
    return Lexicon(Phrases.of_words(names, endings=("s", "es")), wider)
