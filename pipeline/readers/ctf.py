"""Visa BASE II clearing files: a row is a transaction with all its component records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.codepages import is_ebcdic
from pipeline.core.layouts import Layout
from pipeline.core.record_formats import (
    CTF_ACCOUNT,
    CTF_ACCOUNT_DIGITS,
    CTF_COMPONENTS,
    CTF_CONTROL,
    CTF_EXTENSION_DIGITS,
    CTF_RECORD_BYTES,
    Ctf,
)
from pipeline.errors import PermanentError
from pipeline.model import START, Position
from pipeline.readers.cells import Cells, RecordCodec, bytes_of, fixed_size
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
from pipeline.readers.rendering import rendered
from pipeline.readers.sound_rows import sound_rows

_COMPONENT = 4  # the position of its number in a component record
_FILE_TRAILER = "92"
_NO_EXTENSION = ("", "0" * CTF_EXTENSION_DIGITS)


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


def _grammar(settings: Ctf, *, is_lines: bool) -> Grammar:
    component_at = settings.record_bytes - CTF_RECORD_BYTES + _COMPONENT - 1
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


class TransactionBlock:
    """Consecutive transactions: a component record 0 and those that follow it, each."""

    def __init__(self, block: RecordBlock, settings: Ctf) -> None:
        self._settings = settings
        self._codec = block.codec
        self._lengths = block.lengths
        blank = block.codec.blank * CTF_RECORD_BYTES
        self._with_blank = fixed_size(bytes_of(block.records) + blank, CTF_RECORD_BYTES)
        self._records = block.records
        self._components = self._text(_COMPONENT, _COMPONENT)
        is_first = pc.equal(self._components, CTF_COMPONENTS[0])
        leads = pc.or_(is_first, pa.array([True] + [False] * (len(block) - 1)))
        self._first = pc.indices_nonzero(leads).cast(pa.int64())
        self._group = pc.subtract(pc.cumulative_sum(leads.cast(pa.int64())), 1)
        self._record_codes = self._text(1, 2)
        self.codes: list[str] = self._record_codes.take(self._first).to_pylist()

    def _text(self, start: int, end: int) -> pa.Array:
        return self._codec.text(self._codec.column(self._records, start, end)).text

    @cached_property
    def rows(self) -> list[int]:
        """The transactions, by index, without headers, trailers and what is to be skipped."""
        left_out = {*CTF_CONTROL, *self._settings.skip}
        return [at for at, code in enumerate(self.codes) if code not in left_out]

    @cached_property
    def faults(self) -> Mapping[int, str]:
        """Why a transaction (by index) cannot be a row."""
        known = self._settings.account_starts
        faults = {
            at: "unknown_record_type" for at, code in enumerate(self.codes) if code not in known
        }
        own_code = pc.equal(
            self._record_codes, self._record_codes.take(self._first.take(self._group))
        )
        is_known = pc.is_in(self._components, value_set=pa.array(list(CTF_COMPONENTS)))
        strangers = self._group.filter(pc.invert(pc.and_(own_code, is_known)))
        faults |= dict.fromkeys(strangers.to_pylist(), "orphan_component")
        if self._components[0].as_py() != CTF_COMPONENTS[0]:
            faults[0] = "orphan_component"
        faults |= dict.fromkeys(self._repeating, "repeated_component")
        for at, length in enumerate(self._lengths or ()):
            if self._is_wrong(length):
                faults[self._group[at].as_py()] = "wrong_record_length"
        return faults

    def _is_wrong(self, length: int) -> bool:
        if self._settings.short_lines == "pad":
            return length > self._settings.record_bytes
        return length != self._settings.record_bytes

    @cached_property
    def _repeating(self) -> list[int]:
        """The transactions that have a component more than once."""
        places = pa.table({"group": self._group, "component": self._components})
        counts = places.group_by(["group", "component"]).aggregate([([], "count_all")])
        repeated: list[int] = counts.filter(pc.greater(counts["count_all"], 1))["group"].to_pylist()
        return repeated

    @cached_property
    def _present(self) -> set[str]:
        """The components that occur at all."""
        return set(self._components.unique().to_pylist())

    @cached_property
    def _places(self) -> dict[str, pa.Array]:
        """By component, where each transaction has it; the blank record where it has not."""
        return {}

    def _of(self, component: str) -> pa.FixedSizeBinaryArray:
        """That component record of each transaction, a blank one where there is none."""
        if component not in self._places:
            at = pc.indices_nonzero(pc.equal(self._components, component)).cast(pa.int64())
            every = pa.array(range(len(self._first)), pa.int64())
            own = at.take(pc.index_in(every, value_set=self._group.take(at)))
            self._places[component] = pc.fill_null(own, len(self._records))
        return self._with_blank.take(self._places[component])

    def cells(self, name: str) -> Cells:
        """A column, one cell for each transaction."""
        if name == CTF_ACCOUNT:
            return self._accounts()
        field = self._settings.all_fields.get(name)
        component = field.tcr if field is not None else name.removeprefix("tcr")
        if component not in self._present:
            return Cells(pa.array([""] * len(self.codes), pa.string()))
        if field is not None:
            return self._codec.read(self._of(component), field)
        return self._codec.text(self._of(component))

    def reason(self, name: str) -> str:
        """How a cell of the column is called that cannot be read."""
        field = self._settings.all_fields.get(name)
        return "invalid_zoned" if field and field.type == "zoned" else "invalid_encoding"

    def _accounts(self) -> Cells:
        """Account numbers with their extensions, if they have one; filling zeros taken away."""
        records = self._of(CTF_COMPONENTS[0])
        codes = pa.array(self.codes, pa.string())
        accounts = pa.array([""] * len(codes), pa.string())
        by_start: dict[int, list[str]] = {}
        for code, start in self._settings.account_starts.items():
            by_start.setdefault(start, []).append(code)
        for start, group in by_start.items():
            is_here = pc.is_in(codes, value_set=pa.array(group, pa.string()))
            if pc.any(is_here).as_py():
                accounts = pc.if_else(is_here, self._accounts_at(records, start), accounts)
        return Cells(accounts)

    def _accounts_at(self, records: pa.FixedSizeBinaryArray, start: int) -> pa.Array:
        end = start + CTF_ACCOUNT_DIGITS
        number = self._codec.text(self._codec.column(records, start, end - 1)).text
        extension = self._codec.text(
            self._codec.column(records, end, end + CTF_EXTENSION_DIGITS - 1)
        ).text
        has_none = pc.is_in(extension, value_set=pa.array(_NO_EXTENSION, pa.string()))
        extended = pc.binary_join_element_wise(number, extension, "")
        return pc.if_else(has_none, pc.ascii_ltrim(number, "0"), extended)

    def rendered(self, at: int) -> bytes:
        """All columns of one transaction."""
        start = self._first[at].as_py()
        end = self._first[at + 1].as_py() if at + 1 < len(self._first) else len(self._records)
        records = self._records.slice(start, end - start)
        alone = TransactionBlock(RecordBlock(records, self._codec, 0), self._settings)
        return rendered((name, alone._whole(name)) for name in self._settings.columns)

    def _whole(self, name: str) -> str:
        """The cell of the first transaction; of a repeated component, every record."""
        if name.startswith("tcr") and name not in self._settings.all_fields:
            is_it = pc.equal(self._components, name.removeprefix("tcr"))
            return "\n".join(self._codec.text(self._records.filter(is_it)).text.to_pylist())
        cell: str = self.cells(name).text[0].as_py()
        return cell
