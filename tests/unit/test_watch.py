"""The watch: uploads without a receipt, receipts that do not add up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from pipeline.core.receipts import does_add_up, iso_time
from pipeline.errors import TransientError
from pipeline.model import Arrival, Upload
from pipeline.testing import A_MOMENT
from pipeline.watch import MAX_NAMED_JOBS, UPLOADS_AT_ONCE, Deadlines, Findings, Watch

DUE = timedelta(minutes=60)
CHECKED_FOR = timedelta(hours=1)
LATE = DUE + timedelta(milliseconds=1)


def receipt(**changes: Any) -> dict[str, Any]:
    sound = {
        "status": "committed",
        "rows_read": 10,
        "rows_written": 7,
        "rows_rejected": 3,
        "rejects_by_reason": {"pan_masked": 2, "guard_hit": 1},
        "outputs": [{"rows": 4}, {"rows": 3}],
    }
    return {**sound, **changes}


@dataclass
class Place:
    """Intake, ledger and receipts, as a test puts them."""

    uploads: list[Arrival] = field(default_factory=list)
    states: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    receipts: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    read: list[str] = field(default_factory=list)

    def upload(
        self,
        age: timedelta = timedelta(),
        status: str | None = None,
        updated: timedelta = timedelta(),
        its_receipt: Mapping[str, Any] | None = None,
    ) -> str:
        """A file that came that long ago; its job in that state since `updated`."""
        upload = Upload("quarantine", f"incoming/x/{len(self.uploads)}.csv", "v1")
        self.uploads.append(Arrival(upload, A_MOMENT - age))
        if status is not None:
            self.states[upload.job_id] = {
                "job_id": upload.job_id,
                "status": status,
                "updated_at": iso_time(A_MOMENT - updated),
            }
        if its_receipt is not None:
            self.receipts[upload.job_id] = its_receipt
        return upload.job_id

    def arrivals(self) -> Iterator[Arrival]:
        yield from self.uploads

    def get_all(self, job_ids: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        self.asked.append(len(job_ids))
        return iter([self.states[each] for each in job_ids if each in self.states])

    def get_receipt(self, job_id: str) -> Mapping[str, Any] | None:
        self.read.append(job_id)
        return self.receipts.get(job_id)

    def look(self, now: datetime = A_MOMENT) -> Findings:
        return Watch(self, self, self, Deadlines(DUE, CHECKED_FOR)).look(now, lambda: True)


@pytest.mark.parametrize("status", [None, "running", "waiting", "publishing", "failed"])
def test_an_upload_without_a_receipt_is_overdue_once_its_time_is_up(status: str | None) -> None:
    place = Place()
    place.upload(age=DUE, status=status)
    late = place.upload(age=LATE, status=status)
    findings = place.look()
    assert (findings.uploads, findings.overdue, findings.overdue_jobs) == (2, 1, [late])


def test_the_receipt_of_a_failure_is_a_receipt() -> None:
    place = Place()
    place.upload(age=LATE, status="failed", its_receipt=receipt(status="failed"))
    assert place.look().overdue == 0


def test_a_receipt_without_a_word_in_the_ledger_is_a_receipt() -> None:
    place = Place()
    place.upload(age=LATE, its_receipt=receipt())
    assert place.look().overdue == 0


def test_a_committed_job_whose_receipt_is_gone_is_overdue_at_any_age() -> None:
    place = Place()
    gone = place.upload(status="committed")
    assert place.look().overdue_jobs == [gone]


def test_only_receipts_of_recent_commits_are_read() -> None:
    place = Place()
    recent = place.upload(status="committed", updated=CHECKED_FOR, its_receipt=receipt())
    place.upload(status="committed", updated=CHECKED_FOR + timedelta(milliseconds=1))
    place.upload(age=DUE, status="running")
    findings = place.look()
    assert place.read == [recent]
    assert (findings.receipts, findings.not_adding_up) == (1, 0)


def test_a_receipt_that_does_not_add_up_is_found() -> None:
    place = Place()
    wrong = place.upload(status="committed", its_receipt=receipt(rows_written=8))
    place.upload(status="committed", its_receipt=receipt())
    findings = place.look()
    assert (findings.receipts, findings.not_adding_up) == (2, 1)
    assert findings.jobs_not_adding_up == [wrong]


@pytest.mark.parametrize(
    "changes",
    [
        {"rows_read": 11},
        {"rows_rejected": 4},
        {"rows_written": 8, "rows_read": 11},
        {"rejects_by_reason": {"pan_masked": 2}},
        {"outputs": [{"rows": 4}]},
        {"outputs": [{"rows": 4}, {"rows": 3}, {"rows": 3}]},
    ],
)
def test_each_sum_of_a_receipt_is_held_against_the_others(changes: dict[str, Any]) -> None:
    assert does_add_up(receipt())
    assert not does_add_up(receipt(**changes))


def test_the_ledger_is_asked_for_a_hundred_jobs_at_once() -> None:
    place = Place()
    for _ in range(2 * UPLOADS_AT_ONCE + 1):
        place.upload()
    assert place.look().uploads == 2 * UPLOADS_AT_ONCE + 1
    assert place.asked == [UPLOADS_AT_ONCE, UPLOADS_AT_ONCE, 1]


def test_counts_go_on_where_names_end() -> None:
    place = Place()
    for _ in range(MAX_NAMED_JOBS + 5):
        place.upload(age=LATE)
    findings = place.look()
    assert findings.overdue == MAX_NAMED_JOBS + 5
    assert len(findings.overdue_jobs) == MAX_NAMED_JOBS


def test_a_look_that_does_not_get_through_says_so() -> None:
    place = Place()
    place.upload()
    watch = Watch(place, place, place, Deadlines(DUE, CHECKED_FOR))
    with pytest.raises(TransientError, match="out_of_time"):
        watch.look(A_MOMENT, lambda: False)
