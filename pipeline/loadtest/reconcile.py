"""Holds what came of a load test against its plan: every file, every row, every token.

No token is opened for that. Row n of a file was paid with a known card of the pool, so all rows of
a card must bear one token, and no two cards may share one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pipeline.loadtest.plan import (
    ExpectedCounts,
    Load,
    PlannedFile,
    planned_rows,
    row_id,
    row_number,
)

LISTED_ROWS = 5  # of each finding


class Finding(NamedTuple):
    """Something that does not add up: where, and what; never a value of a file."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a deployment shows of a file.

    `receipt` and `attempts` are those before the late duplicate events, `receipt_after` and
    `attempts_after` those behind them; `parts` are the URIs of what is published; `letters` are its
    dead letters.
    """

    file: PlannedFile
    job_id: str
    receipt: Mapping[str, Any] | None
    receipt_after: Mapping[str, Any] | None
    attempts: int = 1
    attempts_after: int = 1
    parts: Sequence[str] = ()
    letters: Sequence[Mapping[str, Any]] = ()


def check_file(evidence: Evidence, expected: ExpectedCounts | None) -> list[Finding]:
    """Holds a file's receipt, parts and dead letters against the plan; `expected` if it is good."""
    name = evidence.file.name
    if evidence.receipt is None:
        return [Finding(name, "has no receipt")]
    wrong = [*_changes(evidence), *_letters(evidence)]
    if expected is None:
        wrong += _refusal(evidence, evidence.receipt)
    else:
        wrong += _counts(evidence.receipt, expected)
        wrong += _parts(evidence, evidence.receipt)
    return [Finding(name, what) for what in wrong]


def _counts(receipt: Mapping[str, Any], expected: ExpectedCounts) -> list[str]:
    if receipt["status"] != "committed":
        return [f"is {receipt['status']} ({receipt['reason']}), expected committed"]
    wrong = [
        f"{name} {receipt[name]:,}, expected {getattr(expected, name):,}"
        for name in ("rows_read", "rows_written", "rows_rejected")
        if receipt[name] != getattr(expected, name)
    ]
    if receipt["rows_read"] != receipt["rows_written"] + receipt["rows_rejected"]:
        wrong.append("rows read are not rows written and rejected")
    if receipt["rejects_by_reason"] != expected.rejects_by_reason:
        wrong.append("rejected for other reasons than expected")
    listed = {reason: list(rows) for reason, rows in expected.rejected_rows.items()}
    if receipt["rejected_rows"] != listed:
        wrong.append("other rows rejected than expected")
    return wrong


def _refusal(evidence: Evidence, receipt: Mapping[str, Any]) -> list[str]:
    reason = evidence.file.poison.reason if evidence.file.poison else None
    wrong = []
    if (receipt["status"], receipt["reason"]) != ("failed", reason):
        wrong.append(f"is {receipt['status']} ({receipt['reason']}), expected failed ({reason})")
    if evidence.parts:
        wrong.append(f"has {len(evidence.parts)} parts, expected none")
    return wrong


def _letters(evidence: Evidence) -> list[str]:
    expected = [evidence.file.poison.reason] if evidence.file.poison else []
    reasons = sorted(str(letter["reason"]) for letter in evidence.letters)
    if reasons == expected:
        return []
    return [f"dead letters: {_words(reasons)}, expected {_words(expected)}"]


def _words(reasons: Sequence[str]) -> str:
    return ", ".join(reasons) or "none"


def _parts(evidence: Evidence, receipt: Mapping[str, Any]) -> list[str]:
    promised = {output["uri"] for output in receipt["outputs"]}
    wrong = []
    if missing := promised - set(evidence.parts):
        wrong.append(f"{len(missing)} parts of the receipt are missing")
    if surplus := set(evidence.parts) - promised:
        wrong.append(f"{len(surplus)} parts are in no receipt")
    if sum(output["rows"] for output in receipt["outputs"]) != receipt["rows_written"]:
        wrong.append("the rows of the parts are not the rows written")
    return wrong


def _changes(evidence: Evidence) -> list[str]:
    """What a late duplicate event must not have changed."""
    wrong = []
    if evidence.receipt_after != evidence.receipt:
        wrong.append("a duplicate event changed the receipt")
    if evidence.attempts_after != evidence.attempts:
        wrong.append("a duplicate event started another attempt")
    return wrong


class TokenBook:
    """Which token each card of the pool has, over all files.

    It takes about 300 bytes for each card that was seen.
    """

    def __init__(self) -> None:
        self._tokens: dict[int, str] = {}
        self._cards: dict[str, int] = {}
        self._torn: set[int] = set()
        self._shared: set[str] = set()

    @property
    def cards(self) -> int:
        """How many cards were seen."""
        return len(self._tokens)

    @property
    def tokens(self) -> int:
        """How many tokens were seen."""
        return len(self._cards)

    def note(self, card: int, token: str) -> None:
        """Takes a row of that card into account."""
        if self._tokens.setdefault(card, token) != token:
            self._torn.add(card)
        if self._cards.setdefault(token, card) != card:
            self._shared.add(token)

    def findings(self, new_tokens: int) -> list[Finding]:
        """What is wrong with the tokens; receipts say that `new_tokens` were made in this run."""
        found = []
        if self._torn:
            listed = _listed(sorted(self._torn))
            found.append(Finding("tokens", f"{len(self._torn):,} cards have several: {listed}"))
        if self._shared:
            found.append(Finding("tokens", f"{len(self._shared):,} stand for several cards"))
        if new_tokens > self.cards:
            what = f"{new_tokens:,} made for {self.cards:,} cards"
            found.append(Finding("tokens", what))
        return found


@dataclass(slots=True)
class RowCheck:
    """Holds the rows of a file's parts, in their order, against the plan.

    Rows are expected in the order of the file; one that comes late counts as missing where it
    should have been, and as unexpected where it is.
    """

    load: Load
    file: PlannedFile
    tokens: TokenBook
    rows: int = 0
    _missing: list[int] = field(default_factory=list)
    _unexpected: Counter[str] = field(default_factory=Counter)
    _expected: Iterator[tuple[int, str, int]] = field(init=False)
    _next: tuple[int, str, int] | None = field(init=False)

    def __post_init__(self) -> None:
        self._expected = _written_rows(self.load, self.file.number)
        self._next = next(self._expected, None)

    def take(self, row_ids: Sequence[str | None], tokens: Sequence[str | None]) -> None:
        """Takes the next rows of the output into account."""
        self.rows += len(row_ids)
        for found, token in zip(row_ids, tokens, strict=True):
            self._skip_to(found)
            if self._next is None or found != self._next[1]:
                self._unexpected["rows that are not expected there, or stand there twice"] += 1
                continue
            if token is None:
                self._unexpected["rows without a token"] += 1
            else:
                self.tokens.note(self._next[2], token)
            self._next = next(self._expected, None)

    def _skip_to(self, found: str | None) -> None:
        """Row ids have one length, so their order is that of their numbers."""
        while self._next is not None and found is not None and self._next[1] < found:
            self._missing.append(self._next[0])
            self._next = next(self._expected, None)

    def findings(self, receipt: Mapping[str, Any]) -> list[Finding]:
        """What is wrong with the rows, once all have been taken."""
        while self._next is not None:
            self._missing.append(self._next[0])
            self._next = next(self._expected, None)
        wrong = [f"{count:,} {what}" for what, count in self._unexpected.items()]
        if self._missing:
            wrong.append(f"{len(self._missing):,} rows missing: {_listed(self._missing)}")
        if self.rows != receipt["rows_written"]:
            wrong.append(f"{self.rows:,} rows in Parquet, {receipt['rows_written']:,} in receipt")
        return [Finding(self.file.name, what) for what in wrong]


def _written_rows(load: Load, file_number: int) -> Iterator[tuple[int, str, int]]:
    """Number within the file (from 1), id and card of each row that must be in the output."""
    for rows in planned_rows(load, file_number):
        for at, (card, fault) in enumerate(zip(rows.cards, rows.faults, strict=True), rows.first):
            if fault is None:
                yield at + 1, row_id(row_number(load, file_number, at)), card


def _listed(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:LISTED_ROWS]))
    return f"{shown}, …" if len(numbers) > LISTED_ROWS else shown
