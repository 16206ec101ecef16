"""What will happen to a file, found out without a vault: a dry run of the line in `tokenize`.

It reads as the worker does and holds every row against the same rules. Nothing leaves it but
counts, places and examples that are masked.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.distinct import DistinctPans
from pipeline.core.envelope import TOKEN_PREFIX
from pipeline.core.fingerprints import Fingerprinter
from pipeline.core.forecast import Forecast, Work, distinct_in_all, forecast
from pipeline.core.gather import GatheredPans, MetPans, gather
from pipeline.core.guard import Hit
from pipeline.core.known_pans import KnownPans
from pipeline.core.layouts import Layout
from pipeline.core.masking import masked_pan, shape_of
from pipeline.core.output import (
    columns_by_fate,
    digits_of,
    find_in_text,
    guard_columns,
    output_schema,
    redact,
    scrubbed,
    without_rows,
)
from pipeline.core.pans import normalise, scheme_of
from pipeline.core.receipts import Tally
from pipeline.core.rows import CheckedRows, Fault, check_rows, luhn_failed_cells
from pipeline.core.sensitive import is_sensitive_name
from pipeline.errors import PermanentError
from pipeline.fan_out import planned_chunks
from pipeline.readers.auto import SAMPLE_BYTES, auto_layout
from pipeline.readers.containers import BEGINNING_BYTES, container_kind
from pipeline.readers.members import first_bytes, read_members
from pipeline.readers.records import TextRecordBatch
from pipeline.readers.streams import LookAhead
from pipeline.readers.unpacking import refuse_encrypted, unpacked

MAX_EXAMPLES = 3
_STAND_IN = f"{TOKEN_PREFIX}{'a' * 26}"  # in the place of every token: nothing is minted


@dataclass(slots=True)
class ColumnFacts:
    """What was seen of one column; `examples` are masked, `role` is `not named` where it is so."""

    name: str
    role: str
    type: str = ""
    filled: int = 0
    luhn_failed: int = 0
    guard_hits: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def is_sensitive(self) -> bool:
        """Whether it holds sensitive authentication data by its name."""
        return is_sensitive_name(self.name)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a look at a file came to.

    `tally` counts the rows that were read, of `bytes_read` bytes; `is_whole` says that these were
    all. `refused` is why the worker would refuse the file, as code and detail. `cells_by_scheme`
    and `pans_by_scheme` count cells with a PAN, and different PANs.
    """

    layout: Layout
    size_bytes: int
    bytes_read: int
    is_whole: bool
    refused: tuple[str, str] | None
    columns: Sequence[ColumnFacts]
    tally: Tally
    cells_by_scheme: Mapping[str, int]
    pans_by_scheme: Mapping[str, int]
    rows_in_all: int
    pans_in_all: int
    forecast: Forecast

    @property
    def pans_distinct(self) -> int:
        """Different PANs among the rows that were read."""
        return sum(self.pans_by_scheme.values())


def inspect_file(
    source: BinaryIO,
    size_bytes: int,
    layout: Layout | None,
    fingerprinter: Fingerprinter,
    *,
    max_bytes: int | None = None,
    report: Callable[[int], None] = lambda _: None,
) -> Inspection:
    """Reads a file, or its first `max_bytes`, as the worker would; `report` is told bytes read.

    `fingerprinter` needs no key of a deployment: fingerprints serve to count, and are forgotten.
    Raises `PermanentError` when the file cannot be unpacked, or no column of PANs is found in it.
    """
    counted = _Counted(source, report)
    format_type = layout.format.type if layout else "delimited"
    upload = LookAhead(counted, size_bytes)
    is_packed = container_kind(upload.peek(BEGINNING_BYTES)) is not None
    members = unpacked(upload, size_bytes, format_type, refuse_encrypted)
    look = _Look(layout or auto_layout(first_bytes(members, SAMPLE_BYTES)), fingerprinter)
    refused: tuple[str, str] | None = None
    is_whole = True
    try:
        for batch in read_members(members, look.layout):
            look.take(batch)
            if max_bytes is not None and max_bytes <= counted.bytes_read < size_bytes:
                is_whole = False
                break
    except PermanentError as error:
        refused = error.code, error.detail
    bytes_read = min(counted.bytes_read, size_bytes)
    bytes_read = size_bytes if is_whole else bytes_read
    return look.result(size_bytes, bytes_read, refused, is_packed=is_packed)


class _Counted:
    """A file that says how far it was read."""

    def __init__(self, source: BinaryIO, report: Callable[[int], None]) -> None:
        self._source = source
        self._report = report
        self.bytes_read = 0

    def read(self, size: int = -1, /) -> bytes:
        content = self._source.read(size)
        self.bytes_read += len(content)
        self._report(len(content))
        return content

    def seek(self, offset_bytes: int, /) -> int:
        return self._source.seek(offset_bytes)


class _Look:
    """Adds up what the record batches of a file hold."""

    def __init__(self, layout: Layout, fingerprinter: Fingerprinter) -> None:
        self.layout = layout
        self._fingerprinter = fingerprinter
        self._columns: dict[str, ColumnFacts] = {}
        self._cells: Counter[str] = Counter()
        self._distinct: dict[str, DistinctPans] = defaultdict(DistinctPans)
        self._tally = Tally()
        self._growth: list[tuple[int, int]] = []
        self._met = MetPans()
        self._pans_looked_up = 0
        self._rows_with_pans = 0

    def take(self, batch: TextRecordBatch) -> None:
        """One pass through the line, up to where tokens would be minted."""
        self._tally.note_columns(columns_by_fate(batch.file_columns, self.layout))
        self._note_columns(batch)
        checked = check_rows(batch.columns, self.layout)
        known = KnownPans(checked.known_pans)
        text_hits = find_in_text(checked, self.layout, known)
        gathered = gather(checked, digits_of(text_hits), one_time=False)
        schema = output_schema(batch.file_columns, self.layout)
        tokens = pa.repeat(_STAND_IN, len(gathered.digits))
        table = scrubbed(checked, gathered, text_hits, tokens, schema)
        table, guard_faults = self._guarded(table, checked, known)
        self._count_pans(checked, gathered)
        self._count_rows(batch, table.num_rows, [*checked.faults, *guard_faults])

    def _note_columns(self, batch: TextRecordBatch) -> None:
        for name in batch.file_columns:
            column = self.layout.columns.get(name)
            facts = self._columns.setdefault(
                name, ColumnFacts(name, column.role if column else "not named")
            )
            if column is None or column.role == "drop" or facts.is_sensitive:
                continue
            facts.type = "" if column.role == "pan" else column.type.kind
            cells = batch.columns.column(name).drop_null()  # null: of another record type
            empty = pa.array(self.layout.format.null_values, pa.string())
            filled = cells.filter(pc.invert(pc.is_in(cells, value_set=empty)))
            facts.filled += len(filled)
            _add_examples(facts, filled, is_pan=column.role == "pan")

    def _guarded(
        self, table: pa.Table, checked: CheckedRows, known: KnownPans
    ) -> tuple[pa.Table, list[Fault]]:
        scans = guard_columns(table, self.layout, known)
        hits = {name: scan.hits for name, scan in scans.items() if scan.hits}
        self._tally.guard_cells_scanned += table.num_rows * len(scans)
        for name, rows in hits.items():
            self._columns[name].guard_hits += sum(map(len, rows.values()))
        self._tally.guard_hits = sum(each.guard_hits for each in self._columns.values())
        if self.layout.options.guard_action == "redact":
            table, hits = redact(table, hits)
        places = _first_columns(hits)
        faults = [Fault(checked.index[at].as_py(), "guard_hit", name) for at, name in places]
        return without_rows(table, [at for at, _ in places]), faults

    def _count_pans(self, checked: CheckedRows, gathered: GatheredPans) -> None:
        by_scheme: dict[str, list[bytes]] = defaultdict(list)
        for pan in self._not_met(gathered.digits).cast(pa.binary()).to_pylist():
            by_scheme[scheme_of(pan)].append(pan)
        for scheme, pans in by_scheme.items():
            prints = self._fingerprinter.fingerprints(pans, self.layout.scope)
            self._distinct[scheme].add(prints)
        for name, digits in checked.pans.items():
            failed = luhn_failed_cells(digits).true_count
            self._columns[name].luhn_failed += failed
            self._tally.luhn_failed += failed
            self._rows_with_pans += len(digits) - digits.null_count
            counts = pc.value_counts(digits.drop_null().cast(pa.binary()))
            for each in counts.to_pylist():
                self._cells[scheme_of(each["values"])] += each["counts"]

    def _not_met(self, digits: pa.Array) -> pa.Array:
        """The PANs that have not been met, which the worker would look up."""
        fresh = digits.filter(pc.is_null(self._met.tokens(digits)))
        self._met.meet(fresh, pa.repeat(_STAND_IN, len(fresh)))
        self._pans_looked_up += len(fresh)
        return fresh

    def _count_rows(self, batch: TextRecordBatch, written: int, faults: Sequence[Fault]) -> None:
        self._tally.rows_read += batch.rows
        self._tally.rows_written += written
        rejected = [(row.row_number, row.reason) for row in batch.malformed]
        rejected += [(batch.row_numbers[each.index].as_py(), each.reason) for each in faults]
        for row_number, reason in sorted(rejected):
            self._tally.reject(reason, row_number)
        self._growth.append((self._tally.rows_read, sum(map(len, self._distinct.values()))))

    def result(
        self,
        size_bytes: int,
        bytes_read: int,
        refused: tuple[str, str] | None,
        *,
        is_packed: bool,
    ) -> Inspection:
        """All of it, and what it says about the whole file."""
        is_whole = bytes_read >= size_bytes
        factor = 1.0 if is_whole or not bytes_read else size_bytes / bytes_read
        rows_in_all = round(self._tally.rows_read * factor)
        pans_by_scheme = {name: len(pans) for name, pans in sorted(self._distinct.items())}
        pans = sum(pans_by_scheme.values())
        pans_in_all = pans if is_whole else distinct_in_all(self._growth, rows_in_all)
        can_be_parted = not is_packed and self.layout.format.is_splittable
        parts = planned_chunks(size_bytes, rows_in_all) if can_be_parted else 1
        return Inspection(
            layout=self.layout,
            size_bytes=size_bytes,
            bytes_read=bytes_read,
            is_whole=is_whole,
            refused=refused,
            columns=list(self._columns.values()),
            tally=self._tally,
            cells_by_scheme=dict(self._cells.most_common()),
            pans_by_scheme=pans_by_scheme,
            rows_in_all=rows_in_all,
            pans_in_all=pans_in_all,
            forecast=forecast(self._work(factor, pans_in_all, parts)),
        )

    def _work(self, factor: float, pans_in_all: int, parts: int) -> Work:
        is_one_time = self.layout.options.token_mode == "one_time"
        work = Work(
            rows=self._tally.rows_read,
            record_batches=len(self._growth),
            pans_looked_up=0 if is_one_time else self._pans_looked_up,
            pans_new=0,
            has_rejects=bool(self._tally.rows_rejected),
            is_one_time=is_one_time,
            has_layout=bool(self.layout.sha256),
            parts=parts,
        )
        return work.times(factor, self._rows_with_pans * factor if is_one_time else pans_in_all)


def _add_examples(facts: ColumnFacts, cells: pa.Array, *, is_pan: bool) -> None:
    if len(facts.examples) >= MAX_EXAMPLES:
        return
    few = cells.slice(0, 100)
    if is_pan:
        digits = normalise(few).digits
        shown = [
            masked_pan(pan) if pan is not None else shape_of(cell)
            for pan, cell in zip(digits.to_pylist(), few.to_pylist(), strict=True)
        ]
    else:
        shown = [shape_of(cell) for cell in few.to_pylist()]
    facts.examples = list(dict.fromkeys([*facts.examples, *shown]))[:MAX_EXAMPLES]


def _first_columns(hits: Mapping[str, Mapping[int, list[Hit]]]) -> list[tuple[int, str]]:
    """The rows that were hit, each with the first column in which it was."""
    first: dict[int, str] = {}
    for name, rows in hits.items():
        for row in rows:
            first.setdefault(row, name)
    return sorted(first.items())
