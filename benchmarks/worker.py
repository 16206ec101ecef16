"""One whole worker, or one of its rivals, in a process of its own: prints what it took as JSON.

python -m benchmarks.worker pantok --endpoint http://127.0.0.1:1234 --cards 1000
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.counts import Counts

NOT_DEPLOYED: Any = None  # importing it fails, as it does in Lambda


def contender_named(name: str) -> Callable[[int], Counts]:
    """A contender; of the others nothing is imported."""
    module, contenders = "benchmarks.rivals", "RIVALS"
    if name.startswith("pantok"):
        sys.modules["numpy"] = NOT_DEPLOYED  # pyarrow would take it into memory
        module, contenders = "benchmarks.pantok", "CONTENDERS"
    contender: Callable[[int], Counts] = getattr(import_module(module), contenders)[name]
    return contender


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
    parser.add_argument("contender")
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
    print(json.dumps(measured(contender_named(options.contender), options.cards)))


if __name__ == "__main__":
    main()
