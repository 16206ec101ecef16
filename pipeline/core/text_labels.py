"""What the words around a number say it is: a card, something else, or nothing."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from pipeline.core.text_words import (
    COMPOUND_ENDINGS,
    CONNECTIVES,
    COPULAS,
    FORMS,
    HOLDERS,
    IDENTIFIERS,
    NUMBER_ENDINGS,
    NUMBER_WORDS,
    OTHER_CARDS,
    PAIRS,
    STEMS,
    Label,
)

NEAR_CHARACTERS = 100  # about a sentence
_MAX_CONNECTIVES = 6
_LONGEST_WITHOUT_PLURAL = 3  # letters: POS is a point of sale, and not some purchase orders

# Where a sentence ends or another begins; a point behind a short word is an abbreviation's.
_BREAK = re.compile(r"[!?;,]\s|(?<=[^\W\d_]{5})(?<!nr)(?<!no)(?<!num)(?<!ref)\.\s|[।。！？，；]")  # noqa: RUF001
_CAMEL = re.compile(r"(?<=[a-z]{2})(?=[A-Z])")  # an iPhone is no telephone number
# Letters, and the signs for vowels that some scripts set above and below them.
_WORD = re.compile(r"(?:[^\W\d_]|[\u0900-\u0963\u0966-\u109f\u1780-\u17d3])+")
_PLAIN = str.maketrans({"ß": "ss", "ł": "l", "\u0131": "i", "đ": "d", "ø": "o"})
_REMARK = re.compile(r"\s?[(\[]([^()\[\]0-9]{1,40})[)\]]")
_OTHER_NUMBER = re.compile(r"(?<![^\W_])\d+|\d{3}")  # the words before it are its own


def label_before(text: str) -> Label | None:
    """What the words right before a number say, `text` being what precedes it."""
    window = text[-NEAR_CHARACTERS:]
    for end in (_OTHER_NUMBER, _BREAK):
        window = window[max((match.end() for match in end.finditer(window)), default=0) :]
    words = words_of(window)
    is_identifier = bool(words) and words[-1] in IDENTIFIERS and len(words) > 1
    for at in range(len(words) - 1, max(len(words) - 1 - _MAX_CONNECTIVES, -1), -1):
        label = label_of(words[at], words[at - 1] if at else "")
        if words[at] in HOLDERS and not NUMBER_WORDS.isdisjoint(words[max(at - 2, 0) :]):
            return Label.OTHER
        if label or words[at] not in CONNECTIVES:
            return label or (Label.OTHER if is_identifier else None)
    return None


def label_after(text: str) -> Label | None:
    """What is said of a number behind it: `… is my tracking number`, `… (order)`."""
    remark = _REMARK.match(text)
    words = words_of(remark[1] if remark else text[:NEAR_CHARACTERS])
    if not words or not (remark or words[0] in COPULAS):
        return None
    for at, word in enumerate(words[:_MAX_CONNECTIVES]):
        label = label_of(word, words[at - 1] if at else "")
        if label or word not in CONNECTIVES | COPULAS:
            return label
    return None


def mentions_card(before: str, after: str) -> bool:
    """Whether a card is spoken of near a number."""
    words = [*words_of(before[-NEAR_CHARACTERS:]), *words_of(after[: NEAR_CHARACTERS // 2])]
    pairs = zip(words, ["", *words], strict=False)
    return any(label_of(word, earlier) is Label.CARD for word, earlier in pairs)


def words_of(text: str) -> list[str]:
    """The words of a text or an identifier, in lower case and without accents."""
    if not text.isascii():
        text = _unaccented(text)
    return [word.lower().translate(_PLAIN) for word in _WORD.findall(_CAMEL.sub(" ", text))]


def _unaccented(text: str) -> str:
    parts = unicodedata.normalize("NFKD", text)
    bare = "".join(each for each in parts if not "\u0300" <= each <= "\u036f")
    return unicodedata.normalize("NFC", bare)


@lru_cache(maxsize=16_384)
def label_of(word: str, earlier: str = "") -> Label | None:
    """What a word says, the one before it at hand."""
    if (earlier, word) in PAIRS:
        return PAIRS[earlier, word]
    label = _label_of_form(word) or _label_of_stem(word)
    return None if label is Label.CARD and earlier in OTHER_CARDS else label


def _label_of_form(word: str) -> Label | None:
    singular = word.removesuffix("s") if len(word) > _LONGEST_WITHOUT_PLURAL else word
    for form in (word, singular, *_without_number_endings(word)):
        for label, forms in FORMS.items():
            if form in forms:
                return label
    return None


def _without_number_endings(word: str) -> list[str]:
    return [
        word.removesuffix(ending)
        for ending in NUMBER_ENDINGS
        if word.endswith(ending) and word != ending
    ]


def _label_of_stem(word: str) -> Label | None:
    """The label of the stem that stands last in a word, or that of the word for a number."""
    places = {max(map(word.rfind, stems)): label for label, stems in _STEMS.items()}
    if (last := max(places)) >= 0:
        return places[last]
    is_compound = word.endswith(COMPOUND_ENDINGS) and word not in COMPOUND_ENDINGS
    return Label.OTHER if is_compound else None


_STEMS = {label: [_unaccented(stem) for stem in stems] for label, stems in STEMS.items()}
