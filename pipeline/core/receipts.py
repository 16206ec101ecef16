"""The receipt: what became of a file, in counts and codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipeline import __version__
from pipeline.model import SourceObject

MAX_LISTED_ROWS = 100  # row numbers that a receipt lists for each reason


@dataclass(slots=True)
class Tally:
    """Counts of one attempt at a file, added up as it is read."""

    rows_read: int = 0
    rows_written: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    rejected_rows: dict[str, list[int]] = field(default_factory=dict)
    luhn_failed: int = 0
    tokens_new: int = 0
    tokens_reused: int = 0
    items_written: int = 0
    items_looked_up: int = 0
    guard_cells_scanned: int = 0
    guard_hits: int = 0
    data_key_ids: list[str] = field(default_factory=list)
    columns: dict[str, Sequence[str]] = field(
        default_factory=lambda: {"kept": (), "tokenized": (), "dropped": ()}
    )

    def reject(self, reason: str, row_number: int) -> None:
        """Counts a rejected row."""
        self.rejects[reason] += 1
        listed = self.rejected_rows.setdefault(reason, [])
        if len(listed) < MAX_LISTED_ROWS:
            listed.append(row_number)

    @property
    def rows_rejected(self) -> int:
        """Rows rejected for any reason."""
        return self.rejects.total()


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What a receipt says beside the counts."""

    job_id: str
    layout: str
    uri: str
    version_id: str
    source: SourceObject | None
    source_sha256: str | None
    started_at: datetime
    finished_at: datetime


def committed_receipt(
    facts: JobFacts,
    tally: Tally,
    *,
    outputs: Sequence[Mapping[str, Any]],
    rejects_uri: str | None,
    pans_distinct: int,
    aws_calls: Mapping[str, Mapping[str, int]],
    estimated_cost_usd: float,
) -> dict[str, Any]:
    """The receipt of a file that went through."""
    return _receipt(facts, tally, None, "") | {
        "pans_distinct": pans_distinct,
        "outputs": list(outputs),
        "rejects_uri": rejects_uri,
        "aws_calls": aws_calls,
        "estimated_cost_usd": estimated_cost_usd,
    }


def failed_receipt(facts: JobFacts, reason: str, detail: str) -> dict[str, Any]:
    """The receipt of a file of which nothing was published."""
    return _receipt(facts, Tally(), reason, detail)


def _receipt(facts: JobFacts, tally: Tally, reason: str | None, detail: str) -> dict[str, Any]:
    return {
        "job_id": facts.job_id,
        "status": "failed" if reason else "committed",
        "reason": reason,
        "detail": detail or None,
        "layout": facts.layout,
        "source": {
            "uri": facts.uri,
            "version_id": facts.version_id,
            "sha256": facts.source_sha256,
            "size_bytes": facts.source.size_bytes if facts.source else None,
        },
        "rows_read": tally.rows_read,
        "rows_written": tally.rows_written,
        "rows_rejected": tally.rows_rejected,
        "rejects_by_reason": dict(sorted(tally.rejects.items())),
        "rejected_rows": dict(sorted(tally.rejected_rows.items())),
        "rejects_uri": None,
        "luhn_failed": tally.luhn_failed,
        "pans_distinct": 0,
        "tokens_new": tally.tokens_new,
        "tokens_reused": tally.tokens_reused,
        "columns": {name: list(columns) for name, columns in tally.columns.items()},
        "guard": {"cells_scanned": tally.guard_cells_scanned, "hits": tally.guard_hits},
        "outputs": [],
        "data_key_ids": list(tally.data_key_ids),
        "aws_calls": {},
        "estimated_cost_usd": 0.0,
        "started_at": iso_time(facts.started_at),
        "finished_at": iso_time(facts.finished_at),
        "seconds": round((facts.finished_at - facts.started_at).total_seconds(), 3),
        "pipeline_version": __version__,
    }


def iso_time(moment: datetime) -> str:
    """UTC, ISO 8601, milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
