"""Tool search: BM25 over weighted fields, an inverted index built once per catalog.

What each part is for, and the recall at 5 without it on BFCL, on big-summary and on the titles in the manual of the AWS
command line. ``benchmarks/search.py`` has the sets; with every part it is 0.777, 0.919 and 0.937.

=====================  =====  =====  =====  ==================================================================
without                BFCL   big    AWS    what it does
=====================  =====  =====  =====  ==================================================================
name cover             0.775  0.910  0.886  the share of its name that a query has lifts a tool over mentions
exact words            0.776  0.916  0.927  ``agents`` in a name is nearer to ``agents`` than ``agent`` is
synonyms               0.774  0.900  0.934  ``remove a repo`` is ``delete_repository``
damped rarity          0.763  0.910  0.935  places and people of a request are rare, and say little
low weight of numbers  0.775  0.919  0.937  so are its numbers
parameters             0.770  0.913  0.939  their names; descriptions and enums are fields of their own
enum values            0.763  0.919  0.937  often the only place that has the word of a request
details                0.749  0.919  0.929  the parameters' descriptions
descriptions           0.737  0.919  0.924
=====================  =====  =====  =====  ==================================================================

Guesses find seven in ten tools by two words of their names of which one is misspelt, where four are found without;
pairs find names that are written as one word. A tool that has too little of the query is no answer at all.
"""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from heapq import nsmallest
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING

from engine._words import STOP_WORDS, SYNONYMS, parts, stem, stems, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from engine._document import Document

# Middles of plateaus, not peaks: half or twice a field's weight, or K1, moved no recall at 5 by more than 0.02.
_FIELD_WEIGHTS = (4.0, 2.0, 3.0, 2.0, 1.0, 1.0, 0.7)
"""Of a document's name, server, title, description, parameters, values and details."""
_SEPARATORS = re.compile(r"[\W_]+")
_K1 = 1.2
_B = 0.4
"""Below the usual 0.75: a long description is no sign of a poor match among tools."""
_NAME_COVER = 0.4
_QUERY_COVER = 0.4
_EXACT = 0.2
_PAIR = 0.15
_SYNONYM = 0.4
_GUESS = 0.5
_GUESS_LIKENESS = 0.6
_NUMBER = 0.3
_STOP_WORD = 0.06
_FLOOR = 0.18
_FLOOR_WORDS = 3
_TAIL = 0.5
_COVERED = 0.6
"""The best tool must have this share of the query's weight, where a long query weighs as three rare words; the others
half of that, unless it has most of the words. A wrong answer costs the reader some tokens, a missing one the task: so
low that 29 of BFCL's 2,501 requests find nothing, half of them in other languages than their tools."""
_QUERY_WORDS_MAX = 200
_QUERY_CHARS_MAX = 4_000
"""Of a query that are looked at; a longer text is a document and not a query."""
_NEAR = 0.35
_NAME_CHARS_MAX = 200
"""Of a name that is compared with others."""


@dataclass(slots=True)
class _Posting:
    """Where one word occurs: documents, what each gains by it, and what share of some of their names it is."""

    numbers: array[int]
    gains: array[float]
    rarity: float
    named: array[int]
    shares: array[float]


_Gain = tuple[int, float]
"""A document and what it gains."""


class SearchIndex:
    """An inverted index over documents. Immutable once built."""

    def __init__(self, documents: Iterable[Document]) -> None:
        stemmed = [_stemmed(document) for document in documents]
        self._size = len(stemmed)
        self._unknown = _rarity(0, self._size)
        averages = [_average(len(fields[at]) for fields in stemmed) for at in range(len(_FIELD_WEIGHTS))]
        weighed: dict[str, tuple[array[int], array[float]]] = defaultdict(lambda: (array("I"), array("f")))
        for number, fields in enumerate(stemmed):
            for word, weight in _weigh(fields, averages).items():
                numbers, strengths = weighed[word]
                numbers.append(number)
                strengths.append(weight / (weight + _K1))
        self._postings: dict[str, _Posting] = {}
        for word, (numbers, strengths) in weighed.items():
            rarity = _rarity(len(numbers), self._size)
            gains = array("f", (rarity * strength for strength in strengths))
            self._postings[word] = _Posting(numbers, gains, rarity, array("I"), array("f"))
        for number, fields in enumerate(stemmed):
            words = [self._postings[word] for word in set(fields[0])]
            whole = sum(posting.rarity for posting in words)
            for posting in words:
                posting.named.append(number)
                posting.shares.append(posting.rarity / whole)

    def rank(self, query: str, *, limit: int | None = None, accepts: Callable[[int], bool] | None = None) -> list[int]:
        """Rank the documents that answer ``query``, best first; ties keep the documents' order.

        Returns nothing where no document has enough of the query: a poor answer costs the reader more than none.
        """
        asked = list(islice(words(query[:_QUERY_CHARS_MAX]), _QUERY_WORDS_MAX))
        sought = _content(asked)
        scores, cover, shares = ([0.0] * self._size for _ in range(3))
        whole = 0.0
        for word in dict.fromkeys(sought):
            weight = _NUMBER if word.isdigit() else 1.0
            posting = self._postings.get(word)
            rarity = weight * (posting.rarity if posting else self._unknown)
            whole += rarity
            gains, named, certainty = self._matches(word, sought)
            for number, gain in gains:
                scores[number] += weight * gain
                cover[number] += rarity * certainty
            for number, share in named:
                shares[number] += share
        self._add_exact(asked, sought, scores)
        enough = _FLOOR * min(whole, _FLOOR_WORDS * self._unknown)
        ranked = []
        is_answered = False
        for number, covers in enumerate(cover):
            if not covers or (accepts is not None and not accepts(number)):
                continue
            covered = covers / whole
            final = scores[number] * (1 - _QUERY_COVER + _QUERY_COVER * covered) * (1 + _NAME_COVER * shares[number])
            if final >= enough * _TAIL or covered >= _COVERED:
                ranked.append((-final, number))
                is_answered = is_answered or final >= enough or covered >= _COVERED
        if not is_answered:
            return []
        return [number for _, number in nsmallest(len(ranked) if limit is None else limit, ranked)]

    def _matches(self, word: str, asked: Sequence[str]) -> tuple[Iterable[_Gain], Iterable[_Gain], float]:
        """Return what each document gains by ``word``, the share of its name that the word is, and how sure that is.

        A document gains by the best of the word and what else may stand for it.
        """
        posting = self._postings.get(word)
        others = {other: _SYNONYM for other in SYNONYMS.get(word, ()) if other not in asked and other in self._postings}
        certainty = 1.0
        if posting is None and not others:
            others, certainty = self._guesses(word), _GUESS
        own = () if posting is None else zip(posting.numbers, posting.gains, strict=True)
        own_named = () if posting is None else zip(posting.named, posting.shares, strict=True)
        if not others:
            return own, own_named, certainty
        gains, named = dict(own), dict(own_named)
        for other, factor in others.items():
            near = self._postings[other]
            damped = factor if posting is None else factor * min(1.0, posting.rarity / near.rarity)
            for number, gain in zip(near.numbers, near.gains, strict=True):
                if damped * gain > gains.get(number, 0.0):
                    gains[number] = damped * gain
            for number, share in zip(near.named, near.shares, strict=True):
                if factor * share > named.get(number, 0.0):
                    named[number] = factor * share
        return gains.items(), named.items(), certainty

    def _add_exact(self, words: Sequence[str], sought: Sequence[str], scores: list[float]) -> None:
        """Add what a document gains by words in their exact form, and by neighbours in its name."""
        bonuses = [(f"={word}", _STOP_WORD if word in STOP_WORDS else _EXACT) for word in dict.fromkeys(words)]
        bonuses += [(first + second, _PAIR) for first, second in dict.fromkeys(pairwise(sought))]
        for word, factor in bonuses:
            posting = self._postings.get(word)
            if posting is not None:
                for number, gain in zip(posting.numbers, posting.gains, strict=True):
                    scores[number] += factor * gain

    def _guesses(self, word: str) -> dict[str, float]:
        """Return the words of names that an unknown ``word`` may abbreviate or misspell, each with its factor."""
        if len(word) < 4 or word.isdigit():
            return {}
        grams = trigrams(word)
        shared: dict[str, int] = defaultdict(int)
        for gram in grams:
            for known in self._grams.get(gram, ()):
                shared[known] += 1
        guesses = {}
        for known, count in shared.items():
            likeness = 2 * count / (len(grams) + len(known) + 1)
            if known.startswith(word):
                guesses[known] = _GUESS
            elif likeness >= _GUESS_LIKENESS:
                guesses[known] = _GUESS * likeness
        return guesses

    @cached_property
    def _grams(self) -> Mapping[str, Sequence[str]]:
        """The words of names by their trigrams."""
        grams: dict[str, list[str]] = defaultdict(list)
        for word, posting in self._postings.items():
            if posting.named and len(word) >= 4:
                for gram in trigrams(word):
                    grams[gram].append(word)
        return grams


def trigrams(name: str) -> frozenset[str]:
    """Return the runs of three characters of ``name``, its ends marked by spaces."""
    padded = f"  {_SEPARATORS.sub('_', name.lower())} "
    return frozenset(padded[at : at + 3] for at in range(len(padded) - 2))


class NameIndex:
    """Names by their trigrams. Immutable once built.

    Among 2,000 names the nearest are found in a tenth of the 14 ms that comparing each of them takes.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)
        self._sizes = array("I")
        self._grams: dict[str, array[int]] = defaultdict(lambda: array("I"))
        for number, name in enumerate(self._names):
            grams = trigrams(name[:_NAME_CHARS_MAX])
            self._sizes.append(len(grams))
            for gram in grams:
                self._grams[gram].append(number)

    def nearest(self, name: str, *, limit: int = 3) -> list[str]:
        """Return the names that share most trigrams with ``name``, best first; none where nothing is near."""
        wanted = trigrams(name[:_NAME_CHARS_MAX])
        shared = Counter(chain.from_iterable(self._grams.get(gram, ()) for gram in wanted))
        scored = [
            (-2 * count / (len(wanted) + self._sizes[number]), self._names[number]) for number, count in shared.items()
        ]
        return [known for score, known in nsmallest(limit, scored) if score <= -_NEAR]


def _rarity(count: int, size: int) -> float:
    """Return the weight of a word that ``count`` of ``size`` documents have: the root of BM25's.

    Damped, because a rare word of a request is often a name or a place that some description happens to mention.
    """
    return math.sqrt(math.log(1 + (size - count + 0.5) / (count + 0.5)))


def _average(lengths: Iterable[int]) -> float:
    """Return the average of the ``lengths`` that are not zero: an empty field says nothing about a full one."""
    filled = [length for length in lengths if length]
    return sum(filled) / len(filled) if filled else 1.0


def _content(words: Sequence[str]) -> list[str]:
    """Return the stems of ``words`` without stop words, or of all where there is nothing else."""
    return [stem(word) for word in words if word not in STOP_WORDS] or [stem(word) for word in words]


def _stemmed(document: Document) -> tuple[list[str], ...]:
    """Return the stems of each field in the order of the weights, and the exact words of the name."""
    name = list(parts(document.name))
    others = (
        document.server,
        document.title,
        document.description,
        document.parameters,
        document.values,
        document.details,
    )
    return (_content(name), *(stems(text) for text in others), name)


def _weigh(fields: Sequence[Sequence[str]], averages: Sequence[float]) -> Mapping[str, float]:
    """Return each word's frequency in a document, weighted by field and by the field's length against the average."""
    weights: dict[str, float] = defaultdict(float)
    for field, weight, average in zip(fields, _FIELD_WEIGHTS, averages, strict=False):
        gain = weight / (1 - _B + _B * len(field) / average)
        for word, count in Counter(field).items():
            weights[word] += gain * count
    name, exact = fields[0], fields[-1]
    gain = 1 / (1 - _B + _B * len(name) / averages[0])
    for word in set(exact):
        weights[f"={word}"] = 2 * gain
    for first, second in pairwise(name):
        weights[first + second] += gain
    return weights
