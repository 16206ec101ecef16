"""Header, detail and trailer records of delimited text, told apart by their first field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.core.guard import could_hold_pan

MAX_MARK_CHARACTERS = 8


@dataclass(frozen=True, slots=True)
class RecordLines:
    """The detail records, and how each kind of record begins; empty where there is but one kind."""

    details: Sequence[Sequence[str]] = field(repr=False)
    header: str = ""
    detail: str = ""
    trailer: str = ""
    trailer_fields: Sequence[str] = field(default=(), repr=False)

    @property
    def detail_count(self) -> int:
        """How many detail records there are."""
        return len(self.details)


def record_lines(rows: Sequence[Sequence[str]], delimiter: str, *, is_whole: bool) -> RecordLines:
    """The rows by kind, if all of them but the first and the last begin alike.

    The last one is a trailer only in a sample that is the whole file.
    """
    inner = rows[1:-1] if is_whole else rows[1:]
    marks = Counter(row[0] for row in inner)
    if len(inner) < 2 or len(marks) != 1 or not _is_mark(rows[0][0]):
        return RecordLines(rows)
    mark = inner[0][0]
    first, last = rows[0][0], rows[-1][0] if is_whole else ""
    if not _is_mark(mark) or mark in (first, last) or len(rows[0]) == len(inner[0]):
        return RecordLines(rows)
    has_trailer = bool(last) and _is_mark(last) and last != first
    return RecordLines(
        inner,
        header=first + delimiter,
        detail=mark + delimiter,
        trailer=last + delimiter if has_trailer else "",
        trailer_fields=rows[-1] if has_trailer else (),
    )


def _is_mark(text: str) -> bool:
    return 0 < len(text) <= MAX_MARK_CHARACTERS and not could_hold_pan(text)


def settings_of(lines: RecordLines, totals: Sequence[tuple[str, object]]) -> Mapping[str, object]:
    """The settings of `[records]`; none where all records are of one kind."""
    if not lines.header:
        return {}
    types: dict[str, object] = {
        "header": {"match": lines.header, "role": "skip"},
        "detail": {"match": lines.detail},
    }
    if lines.trailer:
        stated: dict[str, object] = {"totals": dict(totals)} if totals else {}
        types["trailer"] = {"match": lines.trailer, "role": "trailer"} | stated
    return {"types": types}
