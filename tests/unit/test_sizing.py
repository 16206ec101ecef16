"""The page on sizing reckons with the product's own prices and limits."""

from __future__ import annotations

from math import ceil

import pytest

from pipeline.aws.dynamodb_calls import MAX_THROTTLED_TRIES
from pipeline.aws.faults import LONGEST_PAUSE_SECONDS
from pipeline.aws.pump import FIRST_UNDER_WAY, MOST_UNDER_WAY
from pipeline.core import prices
from pipeline.handlers.work_queue import POSTPONE_SECONDS
from tests.conftest import ROOT
from tests.template import load

PAGE = " ".join((ROOT / "docs" / "sizing.md").read_text(encoding="utf-8").split())
ROWS, LOOK_UPS, NEW_CARDS, SECONDS = 1e9, 0.8e9, 5e6, 4 * 3600
ROW, LOOK_UP, NEW_CARD = 4e-6, 9e-6, 41e-6  # a worker's seconds, as the page plans with
GIGABYTES = 1769 / 1024


def _worker_seconds(rows: float, look_ups: float, new_cards: float) -> float:
    return rows * ROW + look_ups * LOOK_UP + new_cards * NEW_CARD


def _dollars(share: float = 1.0) -> dict[str, float]:
    """A day of the example, or a share of it."""
    seconds = _worker_seconds(ROWS, LOOK_UPS, NEW_CARDS)
    parts = {
        "look-ups": LOOK_UPS / 2 * prices.DYNAMODB_READ_UNIT,
        "vault and fingerprints": NEW_CARDS * 2 * prices.DYNAMODB_WRITE_UNIT,
        "workers": seconds * GIGABYTES * prices.LAMBDA_GB_SECOND,
        "S3 requests": 2000 * 4 * (prices.S3_WRITE + prices.S3_READ),
        "KMS, SQS": 2000 * (prices.KMS_REQUEST + 5 * prices.SQS_REQUEST),
        "sources for 7 days": 150 * 7 * 0.023 / 30,
    }
    return {name: dollars * share for name, dollars in parts.items()}


def test_a_days_cost_is_made_of_the_table_of_prices() -> None:
    for name, dollars in _dollars().items():
        assert f"| {name} |" in PAGE
        assert f" | {dollars:.2f} |" in PAGE, name
    assert f"**together** | | **{sum(_dollars().values()):.2f}** |" in PAGE


@pytest.mark.parametrize(("words", "share"), [("10 million", 0.01), ("100 million", 0.1)])
def test_smaller_days_cost_less(words: str, share: float) -> None:
    rows, look_ups = ROWS * share / SECONDS, LOOK_UPS * share / SECONDS
    new_cards, dollars = NEW_CARDS * share / SECONDS, sum(_dollars(share).values())
    assert f"| {words} | {rows:,.0f} | {look_ups:,.0f} | {new_cards:.0f} | {dollars:.2f} |" in PAGE


def test_new_cards_cost_what_the_page_says() -> None:
    worker = _worker_seconds(1e6, 1e6, 1e6) * GIGABYTES * prices.LAMBDA_GB_SECOND
    dollars = 1e6 * (2 * prices.DYNAMODB_WRITE_UNIT + prices.DYNAMODB_READ_UNIT / 2) + worker
    assert f"A million new cards cost ${dollars:.2f}" in PAGE
    assert f"100 million comes to ${100 * dollars:.0f}" in PAGE


def test_the_example_needs_as_many_workers_as_the_page_says() -> None:
    workers = _worker_seconds(ROWS, LOOK_UPS, NEW_CARDS) / SECONDS
    assert f"= {workers:.2f}, so {ceil(workers)} worker" in PAGE


def test_the_page_tells_how_throttling_is_borne_as_it_is() -> None:
    assert f"{FIRST_UNDER_WAY} requests under way at first" in PAGE
    assert f"up to {MOST_UNDER_WAY}," in PAGE
    assert f"up to {LONGEST_PAUSE_SECONDS:.0f} seconds" in PAGE
    assert f"at most {POSTPONE_SECONDS[-1] // 60} minutes" in PAGE
    assert MAX_THROTTLED_TRIES * LONGEST_PAUSE_SECONDS / 2 > 120


def test_the_page_names_the_templates_parameters_and_memory() -> None:
    template = load()
    for name in template["Parameters"]:
        if "Warm" in name or name == "MaximumConcurrency":
            assert f"`{name}`" in PAGE
    memory = template["Resources"]["WorkerFunction"]["Properties"]["MemorySize"]
    assert f"{memory:,} MB is where Lambda gives one whole processor" in PAGE
