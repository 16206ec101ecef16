"""The reconciliation in sums: what was put in beside what came out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.loadtest.plan import ExpectedCounts, Load
from pipeline.loadtest.reconcile import TokenBook


class Line(NamedTuple):
    """A sum, as the plan has it and as the deployment shows it."""

    what: str
    expected: int
    found: int

    @property
    def is_right(self) -> bool:
        """Whether the two agree."""
        return self.expected == self.found


def balance(
    load: Load,
    expected: Sequence[ExpectedCounts],
    receipts: Sequence[Mapping[str, Any]],
    rows_in_parquet: int,
    tokens: TokenBook,
    letters: int,
) -> list[Line]:
    """The sums of a load test; `receipts` are all that were found, those of refused files too."""
    committed = [receipt for receipt in receipts if receipt["status"] == "committed"]
    rows_read = sum(each.rows_read for each in expected)
    rows_written = sum(each.rows_written for each in expected)
    return [
        Line("files committed", load.files, len(committed)),
        Line("files refused", load.poison, len(receipts) - len(committed)),
        Line("dead letters", load.poison, letters),
        Line("rows read", rows_read, sum(receipt["rows_read"] for receipt in committed)),
        Line("rows written", rows_written, sum(receipt["rows_written"] for receipt in committed)),
        Line("rows in Parquet", rows_written, rows_in_parquet),
        *_rejects(expected, committed),
        Line("tokens, one for each card", tokens.cards, tokens.tokens),
    ]


def _rejects(
    expected: Sequence[ExpectedCounts], committed: Sequence[Mapping[str, Any]]
) -> list[Line]:
    planned: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for each in expected:
        planned.update(each.rejects_by_reason)
    for receipt in committed:
        found.update(receipt["rejects_by_reason"])
    return [
        Line(f"rows rejected: {reason}", planned[reason], found[reason])
        for reason in sorted({*planned, *found})
    ]
