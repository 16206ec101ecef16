"""One whole worker, or one of its rivals, in a process of its own: prints what it took as JSON.

python -m benchmarks.worker pantok --endpoint http://127.0.0.1:1234 --cards 1000
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import rivals
from benchmarks.files import LAYOUT_NAME
from benchmarks.rivals import Counts
from pipeline.aws.session import CountedSession
from pipeline.job import Worker, run_chunk, run_job
from pipeline.keys import FingerprintKey
from pipeline.model import ChunkTask, Unfinished, Upload
from pipeline.settings import Settings
from pipeline.testing import MemoryWorkQueue
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


def pantok(_cards: int, layout: str = LAYOUT_NAME) -> Counts:
    """The file that the endpoint serves, from event to receipt, its chunks included."""
    queue = MemoryWorkQueue()
    ports = replace(ports_of(SETTINGS, CountedSession()), work_queue=queue)
    key = FingerprintKey(ports.key_service, ports.data_key_records, ports.clock)
    worker = Worker(ports, key.fingerprinter, memory_gb=1.7)
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
    **rivals.RIVALS,
}


def measured(contender: Callable[[int], Counts], cards: int) -> dict[str, Any]:
    """Wall-clock and CPU seconds, peak memory, and what was done in them."""
    started, cpu = time.perf_counter(), time.process_time()
    counts = contender(cards)
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "peak_rss_mb": peak_rss_mb(),
        "rows": counts.rows,
        "pans": counts.pans,
        "calls": sum(counts.calls.values()),
        "dynamodb_calls": counts.calls.get("dynamodb", 0),
        "kms_calls": counts.calls.get("kms", 0),
        "dollars": counts.dollars,
    }


def peak_rss_mb() -> float:
    """Of this process; `getrusage` would count that of the one that started it, too."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    """Runs one contender on one core."""
    parser = argparse.ArgumentParser()
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--cards", type=int, default=1000, help="for the rivals")
    parser.add_argument("--core", type=int, default=0, help="to be pinned to; -1 for any")
    options = parser.parse_args()
    if options.core >= 0 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {options.core})
    os.environ |= {
        "AWS_ENDPOINT_URL": options.endpoint,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    print(json.dumps(measured(CONTENDERS[options.contender], options.cards)))


if __name__ == "__main__":
    main()
