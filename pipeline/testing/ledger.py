"""The ledger, in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.errors import TransientError
from pipeline.model import Decision, FanOut, JobState


@dataclass
class _Job:
    attempts: int = 0
    status: str = ""
    reason: str = ""
    rows_read: int = 0
    trouble: str = ""
    decision: Decision | None = None
    has_chunks: bool = False
    has_failed: bool = False
    planned: int | None = None
    done: frozenset[int] = frozenset()
    sha256: str | None = None


class MemoryLedger:
    """Jobs by id, in `jobs`; what is said of a job that never started is not noted."""

    def __init__(self) -> None:
        self.jobs: dict[str, _Job] = {}
        self.chunks: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.owners: dict[str, str] = {}

    def start(self, job_id: str, facts: Mapping[str, str], started_at: datetime) -> JobState:
        """Notes another attempt, unless the job is decided."""
        job = self.jobs.setdefault(job_id, _Job())
        if job.decision is None:
            job.attempts += 1
            job.status, job.reason, job.rows_read = "running", "", 0
        is_committed = job.status == "committed"
        return JobState(job.attempts, job.decision, is_committed, job.has_chunks)

    def progress(self, job_id: str, rows_read: int) -> None:
        """Notes how many rows were read."""
        if job := self._undecided(job_id):
            job.rows_read = rows_read

    def note_trouble(self, job_id: str, code: str) -> None:
        """Notes why an attempt stopped."""
        if job := self._undecided(job_id):
            job.status, job.trouble = "waiting", code

    def recorded_chunk(self, job_id: str, name: str) -> Mapping[str, Any] | None:
        """None if nothing was recorded yet."""
        return self.chunks.get((job_id, name))

    def record_chunk(
        self, job_id: str, name: str, document: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The first record stands."""
        if job := self._undecided(job_id):
            job.has_chunks = True
        return self.chunks.setdefault((job_id, name), json.loads(json.dumps(document)))

    def fan_out(self, job_id: str) -> FanOut:
        """How far the chunks are."""
        job = self.jobs.get(job_id, _Job())
        return FanOut(
            job.planned,
            job.done,
            job.sha256,
            is_failed=job.status == "failed",
            has_failed=job.has_failed,
            decision=job.decision,
        )

    def finish_plan(self, job_id: str, chunks: int, source_sha256: str | None) -> FanOut:
        """The first plan stands."""
        if (job := self._undecided(job_id)) and job.planned is None:
            job.planned, job.sha256 = chunks, source_sha256
        return self.fan_out(job_id)

    def finish_chunk(self, job_id: str, ordinal: int) -> FanOut:
        """Notes that it is worked off."""
        if job := self._undecided(job_id):
            job.done |= {ordinal}
        return self.fan_out(job_id)

    def claim(self, name: str, job_id: str) -> str:
        """The first claim of a job that does not fail holds."""
        owner = self.jobs.get(self.owners.setdefault(name, job_id))
        if owner is not None and owner.status == "failed":
            self.owners[name] = job_id
        return self.owners[name]

    def decide(self, job_id: str, decision: Decision, held: Sequence[str] = ()) -> Decision:
        """The first decision stands."""
        if job := self._undecided(job_id):
            if any(self.owners.get(name) != job_id for name in held):
                raise TransientError("claim_lost", "another job took it over")
            job.decision, job.status = decision, "publishing"
            job.rows_read = decision.receipt["rows_read"]
        standing = self._decision(job_id)
        if standing is None:
            raise TransientError("decision_unresolved", "the job never started")
        return standing

    def commit(self, job_id: str) -> None:
        """Notes that the decision has been carried out."""
        if self._decision(job_id) is not None:
            self.jobs[job_id].status, self.jobs[job_id].trouble = "committed", ""

    def fail(self, job_id: str, reason: str, detail: str) -> Decision | None:
        """Notes a failure, unless the job is decided."""
        if job := self._undecided(job_id):
            job.status, job.reason, job.has_failed = "failed", reason, True
        return self._decision(job_id)

    def _undecided(self, job_id: str) -> _Job | None:
        job = self.jobs.get(job_id)
        return job if job is not None and job.decision is None else None

    def _decision(self, job_id: str) -> Decision | None:
        job = self.jobs.get(job_id)
        return job.decision if job is not None else None
