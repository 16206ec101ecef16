"""From a file with PANs to staged parts with tokens: the one straight line, top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa

from pipeline.core.distinct import DistinctPans
from pipeline.core.envelope import mint_tokens, seal
from pipeline.core.fingerprints import Fingerprinter
from pipeline.core.gather import GatheredPans, gather
from pipeline.core.guard import Hit, KnownPans
from pipeline.core.layouts import Layout
from pipeline.core.output import (
    columns_by_fate,
    digits_of,
    find_in_text,
    guard_columns,
    guarded_names,
    output_schema,
    redact,
    scrubbed,
    without_rows,
)
from pipeline.core.pans import LAST4_DIGITS, scheme_of
from pipeline.core.receipts import Tally, iso_time
from pipeline.core.rejects import reject_line
from pipeline.core.rows import CheckedRows, Fault, check_rows, luhn_failed_cells
from pipeline.errors import TransientError
from pipeline.keys import ChunkDataKey
from pipeline.model import Chunk, Claim, SealedPan, StagedObject
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
    with ExitStack() as stack:
        source = HashingReader(stack.enter_context(ports.quarantine.open(chunk.source)))
        layout = layout or auto_layout(source.peek(SAMPLE_BYTES))
        line = _Line(chunk, layout, ports, fingerprinter)
        parts = stack.enter_context(StagedParts(chunk, ports))
        rejects = stack.enter_context(RejectsFile(chunk, ports))
        for batch in read_record_batches(source, layout):  # type: ignore[arg-type]
            if seconds_left() < MIN_SECONDS_LEFT:
                raise TransientError("out_of_time", f"after {line.tally.rows_read} rows")
            table = line.tokenize(batch, rejects)
            parts.write(table)
            line.report_progress()
        parts.finish()
    line.finish()
    return ChunkResult(line.tally, len(line.distinct), parts.staged, rejects.is_open, source.sha256)


class _Line:
    """What a record batch goes through, with the counts that add up over the file."""

    def __init__(
        self,
        chunk: Chunk,
        layout: Layout,
        ports: Ports,
        fingerprinter: Callable[[], Fingerprinter],
    ) -> None:
        self._chunk = chunk
        self._layout = layout
        self._ports = ports
        self._fingerprinter = fingerprinter
        self._data_key = ChunkDataKey(
            ports.key_service,
            ports.data_key_records,
            ports.clock,
            ports.entropy,
            job_id=chunk.job_id,
            scope=layout.scope,
        )
        self._reported_at = ports.clock()
        self.tally = Tally()
        self.distinct = DistinctPans()

    def tokenize(self, batch: TextRecordBatch, rejects: RejectsFile) -> pa.Table:
        """The scrubbed rows of a record batch; the others go to the rejects file."""
        schema = output_schema(batch.file_columns, self._layout)
        self.tally.columns = columns_by_fate(batch.file_columns, self._layout)
        checked = check_rows(batch.columns, self._layout)
        known = KnownPans(checked.known_pans)
        text_hits = find_in_text(checked, self._layout, known)
        gathered = gather(checked, digits_of(text_hits), one_time=self._is_one_time)
        tokens = self._tokens(gathered, checked)
        table = scrubbed(checked, gathered, text_hits, tokens, schema)
        table, guard_faults = self._guarded(table, checked, known)
        self._count(batch, checked, gathered, table)
        self._reject(batch, [*checked.faults, *guard_faults], rejects)
        return table

    def report_progress(self) -> None:
        """Tells the ledger how far the file is read, now and then."""
        now = self._ports.clock()
        if now - self._reported_at >= PROGRESS_INTERVAL:
            self._reported_at = now
            self._ports.ledger.progress(self._chunk.job_id, self.tally.rows_read)

    def finish(self) -> None:
        """Completes the tally."""
        self.tally.tokens_reused = len(self.distinct) - self.tally.tokens_new
        if self._is_one_time:
            self.tally.tokens_reused = 0
        self.tally.data_key_ids = self._data_key.data_key_ids

    @property
    def _is_one_time(self) -> bool:
        return self._layout.options.token_mode == "one_time"

    def _tokens(self, gathered: GatheredPans, checked: CheckedRows) -> list[str]:
        """A durable token for each gathered PAN: the known one, or a fresh one that is claimed."""
        pans = gathered.pans.digits
        if not pans:
            return []
        if self._is_one_time:
            tokens = mint_tokens(len(pans), self._ports.entropy)
            self._store(list(range(len(pans))), tokens, gathered, checked)
            self.tally.tokens_new += len(pans)
            return tokens
        fingerprints = self._fingerprinter().fingerprints(pans, self._layout.scope)
        held = dict(self._ports.fingerprints.look_up(fingerprints))
        self.tally.items_looked_up += len(pans)
        unknown = [at for at, fingerprint in enumerate(fingerprints) if fingerprint not in held]
        if unknown:
            minted = mint_tokens(len(unknown), self._ports.entropy)
            self._store(unknown, minted, gathered, checked)
            held |= self._claimed([fingerprints[at] for at in unknown], minted)
        return [held[fingerprint] for fingerprint in fingerprints]

    def _claimed(self, fingerprints: Sequence[bytes], tokens: Sequence[str]) -> Mapping[bytes, str]:
        """The token that each fingerprint has from now on: ours, or that of a faster worker."""
        claims = [Claim(*pair) for pair in zip(fingerprints, tokens, strict=True)]
        winners = self._ports.fingerprints.claim(claims)
        self.tally.items_written += len(claims)
        self.tally.tokens_new += sum(winners[each.fingerprint] == each.token for each in claims)
        return winners

    def _store(
        self,
        wanted: Sequence[int],
        tokens: Sequence[str],
        gathered: GatheredPans,
        checked: CheckedRows,
    ) -> None:
        """Seals the wanted PANs under the chunk's data key and inserts them into the vault."""
        pans = [gathered.pans.digits[at] for at in wanted]
        data_key = self._data_key.for_seals(len(pans))
        ciphertexts = seal(pans, tokens, self._layout.scope, data_key, self._ports.entropy)
        customer_ids = _customer_ids(wanted, gathered, checked)
        created_at = iso_time(self._ports.clock())
        sealed = [
            SealedPan(
                token=token,
                ciphertext=ciphertext,
                data_key_id=data_key.data_key_id,
                created_at=created_at,
                metadata=self._metadata(pan, customer_id),
            )
            for pan, token, ciphertext, customer_id in zip(
                pans, tokens, ciphertexts, customer_ids, strict=True
            )
        ]
        self._ports.vault.insert_if_absent(sealed)
        self.tally.items_written += len(sealed)

    def _metadata(self, pan: bytes, customer_id: str | None) -> dict[str, str]:
        metadata = {
            "last4": pan[-LAST4_DIGITS:].decode("ascii"),
            "scheme": scheme_of(pan),
            "scope": self._layout.scope,
            "job_id": self._chunk.job_id,
        }
        return metadata | {"customer_id": customer_id} if customer_id else metadata

    def _guarded(
        self, table: pa.Table, checked: CheckedRows, known: KnownPans
    ) -> tuple[pa.Table, list[Fault]]:
        """The table without the PANs that stand where none may be, and the rows that cost."""
        names = guarded_names(table.schema, self._layout)
        hits = guard_columns(table, self._layout, known)
        self.tally.guard_cells_scanned += table.num_rows * len(names)
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


def _customer_ids(
    wanted: Sequence[int], gathered: GatheredPans, checked: CheckedRows
) -> Sequence[str | None]:
    """The customer id of the row where each PAN was seen first."""
    if checked.customer_ids is None:
        return [None] * len(wanted)
    rows = pa.array(gathered.first_rows(wanted), pa.int64())
    ids: list[str | None] = checked.customer_ids.take(rows).to_pylist()
    return ids


def _first_columns(hits: dict[str, dict[int, list[Hit]]]) -> dict[int, str]:
    """The rows that were hit, each with the first column in which it was."""
    first: dict[int, str] = {}
    for name, rows in hits.items():
        for row in rows:
            first.setdefault(row, name)
    return dict(sorted(first.items()))
