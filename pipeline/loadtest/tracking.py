"""How a load test gets on, as the ledger and the queue show it from time to time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from pipeline.loadtest.plan import PlannedFile
from pipeline.model import Upload

ENDED = ("committed", "failed")


class QueueDepth(NamedTuple):
    """Messages that wait in a queue, and those that a worker holds."""

    waiting: int
    in_flight: int

    @property
    def is_empty(self) -> bool:
        """Whether there is none of either."""
        return self.waiting + self.in_flight == 0


class Sample(NamedTuple):
    """How things stood, `seconds` after the beginning."""

    seconds: float
    rows_read: int
    files_uploaded: int
    files_ended: int
    depth: QueueDepth


@dataclass(slots=True)
class Course:
    """One file on its way; moments are seconds of one clock."""

    file: PlannedFile
    upload: Upload
    uploaded_at: float
    status: str = "queued"
    rows_read: int = 0
    attempts: int = 0
    troubles: set[str] = field(default_factory=set)
    seen_at: float = 0.0
    ended_at: float | None = None

    @property
    def seconds(self) -> float | None:
        """From the end of its upload to its commit; None if it has not ended."""
        return None if self.ended_at is None else max(0.0, self.ended_at - self.uploaded_at)

    def see(self, item: Mapping[str, Any], now: float) -> None:
        """Takes into account what the ledger says now.

        An attempt that starts anew counts its rows from none; what was read before was read.
        """
        self.status = item["status"]
        self.rows_read = max(self.rows_read, int(item.get("rows_read") or 0))
        self.attempts = int(item.get("attempts") or 0)
        if item.get("trouble"):
            self.troubles.add(item["trouble"])
        if self.ended_at is None and self.status in ENDED:
            self.ended_at = _between(self.seen_at or self.uploaded_at, _moment(item), now)
        self.seen_at = now


def _moment(item: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(item["updated_at"]).timestamp()


def _between(earliest: float, told: float, latest: float) -> float:
    """What a worker's clock told, within what our own clock has seen."""
    return min(max(earliest, told), latest)


class Tracker:
    """All files on their way, and a sample for each look at them."""

    def __init__(self, started_at: float) -> None:
        self.started_at = started_at
        self.courses: dict[str, Course] = {}
        self.samples: list[Sample] = []

    def uploaded(self, file: PlannedFile, upload: Upload, at: float) -> None:
        """Notes an upload."""
        self.courses[upload.job_id] = Course(file, upload, at)

    @property
    def open_jobs(self) -> list[str]:
        """Jobs that have not ended, as far as is known."""
        return [job_id for job_id, each in self.courses.items() if each.ended_at is None]

    def see(self, items: Iterable[Mapping[str, Any]], depth: QueueDepth, now: float) -> Sample:
        """Notes what ledger and queue say now."""
        for item in items:
            self.courses[item["job_id"]].see(item, now)
        courses = self.courses.values()
        sample = Sample(
            seconds=now - self.started_at,
            rows_read=sum(each.rows_read for each in courses),
            files_uploaded=len(courses),
            files_ended=sum(each.ended_at is not None for each in courses),
            depth=depth,
        )
        self.samples.append(sample)
        return sample
