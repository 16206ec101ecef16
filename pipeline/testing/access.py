"""Grants, usages, approvals and the record of accesses, in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pipeline.core.bulk import Approval, BulkJob
from pipeline.core.limits import Usage
from pipeline.errors import TransientError
from pipeline.testing.buckets import A_MOMENT


class MemoryGrants:
    """A grants document, in `document`."""

    def __init__(self, document: str = "") -> None:
        self.document = document

    def read(self) -> bytes:
        """The TOML document."""
        return self.document.encode()


class MemoryUsages:
    """What callers had, in `usages`."""

    def __init__(self) -> None:
        self.usages: dict[str, Usage] = {}

    def add(self, counter: str, usage: Usage, limits: tuple[int, int], now: str) -> bool:
        """Adds within the window and the limits, unless locked."""
        seen = self.usages.get(counter)
        if seen is None or seen.window.minute != usage.window.minute or seen.locked_until > now:
            return False
        minute_tokens = seen.minute_tokens + usage.minute_tokens
        day_tokens = seen.day_tokens + usage.day_tokens
        if minute_tokens > limits[0] or day_tokens > limits[1]:
            return False
        self.usages[counter] = replace(seen, minute_tokens=minute_tokens, day_tokens=day_tokens)
        return True

    def get(self, counter: str) -> Usage | None:
        """None if nobody counted yet."""
        return self.usages.get(counter)

    def replace(self, counter: str, seen: Usage | None, usage: Usage) -> None:
        """Only what was seen is replaced."""
        if self.usages.get(counter) == seen:
            self.usages[counter] = usage

    def note_unknown(self, counter: str, count: int) -> Usage:
        """Adds unknown tokens."""
        seen = self.usages[counter]
        self.usages[counter] = replace(
            seen,
            minute_unknown=seen.minute_unknown + count,
            day_unknown=seen.day_unknown + count,
        )
        return self.usages[counter]

    def lock(self, counter: str, until: str) -> None:
        """Lets nothing be added until then."""
        self.usages[counter] = replace(self.usages[counter], locked_until=until)


class MemoryApprovals:
    """Wrapped keys and approvals of bulk jobs: `approve` stands for somebody else.

    With `lists_retired`, approvals that have ended are still found, as in KMS for some minutes.
    """

    def __init__(self) -> None:
        self.wrapped: dict[bytes, BulkJob] = {}
        self.approvals: dict[BulkJob, Approval] = {}
        self.lists_retired = False
        self._retired: dict[BulkJob, Approval] = {}

    def describe(self, job: BulkJob) -> bytes:
        """A wrapped key, which is nothing but a number here."""
        wrapped_key = f"wrapped key {len(self.wrapped)}".encode()
        self.wrapped[wrapped_key] = job
        return wrapped_key

    def approve(self, job: BulkJob, made_at: datetime = A_MOMENT) -> None:
        """Approves exactly this job."""
        self.approvals[job] = Approval(f"grant {job.job_id}", made_at)

    def find(self, job: BulkJob) -> Sequence[Approval]:
        """One at most."""
        listed = {**self._retired, **self.approvals} if self.lists_retired else self.approvals
        return [listed[job]] if job in listed else []

    def proves(self, job: BulkJob, wrapped_key: bytes) -> bool:
        """Only an approved job's own key is unwrapped."""
        return job in self.approvals and self.wrapped.get(wrapped_key) == job

    def end(self, approval: Approval) -> None:
        """Forgets it."""
        self._retired |= {job: each for job, each in self.approvals.items() if each == approval}
        self.approvals = {job: each for job, each in self.approvals.items() if each != approval}


class MemoryAuditLog:
    """Records of accesses, in `lines`; fails while `is_down`."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.is_down = False

    def write(self, line: str, at: datetime) -> None:
        """Raises `TransientError` while it is down."""
        if self.is_down:
            raise TransientError("aws_unreachable", "logs:PutLogEvents")
        self.lines.append(line)

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records as documents."""
        return [json.loads(line) for line in self.lines]
