"""The report of a load test: one HTML file that needs nothing else, to be read by people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from html import escape
from importlib.resources import files
from typing import Any

from pipeline import __version__
from pipeline.core.prices import PRICES_AS_OF
from pipeline.loadtest.balance import Line
from pipeline.loadtest.chart import Chart
from pipeline.loadtest.figures import MILLION, Figures
from pipeline.loadtest.plan import Load
from pipeline.loadtest.reconcile import Finding
from pipeline.loadtest.tracking import Course

SLOWEST = 10
UNKNOWN = "?"

_PERCENTILES = {"p50": "median", "p100": "slowest"}
_DUPLICATES = "half of them while the file was worked off, half when it was done"


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a load test came to; `started_at` is UTC, ISO 8601."""

    load: Load
    deployment: str
    started_at: str
    concurrency: int
    lines: Sequence[Line]
    findings: Sequence[Finding]
    figures: Figures
    courses: Sequence[Course]

    @property
    def adds_up(self) -> bool:
        """Whether nothing was found wrong."""
        return not self.findings and all(line.is_right for line in self.lines)


def as_document(outcome: Outcome) -> dict[str, Any]:
    """The outcome for programs."""
    return {
        "adds_up": outcome.adds_up,
        "deployment": outcome.deployment,
        "started_at": outcome.started_at,
        "concurrency": outcome.concurrency,
        "load": asdict(outcome.load),
        "findings": [each._asdict() for each in outcome.findings],
        "reconciliation": [{**each._asdict(), "is_right": each.is_right} for each in outcome.lines],
        "figures": asdict(outcome.figures),
        "pipeline_version": __version__,
    }


def as_html(outcome: Outcome) -> str:
    """The outcome for people: no script, nothing that is fetched from elsewhere."""
    style = files("pipeline.loadtest").joinpath("report.css").read_text(encoding="utf-8")
    body = "".join(
        (
            _heading(outcome),
            _tiles(outcome.figures),
            _findings(outcome.findings),
            _charts(outcome.figures),
            '<div class="columns">',
            _reconciliation(outcome),
            f"<div>{_latency(outcome)}{_trouble(outcome)}</div>",
            "</div>",
            _calls(outcome.figures),
            _slowest(outcome.courses),
        )
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>pantok load test {escape(outcome.load.run_id)}</title>"
        f"<style>{style}</style></head><body><main>{body}{_footer()}</main></body></html>\n"
    )


def _heading(outcome: Outcome) -> str:
    load = outcome.load
    mark, text = ("good", "Everything adds up") if outcome.adds_up else ("bad", "Does not add up")
    what = (
        f"{load.files:,} settlement files of {load.rows:,} rows, {load.cards:,} cards, "
        f"{load.reject_rate:.1%} of the rows with a fault, {load.poison:,} poisoned files, "
        f"{load.duplicate_events:,} duplicate events; {outcome.concurrency} uploads at once"
    )
    return (
        f'<header><div><h1>Load test</h1><p>{escape(what)}.</p><p class="quiet">Run '
        f"{escape(load.run_id)} on {escape(outcome.deployment)}, {escape(outcome.started_at)}, "
        f'seed {load.seed}</p></div><strong class="verdict {mark}">{text}</strong></header>'
    )


def _tiles(figures: Figures) -> str:
    dollars = figures.estimated_usd_per_million_rows
    latency = figures.latency_seconds
    tiles = (
        (
            "rows a second",
            f"{figures.rows_per_second:,.0f}",
            "rows read, first upload to last commit",
        ),
        ("rows read", f"{figures.rows_read:,}", f"{figures.rows_rejected:,} rejected"),
        ("median of a file", _seconds(latency.get("p50")), "uploaded to committed"),
        ("99 % of files within", _seconds(latency.get("p99")), "uploaded to committed"),
        (
            "a million rows",
            UNKNOWN if dollars is None else f"${dollars:,.2f}",
            "estimated, AWS list prices",
        ),
        ("duration", _seconds(figures.seconds), f"{figures.files:,} files"),
    )
    cells = "".join(
        f"<div><span>{escape(name)}</span><b>{escape(value)}</b><small>{escape(note)}</small></div>"
        for name, value, note in tiles
    )
    return f'<section class="tiles">{cells}</section>'


def _seconds(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.1f} s"


def _findings(findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    rows = ((each.where, each.what) for each in findings)
    return _section("What does not add up", _table(("where", "what"), rows), "alarm")


def _charts(figures: Figures) -> str:
    charts = (
        Chart("Throughput", "rows a second", figures.rows_per_second_over_time, width=1110),
        Chart("Work queue", "messages that wait", figures.waiting_over_time),
        Chart("Workers", "messages in flight", figures.in_flight_over_time),
        Chart("Files done", "committed or refused", figures.files_ended_over_time),
        Chart(
            "Time of a file",
            "per cent of files within so many seconds",
            figures.files_within_seconds,
            seconds="seconds from upload to commit",
        ),
    )
    return f'<section class="charts">{"".join(chart.svg() for chart in charts)}</section>'


def _reconciliation(outcome: Outcome) -> str:
    rows = ((line.what, line.expected, line.found, line.is_right) for line in outcome.lines)
    table = _table(("", "expected", "found", ""), rows)
    note = (
        "Each row of each file was looked up in the Parquet, in its order. All rows of a card bear "
        "one token, in all files, and no token stands for two cards; no token was opened to see it."
    )
    duplicates = outcome.load.duplicate_events
    if duplicates:
        note += f" {duplicates:,} duplicate events were sent, {_DUPLICATES}."
    return _section("Reconciliation", f'{table}<p class="quiet">{escape(note)}</p>')


def _latency(outcome: Outcome) -> str:
    rows = (
        (_PERCENTILES.get(name, f"{name[1:]} %"), value)
        for name, value in outcome.figures.latency_seconds.items()
    )
    return _section("Seconds from upload to commit", _table(("files", "within"), rows))


def _trouble(outcome: Outcome) -> str:
    figures = outcome.figures
    rows = [
        ("files attempted more than once", figures.retried_files),
        ("attempts beyond the first", figures.attempts_beyond_the_first),
    ]
    rows += [
        (f"files in trouble: {code}", count)
        for code, count in figures.files_in_trouble_by_code.items()
    ]
    rows += [
        (f"dead letters: {reason}", count)
        for reason, count in figures.dead_letters_by_reason.items()
    ]
    note = '<p class="quiet">An early duplicate event may show as a second attempt.</p>'
    return _section("Retries and dead letters", _table(("", ""), rows) + note)


def _calls(figures: Figures) -> str:
    scale = MILLION / figures.rows_read if figures.rows_read else 0.0
    rows = (
        (service, operation, count, round(count * scale))
        for service, operations in figures.aws_calls.items()
        for operation, count in operations.items()
    )
    table = _table(("service", "operation", "calls", "per million rows"), rows)
    note = (
        f"As receipts tell. Together about ${figures.estimated_cost_usd:,.4f} with the worker's "
        f"time, at list prices of {PRICES_AS_OF} (us-east-1)."
    )
    return _section("AWS calls", f'{table}<p class="quiet">{escape(note)}</p>')


def _slowest(courses: Sequence[Course]) -> str:
    ranked = sorted(courses, key=lambda each: each.seconds or float("inf"), reverse=True)
    rows = (
        (
            each.file.name,
            each.upload.job_id,
            each.status,
            each.rows_read,
            each.attempts,
            UNKNOWN if each.seconds is None else each.seconds,
        )
        for each in ranked[:SLOWEST]
    )
    names = ("file", "job", "status", "rows", "attempts", "seconds")
    return _section("Slowest files", _table(names, rows))


def _footer() -> str:
    return f'<footer class="quiet">pantok {escape(__version__)}</footer>'


def _section(title: str, body: str, style: str = "") -> str:
    return f'<section class="{style}"><h2>{escape(title)}</h2>{body}</section>'


def _table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; a column of numbers stands to the right, its name too."""
    cells = [[_Cell.of(value) for value in row] for row in rows]
    styles = [cell.style for cell in cells[0]] if cells else [""] * len(names)
    head = "".join(
        f'<th class="{style}">{escape(name)}</th>'
        for name, style in zip(names, styles, strict=True)
    )
    body = "".join(f"<tr>{''.join(cell.html for cell in row)}</tr>" for row in cells)
    named = f"<thead><tr>{head}</tr></thead>" if any(names) else ""
    return f'<div class="scroll"><table>{named}<tbody>{body}</tbody></table></div>'


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    style: str

    @classmethod
    def of(cls, value: object) -> _Cell:
        if isinstance(value, bool):
            return cls("✓", "good") if value else cls("✗", "bad")
        if isinstance(value, float):
            return cls(f"{value:,.2f}", "number")
        return cls(f"{value:,}", "number") if isinstance(value, int) else cls(str(value), "")

    @property
    def html(self) -> str:
        return f'<td class="{self.style}">{escape(self.text)}</td>'
