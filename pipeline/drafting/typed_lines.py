"""Records of many types in one file, told apart by their first field: clearing and settlement."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.guard import could_hold_pan, find_pans
from pipeline.drafting.columns import pan_share
from pipeline.readers.auto import MIN_PAN_SHARE

MAX_TYPES = 20
MAX_MARK_CHARACTERS = 16
MAX_TYPE_NAME_CHARACTERS = 28
MARK_COLUMN = "record_type"
PAN_COLUMN = "card_number"

Rows = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class TypedLines:
    """The records by type, in order of appearance; `trailer` is the mark of the last record.

    `fields` names those of the types that hold card numbers.
    """

    rows: Mapping[str, Rows] = field(repr=False)
    fields: Mapping[str, Sequence[str]]
    trailer: str = ""

    def settings(self) -> dict[str, object]:
        """The settings of `[records]`."""
        names = _type_names(list(self.rows))
        types: dict[str, object] = {}
        for mark, name in names.items():
            if mark in self.fields:
                types[name] = {"match": mark, "fields": list(self.fields[mark])}
            elif mark == self.trailer:
                types[name] = {"match": mark, "role": "trailer"} | self._totals(names)
            else:
                types[name] = {"match": mark, "role": "skip"}
        return {"field": 1, "types": types}

    def _totals(self, names: Mapping[str, str]) -> dict[str, object]:
        """Where the trailer holds the number of rows, or that of all records with its own."""
        every = sum(map(len, self.rows.values()))
        details = sum(len(self.rows[mark]) for mark in self.fields)
        stated = list(map(_whole_number, self.rows[self.trailer][0]))
        if details in stated:
            return {"totals": {"count_field": stated.index(Decimal(details)) + 1}}
        if every in stated:
            of = list(names.values())
            return {"totals": {"count_field": stated.index(Decimal(every)) + 1, "of": of}}
        return {}


def typed_lines(rows: Rows, *, is_whole: bool) -> TypedLines | None:
    """The records by what their first field holds; None if that does not tell how many they have.

    Each type has a number of fields of its own, and at least one has a column of card numbers.
    """
    by_mark: dict[str, list[Sequence[str]]] = {}
    for row in rows:
        by_mark.setdefault(row[0].strip(), []).append(row)
        if len(by_mark) > MAX_TYPES:
            return None
    if not all(map(_is_mark, by_mark)) or not _have_widths_of_their_own(by_mark):
        return None
    fields = {mark: _fields(mark, some) for mark, some in by_mark.items()}
    details = {
        mark: names
        for mark, names in fields.items()
        if PAN_COLUMN in names or _names_cards(by_mark[mark])
    }
    last = rows[-1][0].strip()
    is_trailer = is_whole and last not in details and len(by_mark[last]) == 1
    has_cards = any(PAN_COLUMN in names for names in details.values())
    return TypedLines(by_mark, details, last if is_trailer else "") if has_cards else None


def _is_mark(text: str) -> bool:
    is_short = 0 < len(text) <= MAX_MARK_CHARACTERS
    return is_short and text.isprintable() and not could_hold_pan(text)


def _have_widths_of_their_own(by_mark: Mapping[str, Rows]) -> bool:
    """Whether records of a type have as many fields, and two types of several records differ."""
    widths = {mark: {len(row) for row in rows} for mark, rows in by_mark.items()}
    several = {min(widths[mark]) for mark, rows in by_mark.items() if len(rows) > 1}
    return all(len(each) == 1 for each in widths.values()) and len(several) > 1


def _fields(mark: str, rows: Rows) -> list[str]:
    """Names of the fields: those of card numbers are called alike in all types."""
    prefix = _as_name(mark) or "field"
    names = [f"{prefix}_{at}" for at in range(1, len(rows[0]) + 1)]
    names[0] = MARK_COLUMN
    found = [at for at in range(1, len(names)) if _holds_pans([row[at] for row in rows])]
    for count, at in enumerate(found, 1):
        names[at] = PAN_COLUMN if count == 1 else f"{PAN_COLUMN}_{count}"
    return names


def _names_cards(rows: Rows) -> bool:
    """Whether a card number stands somewhere in the records, if not in a column of its own."""
    return any(find_pans(cell) for row in rows for cell in row)


def _holds_pans(cells: Sequence[str]) -> bool:
    column = pa.array(cells, pa.string())
    filled = column.filter(pc.not_equal(pc.utf8_trim_whitespace(column), ""))
    return pan_share(filled) >= MIN_PAN_SHARE


def _type_names(marks: Sequence[str]) -> dict[str, str]:
    """A name for each type, like its mark if that can be one."""
    wanted = {mark: _as_name(mark) for mark in marks}
    often = Counter(wanted.values())
    return {
        mark: name if name and often[name] == 1 else f"type_{at}"
        for at, (mark, name) in enumerate(wanted.items(), 1)
    }


def _as_name(mark: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", mark.lower()).strip("_")[:MAX_TYPE_NAME_CHARACTERS]
    return name if name[:1].isalpha() else ""


def _whole_number(text: str) -> Decimal | None:
    digits = text.strip()
    return Decimal(digits) if digits.isascii() and digits.isdigit() else None
