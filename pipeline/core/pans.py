"""Primary account numbers: normalisation, Luhn, issuer prefixes."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from pipeline.core.arrow import pa, pc

MIN_PAN_DIGITS = 12  # Maestro; ISO/IEC 7812-1 allows fewer, no card scheme issues them
MAX_PAN_DIGITS = 19  # ISO/IEC 7812-1
LAST4_DIGITS = 4  # PCI DSS v4.0.1, 3.4.1 allows more; the output never needs them

# Spaces, dashes, apostrophes and quotation marks of any script, and characters without a width.
_SEPARATORS = r"[\s\p{Cf}\x{00a0}\x{2000}-\x{200d}\x{202f}\x{205f}\x{2060}\x{3000}\x{feff}" + (
    r"\-\x{2010}-\x{2015}\x{2212}'`\x{00b4}\x{2018}\x{2019}\x{02bc}\"\x{201c}-\x{201e}]+"
)
_FILLER = re.compile(r"([0-9]{12,19})[fF]+")  # EMV Book 3, tag 5A: padded with hexadecimal F
_FORMULA = re.compile(r"=([0-9]{12,19})")  # a spreadsheet's ="4111…", less its quotation marks
_DECIMAL_POINT = re.compile(r"[0-9]{12,}[.,][0-9]{1,2}")
_TRACK = re.compile(r"[%;]?[bB]?[0-9]{12,19}[=^dD].*", re.DOTALL)
_WITHIN = re.compile(r"(?<![0-9])[0-9]{12,19}(?![0-9])")
_TOKEN = r"^\s*tok_[a-z2-7]{26}\s*$"  # as pipeline/core/envelope.py makes them
_SCIENTIFIC = re.compile(r"\d+(?:[.,]\d*)?[eE]\+?\d+")
_MASKED = re.compile(r"[0-9.]*[*xX#•][0-9*xX#•.]*")

Reason = Literal[
    "pan_empty",
    "pan_masked",
    "pan_scientific_notation",
    "pan_decimal_point",
    "pan_track_data",
    "pan_within_text",
    "pan_no_match",
    "pan_wrong_length",
    "pan_not_digits",
    "pan_too_short",
    "pan_too_long",
    "pan_luhn",
]

# Issuer prefixes from, to, scheme (ISO/IEC 7812 assignments as the schemes publish them); where
# ranges nest, the one that begins later wins. RuPay's 353 and 356 lie inside JCB's range.
_PREFIXES: tuple[tuple[str, str, str], ...] = (
    ("1", "1", "uatp"),
    ("2200", "2204", "mir"),
    ("2221", "2720", "mastercard"),
    ("300", "305", "diners"),
    ("34", "34", "amex"),
    ("3528", "3589", "jcb"),
    ("36", "36", "diners"),
    ("37", "37", "amex"),
    ("38", "39", "diners"),
    ("4", "4", "visa"),
    ("50", "50", "maestro"),
    ("506099", "506198", "verve"),
    ("507865", "507964", "verve"),
    ("508", "508", "rupay"),
    ("51", "55", "mastercard"),
    ("56", "59", "maestro"),
    ("60", "60", "rupay"),
    ("6011", "6011", "discover"),
    ("61", "61", "maestro"),
    ("62", "62", "unionpay"),
    ("63", "63", "maestro"),
    ("640", "643", "maestro"),
    ("644", "649", "discover"),
    ("65", "65", "discover"),
    ("66", "69", "maestro"),
    ("81", "81", "unionpay"),
    ("82", "82", "rupay"),
    ("9792", "9792", "troy"),
)
_PREFIX_DIGITS = 6  # of the longest
_UATP_DIGITS = 15  # its prefix is one digit, "1": without the length, epoch times would pass


@dataclass(frozen=True, slots=True)
class NormalisedPans:
    """A PAN column after normalisation, row by row.

    `digits` (Arrow `string`): the PAN, null where there is none. `reasons` (`string`): why the row
    is rejected, null where it is not. `tokens` (`string`): a token that stood there instead of a
    PAN. All are null for an empty cell that the layout keeps.
    """

    digits: pa.Array = field(repr=False)
    reasons: pa.Array
    tokens: pa.Array


def normalise(
    column: pa.Array,
    *,
    keep_empty: bool = False,
    pad: str = "",
    digits: int | None = None,
    extract: str = "",
) -> NormalisedPans:
    """Takes spaces, dashes, apostrophes and the like away; what is no PAN then gets a reason.

    `column` is Arrow `string`. Nothing is repaired by guessing: digits that scientific notation or
    masking took are gone. What only the sender can know is said by the layout: `pad = "0"` takes
    leading zeros away, `digits` restores those that got lost, `extract` is a regular expression
    (RE2) whose group `pan` is the PAN.
    """
    none = pa.nulls(len(column), pa.string())
    has_rules = bool(pad or digits or extract)
    if not has_rules and pc.all(_is_pan(column), min_count=0).as_py():
        return NormalisedPans(column, none, none)
    is_token = pc.fill_null(pc.match_substring_regex(column, _TOKEN), False)
    missing = pa.scalar(None, pa.string())
    tokens = pc.if_else(is_token, pc.utf8_trim_whitespace(column), missing)
    column = pc.if_else(is_token, missing, column)
    stripped = _extracted(column, extract) if extract else column
    stripped = pc.replace_substring_regex(stripped, _SEPARATORS, "")
    stripped = _respelled(stripped)
    stripped = _padded(stripped, pad, digits)
    good = _is_pan(stripped)
    has_wrong_length = None
    if digits:
        has_wrong_length = pc.and_(good, pc.not_equal(pc.binary_length(stripped), digits))
        good = pc.and_(good, pc.invert(has_wrong_length))
    empty = pc.equal(stripped, "")
    reasons = _reasons(stripped, good, empty, keep_empty=keep_empty)
    if has_wrong_length is not None:
        reasons = pc.if_else(
            pc.fill_null(has_wrong_length, False), pa.scalar("pan_wrong_length"), reasons
        )
    if extract:
        is_unmatched = pc.and_(pc.is_valid(column), pc.is_null(stripped))
        reasons = pc.if_else(is_unmatched, pa.scalar("pan_no_match"), reasons)
    return NormalisedPans(pc.if_else(good, stripped, missing), reasons, tokens)


def _extracted(column: pa.Array, pattern: str) -> pa.Array:
    """What the group `pan` holds, null where the pattern does not match; empty cells stay."""
    found = pc.extract_regex(column, pattern).field("pan")
    matched = pc.match_substring_regex(column, pattern)
    extracted = pc.if_else(matched, found, pa.scalar(None, pa.string()))
    is_empty = pc.equal(pc.utf8_trim_whitespace(column), "")
    return pc.if_else(is_empty, column, extracted)


def _respelled(stripped: pa.Array) -> pa.Array:
    """The cells that are no PAN yet, in plain digits if they can be read without guessing."""
    others = pc.fill_null(pc.invert(_is_pan(stripped)), False)
    if not pc.any(others).as_py():
        return stripped
    cells = [_plain(cell) for cell in stripped.filter(others).to_pylist()]
    return pc.replace_with_mask(stripped, others, pa.array(cells, pa.string()))


def _plain(cell: str) -> str:
    """Digits of any script as 0 to 9, without filler, and without a spreadsheet's formula."""
    if not cell.isascii():
        cell = "".join(str(unicodedata.decimal(each, each)) for each in cell)
    match = _FILLER.fullmatch(cell) or _FORMULA.fullmatch(cell)
    return match[1] if match else cell


def _padded(cells: pa.Array, pad: str, digits: int | None) -> pa.Array:
    is_number = pc.and_(pc.ascii_is_decimal(cells), pc.greater(pc.binary_length(cells), 0))
    if pad:
        cells = pc.if_else(is_number, pc.utf8_ltrim(cells, pad), cells)
    if digits:
        cells = pc.if_else(is_number, pc.utf8_lpad(cells, digits, "0"), cells)
    return cells


def _is_pan(column: pa.Array) -> pa.Array:
    lengths = pc.binary_length(column)
    right_length = pc.and_(
        pc.greater_equal(lengths, MIN_PAN_DIGITS), pc.less_equal(lengths, MAX_PAN_DIGITS)
    )
    return pc.and_(right_length, pc.ascii_is_decimal(column))


def _reasons(stripped: pa.Array, good: pa.Array, empty: pa.Array, *, keep_empty: bool) -> pa.Array:
    none = pa.scalar(None, pa.string())
    of_empty = none if keep_empty else pa.scalar("pan_empty", pa.string())
    reasons = pc.if_else(empty, of_empty, none)
    others = pc.invert(pc.or_(good, empty))
    if not pc.any(others).as_py():
        return reasons
    classified = [_reason(cell) for cell in stripped.filter(others).to_pylist()]
    return pc.replace_with_mask(reasons, others, pa.array(classified, pa.string()))


def _reason(cell: str) -> Reason:
    if cell.isascii() and cell.isdigit():
        return "pan_too_short" if len(cell) < MIN_PAN_DIGITS else "pan_too_long"
    if _SCIENTIFIC.fullmatch(cell):
        return "pan_scientific_notation"
    if _MASKED.fullmatch(cell):
        return "pan_masked"
    if _DECIMAL_POINT.fullmatch(cell):
        return "pan_decimal_point"
    if _TRACK.fullmatch(cell):
        return "pan_track_data"
    return "pan_within_text" if len(_WITHIN.findall(cell)) == 1 else "pan_not_digits"


_DIGIT_VALUE = bytes(value - 48 if 48 <= value < 58 else 0 for value in range(256))
_DOUBLED = bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)[v - 48] if 48 <= v < 58 else 0 for v in range(256))
_IS_NO_MULTIPLE_OF_TEN = bytes(int(value % 10 != 0) for value in range(256))


def passes_luhn(pan: bytes) -> bool:
    """Whether the check digit of a PAN (ASCII digits) is right. Source: ISO/IEC 7812-1, annex B."""
    return (sum(pan[::-2].translate(_DIGIT_VALUE)) + sum(pan[-2::-2].translate(_DOUBLED))) % 10 == 0


def luhn_failures(pans: pa.Array) -> pa.Array:
    """Arrow `bool`: for each PAN (`string`), whether its check digit is wrong.

    All PANs are added up at once: their n-th digits stand side by side in one long integer, whose
    bytes cannot overflow (19 digits x 9 < 256).
    """
    if not len(pans):
        return pa.array([], pa.bool_())
    fixed = pc.ascii_lpad(pans, MAX_PAN_DIGITS, "0").cast(pa.binary(MAX_PAN_DIGITS))
    padded = fixed.buffers()[1].to_pybytes()
    total = 0
    for place in range(MAX_PAN_DIGITS):
        is_doubled = (MAX_PAN_DIGITS - place) % 2 == 0
        digits = padded[place::MAX_PAN_DIGITS].translate(_DOUBLED if is_doubled else _DIGIT_VALUE)
        total += int.from_bytes(digits, "little")
    flags = total.to_bytes(len(pans), "little").translate(_IS_NO_MULTIPLE_OF_TEN)
    return pa.Array.from_buffers(pa.uint8(), len(pans), [None, pa.py_buffer(flags)]).cast(
        pa.bool_()
    )


def scheme_of(pan: bytes) -> str:
    """The card scheme by issuer prefix; `unknown` where none is known."""
    found = _scheme_of_prefix(pan[:_PREFIX_DIGITS])
    return "unknown" if found == "uatp" and len(pan) != _UATP_DIGITS else found


@lru_cache(maxsize=4096)  # the PANs of a file begin in a few hundred ways
def _scheme_of_prefix(prefix: bytes) -> str:
    head = prefix.ljust(_PREFIX_DIGITS, b"0").decode("ascii")
    at = bisect_right(_STARTS, head) - 1
    while at >= 0:
        start, end, scheme = _RANGES[at]
        if start <= head <= end:
            return scheme
        if start[0] != head[0]:
            break
        at -= 1
    return "unknown"


def has_issuer_prefix(pan: bytes) -> bool:
    """Whether some card scheme issues numbers that begin like this one."""
    return scheme_of(pan) != "unknown"


_RANGES = sorted(
    (low.ljust(_PREFIX_DIGITS, "0"), high.ljust(_PREFIX_DIGITS, "9"), scheme)
    for low, high, scheme in _PREFIXES
)
_STARTS = [start for start, _, _ in _RANGES]
