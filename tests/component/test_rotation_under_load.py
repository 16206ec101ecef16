"""Keys are renewed while files are tokenized and tokens opened: no failure, no second token.

Every read and write of a fingerprint is a turn of its own, and chance decides whose turn it is.
Time is told by a watch: it jumps only while no job is under way, as a job cannot outlast the grace.
"""

from __future__ import annotations

import io
import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from unittest import mock

import pyarrow.parquet as pq
import pytest

from pipeline.core.keyring import GRACE
from pipeline.detokenize import detokenize
from pipeline.job import Worker, run_job
from pipeline.keys import FingerprintKey
from pipeline.model import SealedPan
from pipeline.samples.cards import synthetic_pans
from pipeline.succession import SuccessiveFingerprints
from pipeline.testing import A_MOMENT, MemoryFingerprints, MemoryLayouts, MemoryWorld
from pipeline.testing.care import (
    MemoryFingerprintStore,
    MemoryKeyStore,
    MemoryRenewal,
    MemoryVaultStore,
)
from pipeline.vault_care import reindex, succession
from pipeline.vault_care.passes import Progress
from pipeline.vault_care.reindex import Reindexing
from pipeline.vault_care.rewrap import Target, rewrap
from tests.faults.schedules import Turnstile

CARDS = synthetic_pans(12, seed=21)
LAYOUT = 'name = "x"\nscope = "x"\n[columns.card]\nrole = "pan"\n'
KEY_ARN = "arn:aws:kms:us-east-1:000000000000:key/memory"
JOBS_EACH = 3
SCHEDULES = 60


class TurnedFingerprints(MemoryFingerprints):
    """Each fingerprint is read and written in a turn of its own."""

    def __init__(self, turnstile: Turnstile) -> None:
        super().__init__()
        self._turnstile = turnstile

    async def look_up(self, fingerprints: Sequence[bytes]) -> Sequence[str | None]:
        found: list[str | None] = []
        for each in fingerprints:
            self._turnstile.wait()
            found += await super().look_up([each])
        return found

    async def claim(self, fingerprints: Sequence[bytes], tokens: Sequence[str]) -> Sequence[str]:
        winners: list[str] = []
        for fingerprint, token in zip(fingerprints, tokens, strict=True):
            self._turnstile.wait()
            winners += await super().claim([fingerprint], [token])
        return winners


class Forgetful:
    """As a worker reads: what was written a moment ago may not be there yet."""

    def __init__(self, consistent: MemoryFingerprints, rng: random.Random) -> None:
        self._rng = rng
        self._consistent = consistent
        self.claim = consistent.claim

    async def look_up(self, fingerprints: Sequence[bytes]) -> Sequence[str | None]:
        found = await self._consistent.look_up(fingerprints)
        return [token if self._rng.random() < 0.8 else None for token in found]


class Stage:
    """Workers, one who opens tokens, and an operator who renews all keys."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.turnstile = Turnstile(self.rng)
        self.world = MemoryWorld(
            self.rng.randbytes,
            MemoryLayouts(LAYOUT),
            fingerprints=TurnedFingerprints(self.turnstile),
        )
        self.now = A_MOMENT
        self.jobs_under_way = 0
        self.is_held = False
        self.workers_left = 0
        self.tokens: defaultdict[str, set[str]] = defaultdict(set)
        self.opened = 0
        self.failures: list[str] = []

    def clock(self) -> datetime:
        return self.now

    # Those at work

    def work(self) -> None:
        warm = self._key()
        for _ in range(JOBS_EACH):
            self.turnstile.wait()
            while self.is_held:
                self.turnstile.wait()
            self.jobs_under_way += 1
            try:
                self._job(warm if self.rng.random() < 0.6 else self._key())
            finally:
                self.jobs_under_way -= 1
        self.workers_left -= 1

    def _key(self) -> FingerprintKey:
        return FingerprintKey(self.world.keys, self.world.data_keys, self.clock)

    def _job(self, key: FingerprintKey) -> None:
        fingerprints = SuccessiveFingerprints(Forgetful(self.world.fingerprints, self.rng))
        ports = replace(self.world.ports(), fingerprints=fingerprints, clock=self.clock)
        pans = self.rng.sample(CARDS, 4)
        upload = self.world.quarantine.put("incoming/x/a.csv", "\n".join(["card", *pans]).encode())
        receipt = run_job(upload, Worker(ports, key.fingerprinter, 1.0), lambda: 900.0)
        assert receipt is not None
        (output,) = receipt["outputs"]
        table = pq.read_table(io.BytesIO(self.world.tokenized.objects[output["uri"]]))
        for pan, token in zip(pans, table["card_token"].to_pylist(), strict=True):
            self.tokens[pan].add(token)

    def get(self, tokens: Sequence[str]) -> Mapping[str, SealedPan]:
        return {each: self.world.vault.rows[each] for each in tokens}

    def open_tokens(self) -> None:
        while self.workers_left:
            self.turnstile.wait()
            for pan, tokens in list(self.tokens.items()):
                known = sorted(tokens)
                found = detokenize(known, self, self.world.data_keys, self.world.keys)
                assert list(found.digits) == [pan.encode()] * len(known)
                self.opened += len(known)

    # The operator

    def renew(self, *, waits: bool = True, reindexes: bool = True) -> None:
        store = MemoryKeyStore(self.world.data_keys)
        renewal = MemoryRenewal(self.world.keys, self.clock)
        for _ in range(self.rng.randrange(30)):
            self.turnstile.wait()
        succession.begin(store, renewal, KEY_ARN, self.now)
        if waits:
            self._let_time_pass()
        self._rewrap(store, renewal)
        if reindexes:
            self._reindex(store)
        else:
            ring = self.world.data_keys.ring
            self.world.data_keys.ring = replace(ring, reindexed_from="x")
        for _ in range(self.rng.randrange(20)):
            self.turnstile.wait()
        succession.finish(store, self.now)
        if waits:
            self._let_time_pass()
            assert succession.destroy_retired(store, self.now) == ["fingerprint-1"]
            self._rewrap(store, renewal)

    def _rewrap(self, store: MemoryKeyStore, renewal: MemoryRenewal) -> None:
        renewal.rotate(KEY_ARN)
        target = Target(KEY_ARN, renewal.rotated_at(KEY_ARN))
        report = rewrap(
            store, renewal, {"vault": target, "fingerprint": target}, self.clock, lambda: None
        )
        assert report.verified == report.rewrapped > 0

    def _reindex(self, store: MemoryKeyStore) -> None:
        Reindexing(
            MemoryVaultStore(self.world.vault),
            MemoryFingerprintStore(self.world.fingerprints),
            store,
            self.world.keys,
            self.clock,
            Progress(),
        ).run()

    def _let_time_pass(self) -> None:
        self.is_held = True
        while self.jobs_under_way:
            self.turnstile.wait()
        self.now += GRACE + timedelta(seconds=1)
        self.is_held = False

    def run(self, *operators: Callable[[], None], workers: int = 3) -> None:
        self.workers_left = workers
        for work in (*([self.work] * workers), self.open_tokens, *operators):
            self.turnstile.add(self._noting_failures(work))
        self.turnstile.run()

    def _noting_failures(self, work: Callable[[], None]) -> Callable[[], None]:
        def noting() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - a thread's failure is noted, not lost
                self.failures.append(f"{type(error).__name__}: {error}")
                self.workers_left = 0

        return noting

    @property
    def second_tokens(self) -> list[str]:
        return [pan[-4:] for pan, tokens in self.tokens.items() if len(tokens) > 1]


def test_files_and_openings_go_on_while_every_key_is_renewed(
    record_property: pytest.RecordProperty,
) -> None:
    record_property("cases", SCHEDULES)
    for seed in range(SCHEDULES):
        stage = Stage(seed)
        stage.run(stage.renew)
        assert stage.failures == [], f"seed {seed}"
        assert stage.second_tokens == [], f"seed {seed}"
        assert stage.world.data_keys.ring.versions == (2,)
        assert stage.opened > 0
        late = Stage(seed)
        late.world, late.tokens, late.now = stage.world, stage.tokens, stage.now
        late.world.fingerprints._turnstile = late.turnstile  # type: ignore[attr-defined]
        late.run(workers=1)
        assert (late.failures, late.second_tokens) == ([], []), f"seed {seed}"


def _is_caught(run: Callable[[Stage], None]) -> bool:
    """Whether one of the schedules shows a card with two tokens."""
    for seed in range(SCHEDULES):
        stage = Stage(seed)
        run(stage)
        if stage.second_tokens:
            return True
    return False


@contextmanager
def _without_waiting() -> Iterator[None]:
    with (
        mock.patch.object(reindex, "may_reindex"),
        mock.patch.object(
            reindex,
            "reindexed",
            lambda ring, _at: replace(ring, reindexed_from="x", generation=ring.generation + 1),
        ),
    ):
        yield


def test_without_the_wait_before_the_re_indexing_a_card_gets_a_second_token() -> None:
    with _without_waiting():
        assert _is_caught(lambda s: s.run(lambda: s.renew(waits=False)))


def test_without_the_re_indexing_a_card_gets_a_second_token() -> None:
    assert _is_caught(lambda s: s.run(lambda: s.renew(reindexes=False)))


def test_claimed_under_the_new_version_first_a_card_gets_a_second_token() -> None:
    async def claim_new_first(
        self: SuccessiveFingerprints, fingerprints: Sequence[bytes], tokens: Sequence[str]
    ) -> Sequence[str]:
        return await self._single.claim([each[-33:] for each in fingerprints], tokens)

    with mock.patch.object(SuccessiveFingerprints, "claim", claim_new_first):
        assert _is_caught(lambda s: s.run(s.renew))


def test_a_ring_of_one_version_costs_nothing_more() -> None:
    def run(*, is_wrapped: bool) -> list[int]:
        sizes: list[int] = []

        class Counted(MemoryFingerprints):
            async def look_up(self, fingerprints: Sequence[bytes]) -> Sequence[str | None]:
                sizes.append(len(fingerprints))
                return await super().look_up(fingerprints)

            async def claim(
                self, fingerprints: Sequence[bytes], tokens: Sequence[str]
            ) -> Sequence[str]:
                sizes.append(-len(fingerprints))
                return await super().claim(fingerprints, tokens)

        world = MemoryWorld(os.urandom, MemoryLayouts(LAYOUT), fingerprints=Counted())
        key = FingerprintKey(world.keys, world.data_keys, lambda: A_MOMENT)
        ports = world.ports()
        if not is_wrapped:
            ports = replace(ports, fingerprints=world.fingerprints)
        upload = world.quarantine.put("incoming/x/a.csv", "\n".join(["card", *CARDS]).encode())
        run_job(upload, Worker(ports, key.fingerprinter, 1.0), lambda: 900.0)
        return sizes

    assert run(is_wrapped=True) == run(is_wrapped=False)
