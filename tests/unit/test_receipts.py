"""Receipts: counts and codes of what became of a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import __version__
from pipeline.core.receipts import (
    MAX_LISTED_COLUMNS,
    MAX_LISTED_ROWS,
    JobFacts,
    Tally,
    committed_receipt,
    failed_receipt,
    iso_time,
    sum_of_tallies,
)
from pipeline.model import SourceObject

WHEN = datetime(2026, 11, 23, 12, 30, 0, 123456, tzinfo=UTC)
FACTS = JobFacts(
    job_id="job_x",
    layout="acme",
    uri="s3://q/incoming/acme/a.csv",
    version_id="v1",
    source=SourceObject("q", "incoming/acme/a.csv", "v1", 1234, WHEN),
    source_sha256="ab" * 32,
    duplicate_of=None,
    repair_of=None,
    started_at=iso_time(WHEN),
    finished_at=iso_time(WHEN + timedelta(seconds=1.5)),
    seconds=1.5,
)
# What other programs rely on.
FIELDS = {
    "job_id", "status", "reason", "layout", "source", "rows_read", "rows_written", "rows_rejected",
    "rejects_by_reason", "luhn_failed", "pans_distinct", "tokens_new", "tokens_reused", "columns",
    "guard", "outputs", "data_key_ids", "aws_calls", "estimated_cost_usd", "started_at",
    "finished_at", "seconds", "pipeline_version",
}  # fmt: skip


def committed(tally: Tally, **changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "outputs": [{"uri": "s3://t/data/p.parquet", "rows": 1, "sha256": "cd" * 32}],
        "rejects_uris": [],
        "pans_distinct": 3,
        "aws_calls": {"kms": {"GenerateDataKey": 1}},
        "estimated_cost_usd": 0.01,
    }
    return committed_receipt(FACTS, tally, **given | changes)


def test_both_kinds_of_receipt_hold_every_promised_field() -> None:
    for receipt in (committed(Tally()), failed_receipt(FACTS, "no_rows", "")):
        assert set(receipt) >= FIELDS
        assert set(receipt["source"]) == {"uri", "version_id", "sha256", "size_bytes"}
        assert set(receipt["columns"]) == {"kept", "tokenized", "dropped"}
        assert set(receipt["guard"]) == {"cells_scanned", "hits"}
        assert json.loads(json.dumps(receipt)) == receipt


def test_a_committed_receipt_says_so() -> None:
    tally = Tally(rows_read=5, rows_written=3, tokens_new=2, tokens_reused=1, luhn_failed=1)
    tally.reject("pan_empty", 2)
    tally.reject("guard_hit", 4)
    receipt = committed(tally)
    assert (receipt["status"], receipt["reason"], receipt["detail"]) == ("committed", None, None)
    assert receipt["rows_read"] == receipt["rows_written"] + receipt["rows_rejected"]
    assert receipt["rejects_by_reason"] == {"guard_hit": 1, "pan_empty": 1}
    assert receipt["rejected_rows"] == {"guard_hit": [4], "pan_empty": [2]}
    assert receipt["started_at"] == "2026-11-23T12:30:00.123Z"
    assert receipt["finished_at"] == "2026-11-23T12:30:01.623Z"
    assert receipt["seconds"] == 1.5
    assert receipt["pipeline_version"] == __version__
    assert receipt["source"]["size_bytes"] == 1234


def test_a_failed_receipt_says_why_and_publishes_nothing() -> None:
    receipt = failed_receipt(FACTS, "missing_column", "not in the header: pan")
    assert receipt["status"] == "failed"
    assert receipt["reason"] == "missing_column"
    assert receipt["detail"] == "not in the header: pan"
    assert receipt["outputs"] == []
    assert receipt["rows_read"] == receipt["rows_written"] == receipt["rows_rejected"] == 0


def test_a_file_that_was_never_found_has_a_receipt() -> None:
    facts = JobFacts("job_x", "acme", "s3://q/k", "v1", None, None, None, None, "then", "now", 0.0)
    receipt = failed_receipt(facts, "source_missing", "")
    assert receipt["source"]["sha256"] is None
    assert receipt["source"]["size_bytes"] is None


def test_a_receipt_lists_the_first_rows_of_each_reason_and_counts_all() -> None:
    tally = Tally()
    for row in range(1, MAX_LISTED_ROWS + 50):
        tally.reject("pan_empty", row)
    tally.reject("guard_hit", 999)
    receipt = committed(tally)
    assert receipt["rejected_rows"]["pan_empty"] == list(range(1, MAX_LISTED_ROWS + 1))
    assert receipt["rejected_rows"]["guard_hit"] == [999]
    assert receipt["rejects_by_reason"] == {"guard_hit": 1, "pan_empty": MAX_LISTED_ROWS + 49}
    assert receipt["rows_rejected"] == MAX_LISTED_ROWS + 50


def _of_columns(dropped: Sequence[str]) -> Tally:
    tally = Tally()
    tally.note_columns({"kept": ["a"], "tokenized": ["card"], "dropped": dropped})
    return tally


def test_a_receipt_lists_the_columns_of_all_chunks_each_once_in_the_order_of_the_file() -> None:
    chunks = [_of_columns(["x", "y"]), Tally(), _of_columns(["z", "y"]), _of_columns(["x"])]
    assert committed(sum_of_tallies(chunks))["columns"] == {
        "kept": ["a"],
        "tokenized": ["card"],
        "dropped": ["x", "y", "z"],
    }


def test_columns_that_chunk_after_chunk_brings_are_listed_up_to_a_limit() -> None:
    names = [f"c{at}" for at in range(MAX_LISTED_COLUMNS + 5)]
    some = sum_of_tallies([_of_columns(names[: MAX_LISTED_COLUMNS - 1]), _of_columns(names[-3:])])
    assert list(some.columns["dropped"]) == [*names[: MAX_LISTED_COLUMNS - 1], names[-3]]
    all_at_once = sum_of_tallies([_of_columns(names), _of_columns(["more"])])
    assert list(all_at_once.columns["dropped"]) == names


def test_tallies_do_not_share_what_they_count() -> None:
    one, other = Tally(), Tally()
    one.reject("x", 1)
    one.data_key_ids.append("dk")
    assert other.rows_rejected == 0
    assert other.rejected_rows == {}
    assert other.data_key_ids == []
    one.note_columns({"dropped": ["x"]})
    assert other.columns["dropped"] == ()


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05.000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 999999, tzinfo=UTC), "2026-01-02T03:04:05.999Z"),
        (
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5, minutes=30))),
            "2026-01-01T21:34:05.000Z",
        ),
    ],
)
def test_times_are_utc_with_milliseconds(moment: datetime, text: str) -> None:
    assert iso_time(moment) == text


@given(st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.just(UTC)))
def test_times_sort_as_text(moment: datetime) -> None:
    later = moment + timedelta(milliseconds=1) if moment.year < 9999 else moment
    assert iso_time(moment) <= iso_time(later)
    assert datetime.fromisoformat(iso_time(moment)) <= moment
