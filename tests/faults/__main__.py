"""`make faults`: as many schedules as wanted, the systematic ones first, then random ones.

make faults SCHEDULES=5000      all single faults, then seeds from SEED on
make faults SEED=123            one random schedule again, as a failure's report names it
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from rich.console import Console
from rich.progress import track

from tests import conftest
from tests.faults.mutants import MUTANTS, caught_after
from tests.faults.schedules import (
    SCENARIOS,
    Schedule,
    Score,
    random_schedules,
    single_faults,
)

messages = Console(stderr=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--schedules", type=int, help="how many in all")
    parser.add_argument("--seed", type=int, help="the first seed; alone: the only schedule")
    options = parser.parse_args()
    assert conftest  # it takes the caller's AWS credentials out of reach
    if options.seed is not None and options.schedules is None:
        return _replay(Schedule(seed=options.seed))
    first_seed = options.seed or 0
    started = time.monotonic()
    score = Score()
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        wanted = list(_schedules(options.schedules or 5000, first_seed))
        outcomes = pool.map(Schedule.run, wanted, chunksize=10)
        shown = track(
            zip(wanted, outcomes, strict=True),
            "schedules",
            len(wanted),
            console=messages,
            disable=not messages.is_terminal,
        )
        for schedule, violations in shown:
            score.add(schedule, violations)
            if violations:
                messages.print(f"{schedule}: {'; '.join(violations)}")
        caught = dict(zip(MUTANTS, pool.map(caught_after, MUTANTS), strict=True))
    print(f"{score} ({time.monotonic() - started:.0f} s)")  # noqa: T201
    for mutant, count in caught.items():
        found = f"caught after {count} schedules" if count else "NOT CAUGHT"
        print(f"planted bug, {mutant}: {found}")  # noqa: T201
    return 1 if score.violated or not all(caught.values()) else 0


def _schedules(count: int, first_seed: int) -> Iterator[Schedule]:
    systematic = [schedule for scenario in SCENARIOS for schedule in single_faults(scenario)]
    yield from systematic[:count]
    yield from random_schedules(range(first_seed, first_seed + max(0, count - len(systematic))))


def _replay(schedule: Schedule) -> int:
    violations = schedule.run()
    print(f"{schedule}: {'; '.join(violations) or 'no invariant violated'}")  # noqa: T201
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
