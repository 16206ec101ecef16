"""The guard: finds PANs where none may be.

Two tests. The exact one: any PAN of the file, wherever its digits stand. The full one: any
Luhn-valid run of 13 to 19 digits that begins like a card, with or without separators.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from pipeline.core.known_pans import NO_KNOWN_PANS, KnownPans
from pipeline.core.pans import MAX_PAN_DIGITS, MIN_PAN_DIGITS, has_issuer_prefix, passes_luhn

MIN_RUN_DIGITS = 13  # 12-digit runs are retrieval reference numbers far more often than Maestro
REDACTED = "[PAN removed]"

# What may stand between the digits of a PAN: what normalisation takes away, line ends and quotation
# marks aside, and . _ / besides.
SEPARATORS = (
    " \t\x0b\x0c\\-.'`_/\u00a0\u00ad\u00b4\u02bc\u061c\u180e\u2000-\u200f\u2010-\u2015"
    + "\u2018\u2019\u202a-\u202f\u205f-\u2064\u2066-\u2069\u2212\u3000\ufeff"
)
_SEPARATED = f"(?:[{SEPARATORS}]{{0,3}}DIGIT)"  # understood by re and by Arrow alike
_SEPARATED_IN_CELL = f"(?:[{SEPARATORS}\r\n]{{0,3}}DIGIT)"
RUN = re.compile(f"DIGIT{_SEPARATED}{{{MIN_PAN_DIGITS - 1},}}".replace("DIGIT", "[0-9]"))
CELL_RUN = re.compile(  # a number may go on in the next line of its cell
    f"DIGIT{_SEPARATED_IN_CELL}{{{MIN_PAN_DIGITS - 1},}}".replace("DIGIT", "[0-9]")
)
ANY_RUN = re.compile(RUN.pattern.replace("[0-9]", r"\d"))  # in the digits of any script
_GROUP = re.compile(r"[0-9]+")
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")  # of another script
_MAX_SPAN_DIGITS = 2 * MAX_PAN_DIGITS  # zeros before the PAN included
_ZEROS = re.compile(f"0{{0,{_MAX_SPAN_DIGITS - MIN_RUN_DIGITS}}}")
_ZERO = ord("0")
# Characters that are escaped in addresses (RFC 3986, 2.1); what can stand in a PAN is kept so.
_ESCAPED = re.compile(r"%(?:0[9AD]|2[0-9A-F]|3[A-F]|5[BD]|7[B-D])", re.IGNORECASE)
_ESCAPED_SEPARATORS = ("%20", "%2D", "%2d")


@dataclass(frozen=True, slots=True)
class Hit:
    """A PAN in a text: from `start` up to `end`, separators included."""

    start: int
    end: int
    digits: bytes = field(repr=False)


def find_pans(
    text: str,
    known: KnownPans = NO_KNOWN_PANS,
    *,
    full: bool = True,
    runs: re.Pattern[str] = RUN,
) -> list[Hit]:
    """The PANs in a text, left to right, none overlapping another."""
    found: list[Hit] = []
    for view in views_of(text):
        for run in runs.finditer(view):
            found += hits_in_run(run, known, full=full)
    return without_overlaps(found, known)


def could_hold_pan(text: str, least_digits: int = MIN_PAN_DIGITS) -> bool:
    """Whether the text has a run of digits as long as the shortest PAN, whatever they are."""
    runs = RUN.finditer(with_ascii_digits(text))
    return any(len(digits_of(run[0])) >= least_digits for run in runs)


def views_of(text: str) -> Iterator[str]:
    """The text as digits can be read in it, of the same length: as it stands, and, where there are
    such, with blanks for characters that are escaped as in an address.
    """
    plain = with_ascii_digits(text)
    yield plain
    if "%" in plain and (unescaped := _ESCAPED.sub(_blanked, plain)) != plain:
        yield unescaped


def _blanked(escaped: re.Match[str]) -> str:
    return "   " if escaped[0] in _ESCAPED_SEPARATORS else "%  "


def with_ascii_digits(text: str) -> str:
    """The text with the digits of other scripts, full-width ones too, as 0 to 9; same length."""
    if text.isascii():
        return text
    return _OTHER_DIGIT.sub(lambda match: str(unicodedata.decimal(match[0])), text)


def hits_in_run(run: re.Match[str], known: KnownPans, *, full: bool) -> list[Hit]:
    """The PANs in one match of `RUN`, overlaps included."""
    digits = digits_of(run[0])
    spans = list(known.windows(digits))
    if full and len(digits) >= MIN_RUN_DIGITS:
        spans += _card_like_spans(run[0], digits)
    if not spans:
        return []
    places = [run.start() + at for at, character in enumerate(run[0]) if character.isdigit()]
    return [
        Hit(places[start], places[end - 1] + 1, digits[start:end].encode("ascii"))
        for start, end in spans
    ]


def digits_of(run: str) -> str:
    """The digits of a run, without what stands between them."""
    return run if run.isdigit() else "".join(_GROUP.findall(run))


def _card_like_spans(run: str, digits: str) -> Iterator[tuple[int, int]]:
    """Whole groups of digits, or groups that follow one another, that could be a PAN together.

    Zeros before the PAN do not count. What a digit costs does not depend on how many there are.
    """
    ends = list(accumulate(map(len, _GROUP.findall(run))))
    is_end = frozenset(ends)
    for start in (0, *ends[:-1]):
        begin = _after_zeros(digits, start)
        last = min(begin + MAX_PAN_DIGITS, start + _MAX_SPAN_DIGITS, len(digits))
        for end in range(begin + MIN_RUN_DIGITS, last + 1):
            if end in is_end and is_card_like(digits[begin:end].encode("ascii")):
                yield begin, end


def _after_zeros(digits: str, start: int) -> int:
    """Behind as many zeros as may stand before a PAN."""
    match = _ZEROS.match(digits, start)
    return match.end() if match else start


def is_card_like(digits: bytes) -> bool:
    """Whether so many digits as a PAN has begin and end like one."""
    return digits[0] != _ZERO and has_issuer_prefix(digits) and passes_luhn(digits)


def without_overlaps(hits: list[Hit], known: KnownPans = NO_KNOWN_PANS) -> list[Hit]:
    """The hits from left to right, less those that overlap another: a known PAN stays rather than
    another, and then what begins first, and then what is longest.
    """
    if len(hits) < 2:
        return hits
    taken = bytearray(max(hit.end for hit in hits))
    kept: list[Hit] = []
    for hit in sorted(hits, key=lambda hit: (not known.has(hit.digits), hit.start, -hit.end)):
        if taken.find(1, hit.start, hit.end) < 0:
            taken[hit.start : hit.end] = b"\1" * (hit.end - hit.start)
            kept.append(hit)
    return sorted(kept, key=lambda hit: hit.start)


def replaced(text: str, hits: list[Hit], replacement: Callable[[Hit], str]) -> str:
    """The text with each hit replaced."""
    for hit in reversed(hits):
        text = text[: hit.start] + replacement(hit) + text[hit.end :]
    return text


def redacted(text: str) -> str:
    """The text without anything that looks like a PAN."""
    return replaced(text, find_pans(text), lambda _: REDACTED)
