"""A large file, worked off by many workers: one of them parts it, and each takes chunks.

Whoever plans the file reads it once, notes where chunks begin and end, and sends a message for each
as soon as its end is found, so that work begins long before the plan is complete. The reading
takes the file's checksum, and leaves nobody to guess where records begin or which number they have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

from pipeline.chunking import ChunkChain
from pipeline.core.chunks import ChunkRecord, Effort, WholeFile
from pipeline.core.guard import find_pans
from pipeline.core.layouts import Layout
from pipeline.core.messages import chunk_message
from pipeline.errors import PermanentError
from pipeline.model import START, Chunk, ChunkTask, FanOut, Position, Unfinished, Upload
from pipeline.opened_chunk import opened
from pipeline.ports import Ledger

MIB = 1024 * 1024
CHUNK_SECONDS = 30  # of work, so that a chunk that is lost costs little and five fit an invocation
SLOWEST_BYTES_PER_SECOND = 2 * MIB  # all cards new, tables that answer in 10 ms
CHUNK_BYTES = CHUNK_SECONDS * SLOWEST_BYTES_PER_SECOND
CHUNK_ROWS = 1_000_000  # its cards' digests and counts fit into memory many times
MAX_CHUNKS = 400  # so that the decision, which names all parts, fits a DynamoDB item of 400 KB


class UnknownChunkError(PermanentError):
    """A message for a chunk that nobody planned: it says nothing of its file."""

    def __init__(self, ordinal: int) -> None:
        super().__init__("unknown_chunk", f"chunk {ordinal} is not planned")


def is_to_be_parted(size_bytes: int) -> bool:
    """Whether a file is worth parting: below that, one worker is done before others have begun."""
    return size_bytes > 2 * CHUNK_BYTES


def planned_chunks(size_bytes: int, rows: int) -> int:
    """About how many chunks a file of that size comes to, if its format can be parted."""
    if not is_to_be_parted(size_bytes):
        return 1
    return min(ceil(max(size_bytes / CHUNK_BYTES, rows / CHUNK_ROWS)), MAX_CHUNKS)


@dataclass(frozen=True, slots=True)
class FannedOutFile:
    """One job's file, its plan and its chunks. `chain` works off what lies between two places."""

    upload: Upload
    chain: ChunkChain

    def plan(self) -> FanOut | Unfinished:
        """Plans what is not planned yet, and asks for the work that is left.

        `ELSEWHERE` when somebody else plans at the same time.
        """
        fan_out = self._ledger.fan_out(self.upload.job_id)
        if fan_out.planned is None:
            planned = self._planned_chunks()
            if fan_out.has_failed:  # whose messages came meanwhile may be gone
                self._ask_for(fan_out.left_of(len(planned)))
            return self._go_on_planning(planned)
        self._ask_for(fan_out.left)
        return fan_out

    def _go_on_planning(self, planned: list[_PlannedChunk]) -> FanOut | Unfinished:
        start, source_sha256 = START, None
        if planned:
            self._ask_for([len(planned) - 1])  # who planned it may not have come so far
            start = planned[-1].end or START
        if not planned or planned[-1].end is not None:
            with opened(self._whole(start), self.chain.layout, self.chain.bench) as file:
                can_be_parted = not file.is_packed and file.layout.format.is_splittable
                batches = file.batches(_places_only(file.layout)) if can_be_parted else ()
                for batch in batches:
                    if batch.end is not None and self._is_enough(len(planned), start, batch.end):
                        if not self._add(planned, start, batch.end):
                            return Unfinished.ELSEWHERE
                        start = batch.end
                        if self.chain.bench.is_out_of_time:
                            return Unfinished.TO_BE_CONTINUED
                source_sha256 = file.source.sha256
            if not self._add(planned, start, None):
                return Unfinished.ELSEWHERE
        return self._ledger.finish_plan(self.upload.job_id, len(planned), source_sha256)

    def _is_enough(self, ordinal: int, start: Position, end: Position) -> bool:
        """Whether a chunk may end there; not if its place says too much to be noted."""
        if any(map(find_pans, end.totals.values())):
            return False
        source_bytes = self.chain.source.size_bytes
        leaves_enough_to_the_others = end.offset_bytes * (MAX_CHUNKS - 1) >= (
            source_bytes * (ordinal + 1)
        )
        size_bytes, rows = end.offset_bytes - start.offset_bytes, end.rows - start.rows
        is_large = size_bytes >= CHUNK_BYTES or rows >= CHUNK_ROWS
        return is_large and leaves_enough_to_the_others

    def _add(self, planned: list[_PlannedChunk], start: Position, end: Position | None) -> bool:
        """Notes a chunk and asks for it; False when another plan has it otherwise."""
        ours, ordinal = _PlannedChunk(start, end, self.chain.meter.lap()), len(planned)
        document = self._ledger.record_chunk(
            self.upload.job_id, _plan_name(ordinal), ours.as_json()
        )
        stands = _PlannedChunk.from_json(document)
        if (stands.start, stands.end) != (start, end):
            return False
        planned.append(ours)
        self._ask_for([ordinal])
        return True

    def _ask_for(self, ordinals: list[int]) -> None:
        messages = [chunk_message(ChunkTask(self.upload, ordinal)) for ordinal in ordinals]
        self.chain.bench.ports.work_queue.send_all(messages)

    def work_off(self, ordinal: int) -> bool:
        """Whether a planned chunk is worked off; else the time is up, and what is done is noted.

        Raises `UnknownChunkError` for any other.
        """
        document = self._ledger.recorded_chunk(self.upload.job_id, _plan_name(ordinal))
        if document is None:
            raise UnknownChunkError(ordinal)
        chunk = _PlannedChunk.from_json(document)
        return self.chain.records(_prefix(ordinal), chunk.start, chunk.end) is not None

    def put_together(self, fan_out: FanOut) -> WholeFile | None:
        """All chunks, each of which is worked off; None when the time is up."""
        recorded: list[ChunkRecord] = []
        for ordinal in range(fan_out.planned or 0):
            recorded += self.chain.recorded(_prefix(ordinal))
        planning = [chunk.effort for chunk in self._planned_chunks()]
        return self.chain.put_together(recorded, fan_out.source_sha256, planning)

    def _planned_chunks(self) -> list[_PlannedChunk]:
        planned: list[_PlannedChunk] = []
        while document := self._ledger.recorded_chunk(self.upload.job_id, _plan_name(len(planned))):
            planned.append(_PlannedChunk.from_json(document))
        return planned

    def _whole(self, start: Position) -> Chunk:
        chain = self.chain
        return Chunk(chain.job_id, "", chain.source, chain.layout_name, start)

    @property
    def _ledger(self) -> Ledger:
        return self.chain.bench.ports.ledger


@dataclass(frozen=True, slots=True)
class _PlannedChunk:
    """Where a chunk begins and ends, None behind the last record; and what it took to find out."""

    start: Position
    end: Position | None
    effort: Effort

    def as_json(self) -> dict[str, Any]:
        return {
            "start": asdict(self.start),
            "end": asdict(self.end) if self.end else None,
            "effort": asdict(self.effort),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> _PlannedChunk:
        end = document["end"]
        return cls(
            Position(**document["start"]),
            Position(**end) if end else None,
            Effort(**document["effort"]),
        )


def _places_only(layout: Layout) -> Layout:
    """The layout, less the columns that are not needed to find records."""
    first = [*layout.pan_columns, *layout.columns][:1]
    columns = {name: layout.columns[name] for name in first}
    options = layout.options.model_copy(update={"customer_id": None})
    return layout.model_copy(update={"columns": columns, "options": options})


def _plan_name(ordinal: int) -> str:
    return f"plan.{ordinal:05d}"


def _prefix(ordinal: int) -> str:
    return f"{ordinal:05d}."
