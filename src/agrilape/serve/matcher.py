"""From a question in a person's own words to the form of question that training asked.

A question and the prompt templates of every language are read alike: places, dates, crops and parts of the
image become slots, all other words their meaning (`serve.vocabulary`). Meanings are compared by the weighted
Dice coefficient, 2 w(A & B) / (w(A) + w(B)), each weighing as much as it is rare among the forms
(inverse document frequency); words of unknown meaning count against every form.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from rapidfuzz import fuzz

from agrilape.dataset.prompt_templates import languages, load_prompt_templates
from agrilape.errors import DataError
from agrilape.serve.coordinates import Place, find_places
from agrilape.serve.crop_lexicon import CROP, Lexicon
from agrilape.serve.spoken_dates import Stretch, find_dates
from agrilape.serve.vocabulary import Vocabulary, Words, load_vocabulary, tokens

LEAST = 0.52
"""Score from which a question is understood; chosen on tests/unit/serve/paraphrases/development.csv."""
LEAST_UNSURE = 0.65
"""Likewise of a question with words of unknown meaning: what it is about may be among them."""
UNKNOWN = 3.5
"""Weight of a word whose meaning is not known; words that occur in all forms weigh some 0.3, rare ones 4."""

_SLOTS = {
    "crop": "crop", "point": "point", "other": "point", "box": "box", "instant": "time", "span": "time",
    "first": "time", "second": "time", "place": "part", "direction": "compass",
}  # fmt: skip
_ASKING = frozenset({"what", "which", "where", "when", "all", "plural", "name"})
"""Meanings that say nothing of what a question is about."""
_SIDES = ".image"  # of this form, {direction} is a side of the image


@dataclass(frozen=True)
class Reading:
    """What a question says.

    Attributes:
        words: Its words, with slots for places, dates and crops.
        places: Places that it names.
        times: Dates that it names.
        crops: Crops, by their plain English names.
    """

    words: Words
    places: tuple[Place, ...]
    times: tuple[Stretch, ...]
    crops: tuple[str, ...]


@dataclass(frozen=True)
class Match:
    """The form of a question.

    Attributes:
        form: Key of the prompt templates.
        template: The template or paraphrase that is nearest.
        language: Its language.
        score: How near, 1 for the same meaning.
        part: Part of the image that is named, counted row by row.
        compass: Compass point that is named, counted from north.
        crop: Words that stand where a template has its crop, if no crop is known by them.
        unknown: Number of words of the question whose meaning is not known.
    """

    form: str
    template: str
    language: str
    score: float
    part: int | None = None
    compass: int | None = None
    crop: str | None = None
    unknown: int = 0

    @property
    def understood(self) -> bool:
        """Is it near enough?"""
        return self.score >= (LEAST_UNSURE if self.unknown else LEAST)


@dataclass(frozen=True)
class _Wording:
    form: str
    template: str
    language: str
    words: Words
    meanings: frozenset[str]
    slots: Counter[str]


def read(text: str, lexicon: Lexicon) -> Reading:
    """Find places, dates and crops in a question."""
    rest, times = find_dates(text)
    rest, places = find_places(rest)
    words, crops = lexicon.find(tokens(rest))
    return Reading(words, places, times, crops)


def match(text: str, reading: Reading, example_crop: str) -> Match:
    """The form that a question is asked in.

    Args:
        text: The question.
        reading: What it says.
        example_crop: A crop for questions that are proposed.

    Raises:
        DataError: None is near enough; with the three nearest questions.
    """
    for found in _exactly(reading):
        return found
    ranked = sorted(_ranked(reading), key=lambda one: -one.score)
    if ranked and ranked[0].understood:
        return ranked[0]
    raise _refusal(text, reading, example_crop)


def _exactly(reading: Reading) -> Iterator[Match]:
    """Templates in whose very words a question is asked."""
    for wording in _wordings():
        vocabulary = load_vocabulary(wording.language)
        words, part, compass = _places_in_image(reading.words, vocabulary)
        if wording.words == words and _fits(wording, reading, part, compass):
            yield Match(wording.form, wording.template, wording.language, 1.0, part, compass)
    for wording in _wordings():
        asks_for_fields = CROP in wording.words and "field" in wording.meanings  # not "where is Berlin?"
        if asks_for_fields and not reading.crops and (crop := _in_place_of_crop(wording, reading)):
            yield Match(wording.form, wording.template, wording.language, 1.0, crop=crop)


def _in_place_of_crop(wording: _Wording, reading: Reading) -> str | None:
    """Words of no meaning that stand where a template has its crop."""
    position = wording.words.index(CROP)
    before, after = wording.words[:position], wording.words[position + 1 :]
    words = reading.words
    end = len(words) - len(after)
    said = words[position:end]
    vocabulary = load_vocabulary(wording.language)
    strange = [word for number, word in enumerate(said) if not vocabulary.is_known(said, number)]
    if words[:position] != before or words[end:] != after or not strange or len(said) > 3:
        return None
    return " ".join(said) if strange == list(said) else None


def _ranked(reading: Reading, fitting: bool = True) -> Iterator[Match]:
    """Every wording with its score."""
    weights = _weights()
    for language in languages():
        vocabulary = load_vocabulary(language)
        words, part, compass = _places_in_image(reading.words, vocabulary)
        meanings, unknown = _meanings(words, vocabulary)
        whole = sum(map(weights.__getitem__, meanings)) + UNKNOWN * unknown
        for wording in _wordings():
            if wording.language != language:
                continue
            if fitting and not _fits(wording, reading, part, compass):
                continue
            shared = meanings & wording.meanings
            about = bool(shared - _ASKING) or bool(wording.slots)
            common = sum(map(weights.__getitem__, shared)) if about else 0.0
            both = whole + sum(map(weights.__getitem__, wording.meanings))
            score = 2 * common / both if both else 0.0
            score -= _strain(wording, reading, part)
            yield Match(wording.form, wording.template, language, score, part, compass, None, unknown)


def _fits(wording: _Wording, reading: Reading, part: int | None, compass: int | None) -> bool:
    """Has a question what a wording needs, and a wording room for what cannot be skipped?"""
    slots, points = wording.slots, len(reading.places)
    if slots["crop"] and len(reading.crops) != 1:
        return False
    if not slots["crop"] and reading.crops and not points:
        return False
    if slots["point"] > points or (points and not slots["point"] and not slots["box"]):
        return False
    if (slots["box"] and not _spans_box(reading)) or (slots["point"] == 2 and points > 2):
        return False
    if slots["time"] == 2 and len(reading.times) != 2:
        return False
    return not (slots["part"] and part is None) and not (slots["compass"] and compass is None)


def _spans_box(reading: Reading) -> bool:
    """Are two places the corners of a box? They are, if no word stands between them, or `between` before."""
    words = reading.words
    together = any(a == b == "⟦point⟧" for a, b in pairwise(words))
    return len(reading.places) == 2 and (together or any(word in ("between", "zwischen") for word in words))


def _strain(wording: _Wording, reading: Reading, part: int | None) -> float:
    """What a question says beyond a wording, or leaves out, as a loss of score."""
    slots = wording.slots
    lost = 0.05 * abs(len(reading.times) - slots["time"])
    lost += 0.1 * (bool(reading.crops) and not slots["crop"])
    lost += 0.05 * (bool(slots["point"]) and len(reading.places) > slots["point"])
    return lost + 0.25 * (part is not None and not slots["part"])


def _places_in_image(words: Words, vocabulary: Vocabulary) -> tuple[Words, int | None, int | None]:
    """A question with slots for parts of the image and compass points, and the first of each."""
    part = compass = None
    left: list[str] = []
    start = 0
    while start < len(words):
        here = vocabulary.parts.at(words, start)
        there = vocabulary.compass.at(words, start)
        if here is not None:
            part, length, slot = int(here[0]), here[1], "⟦part⟧"
        elif there is not None:
            compass, length, slot = int(there[0]), there[1], "⟦compass⟧"
        else:
            length, slot = 1, words[start]
        left.append(slot)
        start += length
    return tuple(left), part, compass


def _meanings(words: Words, vocabulary: Vocabulary) -> tuple[frozenset[str], int]:
    """The meanings of a text, and the number of words that have none."""
    found: set[str] = set()
    unknown = 0
    for meaning, said in vocabulary.read(words):
        if meaning:
            found |= {"field", "plural"} if meaning == "fields" else {meaning}
        elif meaning is None and not said.startswith("⟦"):
            unknown += 1
    return frozenset(found), unknown


@lru_cache
def _wordings() -> tuple[_Wording, ...]:
    """All templates of all languages, and after them the paraphrases."""
    found: list[_Wording] = []
    for language in languages():
        questions = load_prompt_templates(language).questions
        found += [_wording(form, one, language) for form, many in questions.items() for one in many]
    for language in languages():
        more = load_vocabulary(language).paraphrases
        found += [_wording(form, one, language) for form, many in more.items() for one in many]
    # Forms of refusals are asked in the words of others, which come first: only the answer differs.
    return tuple({(one.language, one.template): one for one in reversed(found)}.values())[::-1]


def _wording(form: str, template: str, language: str) -> _Wording:
    names = re.findall(r"\{(\w+)\}", template)
    slots = {
        name: "part" if form.endswith(_SIDES) and name == "direction" else _SLOTS[name] for name in names
    }
    words = tokens(template.format(**{name: f"⟦{slot}⟧" for name, slot in slots.items()}))
    meanings, _ = _meanings(words, load_vocabulary(language))
    return _Wording(form, template, language, words, meanings, Counter(slots[name] for name in names))


@lru_cache
def _weights() -> Counter[str]:
    """Inverse document frequency of each meaning over the forms; 0 of one that no form has."""
    forms: dict[str, set[str]] = {}
    for wording in _wordings():
        forms.setdefault(wording.form, set()).update(wording.meanings)
    counts = Counter(meaning for meanings in forms.values() for meaning in meanings)
    return Counter({name: 0.3 + math.log(len(forms) / count) for name, count in counts.items()})


def _refusal(text: str, reading: Reading, example_crop: str) -> DataError:
    """What to say of a question that is not understood."""
    if len(reading.crops) > 1:
        return DataError(
            f"the question names several crops: {', '.join(reading.crops)}", "ask about one crop at a time"
        )
    nearest = "; ".join(f'"{one}"' for one in _nearest(text, reading, example_crop))
    return DataError(
        f"the question {text.strip()!r:.200} is not understood",
        f"ask for example: {nearest} (--verbatim asks the model in your own words)",
    )


def _nearest(text: str, reading: Reading, example_crop: str) -> list[str]:
    """The three nearest questions of different forms."""
    spelt = replace_slots(text, reading)
    language = _language(reading)
    ranked = sorted(
        (one for one in _ranked(reading, fitting=False) if one.language == language),
        key=lambda one: -(one.score + fuzz.WRatio(spelt.casefold(), one.template.casefold()) / 200),
    )
    named: dict[str, str] = {}
    for one in ranked:
        named.setdefault(one.form.split(".")[0], _example(one, reading, example_crop))
    return list(named.values())[:3]


def _language(reading: Reading) -> str:
    """The language in which the most words of a question are known; of equals, English."""

    def known(language: str) -> tuple[int, bool]:
        read_words = load_vocabulary(language).read(reading.words)
        return sum(meaning is not None for meaning, _ in read_words), language == "en"

    return max(languages(), key=known)


def replace_slots(text: str, reading: Reading) -> str:
    """A question with braces where its places stand, as templates have them."""
    for place in reading.places:
        text = text.replace(place.said, "{point}")
    return text


def _example(one: Match, reading: Reading, example_crop: str) -> str:
    """A wording with its slots filled, as somebody might ask it."""
    templates = load_prompt_templates(one.language)
    places = [place.said for place in reading.places] + ["9.5012, 55.9134", "9.5075, 55.9101"]
    crop = reading.crops[0] if len(reading.crops) == 1 else example_crop
    values = {
        "crop": templates.crop(crop), "point": places[0], "other": places[1], "instant": "2022-06-17",
        "box": f"{places[0]}; {places[1]}", "span": "2022", "first": "2021", "second": "2022",
        "place": templates.places[0][0],
        "direction": templates.places[0][1] if one.form.endswith(_SIDES) else templates.compass[0],
    }  # fmt: skip
    return one.template.format(**values)
