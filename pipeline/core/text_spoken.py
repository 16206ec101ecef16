"""Card numbers as they are spelt in transcripts: `four one double one …`, in seven languages."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.text_marked import Marked

_DIGIT_WORDS = (
    "zero oh o zéro cero null nul",
    "one eins ein un uno um een één",
    "two zwei zwo deux dos due dois twee",
    "three drei trois tres tre três drie",
    "four vier quatre cuatro quattro quatro",
    "five fünf cinq cinco cinque vijf",
    "six sechs seis sei zes",
    "seven sieben sept siete sette sete zeven",
    "eight acht huit ocho otto oito",
    "nine neun neuf nueve nove negen",
)
_DIGIT_OF = {word: str(at) for at, words in enumerate(_DIGIT_WORDS) for word in words.split()}
_TIMES = {"double": 2, "doppel": 2, "triple": 3}
_ONE = "|".join(sorted(_DIGIT_OF, key=len, reverse=True))
_WORD = rf"(?:(?:{'|'.join(_TIMES)})[ -])?(?:{_ONE})"
_LEAST_WORDS = 6  # twelve digits, all of them doubled
_SPOKEN = re.compile(
    rf"\b{_WORD}(?:[\s,.;:…-]{{1,4}}{_WORD}\b){{{_LEAST_WORDS - 1},}}", re.IGNORECASE
)
_SUSPICIOUS = rf"(?:(?:{_ONE})[\s,.;:…-]{{1,4}}){{2}}"
_PART = re.compile(rf"(?:({'|'.join(_TIMES)})[ -])?\b({_ONE})\b", re.IGNORECASE)


def spoken_numbers(text: str) -> Iterator[Marked]:
    """Numbers whose digits are words, one after the other."""
    for match in _SPOKEN.finditer(text):
        parts = _PART.findall(match[0].lower())
        digits = "".join(_DIGIT_OF[word] * _TIMES.get(times, 1) for times, word in parts)
        yield Marked(match.start(), match.end(), 0, digits)


def suspects_for_words(column: pa.Array) -> pa.Array:
    """The row indices of the cells (Arrow `string`) that may hold such numbers."""
    matched = pc.match_substring_regex(column, _SUSPICIOUS, ignore_case=True)
    return pc.indices_nonzero(pc.fill_null(matched, False))
