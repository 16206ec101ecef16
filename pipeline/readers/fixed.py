"""Fixed-width lines and fixed-length records, ASCII and EBCDIC, fields by position."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.layouts import Layout
from pipeline.core.record_formats import Fixed, FixedField
from pipeline.errors import PermanentError
from pipeline.model import START, Position
from pipeline.readers.cells import Cells, RecordCodec
from pipeline.readers.fixed_framing import (
    RecordBlock,
    Rewound,
    begins_with_line,
    blocks_of_length,
    blocks_of_lines,
    read_up_to,
)
from pipeline.readers.framing import BLOCK_BYTES, ByteSource, Limited, SeekableSource
from pipeline.readers.prefixed_framing import blocks_of_prefixed
from pipeline.readers.record_types import NO_TYPE, RecordCounts, Typing
from pipeline.readers.records import MalformedRow, TextRecordBatch
from pipeline.readers.rendering import rendered
from pipeline.readers.sound_rows import SoundRows, sound_rows

_MARK_BYTES = 3


def read_fixed(
    stream: SeekableSource,
    layout: Layout,
    start: Position = START,
    end_bytes: int | None = None,
    *,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[TextRecordBatch]:
    """The records of a file, block by block, in memory bounded by `block_bytes`.

    Raises `PermanentError` when the file as a whole cannot be read by this layout: `empty_file`,
    `no_rows`, `record_too_long`, `truncated_file`, `trailer_missing`, `trailer_mismatch`,
    `records_after_trailer`.
    """
    reader = _FixedReader(layout)
    settings = reader.settings
    beginning = read_up_to(stream, (settings.record_bytes or 0) + _MARK_BYTES)
    source = Rewound(beginning, stream, settings.encoding)
    is_lines = settings.has_line_ends or (
        settings.line_ends == "optional"
        and begins_with_line(beginning, settings.record_bytes or 0, settings.encoding)
    )
    rest: ByteSource = source
    if start.offset_bytes:
        stream.seek(source.mark_bytes + start.offset_bytes)
        rest = stream
        reader.go_on(start)
    if end_bytes is not None:
        rest = Limited(rest, end_bytes - start.offset_bytes)
    for block in _blocks(rest, settings, block_bytes, start.offset_bytes, is_lines=is_lines):
        batch = reader.read(block)
        if batch is not None:
            yield batch
    if end_bytes is None:
        reader.finish()


def _blocks(
    source: ByteSource, settings: Fixed, block_bytes: int, offset_bytes: int, *, is_lines: bool
) -> Iterator[RecordBlock]:
    codec = RecordCodec(settings.encoding)
    if settings.is_prefixed:
        return blocks_of_prefixed(source, _width(settings), codec, block_bytes, offset_bytes)
    if is_lines or settings.record_bytes is None:
        return blocks_of_lines(source, settings.encoding, _width(settings), block_bytes)
    return blocks_of_length(source, settings.record_bytes, codec, block_bytes)


def _width(settings: Fixed) -> int:
    """As many positions of a line as anything needs."""
    ends = [each.end for each in settings.fields.values()]
    for each in settings.types.values():
        ends += [each.key.end, *(field.end for field in each.fields.values())]
        ends += [each.count.end] if each.count else []
    return max(ends)


class _FixedReader:
    """Turns blocks of records into record batches, and remembers what spans blocks."""

    def __init__(self, layout: Layout) -> None:
        self.settings = cast(Fixed, layout.format)
        self._layout = layout
        self._typing = Typing(self.settings)
        self._counts = RecordCounts(self.settings, self._typing)
        self._next_row = 1
        self._offset_bytes = 0
        self._is_empty = True

    def go_on(self, position: Position) -> None:
        """Goes on behind what was read before, perhaps by somebody else."""
        self._next_row = position.rows + 1
        self._offset_bytes = position.offset_bytes
        self._counts.go_on(position.totals)
        self._is_empty = False

    def read(self, block: RecordBlock) -> TextRecordBatch | None:
        """The rows of a block; None when it has none."""
        self._is_empty = False
        self._offset_bytes += block.size_bytes
        if not len(block):
            return None
        numbers = self._typing.of(block)
        self._counts.add(block, numbers)
        rows = _Rows(block, numbers, self._typing, self._next_row)
        if not len(rows.places):
            return None
        self._next_row += len(rows.places)
        parts = [self._of_type(rows, at) for at in self._typing.of_kind("data")]
        sound = SoundRows.together([*parts, rows.of_no_type(self._wanted)])
        return TextRecordBatch(
            file_columns=self.settings.columns,
            columns=sound.columns,
            row_numbers=sound.numbers,
            malformed=sound.malformed,
            raw_record=lambda row_number: self._raw(rows, row_number),
            end=self._position(),
        )

    def _position(self) -> Position | None:
        totals = self._counts.so_far()
        if totals is None:
            return None
        return Position(self._offset_bytes, self._next_row - 1, totals)

    def finish(self) -> None:
        """What can only be said at the end of the file."""
        if self._is_empty:
            raise PermanentError("empty_file", "the file holds no bytes")
        is_confirmed = self._counts.verify_end()
        if self._next_row == 1 and not is_confirmed:
            raise PermanentError("no_rows", "the file holds no data records")

    @cached_property
    def _wanted(self) -> list[str]:
        """The columns that the layout names, in the file's order."""
        named = set(self._layout.named_columns)
        return [name for name in self.settings.columns if name in named]

    def _fields(self, type_number: int) -> Mapping[str, FixedField]:
        names = self._typing.names
        is_named = 0 <= type_number < len(names)
        return self.settings.fields_of(names[type_number] if is_named else None)

    def _of_type(self, rows: _Rows, type_number: int) -> SoundRows:
        fields = self._fields(type_number)
        some = rows.of_type(type_number)
        cells = {name: _read(some.block, fields.get(name)) for name in self._wanted}
        reasons = {
            name: _reason(fields[name])
            for name in self._wanted
            if name in fields and not self._is_dropped(name)
        }
        return sound_rows(cells, reasons, some.numbers, self._too_short(some.block, fields))

    def _is_dropped(self, name: str) -> bool:
        column = self._layout.columns.get(name)
        return column is not None and column.role == "drop"

    def _too_short(self, block: RecordBlock, fields: Mapping[str, FixedField]) -> dict[int, str]:
        """The lines that end before their fields do, by index."""
        if block.lengths is None or self.settings.short_lines == "pad":
            return {}
        least = max(each.end for each in fields.values())
        return {
            at: "wrong_record_length" for at, length in enumerate(block.lengths) if length < least
        }

    def _raw(self, rows: _Rows, row_number: int) -> bytes:
        """All fields of a record as they would be read."""
        record, type_number = rows.record(row_number)
        fields = self._fields(type_number)
        return rendered(
            (name, _read(record, fields.get(name)).text[0].as_py())
            for name in self.settings.columns
        )


@dataclass(frozen=True, slots=True)
class _Some:
    """Some records of a block and their row numbers (`int64`)."""

    block: RecordBlock
    numbers: pa.Array


@dataclass(frozen=True)
class _Rows:
    """The records of a block that are rows: data records, and those of no type."""

    block: RecordBlock
    types: pa.Array
    typing: Typing
    first_row: int

    @cached_property
    def places(self) -> pa.Array:
        """Where in the block they stand (`int64`), in order."""
        kinds = pa.array([*NO_TYPE, *self.typing.of_kind("data")], pa.int16())
        return pc.indices_nonzero(pc.is_in(self.types, value_set=kinds)).cast(pa.int64())

    def of_type(self, type_number: int) -> _Some:
        """The rows of one type."""
        if pc.all(pc.equal(self.types, type_number)).as_py():
            numbers = pa.array(range(self.first_row, self.first_row + len(self.block)), pa.int64())
            return _Some(self.block, numbers)
        ordinals = self._ordinals(type_number)
        places = self.places.take(ordinals)
        lengths = self.block.lengths
        block = RecordBlock(
            self.block.records.take(places),
            self.block.codec,
            0,
            None if lengths is None else [lengths[at] for at in places.to_pylist()],
        )
        return _Some(block, pc.add(ordinals, self.first_row))

    def of_no_type(self, wanted: Sequence[str]) -> SoundRows:
        """No rows, but a reason for each record of no type."""
        malformed = [
            MalformedRow(at + self.first_row, reason)
            for number, reason in NO_TYPE.items()
            for at in self._ordinals(number).to_pylist()
        ]
        return SoundRows.none(wanted, sorted(malformed, key=lambda row: row.row_number))

    def _ordinals(self, type_number: int) -> pa.Array:
        is_one = pc.equal(self.types.take(self.places), type_number)
        return pc.indices_nonzero(is_one).cast(pa.int64())

    def record(self, row_number: int) -> tuple[RecordBlock, int]:
        """One row alone, and the number of its type."""
        at = self.places[row_number - self.first_row].as_py()
        record = RecordBlock(self.block.records.slice(at, 1), self.block.codec, 0)
        return record, self.types[at].as_py()


def _read(block: RecordBlock, place: FixedField | None) -> Cells:
    """A field of all records; nothing where they have no such field."""
    if place is None:
        return Cells(pa.array([""] * len(block), pa.string()))
    return block.codec.read(block.records, place)


def _reason(place: FixedField) -> str:
    return "invalid_encoding" if place.type == "text" else f"invalid_{place.type}"
