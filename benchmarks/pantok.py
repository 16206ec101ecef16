"""The whole worker, in a process that holds what a Lambda worker's holds and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from benchmarks.counts import Counts
from benchmarks.files import LAYOUT_NAME
from pipeline.aws.session import CountedSession
from pipeline.handlers.work_queue import keep_what_is_loaded, worker_of
from pipeline.job import run_chunk, run_job
from pipeline.model import ChunkTask, Unfinished, Upload
from pipeline.settings import Settings
from pipeline.wiring import ports_of

SETTINGS = Settings(
    quarantine_bucket="quarantine",
    tokenized_bucket="tokenized",
    work_queue_url="http://127.0.0.1/work",
    dead_letter_queue_url="http://127.0.0.1/dead",
    vault_table="vault",
    fingerprints_table="fingerprints",
    data_keys_table="data-keys",
    jobs_table="jobs",
    vault_key_arn="arn:aws:kms:us-east-1:000000000000:key/vault",
    layouts_uri="s3://quarantine/layouts",
)


@dataclass(frozen=True)
class _OwnWork:
    """Messages that the same process works off later."""

    messages: list[Mapping[str, Any]] = field(default_factory=list)

    def send_all(self, messages: Sequence[Mapping[str, Any]]) -> None:
        self.messages.extend(messages)

    def postpone(self, receipt_handle: str, seconds: int) -> None:
        raise NotImplementedError


def pantok(_cards: int, layout: str = LAYOUT_NAME) -> Counts:
    """The file that the endpoint serves, from event to receipt, its chunks included."""
    queue = _OwnWork()
    ports = replace(ports_of(SETTINGS, CountedSession()), work_queue=queue)
    worker = worker_of(ports)
    keep_what_is_loaded()
    upload = Upload("quarantine", f"incoming/{layout}/{os.urandom(4).hex()}.csv", "v1")
    receipt = run_job(upload, worker, lambda: 900_000.0)
    for message in queue.messages:
        receipt = run_chunk(ChunkTask(upload, message["chunk"]), worker, lambda: 900_000.0)
    assert not isinstance(receipt, Unfinished)
    calls = {service: sum(each.values()) for service, each in receipt["aws_calls"].items()}
    dollars = receipt["estimated_cost_usd"]
    return Counts(receipt["rows_read"], receipt["pans_distinct"], calls, dollars)


CONTENDERS: dict[str, Callable[[int], Counts]] = {
    "pantok": pantok,
    "pantok, wide rows": partial(pantok, layout="card-present"),
}
