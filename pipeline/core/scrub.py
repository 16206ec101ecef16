"""Text columns made into typed columns, and PANs made into tokens and last4."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.columns import MAX_DECIMAL_PRECISION, Column, ColumnType
from pipeline.core.pans import LAST4_DIGITS

REPEATED_TIMES = 4  # from then on, telling values apart costs less than parsing each of them
_SAMPLE_ROWS = 1000  # of which nearly all differ where telling them apart is not worth it
MAX_INTEGER_DIGITS = 18  # what int64 always holds

_ISO_DATE = r"^\d{4}-\d{2}-\d{2}$"
_ISO_TIMESTAMP = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:?\d{2})?$"
_FORMAT_PART = re.compile(r"%.|[^%]", re.DOTALL)
_NUMBER_DIGITS = {
    **{"%Y": 4, "%y": 2, "%m": 2, "%d": 2, "%j": 3},
    **{"%H": 2, "%I": 2, "%M": 2, "%S": 2},
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TRUE = ("true", "t", "yes", "y", "1")
_FALSE = ("false", "f", "no", "n", "0")


def arrow_type(column_type: ColumnType) -> pa.DataType:
    """The Arrow type of a kept column."""
    match column_type.kind:
        case "integer":
            return pa.int64()
        case "decimal":
            return pa.decimal128(column_type.precision, column_type.scale)
        case "date":
            return pa.date32()
        case "timestamp":
            return pa.timestamp("us", tz="UTC")
        case "boolean":
            return pa.bool_()
        case _:
            return pa.string()


def cast_column(
    text: pa.Array, column: Column, null_values: Sequence[str]
) -> tuple[pa.Array, pa.Array]:
    """The typed column, and which cells (Arrow `bool`) hold something that is not of that type.

    Cells among `null_values` become null. A timestamp without an offset is taken as UTC.
    """
    missing = pc.is_in(text, value_set=pa.array(null_values, pa.string()))
    cells = pc.if_else(missing, pa.scalar(None, pa.string()), text) if missing.true_count else text
    typed = _typed_once_each(cells, column)
    return typed, pc.and_(pc.is_null(typed), pc.is_valid(cells))


def _typed_once_each(cells: pa.Array, column: Column) -> pa.Array:
    """Typed; where cells repeat each other, as dates of a file do, each value is parsed once."""
    if column.type.kind == "string":
        return cells
    first = cells[:_SAMPLE_ROWS]
    if 10 * pc.count_distinct(first).as_py() > 9 * len(first):
        return _typed(cells, column)
    encoded = cells.dictionary_encode()
    if len(encoded.dictionary) > len(cells) // REPEATED_TIMES:
        return _typed(cells, column)
    return _typed(encoded.dictionary, column).take(encoded.indices)


def _typed(cells: pa.Array, column: Column) -> pa.Array:
    target = arrow_type(column.type)
    match column.type.kind:
        case "integer":
            cells = column.number_marks.plain(cells)
            return _only(cells, rf"^[+-]?0*\d{{1,{MAX_INTEGER_DIGITS}}}$", strip="+").cast(target)
        case "decimal":
            cells = column.number_marks.plain(cells)
            return _only(cells, _decimal_pattern(column.type), strip="+").cast(target)
        case "date":
            return _within_calendar(_date(cells, column.format)).cast(target)
        case "timestamp":
            return _within_calendar(_timestamp(cells, column.format))
        case "boolean":
            return _boolean(cells)
        case _:
            return cells


def _only(cells: pa.Array, pattern: str, strip: str = "") -> pa.Array:
    trimmed = pc.utf8_trim_whitespace(cells)
    matching = pc.match_substring_regex(trimmed, pattern)
    kept = pc.if_else(matching, trimmed, pa.scalar(None, pa.string()))
    return pc.utf8_ltrim(kept, strip) if strip else kept


def _decimal_pattern(column_type: ColumnType) -> str:
    """Numbers that fit, with as many zeros behind them as Arrow can parse: beyond, it errs."""
    whole, scale = column_type.precision - column_type.scale, column_type.scale
    digits = rf"0*\d{{1,{whole}}}" if whole else "0+"
    zeros = f"0{{0,{MAX_DECIMAL_PRECISION - column_type.precision}}}"
    fraction = rf"\.\d{{1,{scale}}}{zeros}" if scale else rf"\.{zeros}"
    return rf"^[+-]?{digits}({fraction})?$"


def _date(cells: pa.Array, date_format: str) -> pa.Array:
    if not date_format:
        cells, date_format = _only(cells, _ISO_DATE), "%Y-%m-%d"
    return _strptime(cells, date_format)


def _timestamp(cells: pa.Array, timestamp_format: str) -> pa.Array:
    if timestamp_format:
        return _strptime(cells, timestamp_format).cast(pa.timestamp("us", tz="UTC"))
    iso = _only(cells, _ISO_TIMESTAMP)
    has_offset = pc.match_substring_regex(iso, r"(Z|[+-]\d{2}:?\d{2})$")
    zoned = pc.if_else(has_offset, iso, pc.binary_join_element_wise(iso, "Z", ""))
    return _cast_or_null(zoned, pa.timestamp("us", tz="UTC"))


def _strptime(cells: pa.Array, date_format: str) -> pa.Array:
    trimmed = _only(cells, _format_pattern(date_format))
    moments = pc.strptime(trimmed, format=date_format, unit="us", error_is_null=True)
    rolled = _rolled_over(trimmed, moments, date_format)
    return pc.if_else(rolled, pa.scalar(None, moments.type), moments)


def _format_pattern(date_format: str) -> str:
    """What cells of this format look like.

    Years have all their digits, and so have numbers that follow one another: the parser would take
    `240229` for the 9th of February 2402.
    """
    pattern = ""
    parts = _FORMAT_PART.findall(date_format)
    for before, part, after in zip(["", *parts], parts, [*parts[1:], ""], strict=False):
        if part in _NUMBER_DIGITS:
            most = _NUMBER_DIGITS[part]
            is_fixed = part in ("%Y", "%y") or before in _NUMBER_DIGITS or after in _NUMBER_DIGITS
            pattern += rf"\d{{{most if is_fixed else 1},{most}}}"
        elif part.startswith("%"):
            pattern += "%" if part == "%%" else ".+"
        else:
            pattern += r"\s*" if part.isspace() else re.escape(part)
    return f"^{pattern}$"


def _rolled_over(cells: pa.Array, moments: pa.Array, date_format: str) -> pa.Array:
    """Which cells name a day that their month or year has not; Arrow makes a later day of those."""
    day = pc.day(moments)
    may_be = pc.less_equal(day, 3)  # the 29th, 30th or 31st of a shorter month
    if moments.type.tz is not None:  # the offset may have moved it by a day
        may_be = pc.or_(may_be, pc.or_(pc.equal(day, 4), pc.greater_equal(day, 28)))
    suspects = set(
        zip(
            cells.filter(may_be).to_pylist(),
            moments.filter(may_be).cast(pa.int64()).to_pylist(),
            strict=True,
        )
    )
    wrong = [cell for cell, us in suspects if _microseconds(cell, date_format) != us]
    return pc.is_in(cells, value_set=pa.array(wrong, pa.string()))


def _microseconds(cell: str, date_format: str) -> int | None:
    """The moment since 1970 as Python reads it; None where it finds none."""
    try:
        moment = datetime.strptime(cell, date_format)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _within_calendar(moments: pa.Array) -> pa.Array:
    """The moments, less those outside the years 1 to 9999, which few programs can read."""
    years = pc.year(moments)
    known = pc.and_(pc.greater_equal(years, 1), pc.less_equal(years, 9999))
    return pc.if_else(known, moments, pa.scalar(None, moments.type))


def _cast_or_null(cells: pa.Array, target: pa.DataType) -> pa.Array:
    """The cast; cell by cell when one of them, a 31st of February say, refuses it."""
    try:
        return cells.cast(target)
    except pa.ArrowInvalid:
        return pa.concat_arrays([_one_cast(cells.slice(at, 1), target) for at in range(len(cells))])


def _one_cast(cell: pa.Array, target: pa.DataType) -> pa.Array:
    try:
        return cell.cast(target)
    except pa.ArrowInvalid:
        return pa.nulls(1, target)


def _boolean(cells: pa.Array) -> pa.Array:
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(cells))
    is_true = pc.is_in(lower, value_set=pa.array(_TRUE))
    is_false = pc.is_in(lower, value_set=pa.array(_FALSE))
    return pc.if_else(pc.or_(is_true, is_false), is_true, pa.scalar(None, pa.bool_()))


def last4(digits: pa.Array) -> pa.Array:
    """The last four digits of each PAN, null where there is none."""
    return pc.utf8_slice_codeunits(digits, -LAST4_DIGITS)
