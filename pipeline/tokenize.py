"""From a file with PANs to staged parts with tokens: the one straight line, top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa

from pipeline.core.distinct import DistinctPans
from pipeline.core.fingerprints import Fingerprinter
from pipeline.core.gather import GatheredPans, gather
from pipeline.core.guard import Hit, KnownPans, unmatched_windows
from pipeline.core.layouts import Layout
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
from pipeline.core.receipts import Tally
from pipeline.core.rejects import reject_line
from pipeline.core.rows import CheckedRows, Fault, check_rows, luhn_failed_cells
from pipeline.errors import TransientError
from pipeline.minting import Mint
from pipeline.model import Chunk, StagedObject
from pipeline.ports import Ports
from pipeline.readers.auto import SAMPLE_BYTES, auto_layout
from pipeline.readers.hashing import HashingReader
from pipeline.readers.records import TextRecordBatch
from pipeline.readers.registry import read_record_batches
from pipeline.staging import RejectsFile, StagedParts

MIN_SECONDS_LEFT = 20.0  # enough for one more record batch and a clean stop
PROGRESS_INTERVAL = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What one attempt at a file produced; nothing of it is visible to a consumer yet."""

    tally: Tally
    pans_distinct: int
    parts: Sequence[StagedObject]
    has_rejects: bool
    source_sha256: str


def tokenize_chunk(
    chunk: Chunk,
    layout: Layout | None,
    ports: Ports,
    fingerprinter: Callable[[], Fingerprinter],
    seconds_left: Callable[[], float],
) -> ChunkResult:
    """Reads the file, tokenizes its PANs and stages scrubbed Parquet parts and a rejects file.

    Without a layout, the PAN columns are found by their content and nothing else is kept.

    Raises `PermanentError` when the file cannot be processed, `TransientError` `out_of_time` when
    less than `MIN_SECONDS_LEFT` remain, and whatever the ports raise. Staged objects of a failed
    attempt are incomplete and do not exist.
    """
    late_pans: frozenset[bytes] = frozenset()
    earlier = Tally()
    while True:
        line = _Line(chunk, ports, fingerprinter, seconds_left, late_pans, earlier)
        try:
            return line.run(layout)
        except _LatePansError as error:
            late_pans, earlier = error.pans, line.tally


class _LatePansError(Exception):
    """Kept cells hold PANs that only other record batches showed to be PANs."""

    def __init__(self, pans: frozenset[bytes]) -> None:
        super().__init__()
        self.pans = pans


class _Line:
    """One pass of a file through the line, with the counts that add up over it."""

    def __init__(
        self,
        chunk: Chunk,
        ports: Ports,
        fingerprinter: Callable[[], Fingerprinter],
        seconds_left: Callable[[], float],
        late_pans: frozenset[bytes],
        earlier: Tally,
    ) -> None:
        self._chunk = chunk
        self._ports = ports
        self._fingerprinter = fingerprinter
        self._seconds_left = seconds_left
        self._late_pans = late_pans
        self._reported_at = ports.clock()
        self._seen = DistinctPans()
        self._seen_lengths: set[int] = set()
        self._batches = self._suspects = self._least_digits = 0
        self.tally = Tally(
            tokens_new=earlier.tokens_new,
            items_written=earlier.items_written,
            items_looked_up=earlier.items_looked_up,
            data_key_ids=earlier.data_key_ids,
        )
        self.distinct = DistinctPans()

    def run(self, layout: Layout | None) -> ChunkResult:
        """The whole file; raises `_LatePansError` when it has to be run again."""
        with ExitStack() as stack:
            source = HashingReader(
                stack.enter_context(self._ports.quarantine.open(self._chunk.source))
            )
            self._layout = layout or auto_layout(source.peek(SAMPLE_BYTES))
            self._mint = Mint(
                self._chunk.job_id, self._layout, self._ports, self._fingerprinter, self.tally
            )
            parts = stack.enter_context(StagedParts(self._chunk, self._ports))
            rejects = stack.enter_context(RejectsFile(self._chunk, self._ports))
            for batch in read_record_batches(source, self._layout):
                parts.write(self._tokenize(batch, rejects))
                self._between_batches()
            self._look_back()
            parts.finish()
        self._finish()
        return ChunkResult(
            self.tally, len(self.distinct), parts.staged, rejects.is_open, source.sha256
        )

    def _between_batches(self) -> None:
        """Stops in time, and tells the ledger how far the file is read, now and then."""
        if self._seconds_left() < MIN_SECONDS_LEFT:
            raise TransientError("out_of_time", f"after {self.tally.rows_read} rows")
        now = self._ports.clock()
        if now - self._reported_at >= PROGRESS_INTERVAL:
            self._reported_at = now
            self._ports.ledger.progress(self._chunk.job_id, self.tally.rows_read)

    def _look_back(self) -> None:
        """Holds kept cells against the PANs of the other record batches, when any is in question.

        A record batch is guarded against its own PANs as it passes. One that fails Luhn can stand
        in a kept cell of another batch and look like any other number; to find it, the file is
        read once more, now that all of its PANs are known.
        """
        is_in_question = self._suspects or min(self._seen_lengths, default=0) < self._least_digits
        if self._batches < 2 or not is_in_question or self._late_pans:
            return
        late: set[bytes] = set()
        with self._ports.quarantine.open(self._chunk.source) as source:
            for batch in read_record_batches(source, self._layout):
                late |= self._late_in(check_rows(batch.columns, self._layout))
                self._between_batches()
        if late:
            raise _LatePansError(frozenset(late))

    def _late_in(self, checked: CheckedRows) -> set[bytes]:
        known = KnownPans(checked.known_pans)
        windows: list[bytes] = []
        for name, cells in checked.kept.items():
            full = self._layout.columns[name].guard == "full"
            windows += unmatched_windows(cells, known, self._seen_lengths, full=full)
        return self._seen.those_among(windows)

    def _tokenize(self, batch: TextRecordBatch, rejects: RejectsFile) -> pa.Table:
        """The scrubbed rows of a record batch; the others go to the rejects file."""
        schema = output_schema(batch.file_columns, self._layout)
        self.tally.columns = columns_by_fate(batch.file_columns, self._layout)
        checked = check_rows(batch.columns, self._layout)
        self._seen.add(checked.known_pans)
        self._seen_lengths.update(map(len, checked.known_pans))
        self._batches += 1
        known = KnownPans([*checked.known_pans, *self._late_pans])
        text_hits = find_in_text(checked, self._layout, known)
        gathered = gather(checked, digits_of(text_hits), one_time=self._is_one_time)
        tokens = self._mint.tokens(gathered, checked)
        table = scrubbed(checked, gathered, text_hits, tokens, schema)
        table, guard_faults = self._guarded(table, checked, known)
        self._count(batch, checked, gathered, table)
        self._reject(batch, [*checked.faults, *guard_faults], rejects)
        return table

    def _finish(self) -> None:
        """Completes the tally."""
        self.tally.tokens_reused = len(self.distinct) - self.tally.tokens_new
        if self._is_one_time:
            self.tally.tokens_reused = 0

    @property
    def _is_one_time(self) -> bool:
        return self._layout.options.token_mode == "one_time"

    def _guarded(
        self, table: pa.Table, checked: CheckedRows, known: KnownPans
    ) -> tuple[pa.Table, list[Fault]]:
        """The table without the PANs that stand where none may be, and the rows that cost."""
        scans = guard_columns(table, self._layout, known)
        hits = {name: scan.hits for name, scan in scans.items() if scan.hits}
        self._least_digits = max(self._least_digits, known.least_digits(full=False))
        self._suspects += sum(scan.suspects for scan in scans.values())
        self.tally.guard_cells_scanned += table.num_rows * len(scans)
        self.tally.guard_hits += sum(len(each) for rows in hits.values() for each in rows.values())
        if self._layout.options.guard_action == "redact":
            table, hits = redact(table, hits)
        rows = _first_columns(hits)
        faults = [Fault(checked.index[at].as_py(), "guard_hit", name) for at, name in rows.items()]
        return without_rows(table, list(rows)), faults

    def _count(
        self,
        batch: TextRecordBatch,
        checked: CheckedRows,
        gathered: GatheredPans,
        table: pa.Table,
    ) -> None:
        self.tally.rows_read += batch.rows
        self.tally.rows_written += table.num_rows
        self.distinct.add(gathered.pans.digits)
        for digits in checked.pans.values():
            self.tally.luhn_failed += luhn_failed_cells(digits).true_count

    def _reject(
        self, batch: TextRecordBatch, faults: Sequence[Fault], rejects: RejectsFile
    ) -> None:
        numbered: list[tuple[int, str, str | None]] = []
        numbered += [(row.row_number, row.reason, None) for row in batch.malformed]
        numbered += [
            (batch.row_numbers[fault.index].as_py(), fault.reason, fault.column) for fault in faults
        ]
        for row_number, reason, column in sorted(numbered, key=lambda item: item[0]):
            self.tally.reject(reason, row_number)
            rejects.write(reject_line(row_number, reason, column, batch.raw_record(row_number)))


def _first_columns(hits: dict[str, dict[int, list[Hit]]]) -> dict[int, str]:
    """The rows that were hit, each with the first column in which it was."""
    first: dict[int, str] = {}
    for name, rows in hits.items():
        for row in rows:
            first.setdefault(row, name)
    return dict(sorted(first.items()))
