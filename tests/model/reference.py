"""What vault and ledger are, in as few words as possible: dictionaries, and who comes first wins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Job:
    attempts: int = 0
    status: str = ""
    reason: str | None = None
    decision: str | None = None
    rows_read: int = 0
    has_chunks: bool = False
    has_failed: bool = False
    planned: int | None = None
    done: frozenset[int] = frozenset()


@dataclass
class Reference:
    """The vault, the fingerprints, the wrapped data keys and the ledger."""

    vault: dict[str, bytes] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)
    data_keys: dict[str, bytes] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    chunks: dict[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)

    def insert(self, token: str, ciphertext: bytes) -> None:
        self.vault.setdefault(token, ciphertext)

    def claim(self, fingerprint: str, token: str) -> str:
        return self.claims.setdefault(fingerprint, token)

    def insert_data_key(self, data_key_id: str, wrapped: bytes) -> None:
        self.data_keys.setdefault(data_key_id, wrapped)

    def start(self, job_id: str) -> Job:
        job = self.jobs.setdefault(job_id, Job())
        if job.decision is None:
            job.attempts += 1
            job.status, job.reason, job.rows_read = "running", None, 0
        return job

    def open_job(self, job_id: str) -> Job | None:
        """The job, if it was started and is not decided."""
        job = self.jobs.get(job_id)
        return job if job and job.decision is None else None

    def progress(self, job_id: str, rows_read: int) -> None:
        if job := self.open_job(job_id):
            job.rows_read = rows_read

    def note_trouble(self, job_id: str) -> None:
        if job := self.open_job(job_id):
            job.status = "waiting"

    def record_chunk(self, job_id: str, name: str, document: Mapping[str, Any]) -> Any:
        if job := self.open_job(job_id):
            job.has_chunks = True
        return self.chunks.setdefault((job_id, name), document)

    def finish_plan(self, job_id: str, chunks: int) -> None:
        if (job := self.open_job(job_id)) and job.planned is None:
            job.planned = chunks

    def finish_chunk(self, job_id: str, ordinal: int) -> None:
        if job := self.open_job(job_id):
            job.done |= {ordinal}

    def claim_for_job(self, name: str, job_id: str) -> str:
        owner = self.owners.setdefault(name, job_id)
        if owner != job_id and owner in self.jobs and self.jobs[owner].status == "failed":
            self.owners[name] = job_id
        return self.owners[name]

    def decide(
        self, job_id: str, decision: str, rows_read: int, held: Sequence[str] = ()
    ) -> str | None:
        """None when nothing is decided, be it that the job does not hold a claim."""
        holds_all = all(self.owners.get(name) == job_id for name in held)
        if (job := self.open_job(job_id)) and holds_all:
            job.decision, job.status, job.rows_read = decision, "publishing", rows_read
        return self.jobs[job_id].decision if job_id in self.jobs else None

    def commit(self, job_id: str) -> None:
        job = self.jobs.get(job_id)
        if job and job.decision is not None:
            job.status = "committed"

    def fail(self, job_id: str, reason: str) -> str | None:
        if job := self.open_job(job_id):
            job.status, job.reason, job.has_failed = "failed", reason, True
        return self.jobs[job_id].decision if job_id in self.jobs else None
