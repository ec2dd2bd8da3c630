"""Tool search: Okapi BM25 over weighted fields, an inverted index built once per catalog."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_K1 = 1.2
_B = 0.4
"""Below the usual 0.75: a long description is no sign of a poor match among tools."""
NAME_WEIGHT = 4.0
DESCRIPTION_WEIGHT = 2.0
PARAMETER_WEIGHT = 1.0

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")
_STOP_WORDS = frozenset(
    (  # noqa: SIM905 - one word to a quoted item would hide the list
        "a an and are as at be by can do for from has have how i if in into is it its me my of on or our please that "
        "the their them then there these this to want we what when which will with would you your"
    ).split()
)


def words(text: str) -> list[str]:
    """Split ``text`` at case, separators and digits into lower-case stems, stop words left out."""
    return [stem for word in _WORD.findall(text) if (stem := _stem(word.lower())) not in _STOP_WORDS]


def _stem(word: str) -> str:
    """Fold the commonest English endings, so that ``issues`` finds ``issue`` and ``listing`` finds ``list``."""
    for ending, replacement, shortest in (("ies", "y", 5), ("ing", "", 6), ("ed", "", 5), ("es", "e", 5), ("s", "", 4)):
        if len(word) >= shortest and word.endswith(ending) and not word.endswith("ss"):
            word = word[: len(word) - len(ending)] + replacement
            break
    return word[:-1] if len(word) > 4 and word.endswith("e") else word


class SearchIndex:
    """An inverted index over documents of three fields: name, description, parameters."""

    def __init__(self, documents: Sequence[tuple[str, str, str]]) -> None:
        self._postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self._size = len(documents)
        frequencies: list[dict[str, float]] = [_weigh(document) for document in documents]
        lengths = [sum(frequency.values()) for frequency in frequencies]
        average = sum(lengths) / len(lengths) if lengths else 1.0
        for number, (frequency, length) in enumerate(zip(frequencies, lengths, strict=True)):
            norm = _K1 * (1 - _B + _B * length / (average or 1.0))
            for word, weight in frequency.items():
                self._postings[word].append((number, weight * (_K1 + 1) / (weight + norm)))

    def rank(self, query: str, *, accepts: Callable[[int], bool] | None = None) -> list[int]:
        """Rank the documents that share a word with ``query``, best first; ties keep the documents' order."""
        scores: dict[int, float] = defaultdict(float)
        for word in dict.fromkeys(words(query)):
            found = self._postings.get(word, ())
            rarity = math.log(1 + (self._size - len(found) + 0.5) / (len(found) + 0.5))
            for number, weight in found:
                scores[number] += rarity * weight
        ranked: Iterable[int] = sorted(scores, key=lambda number: (-scores[number], number))
        return [number for number in ranked if accepts is None or accepts(number)]


def _weigh(document: tuple[str, str, str]) -> dict[str, float]:
    """Count each word of a document, weighted by its field."""
    weights: dict[str, float] = defaultdict(float)
    for text, weight in zip(document, (NAME_WEIGHT, DESCRIPTION_WEIGHT, PARAMETER_WEIGHT), strict=True):
        for word in words(text):
            weights[word] += weight
    return weights


def nearest(name: str, known: Iterable[str], *, limit: int = 3) -> list[str]:
    """Return the names that share most trigrams with ``name``, best first; none where nothing is near."""
    wanted = _trigrams(name)
    scored = []
    for candidate in known:
        grams = _trigrams(candidate)
        score = 2 * len(wanted & grams) / ((len(wanted) + len(grams)) or 1)
        if score >= 0.35:
            scored.append((-score, candidate))
    return [candidate for _, candidate in sorted(scored)[:limit]]


def _trigrams(name: str) -> frozenset[str]:
    padded = f"  {name.lower()} "
    return frozenset(padded[at : at + 3] for at in range(len(padded) - 2))
