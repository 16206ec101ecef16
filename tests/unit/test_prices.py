"""What a job costs at list prices."""

from __future__ import annotations

import pytest

from pipeline.core.prices import calls_between, estimated_cost_usd


def cost(
    calls: dict[str, dict[str, int]] | None = None,
    *,
    written: int = 0,
    looked_up: int = 0,
    gb_seconds: float = 0.0,
) -> float:
    """In dollars, less the one request to Lambda that every job is."""
    total = estimated_cost_usd(
        calls or {}, items_written=written, items_looked_up=looked_up, gb_seconds=gb_seconds
    )
    return total - 0.20e-6


@pytest.mark.parametrize(
    ("dollars", "actual"),
    [
        (0.0, cost()),
        (0.625, cost(written=1_000_000)),
        (0.0625, cost(looked_up=1_000_000)),
        (0.0000133334, cost(gb_seconds=1)),
        (0.03, cost({"kms": {"GenerateDataKey": 4_000, "Decrypt": 6_000}})),
        (0.40, cost({"sqs": {"SendMessage": 600_000, "DeleteMessage": 400_000}})),
        (0.005, cost({"s3": {"PutObject": 400, "CopyObject": 300, "UploadPart": 300}})),
        (0.0004, cost({"s3": {"GetObject": 600, "HeadObject": 400}})),
        (0.0, cost({"s3": {"DeleteObject": 1_000, "AbortMultipartUpload": 1_000}})),
        (0.625, cost({"dynamodb": {"UpdateItem": 500_000, "PutItem": 500_000}})),
        (0.125, cost({"dynamodb": {"GetItem": 1_000_000}})),
        (0.0, cost({"dynamodb": {"BatchExecuteStatement": 40_000, "BatchGetItem": 10_000}})),
        (0.0, cost({"sts": {"GetCallerIdentity": 1_000_000}})),
    ],
)
def test_a_cost_is_that_of_the_price_list(dollars: float, actual: float) -> None:
    assert actual == pytest.approx(dollars, abs=1e-8)


def test_the_calls_of_a_job_are_those_since_it_began() -> None:
    before = {"s3": {"GetObject": 2, "PutObject": 1}, "kms": {"Decrypt": 1}}
    after = {
        "s3": {"PutObject": 3, "GetObject": 2, "CopyObject": 1},
        "kms": {"Decrypt": 1},
        "dynamodb": {"BatchGetItem": 7},
    }
    assert calls_between(before, after) == {
        "dynamodb": {"BatchGetItem": 7},
        "s3": {"CopyObject": 1, "PutObject": 2},
    }
    assert calls_between({}, after) == {
        name: dict(sorted(calls.items())) for name, calls in after.items()
    }
    assert calls_between(after, after) == {}
