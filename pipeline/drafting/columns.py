"""What a column holds, judged by its name and a sample of its cells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.columns import Column, ColumnType
from pipeline.core.guard_columns import find_in_column
from pipeline.core.masking import masked_pan, shape_of
from pipeline.core.pans import has_issuer_prefix, normalise, passes_luhn, scheme_of
from pipeline.core.scrub import cast_column
from pipeline.core.sensitive import is_sensitive_name, without_track_data
from pipeline.readers.auto import MIN_PAN_SHARE

MIN_NAMED_PAN_SHARE = 0.25  # of the cells of a column that is called like one of card numbers
MAX_CHANCE_SHARE = 0.3  # of cells that pass for cards by chance; one in ten does
MIN_TEXT_WORDS = 3  # in a cell, on average: free text
MIN_NULL_SHARE = 0.01  # of a column's cells
MAX_EXAMPLES = 2
MAX_SCALE = 9
DECIMAL_DIGITS = 18
NULL_MARKS = frozenset({"NULL", "null", "N/A", "n/a", "\\N", "None", "-"})

_CARD_NAME = re.compile(
    r"pan|cc|card|(?:credit|debit|payment)?card(?:no|nr|num|number)?|ccn|cc(?:no|nr|num|number)"
    r"|(?:primary)?account(?:number)?|acct(?:no|num|number)?|.*(?:card|karten|carte|tarjeta)"
    r"(?:no|nr|num|number|nummer|numero)?|pan(?:number|no)?|numero(?:de)?(?:carte|tarjeta)|dpan|fpan"
)
_EXPIRY_NAME = re.compile(
    r"(?:card|cc)?(?:exp|expiry|expires|expiration|validthru|goodthru|valid(?:until|to))"
    r"(?:date|month|year|mm|yy|mmyy|yymm)?|ablauf(?:datum)?|servicecode|svccode"
)
_TEXT_NAME = re.compile(
    r".*(?:note|notes|comment|comments|memo|remark|remarks|freetext|narrative|message|description"
    r"|verwendungszweck|bemerkung|commentaire|observaciones)"
    r"|de(?:48|55|62|72|12[345])|tcr[0-9a-f]"  # of clearing messages: whatever somebody put there
)
# Decimals with a comma, or a point behind thousands that commas part; a sign behind as ledgers do.
_MARKED = {
    (",", "."): r"^[+-]?\d{1,3}(?:\.\d{3})*(?:,\d{1,9})?-?$",
    (",", ""): r"^[+-]?\d{1,15}(?:,\d{1,9})?-?$",
    (".", ","): r"^[+-]?\d{1,3}(?:,\d{3})*(?:\.\d{1,9})?-?$",
    (".", ""): r"^[+-]?\d{1,15}(?:\.\d{1,9})?-?$",
}
_GROUP_DIGITS = 3  # behind a comma: decimals, or thousands
_INTEGER = r"^(?:0|-?[1-9]\d{0,17})$"
_DATE_FORMATS = (
    *("", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y/%m/%d"),
    *("%d-%m-%Y", "%Y%m%d", "%d%b%Y", "%d-%b-%Y"),
)
_TIME_FORMATS = (
    *("", "%Y%m%d%H%M%S", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M:%S"),
    *("%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", "%Y/%m/%d %H:%M:%S"),
)
_YEARS = (1990, 2099)  # what eight digits must be within to be a day


@dataclass(frozen=True, slots=True)
class DraftColumn:
    """What a draft says of one column; `why` is for people and holds no values."""

    name: str
    column: Column
    why: str


@dataclass(frozen=True, slots=True)
class _Cells:
    """The cells of a column, and those that are filled."""

    name: str
    every: pa.Array
    filled: pa.Array
    is_number: bool
    is_pan: bool

    @property
    def words(self) -> str:
        """The column's name, letters and digits only."""
        return re.sub(r"[^a-z0-9]", "", self.name.lower())


def draft_column(
    name: str,
    cells: pa.Array,
    null_values: Sequence[str],
    *,
    is_number: bool = False,
    is_pan: bool = False,
) -> DraftColumn:
    """The role, type and settings that fit the column best. `cells` is `string` without nulls.

    `is_number` says that the file holds numbers there, which have no zeros before them, `is_pan`
    that the format says that the column holds PANs.
    """
    missing = pc.is_in(pc.utf8_trim_whitespace(cells), value_set=pa.array(null_values, pa.string()))
    column = _Cells(name, cells, cells.filter(pc.invert(missing)), is_number, is_pan)
    for judge in _JUDGES:
        draft = judge(column)
        if draft is not None:
            return draft
    return _of_type(column)


def null_values(cells: pa.RecordBatch) -> list[str]:
    """The marks for no value that stand in the sample; the empty cell is always one."""
    found: Counter[str] = Counter()
    for column in cells.columns:
        marked = column.filter(pc.is_in(column, value_set=pa.array(sorted(NULL_MARKS))))
        found |= Counter(marked.to_pylist())
    return ["", *sorted(mark for mark in found if found[mark] > MIN_NULL_SHARE * cells.num_rows)]


def pan_share(cells: pa.Array) -> float:
    """Which part of the cells holds a PAN by issuer prefix and check digit."""
    digits = normalise(cells).digits.drop_null().cast(pa.binary()).to_pylist()
    good = sum(has_issuer_prefix(pan) and passes_luhn(pan) for pan in digits)
    return good / len(cells) if len(cells) else 0.0


def _sensitive(column: _Cells) -> DraftColumn | None:
    if is_sensitive_name(column.name):
        why = "looks like sensitive authentication data by its name: never kept (PCI DSS 3.3.1)"
        return DraftColumn(column.name, Column(role="drop"), why)
    cells = column.filled.slice(0, 1000).to_pylist()
    tracks = sum(without_track_data(cell.encode()) != cell.encode() for cell in cells)
    if tracks and tracks >= len(cells) / 2:
        why = "holds full track data: never kept (PCI DSS 3.3.1)"
        return DraftColumn(column.name, Column(role="drop"), why)
    return None


def _pan(column: _Cells) -> DraftColumn | None:
    share = pan_share(column.filled)
    is_named = _CARD_NAME.fullmatch(column.words) is not None
    if not column.is_pan and share < (MIN_NAMED_PAN_SHARE if is_named else MIN_PAN_SHARE):
        return None
    digits = normalise(column.filled).digits.drop_null()
    empty = len(column.every) - len(column.filled)
    schemes = Counter(map(scheme_of, digits.unique().cast(pa.binary()).to_pylist()))
    named = ", ".join(name for name, _ in schemes.most_common(4))
    why = f"{share:.0%} of {len(column.filled):,} cells hold card numbers with a right check digit"
    why += f" ({named})"
    why += (
        f", like {', '.join(map(masked_pan, digits.unique().slice(0, MAX_EXAMPLES).to_pylist()))}"
    )
    if empty:
        why += f"; {empty:,} are empty, which is kept"
    settings: dict[str, object] = {"empty": "keep"} if empty else {}
    if column.is_number:
        settings |= _digits(digits)
        why += "; it is a number in the file: zeros that went before it are lost"
    return DraftColumn(column.name, Column.model_validate({"role": "pan", **settings}), why)


def _digits(pans: pa.Array) -> dict[str, object]:
    """How many digits PANs have that are numbers, if all have as many and a layout can say so."""
    lengths = pc.utf8_length(pans).unique().to_pylist()
    is_stated = "digits" in Column.model_fields and len(lengths) == 1
    return {"digits": lengths[0]} if is_stated else {}


def _cardholder_data(column: _Cells) -> DraftColumn | None:
    if not _EXPIRY_NAME.fullmatch(column.words):
        return None
    why = "cardholder data of little use without the card number: may be kept if protected"
    return DraftColumn(column.name, Column(role="drop"), why)


def _text(column: _Cells) -> DraftColumn | None:
    """Free text, or cells in which card numbers stand beside something else."""
    hits = find_in_column(column.filled).hits
    cells = column.filled.take(pa.array(list(hits), pa.int64())).to_pylist()
    beside = sum(any(map(str.isalpha, cell)) for cell in cells)
    if len(cells) > MAX_CHANCE_SHARE * len(column.filled):
        beside = len(cells)
    if beside:
        why = f"card numbers stand inside of {beside:,} cells: replaced by their tokens"
    elif _TEXT_NAME.fullmatch(column.words) or _words(column) >= MIN_TEXT_WORDS:
        why = f"free text{_examples(column)}: card numbers in it are replaced by their tokens"
    else:
        return None
    return DraftColumn(column.name, Column(role="text"), why)


def _words(column: _Cells) -> float:
    if not len(column.filled):
        return 0.0
    spaces = pc.mean(pc.count_substring(pc.utf8_trim_whitespace(column.filled), " ")).as_py()
    has_letters = pc.any(pc.match_substring_regex(column.filled, r"\pL")).as_py()
    return float(spaces) + 1 if has_letters else 0.0


def _reference(column: _Cells) -> DraftColumn | None:
    """Numbers as long as a PAN, of which some pass for one by chance."""
    hits = len(find_in_column(column.filled).hits)
    if not hits:
        return None
    why = f"{hits:,} of {len(column.filled):,} cells look like card numbers, as one in ten long"
    why += " numbers does by chance: searched for the file's own card numbers only."
    why += ' Take guard = "exact" out, or drop the column, if they may be real'
    return DraftColumn(column.name, Column(role="keep", guard="exact"), why)


_JUDGES: tuple[Callable[[_Cells], DraftColumn | None], ...] = (
    _sensitive,
    _pan,
    _cardholder_data,
    _text,
    _reference,
)


def _of_type(column: _Cells) -> DraftColumn:
    """A column to keep, with the narrowest type that all of its cells fit."""
    if not len(column.filled):
        return DraftColumn(column.name, Column(role="keep"), "empty in the sample")
    fitting = _boolean(column) or _integer(column) or _decimal(column) or _moment(column)
    settings, remark = fitting or ({}, "")
    why = f"{len(column.filled):,} of {len(column.every):,} cells are filled{_examples(column)}"
    why += f"; {remark}" if remark else ""
    return DraftColumn(column.name, Column.model_validate({"role": "keep", **settings}), why)


_Fitting = tuple[dict[str, str], str] | None


def _boolean(column: _Cells) -> _Fitting:
    values = set(pc.utf8_lower(column.filled).unique().to_pylist())
    pairs = ({"true", "false"}, {"yes", "no"}, {"t", "f"}, {"y", "n"})
    return ({"type": "boolean"}, "") if any(values == pair for pair in pairs) else None


def _integer(column: _Cells) -> _Fitting:
    if not _all_match(column, _INTEGER):
        return None
    lengths = pc.utf8_length(column.filled)
    has_codes = pc.min(lengths).as_py() == pc.max(lengths).as_py() and pc.min(lengths).as_py() > 3
    if has_codes:
        return _moment(column) or ({}, "digits of one length are codes: kept as text")
    return {"type": "integer"}, ""


def _decimal(column: _Cells) -> _Fitting:
    for (mark, group), pattern in _MARKED.items():
        if not _all_match(column, pattern):
            continue
        parts = pc.split_pattern(pc.utf8_rtrim(column.filled, "-"), mark)
        fractions = pc.list_element(parts.filter(pc.equal(pc.list_value_length(parts), 2)), 1)
        lengths = set(pc.utf8_length(fractions).to_pylist())
        if not lengths or (mark == "," and lengths == {_GROUP_DIGITS}):
            continue
        scale = min(max(lengths), MAX_SCALE)
        settings = {"type": f"decimal({DECIMAL_DIGITS},{scale})"}
        settings |= {"decimal_mark": mark} if mark != "." else {}
        has_groups = group and pc.any(pc.match_substring(column.filled, group)).as_py()
        return settings | ({"group_mark": group} if has_groups else {}), ""
    return None


def _moment(column: _Cells) -> _Fitting:
    for kind, formats in (("date", _DATE_FORMATS), ("timestamp", _TIME_FORMATS)):
        fitting = [each for each in formats if _is_read_as(column, kind, each)]
        if fitting:
            settings = {"type": kind} | ({"format": fitting[0]} if fitting[0] else {})
            others = " or ".join(fitting[1:])
            return settings, f"could as well be {others}: check" if others else ""
    return None


def _is_read_as(column: _Cells, kind: str, pattern: str) -> bool:
    column_type = ColumnType.model_validate({"kind": kind})
    few = column.filled.slice(0, 200)
    typed, wrong = cast_column(few, Column(role="keep", type=column_type, format=pattern), [])
    if wrong.true_count:
        return False
    typed, wrong = cast_column(
        column.filled, Column(role="keep", type=column_type, format=pattern), []
    )
    years = pc.year(typed)
    first, last = pc.min(years).as_py(), pc.max(years).as_py()
    is_plausible = not pattern.startswith("%Y%m%d") or (_YEARS[0] <= first and last <= _YEARS[1])
    return not wrong.true_count and is_plausible


def _all_match(column: _Cells, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(column.filled, pattern)).as_py())


def _examples(column: _Cells) -> str:
    few = pc.utf8_trim_whitespace(column.filled.slice(0, 50))
    shapes = list(dict.fromkeys(map(shape_of, few.to_pylist())))[:MAX_EXAMPLES]
    return f", like {', '.join(shapes)}" if shapes else ""
