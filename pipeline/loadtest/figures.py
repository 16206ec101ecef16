"""Figures of a load test: what its samples, courses and receipts come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Any

from pipeline.core.prices import sum_of_calls
from pipeline.loadtest.tracking import Course, Sample

PERCENTILES = (50, 90, 95, 99, 100)
MILLION = 1_000_000
MAX_BUCKETS = 60  # of the throughput's curve
LOOKS_PER_BUCKET = 3  # at least: a worker tells its progress now and then

Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Figures:
    """What a load test measured.

    `seconds` runs from the first upload's beginning to the last commit; `latency_seconds` is by
    percentile, from the end of a file's upload to its commit. The curves are points of (seconds,
    value); that of `files_within_seconds` is the per cent of the files that took no longer.
    `estimated_usd_per_million_rows` is None without rows.
    """

    files: int
    files_committed: int
    files_failed: int
    rows_read: int
    rows_written: int
    rows_rejected: int
    rejects_by_reason: Mapping[str, int]
    tokens_new: int
    seconds: float
    rows_per_second: float
    latency_seconds: Mapping[str, float]
    retried_files: int
    attempts_beyond_the_first: int
    files_in_trouble_by_code: Mapping[str, int]
    dead_letters_by_reason: Mapping[str, int]
    aws_calls: Mapping[str, Mapping[str, int]]
    estimated_cost_usd: float
    estimated_usd_per_million_rows: float | None
    rows_per_second_over_time: Points
    waiting_over_time: Points
    in_flight_over_time: Points
    files_ended_over_time: Points
    files_within_seconds: Points


def figures_of(
    started_at: float,
    courses: Sequence[Course],
    samples: Sequence[Sample],
    receipts: Sequence[Mapping[str, Any]],
    letters: Sequence[Mapping[str, Any]],
) -> Figures:
    """Adds up."""
    rejects: Counter[str] = Counter()
    for receipt in receipts:
        rejects.update(receipt["rejects_by_reason"])
    troubles = Counter(code for each in courses for code in each.troubles)
    latencies = [each.seconds for each in courses if each.seconds is not None]
    rows_read = _sum(receipts, "rows_read")
    cost = sum(receipt["estimated_cost_usd"] for receipt in receipts)
    seconds = max((each.ended_at or started_at for each in courses), default=started_at)
    seconds -= started_at
    return Figures(
        files=len(courses),
        files_committed=sum(each.status == "committed" for each in courses),
        files_failed=sum(each.status == "failed" for each in courses),
        rows_read=rows_read,
        rows_written=_sum(receipts, "rows_written"),
        rows_rejected=_sum(receipts, "rows_rejected"),
        rejects_by_reason=dict(sorted(rejects.items())),
        tokens_new=_sum(receipts, "tokens_new"),
        seconds=round(seconds, 3),
        rows_per_second=round(rows_read / seconds, 1) if seconds else 0.0,
        latency_seconds=percentiles(latencies),
        retried_files=sum(each.attempts > 1 for each in courses),
        attempts_beyond_the_first=sum(max(0, each.attempts - 1) for each in courses),
        files_in_trouble_by_code=dict(sorted(troubles.items())),
        dead_letters_by_reason=dict(
            sorted(Counter(str(each["reason"]) for each in letters).items())
        ),
        aws_calls=sum_of_calls(*(receipt["aws_calls"] for receipt in receipts)),
        estimated_cost_usd=round(cost, 6),
        estimated_usd_per_million_rows=round(cost / rows_read * MILLION, 4) if rows_read else None,
        rows_per_second_over_time=rates([(each.seconds, each.rows_read) for each in samples]),
        waiting_over_time=[(each.seconds, each.depth.waiting) for each in samples],
        in_flight_over_time=[(each.seconds, each.depth.in_flight) for each in samples],
        files_ended_over_time=[(each.seconds, each.files_ended) for each in samples],
        files_within_seconds=shares(latencies),
    )


def _sum(receipts: Sequence[Mapping[str, Any]], name: str) -> int:
    return sum(receipt[name] for receipt in receipts)


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """The smallest value that so many per cent do not exceed (nearest rank), by `p50` and so on."""
    ranked = sorted(values)
    if not ranked:
        return {}
    return {f"p{p}": round(ranked[ceil(p / 100 * len(ranked)) - 1], 3) for p in PERCENTILES}


def shares(values: Sequence[float]) -> Points:
    """The per cent of the values that each of them, in order, is not below."""
    ranked = sorted(values)
    percent = 100 / len(ranked) if ranked else 0.0
    points = [(round(value, 3), at * percent) for at, value in enumerate(ranked, start=1)]
    return [(0.0, 0.0), *points] if points else []


def rates(totals: Sequence[tuple[float, float]], buckets: int = MAX_BUCKETS) -> Points:
    """Growth a second of a total that was seen from time to time, in buckets of equal length.

    The total is taken to grow evenly between two looks, so what the buckets come to is the last
    total less the first.
    """
    if len(totals) < 2:
        return []
    first, last = totals[0][0], totals[-1][0]
    count = max(1, min(buckets, len(totals) // LOOKS_PER_BUCKET))
    width = (last - first) / count
    if width <= 0:
        return []
    edges = [first + at * width for at in range(count + 1)]
    heights = [_interpolated(totals, edge) for edge in edges]
    return [
        (round((edges[at] + edges[at + 1]) / 2, 3), (heights[at + 1] - heights[at]) / width)
        for at in range(len(edges) - 1)
    ]


def _interpolated(totals: Sequence[tuple[float, float]], at: float) -> float:
    for (left, low), (right, high) in pairwise(totals):
        if at <= right:
            share = (at - left) / (right - left) if right > left else 1.0
            return low + (high - low) * min(max(share, 0.0), 1.0)
    return totals[-1][1]
