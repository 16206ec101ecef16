"""Mastercard IPM clearing files: a row is a message, without file headers and trailers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import pyarrow as pa

from pipeline.core.clearing_formats import Ipm
from pipeline.core.layouts import Layout
from pipeline.errors import PermanentError
from pipeline.model import START, Position
from pipeline.readers.framing import BLOCK_BYTES, ByteSource, Limited, SeekableSource
from pipeline.readers.ipm_columns import FUNCTION_CODE, MessageColumns
from pipeline.readers.ipm_framing import Messages, Unblocked, messages
from pipeline.readers.ipm_messages import MalformedMessageError
from pipeline.readers.logical_files import LogicalFiles
from pipeline.readers.records import TextRecordBatch
from pipeline.readers.sound_rows import sound_rows


def read_ipm(
    stream: SeekableSource,
    layout: Layout,
    start: Position = START,
    end_bytes: int | None = None,
    *,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[TextRecordBatch]:
    """The messages of a file, block by block, in memory bounded by `block_bytes`.

    Positions count bytes of the records and their lengths, without what blocking adds.

    Raises `PermanentError` when the file as a whole cannot be read by this layout: `empty_file`,
    `no_rows`, `encoding_mismatch`, `malformed_file`, `truncated_file`, `data_after_end`,
    `trailer_missing`, `trailer_mismatch`, `records_after_trailer`.
    """
    reader = _IpmReader(layout)
    source: SeekableSource = Unblocked(stream) if reader.settings.blocked else stream
    if start.offset_bytes:
        source.seek(start.offset_bytes)
        reader.go_on(start)
    rest: ByteSource = source
    if end_bytes is not None:
        rest = Limited(source, end_bytes - start.offset_bytes)
    is_part = end_bytes is not None
    for block in messages(rest, block_bytes, start.offset_bytes, is_part=is_part):
        batch = reader.read(block)
        if batch is not None:
            yield batch
    if end_bytes is None:
        reader.finish()


class _IpmReader:
    """Turns messages into record batches, and remembers what spans blocks."""

    def __init__(self, layout: Layout) -> None:
        self.settings = cast(Ipm, layout.format)
        own = [name for name in layout.named_columns if name not in self.settings.columns]
        self._file_columns = (*self.settings.columns, *own)
        named = set(layout.named_columns)
        self._wanted = [name for name in self._file_columns if name in named]
        self._matters = [
            name
            for name in self._wanted
            if name not in layout.columns or layout.columns[name].role != "drop"
        ]
        self._columns = MessageColumns(self.settings, self._wanted)
        self._whole = MessageColumns(self.settings, self._file_columns)
        self._files = LogicalFiles(self.settings)
        self._next_row = 1
        self._offset_bytes = 0

    def go_on(self, position: Position) -> None:
        """Goes on behind what was read before, perhaps by somebody else."""
        self._next_row = position.rows + 1
        self._offset_bytes = position.offset_bytes
        self._files.go_on(position.totals)

    def read(self, block: Messages) -> TextRecordBatch | None:
        """The rows of a block; None when it has none."""
        if not self._offset_bytes:
            self._files.check_encoding(block.records[0])
        self._offset_bytes += block.size_bytes
        records, found, faults = self._rows(block.records)
        if not records:
            return None
        first_row = self._next_row
        self._next_row += len(records)
        cells = self._columns.cells(records, found, faults)
        numbers = pa.array(range(first_row, self._next_row), pa.int64())
        sound = sound_rows(cells, dict.fromkeys(self._matters, "invalid_encoding"), numbers, faults)
        return TextRecordBatch(
            file_columns=self._file_columns,
            columns=sound.columns,
            row_numbers=sound.numbers,
            malformed=sound.malformed,
            raw_record=lambda row_number: self._whole.rendered(records[row_number - first_row]),
            end=Position(self._offset_bytes, self._next_row - 1, self._files.so_far()),
        )

    def _rows(
        self, records: Sequence[bytes]
    ) -> tuple[list[bytes], list[list[bytes]], dict[int, str]]:
        """The messages that are rows, their elements, and why some (by index) are malformed."""
        rows: list[bytes] = []
        found: list[list[bytes]] = []
        faults: dict[int, str] = {}
        parser, files = self._columns.parser, self._files
        nothing = [b""] * len(parser.slots)
        function_code = parser.slots[FUNCTION_CODE]
        for record in records:
            try:
                elements = parser.elements(record)
            except MalformedMessageError as error:
                faults[len(rows)] = error.reason
                elements = nothing
            if files.takes_control(record, elements[function_code]):
                faults.pop(len(rows), None)
                continue
            rows.append(record)
            found.append(elements)
        return rows, found, faults

    def finish(self) -> None:
        """What can only be said at the end of the file."""
        is_confirmed = self._files.verify_end()
        if not self._offset_bytes:
            raise PermanentError("no_rows", "the file holds no messages")
        if self._next_row == 1 and not is_confirmed:
            raise PermanentError("no_rows", "the file holds no messages but headers")
