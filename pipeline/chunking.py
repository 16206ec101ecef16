"""One file, chunk after chunk: as far as the time goes, and on from there another time.

A file that one invocation can work off is one chunk, and nothing is noted of it but the decision.
Of a longer one each chunk is recorded in the ledger once it is staged. The first record of a chunk
stands; whoever comes later discards its own work and goes on behind it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import pyarrow as pa

from pipeline.bench import Bench
from pipeline.core.chunks import ChunkRecord, Effort, WholeFile, whole_file
from pipeline.core.distinct import KnownDigests
from pipeline.core.known_pans import BEGINNING_DIGITS
from pipeline.core.layouts import Layout
from pipeline.core.prices import AwsCalls, calls_between
from pipeline.core.receipts import iso_time
from pipeline.core.stored_pans import (
    ALL_RANGES,
    Ranges,
    StoredPans,
    known_digests,
    ranges_to_unite,
    united,
)
from pipeline.errors import TransientError
from pipeline.keys import random_id
from pipeline.look_back import FilePans, needs_another_pass
from pipeline.model import START, Chunk, Position, SourceObject
from pipeline.ports import Ledger, Ports
from pipeline.tokenize import (
    ChunkResult,
    tokenize_chunk,
)

READ_BYTES = 8 * 1024 * 1024


class Meter:
    """Measures what an invocation takes, lap by lap."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self.started_at: datetime = ports.clock()
        self._lap_started_at = self.started_at
        self._calls: AwsCalls = ports.calls.snapshot()
        self._invocations = 1

    def lap(self) -> Effort:
        """What it took since the lap before."""
        now, calls = self._ports.clock(), self._ports.calls.snapshot()
        seconds = (now - self._lap_started_at).total_seconds()
        effort = Effort(calls_between(self._calls, calls), seconds, self._invocations)
        self._lap_started_at, self._calls, self._invocations = now, calls, 0
        return effort


@dataclass(frozen=True, slots=True)
class ChunkChain:
    """The chunks of one job's file, as one attempt finds them and adds to them."""

    job_id: str
    source: SourceObject
    layout_name: str
    layout: Layout | None
    bench: Bench
    meter: Meter
    rejects_to_repair: Sequence[str] = ()

    def work_off(self, *, has_chunks: bool) -> WholeFile | None:
        """The whole file; None when the time is up, and what is done is recorded."""
        if not has_chunks:
            chunk, result = self._tokenize(START, None, None)
            if result.end is None and not self._needs_another_pass(result):
                return self._sole(chunk, result)
            self._record("", 0, chunk, result)
            if self.bench.is_out_of_time:
                return None
        chunks = self.records("", START, None)
        return None if chunks is None else self.put_together(chunks)

    def _needs_another_pass(self, result: ChunkResult) -> bool:
        """Whether a file of one chunk does."""
        kept_digits = result.kept_digits
        if kept_digits.batches < 2 or not kept_digits.are_in_question(kept_digits.lengths):
            return False
        digests = KnownDigests.of(result.distinct, result.rejected)
        file_pans = FilePans(digests, kept_digits.lengths, result.beginnings)
        return needs_another_pass(result.parts, self.layout, self.bench, file_pans)

    def _sole(self, chunk: Chunk, result: ChunkResult) -> WholeFile:
        sha256 = result.source_sha256 or self._sha256()
        return self._whole([self._as_record(chunk, result)], len(result.distinct), sha256)

    def recorded(self, prefix: str) -> list[ChunkRecord]:
        """The chunks that are worked off, of those whose names begin so."""
        records: list[ChunkRecord] = []
        while document := self._ledger.recorded_chunk(self.job_id, _name(prefix, len(records))):
            records.append(ChunkRecord.from_json(document))
        return records

    def records(
        self,
        prefix: str,
        start: Position,
        end: Position | None,
        file_pans: FilePans | None = None,
    ) -> list[ChunkRecord] | None:
        """The chunks from `start` to `end`, the missing ones worked off; None if time is up."""
        records = self.recorded(prefix)
        while not records or records[-1].end != end:
            here = (records[-1].end if records else None) or start
            chunk, result = self._tokenize(here, end, file_pans)
            records.append(self._record(prefix, len(records), chunk, result))
            if records[-1].end != end and self.bench.is_out_of_time:
                return None
        return records

    def _tokenize(
        self, start: Position, end: Position | None, file_pans: FilePans | None
    ) -> tuple[Chunk, ChunkResult]:
        attempt_id = random_id("", self.bench.ports.entropy)
        chunk = self._chunk(attempt_id, start, end)
        result = tokenize_chunk(chunk, self.layout, self.bench, file_pans)
        return chunk, result if result.end is not None else replace(result, end=end)

    def _chunk(self, attempt_id: str, start: Position, end: Position | None) -> Chunk:
        return Chunk(
            job_id=self.job_id,
            attempt_id=attempt_id,
            source=self.source,
            layout_name=self.layout_name,
            start=start,
            end_bytes=end.offset_bytes if end else None,
            end_member=end.member if end else 0,
            rejects_to_repair=self.rejects_to_repair,
        )

    def _record(self, prefix: str, ordinal: int, chunk: Chunk, result: ChunkResult) -> ChunkRecord:
        """The record that stands in this place: ours, or that of a faster attempt."""
        self._keep_digests(chunk, result)
        ours = self._as_record(chunk, result)
        name = _name(prefix, ordinal)
        document = self._ledger.record_chunk(self.job_id, name, ours.as_json())
        stands = ChunkRecord.from_json(document)
        if stands.attempt_id != ours.attempt_id:
            self.bench.ports.tokenized.discard_staged([part.uri for part in ours.parts])
        return stands

    def _as_record(self, chunk: Chunk, result: ChunkResult) -> ChunkRecord:
        rejects_uri = self.bench.ports.quarantine.rejects_uri(chunk.job_id, chunk.attempt_id)
        return ChunkRecord(
            attempt_id=chunk.attempt_id,
            started_at=iso_time(self.meter.started_at),
            start=chunk.start,
            end=result.end,
            tally=result.tally,
            parts=list(result.parts),
            rejects_uris=[rejects_uri] if result.has_rejects else [],
            kept_digits=result.kept_digits,
            effort=self.meter.lap(),
        )

    def put_together(
        self,
        recorded: Sequence[ChunkRecord],
        source_sha256: str | None = None,
        planning: Sequence[Effort] = (),
    ) -> WholeFile | None:
        """All chunks, each held against the PANs of the whole file; None if time is up.

        `planning` is what it took to part the file. Without its checksum, the file is read again.
        """
        lengths = {length for chunk in recorded for length in chunk.kept_digits.lengths}
        in_question = [chunk.kept_digits.are_in_question(lengths) for chunk in recorded]
        file_pans = self._file_pans(recorded, lengths) if any(in_question) else None
        chunks: list[ChunkRecord] = []
        superseded: list[str] = []
        for at, chunk in enumerate(recorded):
            if self.bench.has_to_stop:
                return None
            if not in_question[at] or file_pans is None or not self._verdict(at, chunk, file_pans):
                chunks.append(chunk)
                continue
            if self.bench.has_to_stop:
                return None
            again = self.records(f"again.{at:05d}.", chunk.start, chunk.end, file_pans)
            if again is None:
                return None
            chunks += [chunk.superseded(has_same_tokens=self._is_per_pan), *again]
            superseded += [part.uri for part in chunk.parts]
        if self.bench.has_to_stop:
            return None
        pans_distinct = self._pans_distinct(chunks)
        if pans_distinct is None:
            return None
        whole = self._whole(chunks, pans_distinct, source_sha256 or self._sha256())
        whole = replace(whole, effort=sum(planning, start=whole.effort))
        return replace(whole, is_recorded=True, superseded_uris=superseded)

    def _file_pans(self, chunks: Sequence[ChunkRecord], lengths: set[int]) -> FilePans:
        beginnings = pa.array([], pa.string())
        for chunk in chunks:
            kept = self._kept("beginnings", chunk).decode("ascii")
            some = [
                kept[at : at + BEGINNING_DIGITS] for at in range(0, len(kept), BEGINNING_DIGITS)
            ]
            beginnings = pa.concat_arrays([beginnings, pa.array(some, pa.string())]).unique()
        stored = [*self._stored("distinct", chunks), *self._stored("rejected", chunks)]
        return FilePans(known_digests(stored), lengths, beginnings)

    def _verdict(self, at: int, record: ChunkRecord, file_pans: FilePans) -> bool:
        """Whether a chunk is to be redone; finding out takes a while, so it is recorded too."""
        name = f"verdict.{at:05d}"
        verdict = self._ledger.recorded_chunk(self.job_id, name)
        if verdict is None:
            is_needed = needs_another_pass(record.parts, self.layout, self.bench, file_pans)
            verdict = self._ledger.record_chunk(self.job_id, name, {"needs_another": is_needed})
            self.bench.note_step()
        return bool(verdict["needs_another"])

    def _whole(self, chunks: Sequence[ChunkRecord], pans_distinct: int, sha256: str) -> WholeFile:
        whole = whole_file(chunks, pans_distinct, sha256)
        if self._is_per_pan:
            whole.tally.tokens_reused = pans_distinct - whole.tally.tokens_new
        return whole

    def _keep_digests(self, chunk: Chunk, result: ChunkResult) -> None:
        kept = {
            "distinct": result.distinct.to_bytes(),
            "rejected": result.rejected.to_bytes(),
            "beginnings": "".join(result.beginnings.to_pylist()).encode("ascii"),
        }
        for kind, content in kept.items():
            self.bench.ports.quarantine.keep_digests(self.job_id, chunk.attempt_id, kind, content)

    def _pans_distinct(self, chunks: Sequence[ChunkRecord]) -> int | None:
        """How many different PANs were tokenized; None if time is up."""
        stored = self._stored("distinct", chunks)
        total = 0
        for some in ranges_to_unite(stored):
            if self.bench.has_to_stop:
                return None
            total += self._counted(stored, some)
        return total

    def _counted(self, stored: Sequence[StoredPans], some: Ranges) -> int:
        """How many are in some of several ranges, which is recorded: counting takes a while."""
        if some == ALL_RANGES:
            return len(united(stored, some))
        name = f"count.{some[0]:03d}"
        count = self._ledger.recorded_chunk(self.job_id, name)
        if count is None:
            document = {"pans": len(united(stored, some))}
            count = self._ledger.record_chunk(self.job_id, name, document)
            self.bench.note_step()
        return int(count["pans"])

    def _stored(self, kind: str, chunks: Sequence[ChunkRecord]) -> list[StoredPans]:
        kept_digests = self.bench.ports.quarantine.kept_digests
        return [
            StoredPans(partial(kept_digests, self.job_id, chunk.attempt_id, kind))
            for chunk in chunks
        ]

    def _kept(self, kind: str, chunk: ChunkRecord) -> bytes:
        return self.bench.ports.quarantine.kept_digests(self.job_id, chunk.attempt_id, kind)

    def _sha256(self) -> str:
        digest = hashlib.sha256()
        with self.bench.ports.quarantine.open(self.source) as stream:
            while piece := stream.read(READ_BYTES):
                digest.update(piece)
                if len(piece) == READ_BYTES and self.bench.is_out_of_time:
                    raise TransientError("out_of_time", "while the checksum was taken")
        return digest.hexdigest()

    @property
    def _ledger(self) -> Ledger:
        return self.bench.ports.ledger

    @property
    def _is_per_pan(self) -> bool:
        return self.layout is None or self.layout.options.token_mode == "per_pan"


def _name(prefix: str, ordinal: int) -> str:
    return f"{prefix}{ordinal:05d}"
