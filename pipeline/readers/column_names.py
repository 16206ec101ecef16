"""The line of column names of a delimited file."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core.formats import Delimited
from pipeline.core.guard import could_hold_pan
from pipeline.core.layouts import Layout
from pipeline.errors import PermanentError
from pipeline.readers.delimited_parser import split_fields

MAX_COLUMNS = 10_000


def column_names(header: bytes, dialect: Delimited) -> tuple[str, ...]:
    """The names in a header record; an empty one is called by its place, `column_<n>`."""
    cells = split_fields(header, dialect)
    if len(cells) > MAX_COLUMNS:
        raise PermanentError("too_many_columns", f"more than {MAX_COLUMNS} columns")
    return tuple(cell.strip() or f"column_{at}" for at, cell in enumerate(cells, start=1))


def check_columns(names: Sequence[str], layout: Layout) -> None:
    """Raises `PermanentError`: `header_looks_like_data`, `missing_column`, `duplicate_column`."""
    for at, name in enumerate(names, start=1):
        if could_hold_pan(name):
            raise PermanentError(
                "header_looks_like_data",
                f"column {at} of the header holds a long number: set format.header = false",
            )
    missing = [name for name in layout.named_columns if name not in names]
    if missing:
        raise PermanentError("missing_column", f"not in the header: {', '.join(missing)}")
    twice = [name for name in layout.named_columns if names.count(name) > 1]
    if twice:
        raise PermanentError("duplicate_column", f"twice in the header: {', '.join(twice)}")
