"""Bulk jobs: a list of tokens, opened once somebody else approved exactly that, and sealed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from pipeline.access import Door, RefusedError, Request
from pipeline.core.bulk import APPROVAL_LASTS, Approval, BulkJob, belongs
from pipeline.core.envelope import Entropy
from pipeline.core.receipts import iso_time
from pipeline.core.result_seal import seal_result
from pipeline.errors import PermanentError
from pipeline.keys import random_id
from pipeline.opening import Opening, well_formed
from pipeline.ports import Clock

APPROVAL_KNOWN_FOR = timedelta(seconds=30)  # a revoked approval ends within so long


class Approvals(Protocol):
    """The key under which bulk jobs are described and approved."""

    def describe(self, job: BulkJob) -> bytes:
        """A wrapped key that only an approval of this very job unwraps."""

    def find(self, job: BulkJob) -> Sequence[Approval]:
        """The approvals of exactly this job, the latest first."""

    def proves(self, job: BulkJob, wrapped_key: bytes) -> bool:
        """Whether KMS unwraps the job's key now, in the context of this very job."""

    def end(self, approval: Approval) -> None:
        """Retires the approval; harmless if it is gone."""


@dataclass(frozen=True, slots=True)
class Slice:
    """100 tokens of a job's file at most, with the proof that they belong to it."""

    number: int
    tokens: Sequence[str]
    proof: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class SealedSlice:
    """What came of a slice, for the requester's private key; the counts are in clear."""

    sealed: bytes
    opened: int
    errors: int


class Bulk:
    """Describes jobs, opens the slices of approved ones, and ends them."""

    def __init__(
        self,
        door: Door,
        opening: Opening,
        approvals: Approvals,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._door = door
        self._opening = opening
        self._approvals = approvals
        self._clock = clock
        self._entropy = entropy
        self._approved: dict[BulkJob, datetime] = {}

    def describe(
        self, request: Request, rows: int, tokens_root: str, public_key: str
    ) -> tuple[BulkJob, bytes]:
        """A new job, to be approved, and its wrapped key.

        Raises `RefusedError`, `job_too_large` and `invalid_public_key` among them.
        """
        grant = self._door.admit(request)
        if rows > (grant.rows_per_job or 0):
            self._refuse(request, "job_too_large")
        try:
            seal_result(b"", public_key, "", 0)
        except PermanentError:
            self._refuse(request, "invalid_public_key")
        job = BulkJob(
            job_id=random_id("bulk_", self._entropy),
            requester=request.caller.principal,
            reason=request.purpose,
            rows=str(rows),
            tokens_root=tokens_root,
            public_key=public_key,
            created_at=iso_time(self._clock()),
        )
        wrapped_key = self._approvals.describe(job)
        self._door.record_answer(replace(request, job_id=job.job_id), grant, ())
        return job, wrapped_key

    def open(self, request: Request, job: BulkJob, wrapped_key: bytes, one: Slice) -> SealedSlice:
        """A slice's card numbers, sealed to the requester, once that is recorded.

        Raises `RefusedError`: `not_requester`, `not_of_this_job`, `not_approved`, and those of the
        door.
        """
        request = replace(request, tokens=well_formed(one.tokens))
        self._check(request, job, wrapped_key, one)
        items = self._opening.open(request, one.tokens)
        lines = [
            json.dumps({"token": item.token, "pan": item.pan, "error": item.error})
            for item in items
        ]
        content = "\n".join(lines).encode()
        sealed = seal_result(content, job.public_key, job.job_id, one.number)
        errors = sum(item.error is not None for item in items)
        return SealedSlice(sealed, len(items) - errors, errors)

    def end(self, request: Request, job: BulkJob) -> None:
        """Retires each approval, after which nothing of the job can be opened any more.

        KMS may go on listing one that is retired for some minutes, so it is asked once.
        """
        if request.caller.principal != job.requester:
            self._refuse(request, "not_requester")
        self._approved.pop(job, None)
        for approval in self._approvals.find(job):
            self._approvals.end(approval)

    def _check(self, request: Request, job: BulkJob, wrapped_key: bytes, one: Slice) -> None:
        if request.caller.principal != job.requester or request.purpose != job.reason:
            self._refuse(request, "not_requester")
        root = bytes.fromhex(job.tokens_root)
        is_whole = len(one.tokens) == job.rows_in(one.number)
        if not (is_whole and belongs(one.tokens, one.number, job.slices, one.proof, root)):
            self._refuse(request, "not_of_this_job")
        if not self._is_approved(job, wrapped_key):
            self._refuse(request, "not_approved")

    def _refuse(self, request: Request, code: str) -> None:
        self._door.record_refusal(request, None, code)
        raise RefusedError(code)

    def _is_approved(self, job: BulkJob, wrapped_key: bytes) -> bool:
        """Whether KMS says so, and the approval is not too old; asked again every half minute."""
        now = self._clock()
        asked_at = self._approved.get(job)
        if asked_at is not None and now - asked_at <= APPROVAL_KNOWN_FOR:
            return True
        self._approved.pop(job, None)
        approvals = self._approvals.find(job)
        if not approvals or now - approvals[0].made_at > APPROVAL_LASTS:
            return False
        if not self._approvals.proves(job, wrapped_key):
            return False
        self._approved = {job: now}
        return True
