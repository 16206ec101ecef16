"""What the ledger promises, in memory and in DynamoDB alike."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from pipeline.aws.dynamodb_ledger import DynamoDBLedger
from pipeline.errors import TransientError
from pipeline.local import LocalStack
from pipeline.model import Decision, FanOut, JobState
from pipeline.ports import Ledger
from pipeline.testing import A_MOMENT, MemoryLedger

FACTS = {"uri": "s3://quarantine/incoming/x/a.csv", "layout": "x"}
PARTS = (("s3://t/_staging/a", "s3://t/data/a"), ("s3://t/_staging/b", "s3://t/data/b"))


@dataclass
class Book:
    """A ledger, and what it shows of a job to a reader."""

    ledger: Ledger
    shown: Callable[[str], dict[str, Any] | None]


def _memory() -> Book:
    ledger = MemoryLedger()

    def shown(job_id: str) -> dict[str, Any] | None:
        job = ledger.jobs.get(job_id)
        if job is None:
            return None
        fields = ("attempts", "status", "rows_read", "reason", "trouble")
        return {name: getattr(job, name) or None for name in fields}

    return Book(ledger, shown)


def _dynamodb(stack: LocalStack) -> Book:
    ledger = DynamoDBLedger(stack.client("dynamodb"), stack.outputs["JobsTable"])

    def shown(job_id: str) -> dict[str, Any] | None:
        job = ledger.get(job_id)
        if job is None:
            return None
        fields = ("attempts", "status", "rows_read", "reason", "trouble")
        return {name: job.get(name) or None for name in fields}

    return Book(ledger, shown)


@pytest.fixture(params=["memory", "dynamodb"])
def book(request: pytest.FixtureRequest) -> Book:
    if request.param == "memory":
        return _memory()
    return _dynamodb(request.getfixturevalue("local_stack"))


@pytest.fixture
def job_id() -> str:
    return f"job_{os.urandom(8).hex()}"


def _started(book: Book) -> str:
    job_id = f"job_{os.urandom(8).hex()}"
    book.ledger.start(job_id, FACTS, A_MOMENT)
    return job_id


def _decision(attempt_id: str = "ours", rows_read: int = 7) -> Decision:
    return Decision(attempt_id, {"status": "committed", "rows_read": rows_read}, PARTS)


def test_a_new_job_is_undecided_and_counts_its_attempts(book: Book, job_id: str) -> None:
    assert book.ledger.start(job_id, FACTS, A_MOMENT) == JobState(1)
    assert book.ledger.start(job_id, FACTS, A_MOMENT) == JobState(2)


def test_progress_and_trouble_show_until_the_next_attempt(book: Book, job_id: str) -> None:
    book.ledger.start(job_id, FACTS, A_MOMENT)
    book.ledger.progress(job_id, 1000)
    book.ledger.note_trouble(job_id, "throttled")
    assert book.shown(job_id) == {
        "attempts": 1,
        "status": "waiting",
        "rows_read": 1000,
        "reason": None,
        "trouble": "throttled",
    }
    book.ledger.start(job_id, FACTS, A_MOMENT)
    shown = book.shown(job_id) or {}
    assert (shown["status"], shown["rows_read"]) == ("running", None)


def test_the_first_decision_stands(book: Book, job_id: str) -> None:
    book.ledger.start(job_id, FACTS, A_MOMENT)
    assert book.ledger.decide(job_id, _decision("first")) == _decision("first")
    assert book.ledger.decide(job_id, _decision("second", 8)) == _decision("first")


def test_deciding_again_after_a_lost_reply_gives_our_own_decision(book: Book, job_id: str) -> None:
    book.ledger.start(job_id, FACTS, A_MOMENT)
    for _ in range(2):
        assert book.ledger.decide(job_id, _decision()) == _decision()


def test_who_starts_a_decided_job_is_told_what_to_carry_out(book: Book, job_id: str) -> None:
    book.ledger.start(job_id, FACTS, A_MOMENT)
    book.ledger.decide(job_id, _decision())
    assert book.ledger.start(job_id, FACTS, A_MOMENT) == JobState(1, _decision(), False)
    assert (book.shown(job_id) or {})["status"] == "publishing"


def test_who_starts_a_committed_job_is_told_so(book: Book, job_id: str) -> None:
    book.ledger.start(job_id, FACTS, A_MOMENT)
    book.ledger.note_trouble(job_id, "throttled")
    book.ledger.decide(job_id, _decision())
    book.ledger.commit(job_id)
    book.ledger.commit(job_id)
    assert book.ledger.start(job_id, FACTS, A_MOMENT) == JobState(1, _decision(), True)
    assert book.shown(job_id) == {
        "attempts": 1,
        "status": "committed",
        "rows_read": 7,
        "reason": None,
        "trouble": None,
    }


def test_a_decided_job_takes_no_word_of_other_attempts(book: Book, job_id: str) -> None:
    book.ledger.start(job_id, FACTS, A_MOMENT)
    book.ledger.decide(job_id, _decision())
    book.ledger.commit(job_id)
    before = book.shown(job_id)
    book.ledger.progress(job_id, 99)
    book.ledger.note_trouble(job_id, "throttled")
    book.ledger.start(job_id, FACTS, A_MOMENT)
    assert book.shown(job_id) == before


def test_failing_a_decided_job_returns_the_decision(book: Book, job_id: str) -> None:
    book.ledger.start(job_id, FACTS, A_MOMENT)
    book.ledger.decide(job_id, _decision())
    assert book.ledger.fail(job_id, "malformed_file", "row 3") == _decision()
    assert (book.shown(job_id) or {})["status"] == "publishing"


def test_a_failed_job_can_be_started_and_decided_after_all(book: Book, job_id: str) -> None:
    book.ledger.start(job_id, FACTS, A_MOMENT)
    assert book.ledger.fail(job_id, "unknown_layout", "") is None
    shown = book.shown(job_id) or {}
    assert (shown["status"], shown["reason"]) == ("failed", "unknown_layout")
    assert book.ledger.start(job_id, FACTS, A_MOMENT) == JobState(2)
    assert (book.shown(job_id) or {})["reason"] is None
    assert book.ledger.decide(job_id, _decision()) == _decision()


def test_what_is_said_of_a_job_that_never_started_is_not_noted(book: Book, job_id: str) -> None:
    book.ledger.progress(job_id, 3)
    book.ledger.note_trouble(job_id, "throttled")
    book.ledger.commit(job_id)
    assert book.ledger.fail(job_id, "throttled", "") is None
    with pytest.raises(TransientError, match="decision_unresolved"):
        book.ledger.decide(job_id, _decision())
    assert book.shown(job_id) is None


def test_a_job_is_not_committed_before_it_is_decided(book: Book, job_id: str) -> None:
    book.ledger.start(job_id, FACTS, A_MOMENT)
    book.ledger.commit(job_id)
    assert (book.shown(job_id) or {})["status"] == "running"


def test_attempts_that_decide_at_the_same_time_agree(local_stack: LocalStack, job_id: str) -> None:
    ledgers = [_dynamodb(local_stack).ledger for _ in range(6)]
    ledgers[0].start(job_id, FACTS, A_MOMENT)
    stands: list[Decision] = []
    deciders = [
        threading.Thread(
            target=lambda ledger, name: stands.append(ledger.decide(job_id, _decision(name))),
            args=[ledger, str(at)],
        )
        for at, ledger in enumerate(ledgers)
    ]
    for decider in deciders:
        decider.start()
    for decider in deciders:
        decider.join()
    assert len(stands) == 6
    assert len({each.attempt_id for each in stands}) == 1


def test_the_ledger_is_kept_for_more_than_the_audit_year(
    local_stack: LocalStack, job_id: str
) -> None:
    _dynamodb(local_stack).ledger.start(job_id, FACTS, A_MOMENT)
    key = {"job_id": {"S": job_id}}
    table = local_stack.outputs["JobsTable"]
    item = local_stack.client("dynamodb").get_item(TableName=table, Key=key)["Item"]
    days = (int(item["expires_at"]["N"]) - A_MOMENT.timestamp()) / 86400
    assert 365 < days <= 400


def test_a_reader_sees_the_facts_of_a_job_and_not_its_decision(
    local_stack: LocalStack, job_id: str
) -> None:
    ledger = DynamoDBLedger(local_stack.client("dynamodb"), local_stack.outputs["JobsTable"])
    ledger.start(job_id, FACTS, A_MOMENT)
    ledger.decide(job_id, _decision())
    (job,) = [each for each in ledger.jobs() if each["job_id"] == job_id]
    assert job == ledger.get(job_id)
    assert (job["uri"], job["layout"], job["status"]) == (*FACTS.values(), "publishing")
    assert "decision" not in job


def test_a_reader_of_a_parted_file_sees_counts_and_none_of_what_the_workers_note(
    local_stack: LocalStack, job_id: str
) -> None:
    ledger = DynamoDBLedger(local_stack.client("dynamodb"), local_stack.outputs["JobsTable"])
    ledger.start(job_id, FACTS, A_MOMENT)
    ledger.record_chunk(job_id, "00000", _chunk("first"))
    ledger.finish_chunk(job_id, 3)
    ledger.finish_plan(job_id, 5, "sum")
    ledger.fail(job_id, "no_rows", "row 3")
    job = ledger.get(job_id) or {}
    assert (job["planned"], job["chunks_done"], job["reason"]) == (5, 1, "no_rows")
    assert not job.keys() & {"done", "has_chunks", "has_failed", "sha256", "decision"}


def _chunk(attempt_id: str) -> dict[str, Any]:
    return {"attempt_id": attempt_id, "end": None, "rows": 7}


def test_the_first_record_of_a_chunk_stands(book: Book, job_id: str) -> None:
    book.ledger.start(job_id, FACTS, A_MOMENT)
    assert book.ledger.recorded_chunk(job_id, "00000") is None
    assert book.ledger.record_chunk(job_id, "00000", _chunk("first")) == _chunk("first")
    assert book.ledger.record_chunk(job_id, "00000", _chunk("second")) == _chunk("first")
    assert book.ledger.record_chunk(job_id, "00001", _chunk("second")) == _chunk("second")
    assert book.ledger.recorded_chunk(job_id, "00000") == _chunk("first")
    assert book.ledger.recorded_chunk("other", "00000") is None


def test_who_starts_a_job_is_told_that_it_has_chunks(book: Book, job_id: str) -> None:
    assert not book.ledger.start(job_id, FACTS, A_MOMENT).has_chunks
    book.ledger.record_chunk(job_id, "00000", _chunk("first"))
    assert book.ledger.start(job_id, FACTS, A_MOMENT) == JobState(2, has_chunks=True)


def test_content_belongs_to_the_first_who_claims_it(book: Book, job_id: str) -> None:
    for name in ("a", "b"):
        book.ledger.start(job_id + name, FACTS, A_MOMENT)
    for name in ("a", "b", "a", "b"):
        assert book.ledger.claim(f"x/{job_id}", job_id + name) == f"{job_id}a"


def test_content_of_a_failed_job_goes_to_the_next_who_claims_it(book: Book, job_id: str) -> None:
    for name in ("a", "b", "c"):
        book.ledger.start(job_id + name, FACTS, A_MOMENT)
    book.ledger.claim(f"x/{job_id}", f"{job_id}a")
    book.ledger.fail(f"{job_id}a", "throttled", "")
    for name in ("b", "a", "c"):
        assert book.ledger.claim(f"x/{job_id}", job_id + name) == f"{job_id}b"


def test_content_of_a_job_that_failed_and_was_started_again_stays_its_own(
    book: Book, job_id: str
) -> None:
    for name in ("a", "b"):
        book.ledger.start(job_id + name, FACTS, A_MOMENT)
    book.ledger.claim(f"x/{job_id}", f"{job_id}a")
    book.ledger.fail(f"{job_id}a", "throttled", "")
    book.ledger.start(f"{job_id}a", FACTS, A_MOMENT)
    assert book.ledger.claim(f"x/{job_id}", f"{job_id}b") == f"{job_id}a"


def test_a_job_that_holds_its_claims_decides(book: Book, job_id: str) -> None:
    book.ledger.start(job_id, FACTS, A_MOMENT)
    names = [f"x/{job_id}", f"y/{job_id}"]
    for name in names:
        book.ledger.claim(name, job_id)
    assert book.ledger.decide(job_id, _decision("first"), names) == _decision("first")
    assert book.ledger.decide(job_id, _decision("second"), names) == _decision("first")


def test_a_job_whose_claim_was_taken_over_does_not_decide(book: Book, job_id: str) -> None:
    for name in ("a", "b"):
        book.ledger.start(job_id + name, FACTS, A_MOMENT)
    claim = f"x/{job_id}"
    book.ledger.claim(claim, f"{job_id}a")
    book.ledger.fail(f"{job_id}a", "throttled", "")
    book.ledger.claim(claim, f"{job_id}b")
    book.ledger.start(f"{job_id}a", FACTS, A_MOMENT)
    with pytest.raises(TransientError, match="claim_lost"):
        book.ledger.decide(f"{job_id}a", _decision(), [claim])
    assert book.ledger.decide(f"{job_id}b", _decision(), [claim]) == _decision()


def test_a_claim_is_not_taken_from_a_job_that_decided_after_it_failed(
    book: Book, job_id: str
) -> None:
    for name in ("a", "b"):
        book.ledger.start(job_id + name, FACTS, A_MOMENT)
    claim = f"x/{job_id}"
    book.ledger.claim(claim, f"{job_id}a")
    book.ledger.fail(f"{job_id}a", "throttled", "")
    book.ledger.decide(f"{job_id}a", _decision(), [claim])
    assert book.ledger.claim(claim, f"{job_id}b") == f"{job_id}a"


def test_nobody_owns_what_nobody_claimed(local_stack: LocalStack, job_id: str) -> None:
    ledger = DynamoDBLedger(local_stack.client("dynamodb"), local_stack.outputs["JobsTable"])
    assert ledger.owner(f"x/{job_id}") is None
    ledger.claim(f"x/{job_id}", job_id)
    assert ledger.owner(f"x/{job_id}") == job_id


def test_only_jobs_are_listed(local_stack: LocalStack, job_id: str) -> None:
    ledger = DynamoDBLedger(local_stack.client("dynamodb"), local_stack.outputs["JobsTable"])
    ledger.start(job_id, FACTS, A_MOMENT)
    ledger.record_chunk(job_id, "00000", _chunk("first"))
    ledger.claim(f"x/{job_id}", job_id)
    assert [job["job_id"] for job in ledger.jobs() if job_id in str(job)] == [job_id]


def test_chunks_and_plan_of_a_parted_file_are_noted_once_in_any_order(book: Book) -> None:
    job_id = _started(book)
    assert book.ledger.fan_out(job_id) == FanOut()
    assert book.ledger.finish_chunk(job_id, 2).done == {2}
    planned = book.ledger.finish_plan(job_id, 3, "sum")
    assert (planned.planned, planned.source_sha256, planned.left) == (3, "sum", [0, 1])
    assert book.ledger.finish_plan(job_id, 9, None) == planned
    for ordinal in (2, 0, 0, 1):
        state = book.ledger.finish_chunk(job_id, ordinal)
    assert (state.done, state.is_complete, state.left) == ({0, 1, 2}, True, [])
    assert book.ledger.fan_out(job_id) == state


def test_a_parted_file_that_failed_or_is_decided_says_so(book: Book) -> None:
    failed, decided = _started(book), _started(book)
    book.ledger.fail(failed, "no_rows", "")
    assert book.ledger.fan_out(failed).is_failed
    decision = Decision("attempt", {"rows_read": 1})
    book.ledger.decide(decided, decision)
    assert book.ledger.finish_chunk(decided, 0).decision == decision
    assert book.ledger.finish_plan(decided, 1, None).decision == decision
    assert not book.ledger.fan_out(decided).done


def test_that_a_parted_file_has_failed_is_known_when_it_is_started_again(book: Book) -> None:
    job_id = _started(book)
    book.ledger.finish_chunk(job_id, 0)
    assert not book.ledger.fan_out(job_id).has_failed
    book.ledger.note_trouble(job_id, "throttled")
    assert not book.ledger.fan_out(job_id).has_failed
    book.ledger.fail(job_id, "no_rows", "")
    book.ledger.start(job_id, FACTS, A_MOMENT)
    again = book.ledger.fan_out(job_id)
    assert (again.is_failed, again.has_failed, again.done) == (False, True, {0})
    assert book.ledger.finish_plan(job_id, 2, None).has_failed
    book.ledger.start(job_id, FACTS, A_MOMENT)
    assert book.ledger.finish_chunk(job_id, 1).has_failed


def test_a_job_that_was_decided_before_it_could_fail_has_not_failed(book: Book) -> None:
    job_id = _started(book)
    book.ledger.decide(job_id, _decision())
    book.ledger.fail(job_id, "no_rows", "")
    fan_out = book.ledger.fan_out(job_id)
    assert (fan_out.is_failed, fan_out.has_failed) == (False, False)


def test_nothing_is_known_of_the_chunks_of_a_job_that_never_started(book: Book) -> None:
    assert book.ledger.finish_chunk("job_never", 0) == FanOut()
    assert book.ledger.fan_out("job_never") == FanOut()
    assert FanOut().left == []
