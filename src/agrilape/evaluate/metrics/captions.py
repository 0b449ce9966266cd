"""Words: exact match of short answers, n-gram overlap of captions."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from agrilape.errors import DataError
from agrilape.evaluate.metrics.arrays import Floats, floats
from agrilape.io.numbers import find_numbers, without_thousands

_ARTICLES = frozenset({"a", "an", "the"})
_NUMBER_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d{1,2}(?!\d))")
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
    digits = set(find_numbers(_DECIMAL_COMMA.sub(".", without_thousands(text))))
    values = digits | {
        float(_NUMBERS[word]) for word in re.findall(r"[a-z]+", text.lower()) if word in _NUMBERS
    }
    return values.pop() if len(values) == 1 else None


def word_f1(predicted: str, true: str) -> float:
    """Harmonic mean of the shares of words in common, 0 to 1, once normalised (Rajpurkar et al., 2016)."""
    given, wanted = normalised(predicted).split(), normalised(true).split()
    common = sum((Counter(given) & Counter(wanted)).values())
    return 2 * common / (len(given) + len(wanted)) if common else 0.0


def bleu_counts(predicted: Sequence[str], references: Sequence[Sequence[str]]) -> Floats:
    """What BLEU sums over captions, `[N, 10]`: matching and all 1- to 4-grams, both lengths.

    Args:
        predicted: One caption per image.
        references: The references of each image, one or more.

    Raises:
        DataError: If sacrebleu is not installed.
    """
    scorer = _bleu()
    found = [
        scorer.sentence_score(text, list(refs)) for text, refs in zip(predicted, references, strict=True)
    ]
    counts = [[*one.counts, *one.totals, one.sys_len, one.ref_len] for one in found]
    return floats(counts).reshape(-1, 10)


def bleu_of_counts(sums: Floats) -> Floats:
    """Corpus BLEU-4, 0 to 1, by sacrebleu's defaults (Papineni et al., 2002; Post, 2018), of `[..., 10]`."""
    scorer = _bleu()
    flat = [
        scorer.compute_bleu(counts[:4], counts[4:8], *counts[8:], smooth_method="exp").score / 100
        for counts in sums.reshape(-1, 10).astype(int).tolist()
    ]
    return floats(flat).reshape(sums.shape[:-1])


def bleu(predicted: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Corpus BLEU-4 of captions, 0 to 1, see `bleu_counts`."""
    return float(bleu_of_counts(bleu_counts(predicted, references).sum(axis=0)))


def rouge_l_each(predicted: Sequence[str], references: Sequence[Sequence[str]]) -> Floats:
    """ROUGE-L F1 of each caption, 0 to 1 (Lin, 2004): longest common subsequence, best reference.

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
    return floats(best)


def rouge_l(predicted: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """ROUGE-L F1, 0 to 1, mean over captions; NaN without any."""
    each = rouge_l_each(predicted, references)
    return float(each.mean()) if each.size else float("nan")


def _bleu() -> Any:
    """The scorer of sacrebleu; its effective order concerns single captions only.

    Raises:
        DataError: If sacrebleu is not installed.
    """
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError as error:
        raise DataError(
            "captions are scored by sacrebleu, which is missing", "pip install agrilape[captions]"
        ) from error
    return BLEU(effective_order=True)
