"""What AWS asks for a call: list prices of us-east-1 as of November 2026, in US dollars."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping

AwsCalls = Mapping[str, Mapping[str, int]]

PRICES_AS_OF = "2026-11"
DYNAMODB_WRITE_UNIT = 0.625 / 1e6  # one item of up to 1 KB
DYNAMODB_READ_UNIT = 0.125 / 1e6  # one item of up to 4 KB, strongly consistent
KMS_REQUEST = 0.03 / 1e4
S3_WRITE = 0.005 / 1e3  # PUT, COPY, POST, LIST
S3_READ = 0.0004 / 1e3
SQS_REQUEST = 0.40 / 1e6
LAMBDA_GB_SECOND = 0.0000133334  # arm64
LAMBDA_REQUEST = 0.20 / 1e6

TRANSACTION_WRITES = 4  # of the ledger: two items at most, each written twice

_S3_READS = frozenset({"GetObject", "HeadObject", "GetObjectTagging"})
_S3_FREE = frozenset({"DeleteObject", "DeleteObjects", "AbortMultipartUpload"})
_LEDGER_WRITES = frozenset({"UpdateItem", "PutItem"})


def estimated_cost_usd(
    calls: AwsCalls,
    *,
    items_written: int,
    items_looked_up: int,
    gb_seconds: float,
    invocations: int = 1,
) -> float:
    """The price of a job: its calls, the DynamoDB items behind them, and the worker's time.

    DynamoDB charges for items, not calls: inserts one write unit each (a vault row is far below
    1 KB), look-ups half a read unit each (eventually consistent).
    """
    dynamodb = calls.get("dynamodb", {})
    ledger_writes = sum(count for name, count in dynamodb.items() if name in _LEDGER_WRITES)
    ledger_writes += dynamodb.get("TransactWriteItems", 0) * TRANSACTION_WRITES
    ledger_reads = dynamodb.get("GetItem", 0)
    total = (
        (items_written + ledger_writes) * DYNAMODB_WRITE_UNIT
        + (items_looked_up / 2 + ledger_reads) * DYNAMODB_READ_UNIT
        + sum(calls.get("kms", {}).values()) * KMS_REQUEST
        + sum(calls.get("sqs", {}).values()) * SQS_REQUEST
        + _s3(calls.get("s3", {}))
        + gb_seconds * LAMBDA_GB_SECOND
        + invocations * LAMBDA_REQUEST
    )
    return round(total, 8)


def _s3(calls: Mapping[str, int]) -> float:
    reads = sum(count for name, count in calls.items() if name in _S3_READS)
    free = sum(count for name, count in calls.items() if name in _S3_FREE)
    return reads * S3_READ + (sum(calls.values()) - reads - free) * S3_WRITE


def sum_of_calls(*counts: AwsCalls) -> dict[str, dict[str, int]]:
    """All of these calls together."""
    total: dict[str, Counter[str]] = defaultdict(Counter)
    for calls in counts:
        for service, operations in calls.items():
            total[service].update(operations)
    return {service: dict(sorted(total[service].items())) for service in sorted(total)}


def calls_between(before: AwsCalls, after: AwsCalls) -> dict[str, dict[str, int]]:
    """The calls made from one snapshot of a counter to a later one."""
    difference: dict[str, dict[str, int]] = {}
    for service, operations in after.items():
        earlier = before.get(service, {})
        fresh = {name: count - earlier.get(name, 0) for name, count in operations.items()}
        fresh = {name: count for name, count in sorted(fresh.items()) if count}
        if fresh:
            difference[service] = fresh
    return dict(sorted(difference.items()))
