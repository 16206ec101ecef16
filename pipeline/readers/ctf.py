"""Visa BASE II clearing files: a row is a transaction with all its component records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import pyarrow as pa

from pipeline.core.clearing_formats import (
    CTF_COMPONENTS,
    CTF_RECORD_BYTES,
    Ctf,
)
from pipeline.core.codepages import is_ebcdic
from pipeline.core.layouts import Layout
from pipeline.errors import PermanentError
from pipeline.model import START, Position
from pipeline.readers.cells import RecordCodec, bytes_of, fixed_size
from pipeline.readers.fixed_framing import (
    RecordBlock,
    Rewound,
    begins_with_line,
    block_of_length,
    block_of_lines,
    read_up_to,
)
from pipeline.readers.framing import (
    BLOCK_BYTES,
    ByteSource,
    Grammar,
    Limited,
    SeekableSource,
    blocks_of_records,
)
from pipeline.readers.records import TextRecordBatch
from pipeline.readers.sound_rows import sound_rows
from pipeline.readers.transactions import COMPONENT, TransactionBlock

_FILE_TRAILER = "92"


def read_ctf(
    stream: SeekableSource,
    layout: Layout,
    start: Position = START,
    end_bytes: int | None = None,
    *,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[TextRecordBatch]:
    """The transactions of a clearing file, block by block, in memory bounded by `block_bytes`.

    Raises `PermanentError` when the file as a whole cannot be read by this layout: `empty_file`,
    `no_rows`, `record_too_long`, `truncated_file`, `trailer_missing`, `records_after_trailer`.
    """
    reader = _CtfReader(layout)
    settings = reader.settings
    beginning = read_up_to(stream, settings.record_bytes + 1)
    is_lines = begins_with_line(
        _in_ctf_positions(beginning, settings), CTF_RECORD_BYTES, settings.codec
    )
    rest: ByteSource = Rewound(beginning, stream, settings.codec)
    if start.offset_bytes:
        stream.seek(start.offset_bytes)
        rest = stream
        reader.go_on(start)
    if end_bytes is not None:
        rest = Limited(rest, end_bytes - start.offset_bytes)
    for block in blocks_of_records(rest, _grammar(settings, is_lines=is_lines), block_bytes):
        batch = reader.read(_records(block, settings, is_lines=is_lines))
        if batch is not None:
            yield batch
    if end_bytes is None:
        reader.finish()


@dataclass(frozen=True, slots=True)
class _Transactions:
    """Cuts blocks of records before the last transaction, which may go on in the next block."""

    record_bytes: int
    component_at: int
    first_component: int

    def last_record_end(self, block: bytes) -> int:
        """Where the last transaction begins."""
        at = (len(block) // self.record_bytes - 1) * self.record_bytes
        while at > 0 and block[at + self.component_at] != self.first_component:
            at -= self.record_bytes
        return max(at, 0)

    def most_records(self, block: bytes) -> int:
        """As many as fit."""
        return len(block) // self.record_bytes + 1


@dataclass(frozen=True, slots=True)
class _TransactionsOfLines:
    """The same, where each record is a line."""

    line_ends: tuple[bytes, ...]
    component_at: int
    first_component: int

    def last_record_end(self, block: bytes) -> int:
        """Where the last transaction begins."""
        end = len(block)
        while (at := max(block.rfind(each, 0, end) for each in self.line_ends) + 1) > 0:
            component = block[at + self.component_at : at + self.component_at + 1]
            if component and component[0] == self.first_component:
                return at
            end = at - 1
        return 0

    def most_records(self, block: bytes) -> int:
        """As many as line ends, and one without."""
        return sum(map(block.count, (*self.line_ends, b"\r"))) + 1


def _grammar(settings: Ctf, *, is_lines: bool) -> Grammar:
    component_at = settings.record_bytes - CTF_RECORD_BYTES + COMPONENT - 1
    (first,) = CTF_COMPONENTS[0].encode(settings.codec)
    if not is_lines:
        return _Transactions(settings.record_bytes, component_at, first)
    line_ends = (b"\x15", b"\x25") if is_ebcdic(settings.codec) else (b"\n",)
    return _TransactionsOfLines(line_ends, component_at, first)


def _in_ctf_positions(record: bytes, settings: Ctf) -> bytes:
    """A record without what an ITF has more, which may be any bytes."""
    more = settings.record_bytes - CTF_RECORD_BYTES
    return record[:2] + record[2 + more :]


def _records(block: bytes, settings: Ctf, *, is_lines: bool) -> RecordBlock:
    """The records of a block, in the positions of the CTF."""
    if is_lines:
        records = block_of_lines(block, settings.codec, settings.record_bytes)
    else:
        records = block_of_length(block, settings.record_bytes, RecordCodec(settings.codec))
    if settings.record_bytes == CTF_RECORD_BYTES:
        return records
    size, content = settings.record_bytes, bytes_of(records.records)
    pieces = [
        _in_ctf_positions(content[at : at + size], settings) for at in range(0, len(content), size)
    ]
    return replace(records, records=fixed_size(b"".join(pieces), CTF_RECORD_BYTES))


class _CtfReader:
    """Turns blocks of whole transactions into record batches, and remembers what spans blocks."""

    def __init__(self, layout: Layout) -> None:
        self.settings = cast(Ctf, layout.format)
        named = set(layout.named_columns)
        self._wanted = [name for name in self.settings.columns if name in named]
        self._matters = [
            name
            for name in self._wanted
            if name not in layout.columns or layout.columns[name].role != "drop"
        ]
        self._next_row = 1
        self._offset_bytes = 0
        self._is_empty = True
        self._is_over = False

    def go_on(self, position: Position) -> None:
        """Goes on behind what was read before, perhaps by somebody else."""
        self._next_row = position.rows + 1
        self._offset_bytes = position.offset_bytes
        self._is_empty = False

    def read(self, block: RecordBlock) -> TextRecordBatch | None:
        """The rows of a block; None when it has none."""
        self._is_empty = False
        self._offset_bytes += block.size_bytes
        if not len(block):
            return None
        groups = TransactionBlock(block, self.settings)
        self._end_with_trailer(groups)
        rows = groups.rows
        if not rows:
            return None
        first_row = self._next_row
        self._next_row += len(rows)
        numbers = pa.array(range(first_row, self._next_row), pa.int64())
        places = pa.array(rows, pa.int64())
        cells = {name: groups.cells(name).take(places) for name in self._wanted}
        reasons = {name: groups.reason(name) for name in self._matters}
        faults = {at: groups.faults[row] for at, row in enumerate(rows) if row in groups.faults}
        sound = sound_rows(cells, reasons, numbers, faults)
        return TextRecordBatch(
            file_columns=self.settings.columns,
            columns=sound.columns,
            row_numbers=sound.numbers,
            malformed=sound.malformed,
            raw_record=lambda row_number: groups.rendered(rows[row_number - first_row]),
            end=None if self._is_over else Position(self._offset_bytes, self._next_row - 1),
        )

    def _end_with_trailer(self, groups: TransactionBlock) -> None:
        """A file that goes on after its end is two files."""
        codes = groups.codes
        if self._is_over or _FILE_TRAILER in codes[:-1]:
            raise PermanentError("records_after_trailer", "records follow the file trailer, TC 92")
        self._is_over = codes[-1] == _FILE_TRAILER

    def finish(self) -> None:
        """What can only be said at the end of the file."""
        if self._is_empty:
            raise PermanentError("empty_file", "the file holds no bytes")
        if self.settings.trailer == "required" and not self._is_over:
            raise PermanentError("trailer_missing", "the file ends without a file trailer, TC 92")
        if self._next_row == 1 and not self._is_over:
            raise PermanentError("no_rows", "the file holds no transactions")
