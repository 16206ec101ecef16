"""Looks after every upload: whether it has a receipt by now, and whether the receipt adds up.

It asks the intake itself and not the queues, so it finds what no message ever told of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Protocol

from pipeline.core.receipts import does_add_up, iso_time
from pipeline.errors import TransientError
from pipeline.model import Arrival

UPLOADS_AT_ONCE = 100  # what the ledger reads in one request
MAX_NAMED_JOBS = 20  # a log line names no more


class Intake(Protocol):
    """Where files arrive."""

    def arrivals(self) -> Iterator[Arrival]:
        """Every version of every upload that is there, in no order."""


class JobStates(Protocol):
    """What the ledger says of jobs."""

    def get_all(self, job_ids: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """`job_id`, `status` and `updated_at` of those jobs that it knows, in no order."""


class Receipts(Protocol):
    """Where receipts are."""

    def get_receipt(self, job_id: str) -> Mapping[str, Any] | None:
        """The job's receipt, None where there is none."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """`due`: how long after its arrival an upload has its receipt. `checked_for`: how long after
    its commit a receipt is looked at, which is longer than the time between two looks."""

    due: timedelta
    checked_for: timedelta


@dataclass(slots=True)
class Findings:
    """What one look found: counts, and the first of the jobs that somebody has to look into."""

    uploads: int = 0
    overdue: int = 0
    receipts: int = 0
    not_adding_up: int = 0
    overdue_jobs: list[str] = field(default_factory=list)
    jobs_not_adding_up: list[str] = field(default_factory=list)


class Watch:
    """Compares the intake with ledger and receipts; changes nothing."""

    def __init__(
        self, intake: Intake, jobs: JobStates, receipts: Receipts, deadlines: Deadlines
    ) -> None:
        self._intake = intake
        self._jobs = jobs
        self._receipts = receipts
        self._deadlines = deadlines

    def look(self, now: datetime, has_time: Callable[[], bool]) -> Findings:
        """One look at everything; raises `TransientError` `out_of_time` if it did not get through.

        A job that the ledger calls committed has its receipt, which is written first. Of all others
        the receipt itself is asked for, once the upload is overdue.
        """
        findings = Findings()
        for arrivals in _grouped(self._intake.arrivals()):
            if not has_time():
                raise TransientError("out_of_time", f"after {findings.uploads} uploads")
            self._compare(arrivals, now, findings)
        return findings

    def _compare(self, arrivals: Sequence[Arrival], now: datetime, findings: Findings) -> None:
        states = {
            str(state["job_id"]): state
            for state in self._jobs.get_all([each.upload.job_id for each in arrivals])
        }
        for arrival in arrivals:
            findings.uploads += 1
            state = states.get(arrival.upload.job_id, {})
            if state.get("status") == "committed":
                self._check(state, now, findings)
            elif now - arrival.at > self._deadlines.due:
                self._expect_receipt(arrival.upload.job_id, findings)

    def _check(self, state: Mapping[str, Any], now: datetime, findings: Findings) -> None:
        if state["updated_at"] < iso_time(now - self._deadlines.checked_for):
            return
        job_id = str(state["job_id"])
        receipt = self._expect_receipt(job_id, findings)
        if receipt is None:
            return
        findings.receipts += 1
        if not does_add_up(receipt):
            findings.not_adding_up += 1
            _name(findings.jobs_not_adding_up, job_id)

    def _expect_receipt(self, job_id: str, findings: Findings) -> Mapping[str, Any] | None:
        receipt = self._receipts.get_receipt(job_id)
        if receipt is None:
            findings.overdue += 1
            _name(findings.overdue_jobs, job_id)
        return receipt


def _name(jobs: list[str], job_id: str) -> None:
    if len(jobs) < MAX_NAMED_JOBS:
        jobs.append(job_id)


def _grouped(arrivals: Iterable[Arrival]) -> Iterator[Sequence[Arrival]]:
    rest = iter(arrivals)
    while group := list(islice(rest, UPLOADS_AT_ONCE)):
        yield group
