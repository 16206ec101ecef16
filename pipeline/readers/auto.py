"""The built-in `auto` layout: the PAN columns of a delimited file, found by their content."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import pyarrow as pa

from pipeline.core.columns import Column
from pipeline.core.formats import Delimited
from pipeline.core.layouts import Layout
from pipeline.core.pans import has_issuer_prefix, normalise, passes_luhn
from pipeline.core.sensitive import is_sensitive_name
from pipeline.errors import PermanentError

AUTO = "auto"
SAMPLE_BYTES = 256 * 1024
MIN_PAN_SHARE = 0.7  # of a column's filled cells; a column of other numbers reaches 0.1 by chance
MIN_DIGITS_OF_DATA = 4  # a masked card number shows as many

_DELIMITERS = (",", ";", "\t", "|", "~", "^")


def auto_layout(sample: bytes) -> Layout:
    """A layout that tokenizes the PAN columns of the file and drops everything else.

    `sample` is the file's beginning, `SAMPLE_BYTES` of it. Raises `PermanentError`
    `no_pan_column` when no column holds PANs, `not_delimited_text` when it is not such a file.
    """
    text = _as_text(sample)
    delimiter = likeliest_delimiter(text)
    rows = _rows(text, delimiter)
    if not rows:
        raise PermanentError("no_rows", "the file holds no data records")
    columns = _pan_columns(rows[1:] or rows)
    has_header = len(rows) > 1 and all(is_name(_cell(rows[0], at)) for at in columns)
    names = _names(rows[0], has_header=has_header)
    columns = [at for at in columns if at < len(names) and not is_sensitive_name(names[at])]
    if not columns:
        raise PermanentError(
            "no_pan_column", "no column holds card numbers: write a layout for this file"
        )
    return Layout(
        name=AUTO,
        format=Delimited(
            delimiter=delimiter,
            header=has_header,
            fields=() if has_header else names,
            embedded_newlines=_has_embedded_newline(rows),
        ),
        columns={names[at]: Column(role="pan", empty="keep") for at in columns},
    )


def _as_text(sample: bytes) -> str:
    if b"\0" in sample[:4096]:
        raise PermanentError("not_delimited_text", "the file is binary, or UTF-16 text")
    text = sample.decode("utf-8-sig", "replace")
    if len(sample) < SAMPLE_BYTES:
        return text
    cut = text.rfind("\n")
    return text[: cut + 1] if cut >= 0 else text


def _rows(text: str, delimiter: str) -> list[list[str]]:
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        return [row for row in rows if row]
    except csv.Error:
        raise PermanentError("not_delimited_text", "the file cannot be split into fields") from None


def likeliest_delimiter(text: str) -> str:
    """The delimiter that splits most of the first lines into the same number of fields."""
    lines = text.splitlines()[:100]
    return max(_DELIMITERS, key=lambda delimiter: _evenness(lines, delimiter))


def _evenness(lines: Sequence[str], delimiter: str) -> tuple[float, int]:
    counts = [line.count(delimiter) for line in lines if line]
    usual = max(set(counts), key=counts.count, default=0)
    if not usual:
        return 0.0, 0
    return counts.count(usual) / len(counts), usual


def _pan_columns(rows: Sequence[Sequence[str]]) -> list[int]:
    width = max(len(row) for row in rows)
    return [at for at in range(width) if _holds_pans([_cell(row, at) for row in rows])]


def _holds_pans(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell.strip()]
    return bool(filled) and _pans_among(filled) >= MIN_PAN_SHARE * len(filled)


def _pans_among(cells: Sequence[str]) -> int:
    digits = normalise(pa.array(cells, pa.string())).digits.drop_null().cast(pa.binary())
    return sum(has_issuer_prefix(pan) and passes_luhn(pan) for pan in digits.to_pylist())


def is_name(cell: str) -> bool:
    """Whether a cell above card numbers names them; else it is one of them, however unreadable."""
    return any(map(str.isalpha, cell)) and sum(map(str.isdigit, cell)) < MIN_DIGITS_OF_DATA


def _cell(row: Sequence[str], at: int) -> str:
    return row[at] if at < len(row) else ""


def _names(first: Sequence[str], *, has_header: bool) -> tuple[str, ...]:
    if not has_header:
        return tuple(f"column_{at}" for at in range(1, len(first) + 1))
    return tuple(cell.strip() or f"column_{at}" for at, cell in enumerate(first, start=1))


def _has_embedded_newline(rows: Sequence[Sequence[str]]) -> bool:
    return any("\n" in cell or "\r" in cell for row in rows for cell in row)
