"""Reconciliation finds every error that is planted, and nothing where all is well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.loadtest.balance import balance
from pipeline.loadtest.plan import (
    Load,
    PlannedFile,
    expected_counts,
    planned_rows,
    row_id,
    row_number,
)
from pipeline.loadtest.poison import POISONS
from pipeline.loadtest.reconcile import Evidence, Finding, RowCheck, TokenBook, check_file

LOAD = Load(
    "run", files=2, rows=60, cards=12, reject_rate=0.1, poison=1, duplicate_events=0, seed=8
)
FILE = PlannedFile(0, "incoming/card-present/loadtest-run/00000.csv")
POISONED = PlannedFile(0, "incoming/x/loadtest-run/poison.csv", POISONS[0])
PART = "s3://tokenized/data/layout=card-present/date=2026-11-01/job_a/part-00000.parquet"
EXPECTED = expected_counts(LOAD, 0)

Row = tuple[str | None, str | None]


def _receipt(**changes: Any) -> Mapping[str, Any]:
    return {
        "status": "committed",
        "reason": None,
        "rows_read": EXPECTED.rows_read,
        "rows_written": EXPECTED.rows_written,
        "rows_rejected": EXPECTED.rows_rejected,
        "rejects_by_reason": dict(EXPECTED.rejects_by_reason),
        "rejected_rows": {reason: list(rows) for reason, rows in EXPECTED.rejected_rows.items()},
        "outputs": [{"uri": PART, "rows": EXPECTED.rows_written}],
        **changes,
    }


def _evidence(**changes: Any) -> Evidence:
    receipt = _receipt(**changes.pop("receipt_changes", {}))
    return replace(Evidence(FILE, "job_a", receipt, receipt, parts=(PART,)), **changes)


def _refused(**changes: Any) -> Evidence:
    receipt = _receipt(status="failed", reason=POISONS[0].reason, outputs=[])
    letters = ({"reason": POISONS[0].reason},)
    return replace(Evidence(POISONED, "job_b", receipt, receipt, letters=letters), **changes)


def _whats(findings: list[Finding]) -> str:
    return "; ".join(each.what for each in findings)


def _rows(file_number: int = 0) -> list[Row]:
    """The rows of a file's output as they must be; card n has the token `tok_n`."""
    return [
        (row_id(row_number(LOAD, file_number, rows.first + at)), f"tok_{card}")
        for rows in planned_rows(LOAD, file_number)
        for at, (card, fault) in enumerate(zip(rows.cards, rows.faults, strict=True))
        if fault is None
    ]


def _checked(rows: list[Row]) -> tuple[str, str]:
    """What is found of the rows, and of their tokens."""
    tokens = TokenBook()
    check = RowCheck(LOAD, FILE, tokens)
    check.take([row for row, _ in rows], [token for _, token in rows])
    return _whats(check.findings(_receipt())), _whats(tokens.findings(0))


def test_a_file_as_planned_has_no_findings() -> None:
    assert check_file(_evidence(), EXPECTED) == []
    assert check_file(_refused(), None) == []
    assert _checked(_rows()) == ("", "")


@given(st.lists(st.integers(0, 59), max_size=3))
def test_however_the_rows_are_cut_into_batches_they_are_the_same(cuts: list[int]) -> None:
    check, rows = RowCheck(LOAD, FILE, TokenBook()), _rows()
    edges = [0, *sorted(cuts), len(rows)]
    for start, end in pairwise(edges):
        check.take([row for row, _ in rows[start:end]], [token for _, token in rows[start:end]])
    assert check.findings(_receipt()) == []


@pytest.mark.parametrize("at", [0, 20, -1])
def test_a_missing_row_is_found(at: int) -> None:
    rows = _rows()
    del rows[at]
    found, _ = _checked(rows)
    assert "1 rows missing" in found
    assert f"{EXPECTED.rows_written - 1} rows in Parquet" in found


@pytest.mark.parametrize("at", [0, 20, -1])
def test_a_doubled_row_is_found(at: int) -> None:
    rows = _rows()
    rows.insert(at, rows[at])
    assert "stand there twice" in _checked(rows)[0]


def test_a_row_doubled_in_place_of_another_is_found_though_the_count_is_right() -> None:
    rows = _rows()
    rows[10] = rows[9]
    found, _ = _checked(rows)
    assert "stand there twice" in found
    assert "1 rows missing" in found


def test_rows_in_another_order_are_found() -> None:
    rows = _rows()
    rows[4], rows[5] = rows[5], rows[4]
    assert "not expected there" in _checked(rows)[0]


def test_a_rejected_row_in_the_output_is_found() -> None:
    (first, *_), *_ = EXPECTED.rejected_rows.values()
    rows = sorted([*_rows(), (row_id(first - 1), "tok_0")])
    assert "not expected there" in _checked(rows)[0]


def test_a_row_of_another_file_is_found() -> None:
    assert "not expected there" in _checked([*_rows(), *_rows(1)[:1]])[0]


@pytest.mark.parametrize("row", [(None, "tok_0"), ("", "tok_0"), ("nonsense", "tok_0")])
def test_a_row_without_its_id_is_found(row: Row) -> None:
    assert "not expected there" in _checked([*_rows(), row])[0]


def test_a_row_without_a_token_is_found() -> None:
    rows = _rows()
    rows[3] = (rows[3][0], None)
    assert "1 rows without a token" in _checked(rows)[0]


def _often_used_row() -> int:
    tokens = [token for _, token in _rows()]
    return next(at for at, token in enumerate(tokens) if token in tokens[:at])


def test_two_tokens_for_a_card_are_found_and_no_token_is_shown() -> None:
    rows, at = _rows(), _often_used_row()
    rows[at] = (rows[at][0], "tok_secret")
    _, found = _checked(rows)
    assert "1 cards have several" in found
    assert "tok_" not in found


def test_two_tokens_for_a_card_are_found_across_files() -> None:
    tokens = TokenBook()
    tokens.note(4, "tok_a")
    tokens.note(5, "tok_b")
    assert tokens.findings(2) == []
    tokens.note(4, "tok_c")
    assert "1 cards have several: 4" in _whats(tokens.findings(2))


def test_a_token_for_two_cards_is_found() -> None:
    tokens = TokenBook()
    tokens.note(4, "tok_a")
    tokens.note(5, "tok_a")
    assert "1 stand for several cards" in _whats(tokens.findings(1))
    assert (tokens.cards, tokens.tokens) == (2, 1)


def test_more_new_tokens_than_cards_are_found() -> None:
    tokens = TokenBook()
    tokens.note(4, "tok_a")
    assert "2 made for 1 cards" in _whats(tokens.findings(2))


BROKEN_RECEIPTS: dict[str, tuple[dict[str, Any], str]] = {
    "a row less read": (
        {"rows_read": 59, "rows_rejected": EXPECTED.rows_rejected - 1},
        "rows_read",
    ),
    "a row more written": ({"rows_written": EXPECTED.rows_written + 1}, "rows_written"),
    "sums that do not add up": ({"rows_rejected": 0}, "rows read are not"),
    "other reasons": ({"rejects_by_reason": {"pan_luhn": EXPECTED.rows_rejected}}, "other reasons"),
    "other rows": ({"rejected_rows": {"pan_empty": [1]}}, "other rows rejected"),
    "a failure": ({"status": "failed", "reason": "malformed_file"}, "is failed (malformed_file)"),
    "a part too short": ({"outputs": [{"uri": PART, "rows": 1}]}, "rows of the parts"),
}


@pytest.mark.parametrize("name", BROKEN_RECEIPTS)
def test_a_receipt_that_is_not_as_planned_is_found(name: str) -> None:
    changes, what = BROKEN_RECEIPTS[name]
    assert what in _whats(check_file(_evidence(receipt_changes=changes), EXPECTED))


BROKEN_EVIDENCE: dict[str, tuple[Callable[[], Evidence], str]] = {
    "no receipt": (lambda: _evidence(receipt=None), "has no receipt"),
    "a receipt that vanished": (lambda: _evidence(receipt_after=None), "changed the receipt"),
    "a receipt that changed": (
        lambda: _evidence(receipt_after=_receipt(tokens_new=1)),
        "changed the receipt",
    ),
    "another attempt": (lambda: _evidence(attempts_after=2), "another attempt"),
    "a missing part": (lambda: _evidence(parts=()), "1 parts of the receipt are missing"),
    "a second part": (lambda: _evidence(parts=(PART, f"{PART}2")), "1 parts are in no receipt"),
    "an unexpected letter": (
        lambda: _evidence(letters=({"reason": "worker_died"},)),
        "dead letters: worker_died, expected none",
    ),
}


@pytest.mark.parametrize("name", BROKEN_EVIDENCE)
def test_evidence_that_is_not_as_planned_is_found(name: str) -> None:
    make, what = BROKEN_EVIDENCE[name]
    assert what in _whats(check_file(make(), EXPECTED))


BROKEN_REFUSALS: dict[str, tuple[Callable[[], Evidence], str]] = {
    "a missing letter": (
        lambda: _refused(letters=()),
        "dead letters: none, expected unknown_layout",
    ),
    "a second letter": (
        lambda: _refused(letters=({"reason": "unknown_layout"},) * 2),
        "dead letters: unknown_layout, unknown_layout, expected unknown_layout",
    ),
    "another reason": (
        lambda: _refused(letters=({"reason": "throttled"},)),
        "dead letters: throttled, expected unknown_layout",
    ),
    "a commit": (
        lambda: _refused(receipt=_receipt(), receipt_after=_receipt()),
        "is committed (None), expected failed (unknown_layout)",
    ),
    "a part": (lambda: _refused(parts=(PART,)), "has 1 parts, expected none"),
}


@pytest.mark.parametrize("name", BROKEN_REFUSALS)
def test_a_refusal_that_is_not_as_planned_is_found(name: str) -> None:
    make, what = BROKEN_REFUSALS[name]
    assert what in _whats(check_file(make(), None))


def test_the_balance_shows_which_sum_is_wrong() -> None:
    tokens = TokenBook()
    tokens.note(1, "tok_a")
    expected = [expected_counts(LOAD, number) for number in range(LOAD.files)]
    receipts = [
        _receipt(
            rows_read=each.rows_read,
            rows_written=each.rows_written,
            rejects_by_reason=dict(each.rejects_by_reason),
        )
        for each in expected
    ]
    receipts.append(_receipt(status="failed", rejects_by_reason={}))
    written = sum(each.rows_written for each in expected)
    right = balance(LOAD, expected, receipts, written, tokens, letters=1)
    assert all(line.is_right for line in right)
    wrong = balance(LOAD, expected, receipts, written - 1, tokens, letters=0)
    assert [line.what for line in wrong if not line.is_right] == ["dead letters", "rows in Parquet"]
