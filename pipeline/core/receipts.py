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
MAX_LISTED_COLUMNS = 1_000  # of a file whose records name what they like


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
    tokens_passed_on: int = 0
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

    def note_columns(self, columns: Mapping[str, Sequence[str]]) -> None:
        """Adds the columns of some of the records by their fate, each once, up to a limit."""
        for fate, names in columns.items():
            self.columns[fate] = _united(self.columns[fate], names)

    @property
    def rows_rejected(self) -> int:
        """Rows rejected for any reason."""
        return self.rejects.total()


def _united(listed: Sequence[str], names: Sequence[str]) -> Sequence[str]:
    """What is listed, and behind it what is not; of one record batch, all of it is."""
    if not listed:
        return names
    known = frozenset(listed)
    new = [name for name in names if name not in known]
    return [*listed, *new[: max(MAX_LISTED_COLUMNS - len(listed), 0)]]


def sum_of_tallies(tallies: Sequence[Tally]) -> Tally:
    """The tallies of a file's chunks, in the file's order, added up."""
    total = Tally()
    for tally in tallies:
        for name in _COUNTS:
            setattr(total, name, getattr(total, name) + getattr(tally, name))
        total.rejects.update(tally.rejects)
        for reason, rows in tally.rejected_rows.items():
            listed = total.rejected_rows.setdefault(reason, [])
            listed += rows[: MAX_LISTED_ROWS - len(listed)]
        total.data_key_ids += tally.data_key_ids
        total.note_columns(tally.columns)
    return total


_COUNTS = (
    "rows_read",
    "rows_written",
    "luhn_failed",
    "tokens_new",
    "tokens_passed_on",
    "items_written",
    "items_looked_up",
    "guard_cells_scanned",
    "guard_hits",
)


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What a receipt says beside the counts."""

    job_id: str
    layout: str
    uri: str
    version_id: str
    source: SourceObject | None
    source_sha256: str | None
    duplicate_of: str | None
    repair_of: str | None
    started_at: str
    finished_at: str
    seconds: float
    layout_version: str | None = None
    layout_sha256: str | None = None


def committed_receipt(
    facts: JobFacts,
    tally: Tally,
    *,
    outputs: Sequence[Mapping[str, Any]],
    rejects_uris: Sequence[str],
    pans_distinct: int,
    aws_calls: Mapping[str, Mapping[str, int]],
    estimated_cost_usd: float,
) -> dict[str, Any]:
    """The receipt of a file that went through."""
    return _receipt(facts, tally, None, "") | {
        "pans_distinct": pans_distinct,
        "outputs": list(outputs),
        "rejects_uris": list(rejects_uris),
        "aws_calls": aws_calls,
        "estimated_cost_usd": estimated_cost_usd,
    }


def failed_receipt(facts: JobFacts, reason: str, detail: str) -> dict[str, Any]:
    """The receipt of a file of which nothing was published."""
    return _receipt(facts, Tally(), reason, detail)


def does_add_up(receipt: Mapping[str, Any]) -> bool:
    """Whether every row that was read is in an output or rejected for a reason, and none twice."""
    written = sum(output["rows"] for output in receipt["outputs"])
    rejected = sum(receipt["rejects_by_reason"].values())
    return bool(
        receipt["rows_read"] == receipt["rows_written"] + receipt["rows_rejected"]
        and receipt["rows_written"] == written
        and receipt["rows_rejected"] == rejected
    )


def _receipt(facts: JobFacts, tally: Tally, reason: str | None, detail: str) -> dict[str, Any]:
    return {
        "job_id": facts.job_id,
        "status": "failed" if reason else "committed",
        "reason": reason,
        "detail": detail or None,
        "layout": facts.layout,
        "layout_version": facts.layout_version,
        "layout_sha256": facts.layout_sha256,
        "source": {
            "uri": facts.uri,
            "version_id": facts.version_id,
            "sha256": facts.source_sha256,
            "size_bytes": facts.source.size_bytes if facts.source else None,
        },
        "duplicate_of": facts.duplicate_of,
        "repair_of": facts.repair_of,
        "rows_read": tally.rows_read,
        "rows_written": tally.rows_written,
        "rows_rejected": tally.rows_rejected,
        "rejects_by_reason": dict(sorted(tally.rejects.items())),
        "rejected_rows": dict(sorted(tally.rejected_rows.items())),
        "rejects_uris": [],
        "luhn_failed": tally.luhn_failed,
        "pans_distinct": 0,
        "tokens_new": tally.tokens_new,
        "tokens_reused": tally.tokens_reused,
        "tokens_passed_on": tally.tokens_passed_on,
        "columns": {name: list(columns) for name, columns in tally.columns.items()},
        "guard": {"cells_scanned": tally.guard_cells_scanned, "hits": tally.guard_hits},
        "outputs": [],
        "data_key_ids": list(tally.data_key_ids),
        "aws_calls": {},
        "estimated_cost_usd": 0.0,
        "started_at": facts.started_at,
        "finished_at": facts.finished_at,
        "seconds": round(facts.seconds, 3),
        "pipeline_version": __version__,
    }


def iso_time(moment: datetime) -> str:
    """UTC, ISO 8601, milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
