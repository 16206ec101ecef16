"""What a file will take: seconds, calls to AWS, dollars.

The calls are counted as the worker makes them. The speeds are those that `docs/sizing.md` plans
with, about twice what the line takes on a machine with nothing else to do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, log

from pipeline.core.prices import AwsCalls, estimated_cost_usd

LOOK_UPS_PER_CALL = 100  # DynamoDB BatchGetItem
INSERTS_PER_CALL = 25  # DynamoDB BatchExecuteStatement
SECONDS_PER_CHUNK = 160.0  # the worker's time-out less what it keeps for a clean stop
SECONDS_PER_ROW = 4e-6
SECONDS_PER_LOOK_UP = 9e-6
SECONDS_PER_NEW_PAN = 41e-6
SECONDS_PER_CALL = 0.008  # to DynamoDB, from a Lambda function of the same region
CALLS_IN_FLIGHT = 8
SECONDS_PER_FILE = 0.5  # from the event to the first record, and from the last one to the receipt
WORKER_GB = 1769 / 1024
MESSAGES_PER_CHUNK = 3  # sent, received, deleted
LEDGER_WRITES_PER_CHUNK = 3  # planned, recorded, finished
DIGESTS_PER_CHUNK = 3  # its cards, the long numbers seen, how they begin; kept, and read once


@dataclass(frozen=True, slots=True)
class Work:
    """What there is to do, in counts; `record_batches` is how many pieces the file is read in.

    `pans_looked_up` adds up the different PANs of each piece, `pans_new` are those of all that have
    no token yet; with `one_time` tokens nothing is looked up and each row's PAN is new. `parts` is
    how many chunks a large file is planned to have, 1 for one that is not parted.
    """

    rows: float
    record_batches: float
    pans_looked_up: float
    pans_new: float
    has_rejects: bool
    is_one_time: bool = False
    has_layout: bool = True
    parts: int = 1

    def times(self, factor: float, pans_new: float) -> Work:
        """As much work of the same kind, with that many new PANs."""
        return replace(
            self,
            rows=self.rows * factor,
            record_batches=self.record_batches * factor,
            pans_looked_up=self.pans_looked_up * factor,
            pans_new=pans_new,
        )


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the work comes to; `invocations` are those of the chunks, and the one that plans them.

    `seconds` adds up the work of all of them, less what planning takes.
    """

    seconds: float
    chunks: int
    invocations: int
    aws_calls: AwsCalls
    cost_usd: float


def forecast(work: Work) -> Forecast:
    """What it takes one worker; several share the chunks of a large file."""
    computing = work.rows * SECONDS_PER_ROW + work.pans_new * SECONDS_PER_NEW_PAN
    computing += work.pans_looked_up * SECONDS_PER_LOOK_UP
    waiting = sum(_dynamodb(work, chunks=1).values()) * SECONDS_PER_CALL / CALLS_IN_FLIGHT
    seconds = SECONDS_PER_FILE + computing + waiting
    chunks = max(work.parts, ceil(seconds / SECONDS_PER_CHUNK))
    invocations = chunks + (1 if work.parts > 1 else 0)
    calls: AwsCalls = {
        "dynamodb": _dynamodb(work, chunks=chunks),
        "kms": {"GenerateDataKey": _data_keys(work, chunks)} if work.pans_new else {},
        "s3": _s3(work, chunks=chunks),
        "sqs": {"messages": MESSAGES_PER_CHUNK * invocations},
    }
    inserts = 1 if work.is_one_time else 2  # the vault, and the claim
    cost = estimated_cost_usd(
        calls,
        items_written=round(inserts * work.pans_new),
        items_looked_up=round(work.pans_looked_up),
        gb_seconds=seconds * WORKER_GB,
        invocations=invocations,
    )
    return Forecast(seconds, chunks, invocations, calls, cost)


def _data_keys(work: Work, chunks: int) -> int:
    """One for each chunk with new cards."""
    return min(chunks, ceil(work.pans_new))


def _dynamodb(work: Work, *, chunks: int) -> dict[str, int]:
    inserts = ceil(work.pans_new / INSERTS_PER_CALL) * (1 if work.is_one_time else 2)
    return {
        "BatchGetItem": _calls(work.pans_looked_up, work.record_batches),
        "BatchExecuteStatement": inserts + _data_keys(work, chunks),
        # Started, content claimed, committed.
        "UpdateItem": 3 if chunks == 1 else 3 + LEDGER_WRITES_PER_CHUNK * chunks,
        "TransactWriteItems": 1,  # decided
    }


def _calls(pans: float, record_batches: float) -> int:
    """Look-ups are made batch by batch, so the last call of each is half full on average."""
    if not pans:
        return 0
    whole = ceil(pans / LOOK_UPS_PER_CALL)
    return whole if record_batches <= 1 else whole + round(record_batches / 2)


def _s3(work: Work, *, chunks: int) -> dict[str, int]:
    documents = 2 if work.has_layout else 1  # the rules for folders and the layout
    written = chunks * (2 if work.has_rejects else 1)  # parts and rejects
    digests = 0 if chunks == 1 else DIGESTS_PER_CHUNK * chunks
    read = chunks + (1 if work.parts > 1 else 0)  # once more to find out where chunks begin
    return {
        "GetObject": documents + read + digests,
        "HeadObject": 1,
        "PutObject": written + digests + 1,  # the receipt
        "CopyObject": chunks,
        "PutObjectTagging": 1,
    }


def distinct_in_all(seen: list[tuple[int, int]], rows: float) -> int:
    """How many different PANs so many rows hold, by how their number grew in a sample.

    `seen` are rows and different PANs after each piece. New ones get rarer by a power of the rows
    read (Heaps' law); its exponent is taken from the second half of the sample.
    """
    if not seen or not seen[-1][1]:
        return 0
    sampled_rows, distinct = seen[-1]
    half = min(seen, key=lambda each: abs(each[0] - sampled_rows / 2))
    exponent = 1.0  # each row a new card: all that a single piece allows to say
    if 0 < half[0] < sampled_rows and half[1]:
        exponent = log(distinct / half[1]) / log(sampled_rows / half[0])
    growth: float = (rows / sampled_rows) ** min(max(exponent, 0.0), 1.0)
    return round(distinct * growth)
