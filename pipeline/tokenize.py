"""From a file with PANs to staged parts with tokens: the one straight line, top to bottom."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.bench import Bench
from pipeline.core.chunks import KeptDigits
from pipeline.core.distinct import DistinctPans
from pipeline.core.gather import GatheredPans, MetPans, gather
from pipeline.core.guard import Hit, find_pans
from pipeline.core.known_pans import KnownPans, beginnings_of
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
from pipeline.core.rows import CheckedRows, Fault, check_rows
from pipeline.errors import TransientError
from pipeline.look_back import FilePans, late_pans
from pipeline.minting import Mint, PansToMint
from pipeline.model import Chunk, Position, StagedObject
from pipeline.opened_chunk import opened
from pipeline.readers.records import TextRecordBatch
from pipeline.staging import RejectsFile, StagedParts

MAX_CHUNK_PANS = 2_000_000  # different ones, whose digests take 40 bytes each to be put in order
PROGRESS_INTERVAL = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What one attempt at a chunk produced; nothing of it is visible to a consumer yet.

    `end` is where the rest of the file begins, None behind its last record. `distinct` are the PANs
    that were tokenized, `rejected` those of rejected rows, some of which may have been tokenized
    too, and `beginnings` the digits that all of them begin with. `source_sha256` is None unless
    the chunk is the whole file.
    """

    tally: Tally
    distinct: DistinctPans
    rejected: DistinctPans
    beginnings: pa.Array = field(repr=False)
    kept_digits: KeptDigits
    parts: Sequence[StagedObject]
    has_rejects: bool
    source_sha256: str | None
    end: Position | None


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


class _Line:
    """One pass of a chunk through the line, with the counts that add up over it."""

    def __init__(self, chunk: Chunk, bench: Bench, file_pans: FilePans | None) -> None:
        self._chunk = chunk
        self._bench = bench
        self._ports = bench.ports
        self._file_pans = file_pans
        self._reported_at = bench.ports.clock()
        self._distinct = DistinctPans()
        self._rejected = DistinctPans()
        self._met = MetPans()
        self._beginnings = pa.array([], pa.string())
        self._kept_digits = KeptDigits()
        self._tally = Tally()

    def run(self, layout: Layout | None) -> ChunkResult:
        """The whole chunk, or what there was time for."""
        end: Position | None = None
        with ExitStack() as stack:
            file = stack.enter_context(opened(self._chunk, layout, self._bench))
            self._layout = file.layout
            self._mint = self._new_mint()
            parts = stack.enter_context(StagedParts(self._chunk, self._ports))
            rejects = stack.enter_context(RejectsFile(self._chunk, self._ports))
            earlier: TextRecordBatch | None = None
            for batch in self._bench.timed(file.batches(file.layout)):
                if earlier is not None and self._bench.is_out_of_time:
                    end = self._end_behind(earlier)
                    break
                if earlier is not None and self._is_full and _can_end_behind(earlier):
                    end = earlier.end
                    break
                parts.write(self._tokenize(batch, rejects))
                self._report_progress()
                earlier = batch
            parts.finish()
        self._tally.tokens_reused = self._reused()
        return ChunkResult(
            self._tally,
            self._distinct,
            self._rejected,
            self._beginnings,
            self._kept_digits,
            parts.staged,
            rejects.is_open,
            file.source.sha256 if end is None else None,
            end,
        )

    def _new_mint(self) -> Mint:
        bench = self._bench
        return Mint(
            self._chunk.job_id,
            self._layout,
            self._ports,
            self._tally,
            has_time=lambda: not bench.is_out_of_time,
        )

    @property
    def _is_full(self) -> bool:
        """Whether the rest of the file has to be another chunk, for the sake of memory."""
        return max(self._distinct.at_most, self._rejected.at_most) >= MAX_CHUNK_PANS

    def _end_behind(self, batch: TextRecordBatch) -> Position:
        """Where the rest of the file begins, unless it says too much to be noted."""
        if batch.end is None or not _can_end_behind(batch):
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
        self._tally.note_columns(columns_by_fate(batch.file_columns, self._layout))
        checked = check_rows(batch.columns, self._layout)
        late: list[bytes] = []
        if self._file_pans is not None:
            late = late_pans(checked.kept.values(), self._layout, self._bench, self._file_pans)
        known = KnownPans(pa.concat_arrays([checked.known_pans, _as_strings(late)]))
        text_hits = find_in_text(checked, self._layout, known)
        in_text = digits_of(text_hits)
        known = known.and_also(in_text)
        gathered = gather(checked, in_text, one_time=self._is_one_time)
        tokens = self._tokens(gathered, checked)
        table = scrubbed(checked, gathered, text_hits, tokens, schema)
        table, guard_faults = self._guarded(table, checked, known)
        self._count(batch, checked, table)
        self._reject(batch, [*checked.faults, *guard_faults], rejects)
        return table

    def _tokens(self, gathered: GatheredPans, checked: CheckedRows) -> pa.Array:
        """The token of each gathered PAN; takes note of the rejected rows' PANs too."""
        self._note_rejected(gathered, checked)
        if self._is_one_time:
            self._note(gathered.digits)
            pans = _to_mint(gathered, pa.arange(0, len(gathered.digits)), checked)
            return pa.array(self._mint.one_time_tokens(pans), pa.string())
        tokens = self._met.tokens(gathered.digits)
        is_new = pc.is_null(tokens)
        digits = gathered.digits.filter(is_new)
        if len(digits):
            fingerprints = self._note(digits)
            pans = _to_mint(gathered, pc.indices_nonzero(is_new), checked)
            minted = self._mint.tokens(pans, fingerprints)
            fresh = pa.array(minted, pa.string())
            tokens = pc.replace_with_mask(tokens, is_new, fresh)
            self._met.meet(digits, fresh)
        return tokens

    def _note(self, digits: pa.Array) -> list[bytes]:
        """The fingerprints of PANs that get a token, for the file's counts."""
        fingerprints = self._fingerprints(digits)
        self._distinct.add(fingerprints)
        return fingerprints

    def _note_rejected(self, gathered: GatheredPans, checked: CheckedRows) -> None:
        """PANs of rejected rows get no token, but may stand in kept cells of other rows."""
        of_bad_rows = [checked.known_pans] if checked.faults else []
        for digits in (gathered.digits, *of_bad_rows):
            lengths = pc.unique(pc.binary_length(digits))
            self._kept_digits.lengths.update(lengths.to_pylist())
            both = pa.concat_arrays([self._beginnings, beginnings_of(digits)])
            self._beginnings = both.unique()
        self._kept_digits.batches += 1
        if checked.faults:
            others = pc.invert(pc.is_in(checked.known_pans, value_set=gathered.digits))
            self._rejected.add(self._fingerprints(checked.known_pans.filter(others)))

    def _fingerprints(self, digits: pa.Array) -> list[bytes]:
        return self._bench.fingerprints(_as_bytes(digits), self._layout)

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
        longest = [scan.longest for scan in scans.values()]
        self._kept_digits.longest = max(self._kept_digits.longest, *longest, 0)
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
        self._tally.luhn_failed += checked.luhn_failed
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
            rejects.write(columns_line(batch.columns_of_records))
        for row_number, reason, column in sorted(rejected, key=lambda item: item[0]):
            self._tally.reject(reason, row_number)
            record = batch.raw_record(row_number)
            rejects.write(RejectedRow(row_number, reason, column, record).as_line())


def _can_end_behind(batch: TextRecordBatch) -> bool:
    """Whether the place behind the batch can be noted, and says no more than a place may."""
    return batch.end is not None and not any(map(find_pans, batch.end.totals.values()))


def _first_columns(hits: dict[str, dict[int, list[Hit]]]) -> dict[int, str]:
    """The rows that were hit, each with the first column in which it was."""
    first: dict[int, str] = {}
    for name, rows in hits.items():
        for row in rows:
            first.setdefault(row, name)
    return dict(sorted(first.items()))


def _to_mint(gathered: GatheredPans, places: pa.Array, checked: CheckedRows) -> PansToMint:
    """Some of the gathered PANs, each with the customer id of the row where it was seen first."""
    ids: list[str | None] = [None] * len(places)
    if checked.customer_ids is not None:
        ids = checked.customer_ids.take(gathered.first_rows(places)).to_pylist()
    return PansToMint(_as_bytes(gathered.digits.take(places)), ids)


def _as_bytes(digits: pa.Array) -> list[bytes]:
    pans: list[bytes] = digits.cast(pa.binary()).to_pylist()
    return pans


def _as_strings(pans: Sequence[bytes]) -> pa.Array:
    return pa.array(pans, pa.binary()).cast(pa.string())
