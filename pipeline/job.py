"""One job, from an upload to a receipt: attempt, decide, carry out.

Attempts may crash, overlap and repeat. Whatever they write is staged under a name of their own;
then one of them decides, once, in the ledger, and whoever finds the decision carries it out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.bench import Bench
from pipeline.chunking import ChunkChain, Meter
from pipeline.core.chunks import Effort, WholeFile
from pipeline.core.fingerprints import Fingerprinter
from pipeline.core.jobs import layout_name_of, repair_claim, repaired_job_of
from pipeline.core.layouts import Layout
from pipeline.core.prices import estimated_cost_usd
from pipeline.core.receipts import JobFacts, Tally, committed_receipt, failed_receipt, iso_time
from pipeline.errors import PantokError, PermanentError, TransientError
from pipeline.fan_out import FannedOutFile, UnknownChunkError, is_to_be_parted
from pipeline.keys import random_id
from pipeline.model import ChunkTask, Decision, FanOut, SourceObject, Unfinished, Upload
from pipeline.ports import Ports
from pipeline.readers.auto import AUTO


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker has beside its ports."""

    ports: Ports
    fingerprinter: Callable[[], Fingerprinter]
    memory_gb: float


def run_job(
    upload: Upload, worker: Worker, seconds_left: Callable[[], float]
) -> Mapping[str, Any] | Unfinished:
    """The receipt of the upload's job, which is committed when this returns.

    Another value when the time was up first (what is done of the file is recorded then, and the
    same call goes on from there), or when the file is large and its chunks have messages of their
    own. A job that was committed before is left as it is. Raises `PermanentError`
    when the file is refused (ledger and receipt say so by then), `TransientError` when it is to be
    tried again.
    """
    return _Attempt(upload, worker).run(seconds_left)


def run_chunk(
    task: ChunkTask, worker: Worker, seconds_left: Callable[[], float]
) -> Mapping[str, Any] | Unfinished:
    """Works off a planned chunk of a large file; whoever finishes the last one commits the job.

    Returns and raises what `run_job` does. Of a job that failed, nothing is done.
    """
    return _Attempt(task.upload, worker).run_chunk(task.ordinal, seconds_left)


def give_up(upload: Upload, worker: Worker, error: TransientError) -> None:
    """Notes in ledger and receipt that the job failed for a reason that would not pass."""
    _Attempt(upload, worker).failed(layout_name_of(upload.key), error)


class _Attempt:
    def __init__(self, upload: Upload, worker: Worker) -> None:
        self._upload = upload
        self._job_id = upload.job_id
        self._worker = worker
        self._ports = worker.ports
        self._meter = Meter(worker.ports)
        self._source: SourceObject | None = None
        self._layout_name: str | None = None
        self._layout: Layout | None = None
        self._duplicate_of: str | None = None
        self._repair_of: str | None = None
        self._held: list[str] = []

    def run(self, seconds_left: Callable[[], float]) -> Mapping[str, Any] | Unfinished:
        layout_name = layout_name_of(self._upload.key)
        state = self._ports.ledger.start(
            self._job_id, {"uri": self._upload.uri, "layout": layout_name}, self._meter.started_at
        )
        if state.decision is not None:
            return self._carried_out(state.decision, is_committed=state.is_committed)
        return self._settled(lambda: self._work_off(seconds_left, has_chunks=state.has_chunks))

    def run_chunk(
        self, ordinal: int, seconds_left: Callable[[], float]
    ) -> Mapping[str, Any] | Unfinished:
        fan_out = self._ports.ledger.fan_out(self._job_id)
        if fan_out.decision is not None:
            return self._carried_out(fan_out.decision, is_committed=False)
        if fan_out.is_failed:
            return Unfinished.ELSEWHERE
        return self._settled(lambda: self._work_off_chunk(ordinal, fan_out, seconds_left))

    def _settled(self, work: Callable[[], Decision | Unfinished]) -> Mapping[str, Any] | Unfinished:
        """The receipt of what the work comes to; ledger and receipt know of its failure."""
        try:
            outcome = work()
        except UnknownChunkError:
            raise
        except PermanentError as error:
            return self._refused(self._layout_name or layout_name_of(self._upload.key), error)
        except TransientError as error:
            self._ports.ledger.note_trouble(self._job_id, error.code)
            raise
        if isinstance(outcome, Unfinished):
            return outcome
        return self._carried_out(outcome, is_committed=False)

    def _work_off(
        self, seconds_left: Callable[[], float], *, has_chunks: bool
    ) -> Decision | Unfinished:
        file = self._file(seconds_left)
        if not is_to_be_parted(file.chain.source.size_bytes):
            return self._decided(file.chain, file.chain.work_off(has_chunks=has_chunks))
        fan_out = file.plan()
        if isinstance(fan_out, Unfinished):
            return fan_out
        return self._decided_if_complete(file, fan_out)

    def _work_off_chunk(
        self, ordinal: int, fan_out: FanOut, seconds_left: Callable[[], float]
    ) -> Decision | Unfinished:
        file = self._file(seconds_left)
        if ordinal not in fan_out.done:
            if not file.work_off(ordinal):
                return Unfinished.TO_BE_CONTINUED
            fan_out = self._ports.ledger.finish_chunk(self._job_id, ordinal)
        return self._decided_if_complete(file, fan_out)

    def _decided_if_complete(self, file: FannedOutFile, fan_out: FanOut) -> Decision | Unfinished:
        if not fan_out.is_complete:
            return Unfinished.ELSEWHERE
        return self._decided(file.chain, file.put_together(fan_out))

    def _file(self, seconds_left: Callable[[], float]) -> FannedOutFile:
        layout_name = self._layout_name = self._ports.layouts.name_for(self._upload.key)
        self._source = self._ports.quarantine.find(self._upload.key, self._upload.version_id)
        layout = None if layout_name == AUTO else self._ports.layouts.get(layout_name)
        self._layout = layout
        chain = ChunkChain(
            self._job_id,
            self._source,
            layout_name,
            layout,
            Bench(self._ports, self._worker.fingerprinter, seconds_left),
            self._meter,
            self._rejects_to_repair(layout_name),
        )
        return FannedOutFile(self._upload, chain)

    def _decided(self, chain: ChunkChain, whole: WholeFile | None) -> Decision | Unfinished:
        """The decision that stands on what a whole file came to."""
        if whole is None:
            return Unfinished.TO_BE_CONTINUED
        if self._repair_of is None:
            self._claim_content(whole, chain.layout_name, chain.layout)
        ours = self._decision(chain.layout_name, chain.source, whole)
        stands = self._ports.ledger.decide(self._job_id, ours, self._held)
        self._discard(whole, stands)
        return stands

    def _rejects_to_repair(self, layout_name: str) -> Sequence[str]:
        """The rejects files of the job that the upload repairs; none for a file of its own.

        A job is repaired once: what a repair leaves are the rejects of that one.
        """
        repaired = repaired_job_of(self._upload.key)
        if repaired is None:
            return ()
        receipt = self._ports.tokenized.get_receipt(repaired)
        if receipt is None or receipt["layout"] != layout_name or not receipt["rejects_uris"]:
            raise PermanentError("not_repairable", f"{repaired} left no rows to this layout")
        if layout_name == AUTO:
            raise PermanentError("not_repairable", "without a layout, rows cannot stand alone")
        claim = repair_claim(repaired)
        owner = self._ports.ledger.claim(claim, self._job_id)
        if owner != self._job_id:
            raise PermanentError("already_repaired", f"by {owner}: export what that one left")
        self._held.append(claim)
        self._repair_of = repaired
        return list(receipt["rejects_uris"])

    def _claim_content(self, whole: WholeFile, layout_name: str, layout: Layout | None) -> None:
        """Finds out whether another job had the same content, which its layout may forbid."""
        content = f"content/{layout_name}/{whole.source_sha256}"
        is_exclusive = layout is not None and layout.options.duplicates == "refuse"
        owner = self._ports.ledger.claim(content, self._job_id)
        if owner == self._job_id:
            self._held += [content] if is_exclusive else []
            return
        self._duplicate_of = owner
        if is_exclusive:
            if not whole.is_recorded:
                self._ports.tokenized.discard_staged([part.uri for part in whole.parts])
            raise PermanentError("duplicate_content", f"the same content as {owner}")

    def _discard(self, whole: WholeFile, stands: Decision) -> None:
        """Removes what was staged and is not part of the decision that stands."""
        needed = {staged for staged, _ in stands.parts}
        staged = [*whole.superseded_uris, *(part.uri for part in whole.parts)]
        if unneeded := [uri for uri in staged if uri not in needed]:
            self._ports.tokenized.discard_staged(unneeded)

    def _decision(self, layout_name: str, source: SourceObject, whole: WholeFile) -> Decision:
        date = source.last_modified.date().isoformat()
        published = [
            self._ports.tokenized.part_uri(layout_name, date, self._job_id, at)
            for at in range(len(whole.parts))
        ]
        outputs = [
            {"uri": uri, "rows": part.rows, "sha256": part.sha256}
            for uri, part in zip(published, whole.parts, strict=True)
        ]
        effort = whole.effort + self._meter.lap()
        receipt = committed_receipt(
            self._facts(layout_name, effort.seconds, whole),
            whole.tally,
            outputs=outputs,
            rejects_uris=whole.rejects_uris,
            pans_distinct=whole.pans_distinct,
            aws_calls=effort.aws_calls,
            estimated_cost_usd=self._cost(whole.tally, effort),
        )
        staged = [part.uri for part in whole.parts]
        decision_id = random_id("", self._ports.entropy)
        return Decision(decision_id, receipt, tuple(zip(staged, published, strict=True)))

    def _cost(self, tally: Tally, effort: Effort) -> float:
        return estimated_cost_usd(
            effort.aws_calls,
            items_written=tally.items_written,
            items_looked_up=tally.items_looked_up,
            gb_seconds=effort.seconds * self._worker.memory_gb,
            invocations=effort.invocations,
        )

    def _facts(self, layout_name: str, seconds: float, whole: WholeFile | None) -> JobFacts:
        return JobFacts(
            job_id=self._job_id,
            layout=layout_name,
            uri=self._upload.uri,
            version_id=self._upload.version_id,
            source=self._source,
            source_sha256=whole.source_sha256 if whole else None,
            duplicate_of=self._duplicate_of,
            repair_of=self._repair_of,
            started_at=whole.started_at if whole else iso_time(self._meter.started_at),
            finished_at=iso_time(self._ports.clock()),
            seconds=seconds,
            layout_version=(self._layout.version or None) if self._layout else None,
            layout_sha256=self._layout.sha256 if self._layout else None,
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
        facts = self._facts(layout_name, self._meter.lap().seconds, None)
        receipt = failed_receipt(facts, error.code, error.detail)
        self._ports.tokenized.put_receipt(receipt)
        return receipt
