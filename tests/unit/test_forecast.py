"""What a file will take, from counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.bench import MIN_SECONDS_LEFT
from pipeline.core.forecast import SECONDS_PER_CHUNK, Work, distinct_in_all, forecast
from pipeline.fan_out import CHUNK_BYTES, CHUNK_ROWS, MAX_CHUNKS, planned_chunks
from tests.template import load


def work(rows: float = 1000, new: float = 230, looked_up: float = 230, batches: float = 1) -> Work:
    return Work(rows, batches, looked_up, new, has_rejects=False)


def test_new_cards_cost_what_the_worker_is_tested_to_make_of_them() -> None:
    calls = forecast(work()).aws_calls
    assert calls["kms"] == {"GenerateDataKey": 1}
    assert calls["dynamodb"]["BatchGetItem"] == 3
    assert calls["dynamodb"]["BatchExecuteStatement"] == 2 * 10 + 1
    assert calls["s3"]["GetObject"] == 3


def test_known_cards_cost_look_ups_only() -> None:
    known = forecast(work(new=0))
    assert known.aws_calls["kms"] == {}
    assert known.aws_calls["dynamodb"]["BatchExecuteStatement"] == 0
    assert known.cost_usd < forecast(work()).cost_usd / 3


def test_nothing_to_do_costs_little() -> None:
    assert 0 < forecast(work(0, 0, 0, 0)).cost_usd < 0.0001


def test_a_file_that_takes_long_is_worked_off_in_chunks_each_with_a_data_key() -> None:
    large = forecast(work(rows=1e9, new=1e6, looked_up=1e7, batches=20_000))
    assert large.chunks == -(-large.seconds // SECONDS_PER_CHUNK) > 10
    assert large.aws_calls["kms"] == {"GenerateDataKey": large.chunks}


def test_a_parted_file_costs_what_each_of_its_chunks_does() -> None:
    one, parted = forecast(work(new=1000)), forecast(replace(work(new=1000), parts=5))
    assert (one.chunks, one.invocations) == (1, 1)
    assert (parted.chunks, parted.invocations) == (5, 6)  # and the one that plans
    calls = parted.aws_calls
    assert calls["kms"] == {"GenerateDataKey": 5}
    assert calls["sqs"] == {"messages": 3 * 6}
    assert calls["dynamodb"]["UpdateItem"] == 3 + 3 * 5
    assert calls["s3"]["PutObject"] == one.aws_calls["s3"]["PutObject"] + 4 + 3 * 5
    assert calls["s3"]["GetObject"] == one.aws_calls["s3"]["GetObject"] + 4 + 1 + 3 * 5
    assert parted.cost_usd > one.cost_usd


def test_no_more_data_keys_are_needed_than_there_are_new_cards() -> None:
    assert forecast(replace(work(new=2), parts=5)).aws_calls["kms"] == {"GenerateDataKey": 2}


@pytest.mark.parametrize(
    ("size_bytes", "rows", "chunks"),
    [
        (0, 0, 1),
        (2 * CHUNK_BYTES, 10**9, 1),  # not worth parting
        (2 * CHUNK_BYTES + 1, 1000, 3),
        (10 * CHUNK_BYTES, 1000, 10),
        (10 * CHUNK_BYTES, 15 * CHUNK_ROWS, 15),  # short rows
        (5 * MAX_CHUNKS * CHUNK_BYTES, 1000, MAX_CHUNKS),
    ],
)
def test_a_file_is_parted_by_bytes_and_by_rows(size_bytes: int, rows: int, chunks: int) -> None:
    assert planned_chunks(size_bytes, rows) == chunks


def test_a_million_new_cards_cost_what_the_price_list_says() -> None:
    """Two writes of 0.625 dollars, half a read of 0.125, all else small beside it."""
    assert forecast(work(1e6, 1e6, 1e6, 20)).cost_usd == pytest.approx(1.3125, rel=0.15)


@pytest.mark.parametrize(
    ("seen", "rows", "cards"),
    [
        ([(100, 50), (200, 50)], 1000, 50),  # no new ones
        ([(100, 100), (200, 200)], 1000, 1000),  # nothing but new ones
        ([(100, 100), (400, 200)], 1600, 400),  # as the square root
        ([(200, 80)], 400, 160),  # one piece says no more
        ([(100, 0), (200, 0)], 1000, 0),
        ([(100, 0), (200, 10)], 1000, 50),
        ([], 1000, 0),
    ],
)
def test_cards_grow_as_they_grew_in_the_sample(
    seen: list[tuple[int, int]], rows: float, cards: int
) -> None:
    assert distinct_in_all(seen, rows) == cards


def test_a_chunk_is_what_an_invocation_has_time_for() -> None:
    timeout = load()["Resources"]["WorkerFunction"]["Properties"]["Timeout"]
    assert timeout - MIN_SECONDS_LEFT == SECONDS_PER_CHUNK
