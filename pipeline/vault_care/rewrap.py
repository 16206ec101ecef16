"""All wrapped data keys wrapped anew: as many calls as there are data keys, whatever the PANs.

A data key stays the same, and with it everything that it seals. A run that was cut off is taken up
by the next one, which leaves out what is done; two runs at a time do each other no harm, since a
wrapped form is replaced only where it is still the one that was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pipeline.core.receipts import iso_time
from pipeline.errors import PermanentError
from pipeline.model import Purpose
from pipeline.ports import Clock
from pipeline.vault_care.ports import DataKeyStore, KeptDataKey, KeyRenewal

AT_ONCE = 8
CLOCK_TOLERANCE = timedelta(minutes=5)  # between a worker's clock and that of KMS

Fate = Literal["current", "to_do", "rewrapped", "done_by_another"]


@dataclass(frozen=True, slots=True)
class Target:
    """The key that data keys of one purpose are to be wrapped under, at its newest material."""

    key_arn: str
    rotated_at: datetime | None


Targets = Mapping[Purpose, Target]


@dataclass(frozen=True, slots=True)
class RewrapReport:
    """What became of the data keys; `verified` is how many of the new forms unwrap in KMS."""

    data_keys: int
    current: int
    to_do: int
    rewrapped: int
    done_by_another: int
    verified: int


def is_current(kept: KeptDataKey, target: Target) -> bool:
    """Whether the data key is wrapped under the newest material of the target key."""
    if kept.record.key_arn != target.key_arn:
        return False
    if target.rotated_at is None:
        return True
    wrapped_at = datetime.fromisoformat(kept.rewrapped_at or kept.record.created_at)
    return wrapped_at > target.rotated_at + CLOCK_TOLERANCE


def plan(store: DataKeyStore, targets: Targets) -> RewrapReport:
    """What a run would do; it changes nothing and asks KMS for nothing."""
    fates = [_planned(kept, targets) for kept in store.all()]
    return _report(fates, 0)


def rewrap(
    store: DataKeyStore,
    renewal: KeyRenewal,
    targets: Targets,
    clock: Clock,
    on_each: Callable[[], None] = lambda: None,
) -> RewrapReport:
    """Wraps anew what is not current, reads each new form back and has KMS unwrap it once more.

    Raises `PermanentError` `data_key_broken` for one that KMS finds changed (nothing is written of
    it), `data_keys_lost` when there are fewer afterwards than before.
    """
    run = _Run(store, renewal, targets, clock)
    fates: list[Fate] = []
    for fate in _at_once(run.one, store.all()):
        fates.append(fate)
        on_each()
    remaining = sum(1 for _ in store.all())
    if remaining < len(fates):
        raise PermanentError("data_keys_lost", f"{len(fates)} before, {remaining} afterwards")
    return _report(fates, fates.count("rewrapped"))


@dataclass(frozen=True, slots=True)
class _Run:
    store: DataKeyStore
    renewal: KeyRenewal
    targets: Targets
    clock: Clock

    def one(self, kept: KeptDataKey) -> Fate:
        if _planned(kept, self.targets) == "current":
            return "current"
        target = self.targets[kept.record.purpose].key_arn
        new = self.renewal.rewrap(kept.record, target)
        rewrapped_at = self._wrapped_at(kept.record.purpose)
        if not self.store.replace(kept.record, new, iso_time(rewrapped_at)):
            return "done_by_another"
        self.renewal.rewrap(self.store.get(kept.record.data_key_id), target)
        return "rewrapped"

    def _wrapped_at(self, purpose: Purpose) -> datetime:
        """Now, but late enough to count as after the rotation, whatever our clock says."""
        now, rotated_at = self.clock(), self.targets[purpose].rotated_at
        just_after = timedelta(milliseconds=1) + CLOCK_TOLERANCE
        return now if rotated_at is None else max(now, rotated_at + just_after)


def _planned(kept: KeptDataKey, targets: Targets) -> Fate:
    return "current" if is_current(kept, targets[kept.record.purpose]) else "to_do"


def _report(fates: list[Fate], verified: int) -> RewrapReport:
    return RewrapReport(
        data_keys=len(fates),
        current=fates.count("current"),
        to_do=fates.count("to_do"),
        rewrapped=fates.count("rewrapped"),
        done_by_another=fates.count("done_by_another"),
        verified=verified,
    )


def _at_once(one: Callable[[KeptDataKey], Fate], records: Iterable[KeptDataKey]) -> Iterator[Fate]:
    """Works the records off, `AT_ONCE` at a time, and holds no more of them than that."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        running: set[Future[Fate]] = set()
        for record in records:
            running.add(pool.submit(one, record))
            if len(running) >= 2 * AT_ONCE:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (each.result() for each in done)
        yield from (each.result() for each in running)
