"""From a file with PANs to staged parts with tokens: the one straight line, top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa

from pipeline.core.chunks import KeptDigits
from pipeline.core.distinct import DistinctPans
from pipeline.core.fingerprints import Fingerprinter
from pipeline.core.gather import GatheredPans, gather
from pipeline.core.guard import Hit, KnownPans, find_pans, unmatched_windows
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
from pipeline.core.rejects import RejectedRow, columns_line
from pipeline.core.rows import CheckedRows, Fault, check_rows, luhn_failed_cells
from pipeline.errors import TransientError
from pipeline.minting import Mint
from pipeline.model import START, Chunk, Position, StagedObject
from pipeline.ports import Ports
from pipeline.readers.auto import SAMPLE_BYTES, auto_layout
from pipeline.readers.containers import BEGINNING_BYTES, refuse_other_formats
from pipeline.readers.hashing import HashingReader
from pipeline.readers.records import TextRecordBatch
from pipeline.readers.registry import read_record_batches
from pipeline.readers.repairs import read_repairs
from pipeline.staging import RejectsFile, StagedParts, rejected_lines

MIN_SECONDS_LEFT = 20.0  # enough for one more record batch and a clean stop
PROGRESS_INTERVAL = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Bench:
    """What a worker tokenizes with."""

    ports: Ports
    fingerprinter: Callable[[], Fingerprinter]
    seconds_left: Callable[[], float]

    @property
    def is_out_of_time(self) -> bool:
        """Whether it is time to stop."""
        return self.seconds_left() < MIN_SECONDS_LEFT

    def fingerprints(self, pans: Sequence[bytes], layout: Layout) -> list[bytes]:
        """The fingerprints of PANs, in the scope of their layout."""
        return self.fingerprinter().fingerprints(pans, layout.scope) if pans else []


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What one attempt at a chunk produced; nothing of it is visible to a consumer yet.

    `end` is where the rest of the file begins, None behind its last record. `distinct` are the PANs
    that were tokenized, `seen` those and the ones of rejected rows. `source_sha256` is None unless
    the chunk is the whole file.
    """

    tally: Tally
    distinct: DistinctPans
    seen: DistinctPans
    kept_digits: KeptDigits
    parts: Sequence[StagedObject]
    has_rejects: bool
    source_sha256: str | None
    end: Position | None


@dataclass(frozen=True, slots=True)
class FilePans:
    """All PANs of a file, and how many digits they have."""

    digests: DistinctPans
    lengths: Collection[int]


def tokenize_chunk(
    chunk: Chunk, layout: Layout | None, bench: Bench, file_pans: FilePans | None = None
) -> ChunkResult:
    """Reads a chunk, tokenizes its PANs and stages scrubbed Parquet parts and a rejects file.

    Without a layout, the PAN columns are found by their content and nothing else is kept. When
    `file_pans` are known from an earlier pass, kept cells are held against all of them.

    When less than `MIN_SECONDS_LEFT` remain, it ends behind the record batch at hand. Raises
    `PermanentError` when the file cannot be processed, `TransientError` `out_of_time` when it can
    neither go on nor be parted, and whatever the ports raise. Staged objects of a failed attempt
    are incomplete and do not exist.
    """
    return _Line(chunk, bench, file_pans).run(layout)


def needs_another_pass(
    chunk: Chunk, layout: Layout | None, bench: Bench, file_pans: FilePans
) -> bool:
    """Whether a kept cell of the chunk holds a PAN that only other record batches show to be one.

    A record batch is guarded against its own PANs as it passes. One that fails Luhn can stand in a
    kept cell of another batch and look like any other number; to find it, the chunk is read once
    more, now that all PANs of the file are known.

    Raises `TransientError` `out_of_time`.
    """
    with _opened(chunk, layout, bench) as (source, known_layout):
        for at, batch in enumerate(_batches(source, known_layout, chunk, bench)):
            if at and bench.is_out_of_time:
                raise TransientError("out_of_time", "while kept cells were held against all PANs")
            checked = check_rows(batch.columns, known_layout)
            if _late_pans(checked, known_layout, bench, file_pans):
                return True
    return False


def _late_pans(
    checked: CheckedRows, layout: Layout, bench: Bench, file_pans: FilePans
) -> list[bytes]:
    """PANs of the file in kept cells that the rows at hand do not show to be PANs."""
    known = KnownPans(checked.known_pans)
    windows: set[bytes] = set()
    for name, cells in checked.kept.items():
        full = layout.columns[name].guard == "full"
        windows.update(unmatched_windows(cells, known, file_pans.lengths, full=full))
    candidates = list(windows)
    is_pan = file_pans.digests.has(bench.fingerprints(candidates, layout))
    return [each for each, is_one in zip(candidates, is_pan, strict=True) if is_one]


@contextmanager
def _opened(
    chunk: Chunk, layout: Layout | None, bench: Bench
) -> Iterator[tuple[HashingReader, Layout]]:
    with bench.ports.quarantine.open(chunk.source) as stream:
        source = HashingReader(stream)
        if chunk.start == START:
            refuse_other_formats(source.peek(BEGINNING_BYTES))
        yield source, layout or auto_layout(source.peek(SAMPLE_BYTES))


def _batches(
    source: HashingReader, layout: Layout, chunk: Chunk, bench: Bench
) -> Iterator[TextRecordBatch]:
    if chunk.rejects_to_repair:
        rejected = rejected_lines(bench.ports.quarantine, chunk.rejects_to_repair)
        return read_repairs(source, layout, rejected)
    return read_record_batches(source, layout, chunk.start, chunk.end_bytes)


class _Line:
    """One pass of a chunk through the line, with the counts that add up over it."""

    def __init__(self, chunk: Chunk, bench: Bench, file_pans: FilePans | None) -> None:
        self._chunk = chunk
        self._bench = bench
        self._ports = bench.ports
        self._file_pans = file_pans
        self._reported_at = bench.ports.clock()
        self._seen = DistinctPans()
        self._distinct = DistinctPans()
        self._kept_digits = KeptDigits()
        self._tally = Tally()

    def run(self, layout: Layout | None) -> ChunkResult:
        """The whole chunk, or what there was time for."""
        end: Position | None = None
        with ExitStack() as stack:
            source, self._layout = stack.enter_context(_opened(self._chunk, layout, self._bench))
            self._mint = Mint(self._chunk.job_id, self._layout, self._ports, self._tally)
            parts = stack.enter_context(StagedParts(self._chunk, self._ports))
            rejects = stack.enter_context(RejectsFile(self._chunk, self._ports))
            earlier: TextRecordBatch | None = None
            for batch in _batches(source, self._layout, self._chunk, self._bench):
                if earlier is not None and self._bench.is_out_of_time:
                    end = self._end_behind(earlier)
                    break
                parts.write(self._tokenize(batch, rejects))
                self._report_progress()
                earlier = batch
            parts.finish()
        self._tally.tokens_reused = self._reused()
        return ChunkResult(
            self._tally,
            self._distinct,
            self._seen,
            self._kept_digits,
            parts.staged,
            rejects.is_open,
            source.sha256 if end is None else None,
            end,
        )

    def _end_behind(self, batch: TextRecordBatch) -> Position:
        """Where the rest of the file begins, unless it says too much to be noted."""
        if batch.end is None or any(map(find_pans, batch.end.totals.values())):
            raise TransientError("out_of_time", f"after {self._tally.rows_read} rows")
        return batch.end

    def _report_progress(self) -> None:
        """Tells the ledger how far the file is read, now and then."""
        now = self._ports.clock()
        if now - self._reported_at >= PROGRESS_INTERVAL:
            self._reported_at = now
            rows_read = self._chunk.start.rows + self._tally.rows_read
            self._ports.ledger.progress(self._chunk.job_id, rows_read)

    def _tokenize(self, batch: TextRecordBatch, rejects: RejectsFile) -> pa.Table:
        """The scrubbed rows of a record batch; the others go to the rejects file."""
        schema = output_schema(batch.file_columns, self._layout)
        self._tally.columns = columns_by_fate(batch.file_columns, self._layout)
        checked = check_rows(batch.columns, self._layout)
        late_pans: list[bytes] = []
        if self._file_pans is not None:
            late_pans = _late_pans(checked, self._layout, self._bench, self._file_pans)
        known = KnownPans([*checked.known_pans, *late_pans])
        text_hits = find_in_text(checked, self._layout, known)
        gathered = gather(checked, digits_of(text_hits), one_time=self._is_one_time)
        tokens = self._mint.tokens(gathered, self._identify(gathered, checked), checked)
        table = scrubbed(checked, gathered, text_hits, tokens, schema)
        table, guard_faults = self._guarded(table, checked, known)
        self._count(batch, checked, table)
        self._reject(batch, [*checked.faults, *guard_faults], rejects)
        return table

    def _identify(self, gathered: GatheredPans, checked: CheckedRows) -> list[bytes]:
        """The fingerprints of the gathered PANs; takes note of the rejected rows' PANs too."""
        pans = gathered.pans.digits
        fingerprints = self._bench.fingerprints(pans, self._layout)
        self._distinct.add(fingerprints)
        self._seen.add(fingerprints)
        left_out = list(set(checked.known_pans).difference(pans))
        self._seen.add(self._bench.fingerprints(left_out, self._layout))
        self._kept_digits.lengths.update(map(len, pans), map(len, left_out))
        self._kept_digits.batches += 1
        return fingerprints

    def _reused(self) -> int:
        return 0 if self._is_one_time else len(self._distinct) - self._tally.tokens_new

    @property
    def _is_one_time(self) -> bool:
        return self._layout.options.token_mode == "one_time"

    def _guarded(
        self, table: pa.Table, checked: CheckedRows, known: KnownPans
    ) -> tuple[pa.Table, list[Fault]]:
        """The table without the PANs that stand where none may be, and the rows that cost."""
        scans = guard_columns(table, self._layout, known)
        hits = {name: scan.hits for name, scan in scans.items() if scan.hits}
        least_digits = known.least_digits(full=False)
        self._kept_digits.least_digits = max(self._kept_digits.least_digits, least_digits)
        self._kept_digits.suspects += sum(scan.suspects for scan in scans.values())
        self._tally.guard_cells_scanned += table.num_rows * len(scans)
        self._tally.guard_hits += sum(len(each) for rows in hits.values() for each in rows.values())
        if self._layout.options.guard_action == "redact":
            table, hits = redact(table, hits)
        rows = _first_columns(hits)
        faults = [Fault(checked.index[at].as_py(), "guard_hit", name) for at, name in rows.items()]
        return without_rows(table, list(rows)), faults

    def _count(
        self,
        batch: TextRecordBatch,
        checked: CheckedRows,
        table: pa.Table,
    ) -> None:
        self._tally.rows_read += batch.rows
        self._tally.rows_written += table.num_rows
        for digits in checked.pans.values():
            self._tally.luhn_failed += luhn_failed_cells(digits).true_count
        for tokens in checked.passed_on.values():
            self._tally.tokens_passed_on += len(tokens) - tokens.null_count

    def _reject(
        self, batch: TextRecordBatch, faults: Sequence[Fault], rejects: RejectsFile
    ) -> None:
        rejected = [(row.row_number, row.reason, row.column) for row in batch.malformed]
        rejected += [
            (batch.row_numbers[fault.index].as_py(), fault.reason, fault.column) for fault in faults
        ]
        if rejected and not rejects.is_open:
            rejects.write(columns_line(batch.file_columns))
        for row_number, reason, column in sorted(rejected, key=lambda item: item[0]):
            self._tally.reject(reason, row_number)
            record = batch.raw_record(row_number)
            rejects.write(RejectedRow(row_number, reason, column, record).as_line())


def _first_columns(hits: dict[str, dict[int, list[Hit]]]) -> dict[int, str]:
    """The rows that were hit, each with the first column in which it was."""
    first: dict[int, str] = {}
    for name, rows in hits.items():
        for row in rows:
            first.setdefault(row, name)
    return dict(sorted(first.items()))
