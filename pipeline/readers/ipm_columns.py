"""Columns of text made of IPM messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.clearing_formats import Ipm
from pipeline.core.ipm_elements import CHIP_DATA, PRIVATE_DATA, SENSITIVE_ELEMENTS
from pipeline.readers.cells import BLANK, Cells, RecordCodec
from pipeline.readers.ipm_messages import (
    TYPE_BYTES,
    MalformedMessageError,
    MessageParser,
    PrivateData,
    needed_elements,
    one_tag,
    private_elements,
    without_sensitive_tags,
)
from pipeline.readers.private_text import with_pans_set_off
from pipeline.readers.rendering import rendered

MESSAGE_TYPE = "MTI"
FUNCTION_CODE = 24


class MessageColumns:
    """Makes columns of messages that were taken apart by its `parser`."""

    def __init__(self, settings: Ipm, names: Sequence[str]) -> None:
        self._names = names
        self.parser = MessageParser(settings, sorted(needed_elements(names) | {FUNCTION_CODE}))
        self._codec = RecordCodec(settings.encoding)
        self._private = PrivateData.of(settings.encoding)
        tags = [name for name in names if name.startswith("PDS")]
        self._pds = {name: slot for slot, name in enumerate(tags)}
        self._pds_slots = {self._private.tag(name): slot for name, slot in self._pds.items()}

    def cells(
        self, records: Sequence[bytes], found: Sequence[Sequence[bytes]], faults: dict[int, str]
    ) -> dict[str, Cells]:
        """The columns; messages (by index) that turn out to be malformed are added to `faults`."""
        by_slot = list(zip(*found, strict=True))
        private = self._private_data(found, faults)
        return {name: self._column(name, records, by_slot, private, faults) for name in self._names}

    def _private_data(
        self, found: Sequence[Sequence[bytes]], faults: dict[int, str]
    ) -> list[list[bytes]]:
        if not self._pds:
            return []
        slots, nothing = self.parser.slots, [b""] * len(self._pds)
        rows: list[list[bytes]] = []
        for at, elements in enumerate(found):
            try:
                rows.append(self._private.find(private_elements(slots, elements), self._pds_slots))
            except MalformedMessageError as error:
                faults.setdefault(at, error.reason)
                rows.append(nothing)
        return rows

    def _column(
        self,
        name: str,
        records: Sequence[bytes],
        by_slot: Sequence[Sequence[bytes]],
        private: Sequence[Sequence[bytes]],
        faults: dict[int, str],
    ) -> Cells:
        if name == MESSAGE_TYPE:
            return self._codec.of_any_length([record[:TYPE_BYTES] for record in records])
        if name in self._pds:
            slot = self._pds[name]
            return self._codec.of_any_length([values[slot] for values in private])
        if name.startswith("TAG"):
            tag = name.removeprefix("TAG")
            chip_data = by_slot[self.parser.slots[CHIP_DATA]]
            return _each(chip_data, lambda data: one_tag(data, tag), faults)
        return self._element(int(name.removeprefix("DE")), len(records), by_slot, faults)

    def _element(
        self, number: int, rows: int, by_slot: Sequence[Sequence[bytes]], faults: dict[int, str]
    ) -> Cells:
        if number in SENSITIVE_ELEMENTS:
            return Cells(pa.array([""] * rows, pa.string()))
        values = by_slot[self.parser.slots[number]]
        if number == CHIP_DATA:
            return _each(values, without_sensitive_tags, faults)
        if self.parser.is_binary(number):
            return _each(values, lambda data: data.hex().upper(), faults)
        cells = self._codec.of_any_length(list(values))
        if number in PRIVATE_DATA:
            return Cells(with_pans_set_off(cells.text), cells.wrong)
        if self.parser.is_padded(number):
            return Cells(pc.utf8_trim(cells.text, BLANK), cells.wrong)
        return cells

    def rendered(self, record: bytes) -> bytes:
        """All columns of one message, as far as it can be taken apart.

        Of one that cannot, and has sensitive elements somewhere, only the type.
        """
        found = [b""] * len(self.parser.slots)
        try:
            found = self.parser.elements(record)
        except MalformedMessageError:
            if not self.parser.may_hold_sensitive_data(record):
                with suppress(MalformedMessageError):
                    self.parser.walk(record, found)
        cells = self.cells([record], [found], {})
        return rendered((name, each.text[0].as_py()) for name, each in cells.items())


def _each(values: Iterable[bytes], text: Callable[[bytes], str], faults: dict[int, str]) -> Cells:
    cells: list[str] = []
    for at, value in enumerate(values):
        try:
            cells.append(text(value) if value else "")
        except MalformedMessageError as error:
            faults.setdefault(at, error.reason)
            cells.append("")
    return Cells(pa.array(cells, pa.string()))
