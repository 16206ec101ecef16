"""Excel workbooks (XLSX): one sheet as a table."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from pipeline.core.layouts import Layout
from pipeline.core.structured_formats import Xlsx
from pipeline.errors import PermanentError
from pipeline.model import START, Position
from pipeline.readers.foreign import damage_as_errors, library
from pipeline.readers.framing import SeekableSource
from pipeline.readers.numbers import MAX_SHEET_INTEGER
from pipeline.readers.records import TextRecordBatch
from pipeline.readers.rendering import value_text
from pipeline.readers.sheet_size import SheetSize
from pipeline.readers.streams import seekable_file
from pipeline.readers.structured import StructuredRecords
from pipeline.readers.typed import check_names
from pipeline.readers.zip_archive import ZipArchive

MAX_WORKBOOK_BYTES = 256 * 1024 * 1024
"""Of the parts that hold cells, unpacked; some 700,000 rows of ten columns."""
ROWS_AT_ONCE = 10_000
_PARTS = re.compile(r"(?!customXml/|xl/(?:media|drawings|pivot|theme|charts))[^\0]+\.(?:xml|rels)")


def read_xlsx(
    stream: SeekableSource,
    layout: Layout,
    start: Position = START,
    end_bytes: int | None = None,
    *,
    max_rows: int = ROWS_AT_ONCE,
) -> Iterator[TextRecordBatch]:
    """The rows of a sheet that are not blank; positions count them.

    Raises `PermanentError`: `reader_not_installed`, `malformed_file`, `corrupt_archive`,
    `expands_too_far`, `too_large_for_memory`, `unknown_sheet`, `several_sheets`, `no_rows`, and
    what `check_names` raises.
    """
    settings = layout.format if isinstance(layout.format, Xlsx) else Xlsx(type="xlsx")
    calamine = library("python_calamine")
    parts = _bounded_parts(stream)
    with damage_as_errors("XLSX"):
        workbook = calamine.CalamineWorkbook.from_filelike(parts)
        rows = _rows(_sheet(workbook, settings.sheet))
        names = _names(rows, settings)
    check_names(names, layout)
    records = StructuredRecords(layout, MAX_SHEET_INTEGER, names)
    filled = (row for row in rows if any(cell != "" for cell in row))
    with damage_as_errors("XLSX"):
        at = sum(1 for _ in islice(filled, start.offset_bytes))
    while end_bytes is None or at < end_bytes:
        limit = max_rows if end_bytes is None else min(max_rows, end_bytes - at)
        with damage_as_errors("XLSX"):
            found = [dict(zip(names, row, strict=False)) for row in islice(filled, limit)]
        if not found:
            break
        yield records.batch(found, at + 1, Position(at + len(found), at + len(found)))
        at += len(found)
    if not at:
        raise PermanentError("no_rows", "the sheet holds no data records")


def _bounded_parts(stream: SeekableSource) -> io.BytesIO:
    """The workbook with the parts that hold cells, checked and as large as they are.

    The library makes room for every cell up to the last one used, so that one cell in the last
    row and column would fill any memory.
    """
    archive = ZipArchive(seekable_file(stream), MAX_WORKBOOK_BYTES)
    if not archive.is_office_document:
        raise PermanentError("malformed_file", "the file is no XLSX file")
    parts = io.BytesIO()
    members = {each.filename: each for each in archive.members if _PARTS.fullmatch(each.filename)}
    with damage_as_errors("XLSX"), zipfile.ZipFile(parts, "w", zipfile.ZIP_STORED) as copy:
        for member in members.values():
            size = SheetSize()
            with copy.open(zipfile.ZipInfo(member.filename), "w") as part:
                for piece in archive.open(member).pieces():
                    size.add(piece)
                    part.write(piece)
            size.check()
    parts.seek(0)
    return parts


def _sheet(workbook: Any, wanted: str) -> Any:
    names = workbook.sheet_names
    if wanted:
        if wanted not in names:
            raise PermanentError("unknown_sheet", "no sheet is called as format.sheet says")
        return workbook.get_sheet_by_name(wanted)
    sheets = [workbook.get_sheet_by_name(name) for name in names]
    filled = [sheet for sheet in sheets if sheet.end is not None]
    if len(filled) > 1:
        raise PermanentError(
            "several_sheets", f"{len(filled)} sheets hold cells: name one in format.sheet"
        )
    if not filled:
        raise PermanentError("no_rows", "no sheet holds a cell")
    return filled[0]


def _rows(sheet: Any) -> Iterator[Sequence[Any]]:
    """The rows of the sheet from its first one on, used or not."""
    return iter(sheet.iter_rows())


def _names(rows: Iterator[Sequence[Any]], settings: Xlsx) -> list[str]:
    """The columns' names; one without is called by its place, one of a name twice as well."""
    if not settings.header:
        return list(settings.fields)
    header = next(islice(rows, settings.header_row - 1, None), None)
    if header is None:
        raise PermanentError("no_rows", "the sheet ends before format.header_row")
    names: list[str] = []
    for at, cell in enumerate(header, start=1):
        names.append(value_text(cell).strip() or f"column_{at}")
    return names
