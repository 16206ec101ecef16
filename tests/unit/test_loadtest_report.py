"""The course of a load test, its figures, and the report that shows them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.loadtest.balance import Line
from pipeline.loadtest.chart import Chart, number, ticks
from pipeline.loadtest.figures import figures_of, percentiles, rates, shares
from pipeline.loadtest.plan import Load, PlannedFile
from pipeline.loadtest.reconcile import Finding
from pipeline.loadtest.report import Outcome, as_document, as_html
from pipeline.loadtest.tracking import Course, QueueDepth, Tracker
from pipeline.model import Upload

LOAD = Load(
    "run", files=2, rows=100, cards=10, reject_rate=0.0, poison=0, duplicate_events=2, seed=1
)
EMPTY = QueueDepth(0, 0)
START = 1_800_000_000.0
Totals = list[tuple[float, float]]


def _upload(number: int) -> Upload:
    return Upload("quarantine", f"incoming/card-present/loadtest-run/{number}.csv", "v1")


def _file(number: int) -> PlannedFile:
    return PlannedFile(number, _upload(number).key)


def _item(number: int, status: str, updated_at: str, **more: Any) -> dict[str, Any]:
    return {"job_id": _upload(number).job_id, "status": status, "updated_at": updated_at, **more}


def _tracker() -> Tracker:
    tracker = Tracker(START)
    tracker.uploaded(_file(0), _upload(0), START + 1)
    tracker.uploaded(_file(1), _upload(1), START + 2)
    return tracker


def test_a_file_takes_from_its_upload_to_its_commit() -> None:
    tracker = _tracker()
    tracker.see([_item(0, "running", "2027-01-15T08:00:02.000Z", rows_read=40)], EMPTY, START + 2.5)
    tracker.see(
        [_item(0, "committed", "2027-01-15T08:00:02.750Z", rows_read=100)], EMPTY, START + 3
    )
    assert tracker.courses[_upload(0).job_id].seconds == 1.75
    assert tracker.open_jobs == [_upload(1).job_id]
    assert [sample.rows_read for sample in tracker.samples] == [40, 100]
    assert [sample.files_ended for sample in tracker.samples] == [0, 1]


@pytest.mark.parametrize(
    ("told", "seconds"), [("2027-01-15T07:59:00.000Z", 1.5), ("2027-01-15T09:00:00.000Z", 2.0)]
)
def test_a_worker_whose_clock_is_wrong_is_believed_no_further_than_was_seen(
    told: str, seconds: float
) -> None:
    tracker = _tracker()
    tracker.see([_item(0, "running", "2027-01-15T08:00:02.000Z")], EMPTY, START + 2.5)
    tracker.see([_item(0, "committed", told)], EMPTY, START + 3)
    assert tracker.courses[_upload(0).job_id].seconds == seconds


def test_an_attempt_that_starts_anew_does_not_take_back_what_was_read() -> None:
    tracker = _tracker()
    for rows_read in (50, 0, 20, 80):
        tracker.see(
            [_item(0, "running", "2027-01-15T08:00:01Z", rows_read=rows_read)], EMPTY, START
        )
    assert [sample.rows_read for sample in tracker.samples] == [50, 50, 50, 80]


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_percentiles_are_values_that_were_measured_in_order(values: list[float]) -> None:
    found = list(percentiles(values).values())
    assert found == sorted(found)
    assert found[-1] == round(max(values), 3)
    assert set(found) <= {round(value, 3) for value in values}


def test_percentiles_are_the_nearest_rank() -> None:
    assert percentiles([float(n) for n in range(1, 101)]) == {
        "p50": 50, "p90": 90, "p95": 95, "p99": 99, "p100": 100,
    }  # fmt: skip
    assert percentiles([]) == {}


@given(st.lists(st.tuples(st.floats(0.1, 10), st.integers(0, 1000)), min_size=2, max_size=200))
def test_rates_come_to_what_the_total_grew_by(steps: list[tuple[float, int]]) -> None:
    totals: Totals = [(0.0, 0.0)]
    for seconds, growth in steps:
        totals.append((totals[-1][0] + seconds, totals[-1][1] + growth))
    points = rates(totals)
    width = totals[-1][0] / len(points)
    assert sum(rate * width for _, rate in points) == pytest.approx(totals[-1][1])
    assert len(points) <= 60


def test_without_two_looks_there_is_no_rate() -> None:
    assert rates([]) == rates([(0.0, 1.0)]) == rates([(1.0, 1.0), (1.0, 2.0)]) == []


def test_shares_end_at_all_of_them() -> None:
    assert shares([3.0, 1.0]) == [(0.0, 0.0), (1.0, 50.0), (3.0, 100.0)]
    assert shares([]) == []


@given(st.floats(0, 1e12), st.integers(1, 10))
def test_ticks_go_from_zero_to_the_highest_value(highest: float, wanted: int) -> None:
    found = ticks(highest, wanted)
    assert found[0] == 0
    assert found[-1] >= highest * 0.99
    assert 2 <= len(found) <= wanted + 2


def test_numbers_on_an_axis_are_short() -> None:
    assert [number(value) for value in (0.0, 2.5, 12000.0, 0.25)] == ["0", "2.5", "12,000", "0.25"]


def test_a_chart_without_points_says_so() -> None:
    assert "Nothing was measured" in Chart("Throughput", "rows a second", []).svg()


def test_a_chart_escapes_what_it_is_called() -> None:
    assert "<b>" not in Chart("<b>", "<b>", [(0.0, 1.0), (2.0, 3.0)]).svg()


def _receipt(**changes: Any) -> dict[str, Any]:
    return {
        "rows_read": 100,
        "rows_written": 90,
        "rows_rejected": 10,
        "rejects_by_reason": {"pan_empty": 10},
        "tokens_new": 5,
        "estimated_cost_usd": 0.0001,
        "aws_calls": {"s3": {"GetObject": 2}, "kms": {"GenerateDataKey": 1}},
        **changes,
    }


def _course(number: int, **changes: Any) -> Course:
    course = Course(
        _file(number), _upload(number), START + 1, "committed", 100, 1, ended_at=START + 3
    )
    return replace(course, **changes)


def _outcome(**changes: Any) -> Outcome:
    courses = [_course(0), _course(1, attempts=3, troubles={"throttled"}, ended_at=START + 5)]
    tracker = _tracker()
    for seconds in range(10):
        tracker.see([], QueueDepth(10 - seconds, 2), START + seconds)
    figures = figures_of(
        START, courses, tracker.samples, [_receipt(), _receipt()], [{"reason": "no_rows"}]
    )
    lines = [Line("rows read", 200, 200)]
    outcome = Outcome(LOAD, "local", "2027-01-15T08:00:00.000Z", 4, lines, [], figures, courses)
    return replace(outcome, **changes)


def test_figures_add_up_receipts_courses_and_letters() -> None:
    figures = _outcome().figures
    assert (figures.files_committed, figures.rows_read, figures.tokens_new) == (2, 200, 10)
    assert (figures.seconds, figures.rows_per_second) == (5.0, 40.0)
    assert figures.latency_seconds == {"p50": 2.0, "p90": 4.0, "p95": 4.0, "p99": 4.0, "p100": 4.0}
    assert (figures.retried_files, figures.attempts_beyond_the_first) == (1, 2)
    assert figures.files_in_trouble_by_code == {"throttled": 1}
    assert figures.dead_letters_by_reason == {"no_rows": 1}
    assert figures.aws_calls == {"kms": {"GenerateDataKey": 2}, "s3": {"GetObject": 4}}
    assert figures.estimated_usd_per_million_rows == 1.0
    assert figures.rejects_by_reason == {"pan_empty": 20}


def test_a_test_without_files_that_went_through_has_figures_too() -> None:
    figures = figures_of(START, [], [], [], [])
    assert figures.estimated_usd_per_million_rows is None
    assert (figures.rows_per_second, figures.latency_seconds) == (0.0, {})
    assert "Nothing was measured" in as_html(_outcome(figures=figures, courses=[]))


def test_it_adds_up_only_without_findings_and_with_all_sums_right() -> None:
    assert _outcome().adds_up
    assert not _outcome(findings=[Finding("a.csv", "is lost")]).adds_up
    assert not _outcome(lines=[Line("rows read", 200, 199)]).adds_up


class _WellFormed(HTMLParser):
    """Notes what is open; void elements and SVG's own ends apart."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [str(value) for name, value in attrs if name in ("src", "href", "srcset")]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_report_is_one_page_that_fetches_and_runs_nothing() -> None:
    html = as_html(_outcome())
    page = _WellFormed()
    page.feed(html)
    assert page.open == []
    assert page.links == []
    assert not re.search(r"https?:|url\(|@import|<script|\bon\w+=", html)


def test_the_report_says_whether_it_adds_up_and_what_does_not() -> None:
    assert "Everything adds up" in as_html(_outcome())
    html = as_html(_outcome(findings=[Finding("00001.csv", "1 rows missing: 17")]))
    assert "Does not add up" in html
    assert "1 rows missing: 17" in html


def test_names_in_the_report_are_text_and_no_markup() -> None:
    html = as_html(_outcome(deployment="<script>", findings=[Finding("<img>", "<b>")]))
    assert "<script>" not in html
    assert "<img>" not in html


def test_the_document_is_json() -> None:
    document = json.loads(json.dumps(as_document(_outcome())))
    assert document["adds_up"] is True
    assert document["load"]["files"] == 2
    assert document["reconciliation"] == [
        {"what": "rows read", "expected": 200, "found": 200, "is_right": True}
    ]
