"""One job, from an upload to a receipt: attempt, decide, carry out.

Attempts may crash, overlap and repeat. Whatever they write is staged under a name of their own;
then one of them decides, once, in the ledger, and whoever finds the decision carries it out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.core.fingerprints import Fingerprinter
from pipeline.core.jobs import layout_name_of
from pipeline.core.prices import AwsCalls, calls_between, estimated_cost_usd
from pipeline.core.receipts import JobFacts, committed_receipt, failed_receipt
from pipeline.errors import PantokError, PermanentError, TransientError
from pipeline.keys import random_id
from pipeline.model import Chunk, Decision, SourceObject, Upload
from pipeline.ports import Ports
from pipeline.readers.auto import AUTO
from pipeline.tokenize import ChunkResult, tokenize_chunk


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker has beside its ports."""

    ports: Ports
    fingerprinter: Callable[[], Fingerprinter]
    memory_gb: float


def run_job(upload: Upload, worker: Worker, seconds_left: Callable[[], float]) -> Mapping[str, Any]:
    """The receipt of the upload's job, which is committed when this returns.

    A job that was committed before is left as it is. Raises `PermanentError` when the file is
    refused (ledger and receipt say so by then), `TransientError` when it is to be tried again.
    """
    return _Attempt(upload, worker).run(seconds_left)


def give_up(upload: Upload, worker: Worker, error: TransientError) -> None:
    """Notes in ledger and receipt that the job failed for a reason that would not pass."""
    _Attempt(upload, worker).failed(layout_name_of(upload.key), error)


class _Attempt:
    def __init__(self, upload: Upload, worker: Worker) -> None:
        self._upload = upload
        self._job_id = upload.job_id
        self._worker = worker
        self._ports = worker.ports
        self._attempt_id = random_id("", worker.ports.entropy)
        self._started_at = worker.ports.clock()
        self._calls_before = worker.ports.calls.snapshot()
        self._source: SourceObject | None = None

    def run(self, seconds_left: Callable[[], float]) -> Mapping[str, Any]:
        layout_name = layout_name_of(self._upload.key)
        state = self._ports.ledger.start(
            self._job_id, {"uri": self._upload.uri, "layout": layout_name}, self._started_at
        )
        if state.decision is not None:
            return self._carried_out(state.decision, is_committed=state.is_committed)
        try:
            decision = self._decide(layout_name, seconds_left)
        except PermanentError as error:
            return self._refused(layout_name, error)
        except TransientError as error:
            self._ports.ledger.note_trouble(self._job_id, error.code)
            raise
        return self._carried_out(decision, is_committed=False)

    def _decide(self, layout_name: str, seconds_left: Callable[[], float]) -> Decision:
        self._source = self._ports.quarantine.find(self._upload.key, self._upload.version_id)
        layout = None if layout_name == AUTO else self._ports.layouts.get(layout_name)
        chunk = Chunk(self._job_id, self._attempt_id, self._source, layout_name)
        result = tokenize_chunk(
            chunk, layout, self._ports, self._worker.fingerprinter, seconds_left
        )
        ours = self._decision(chunk, result)
        stands = self._ports.ledger.decide(self._job_id, ours)
        if stands.attempt_id != ours.attempt_id:
            self._ports.tokenized.discard_staged([part.uri for part in result.parts])
        return stands

    def _decision(self, chunk: Chunk, result: ChunkResult) -> Decision:
        tokenized, finished_at = self._ports.tokenized, self._ports.clock()
        date = chunk.source.last_modified.date().isoformat()
        published = [
            tokenized.part_uri(chunk.layout_name, date, chunk.job_id, at)
            for at in range(len(result.parts))
        ]
        outputs = [
            {"uri": uri, "rows": part.rows, "sha256": part.sha256}
            for uri, part in zip(published, result.parts, strict=True)
        ]
        calls = calls_between(self._calls_before, self._ports.calls.snapshot())
        receipt = committed_receipt(
            self._facts(chunk.layout_name, finished_at, result.source_sha256),
            result.tally,
            outputs=outputs,
            rejects_uri=self._rejects_uri(chunk, result),
            pans_distinct=result.pans_distinct,
            aws_calls=calls,
            estimated_cost_usd=self._cost(result, calls, finished_at),
        )
        staged = [part.uri for part in result.parts]
        return Decision(chunk.attempt_id, receipt, tuple(zip(staged, published, strict=True)))

    def _rejects_uri(self, chunk: Chunk, result: ChunkResult) -> str | None:
        if not result.has_rejects:
            return None
        return self._ports.quarantine.rejects_uri(chunk.job_id, chunk.attempt_id)

    def _cost(self, result: ChunkResult, calls: AwsCalls, finished_at: datetime) -> float:
        seconds = (finished_at - self._started_at).total_seconds()
        return estimated_cost_usd(
            calls,
            items_written=result.tally.items_written,
            items_looked_up=result.tally.items_looked_up,
            gb_seconds=seconds * self._worker.memory_gb,
        )

    def _facts(self, layout_name: str, finished_at: datetime, sha256: str | None) -> JobFacts:
        return JobFacts(
            job_id=self._job_id,
            layout=layout_name,
            uri=self._upload.uri,
            version_id=self._upload.version_id,
            source=self._source,
            source_sha256=sha256,
            started_at=self._started_at,
            finished_at=finished_at,
        )

    def _carried_out(self, decision: Decision, *, is_committed: bool) -> Mapping[str, Any]:
        """Publishes what was decided; doing it twice, or after somebody else, changes nothing."""
        if is_committed:
            return decision.receipt
        for staged_uri, uri in decision.parts:
            self._ports.tokenized.publish(staged_uri, uri)
        self._ports.tokenized.put_receipt(decision.receipt)
        self._ports.quarantine.mark_tokenized(self._upload.key, self._upload.version_id)
        self._ports.ledger.commit(self._job_id)
        self._ports.tokenized.discard_staged([staged for staged, _ in decision.parts])
        return decision.receipt

    def _refused(self, layout_name: str, error: PermanentError) -> Mapping[str, Any]:
        receipt = self.failed(layout_name, error)
        if receipt["status"] == "failed":
            raise error
        return receipt

    def failed(self, layout_name: str, error: PantokError) -> Mapping[str, Any]:
        """The receipt of a failure; that of a commit if another attempt came through meanwhile."""
        decision = self._ports.ledger.fail(self._job_id, error.code, error.detail)
        if decision is not None:
            return self._carried_out(decision, is_committed=False)
        facts = self._facts(layout_name, self._ports.clock(), None)
        receipt = failed_receipt(facts, error.code, error.detail)
        self._ports.tokenized.put_receipt(receipt)
        return receipt
