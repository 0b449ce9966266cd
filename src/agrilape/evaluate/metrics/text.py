"""Words: exact match of short answers, n-gram overlap of captions."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from agrilape.errors import DataError

_ARTICLES = frozenset({"a", "an", "the"})
_NUMBER_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
_NUMBERS = {word: str(value) for value, word in enumerate(_NUMBER_WORDS)}


@lru_cache(maxsize=4096)  # the same few names come again and again
def normalised(text: str) -> str:
    """Lower case, without accents, punctuation and articles, number words as digits, single spaces.

    Follows the answer processing of VQA (Antol et al., 2015) and SQuAD (Rajpurkar et al., 2016). The decimal
    point and minus sign of a number stay.
    """
    # Lower case comes last, since letters of mathematical alphabets only become plain capitals by NFKD.
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).lower()
    words = re.findall(r"-?\d+(?:\.\d+)?|[^\W_]+", plain)
    return " ".join(_NUMBERS.get(word, word) for word in words if word not in _ARTICLES)


def exact_match(predicted: str, true: str) -> bool:
    """Are two short answers the same once normalised? An empty prediction never is."""
    answer = normalised(predicted)
    return bool(answer) and answer == normalised(true)


def find_name(text: str, names: Sequence[str]) -> str | None:
    """The one of `names` that a sentence mentions as whole words; None if it mentions none or several.

    A name inside a longer one that is mentioned does not count (`wheat` in `winter wheat`). Ambiguity is left
    unread rather than settled by chance.
    """
    words = f" {normalised(text)} "
    found: list[str] = []
    for name in sorted(set(names), key=lambda name: (-len(normalised(name)), name)):
        key = f" {normalised(name)} "
        if key.strip() and key in words:
            found.append(name)
            words = words.replace(key, " | ")
    return found[0] if len(found) == 1 else None


def find_number(text: str) -> float | None:
    """The one number in a sentence, in digits or as a word to twenty; None if there is none or several."""
    values = {float(word) for word in normalised(text).split() if re.fullmatch(r"-?\d+(\.\d+)?", word)}
    return values.pop() if len(values) == 1 else None


def bleu(predicted: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Corpus BLEU-4, 0 to 100, by sacrebleu's defaults (Papineni et al., 2002; Post, 2018).

    Args:
        predicted: One caption per image.
        references: The references of each image, one or more.

    Raises:
        DataError: If sacrebleu is not installed.
    """
    try:
        import sacrebleu
    except ImportError as error:
        raise DataError(
            "captions are scored by sacrebleu, which is missing", "pip install agrilape[captions]"
        ) from error
    width = max(map(len, references))
    # sacrebleu wants one list per reference number, with None where an image has fewer.
    columns: list[Any] = [[refs[i] if i < len(refs) else None for refs in references] for i in range(width)]
    return float(sacrebleu.corpus_bleu(list(predicted), columns).score)


def rouge_l(predicted: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """ROUGE-L F1, 0 to 1 (Lin, 2004): longest common subsequence, best reference, mean over images.

    Raises:
        DataError: If rouge_score is not installed.
    """
    try:
        from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped]
    except ImportError as error:
        raise DataError(
            "captions are scored by rouge_score, which is missing", "pip install agrilape[captions]"
        ) from error
    scorer = RougeScorer(["rougeL"])
    best = [
        max(scorer.score(reference, text)["rougeL"].fmeasure for reference in refs)
        for text, refs in zip(predicted, references, strict=True)
    ]
    return float(sum(best) / len(best)) if best else float("nan")
