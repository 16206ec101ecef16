"""A job ends once, whatever happens to its attempts: crashes, lost replies, overlaps, replays."""

from __future__ import annotations

import dataclasses
import inspect
import io
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.detokenize import detokenize
from pipeline.errors import PermanentError, TransientError
from pipeline.job import Worker, give_up, run_job
from pipeline.keys import FingerprintKey
from pipeline.minting import Mint
from pipeline.model import SealedPans, Upload
from pipeline.ports import Ports
from pipeline.samples.cards import synthetic_pans
from pipeline.testing import MemoryLayouts, MemoryTokenized, MemoryWorld

LAYOUT = 'name = "x"\n[columns.card]\nrole = "pan"\n'
PANS = synthetic_pans(40, seed=21)
BODY = ("card\n" + "\n".join([*PANS, '""', "411111******1111"]) + "\n").encode()


class CrashError(BaseException):
    """A worker that is killed: nothing after this runs, but for context managers."""


class Tripwire:
    """Counts the calls to all ports, and does something at the k-th of them."""

    def __init__(self, k: int, before: Callable[[], None], after: Callable[[], None]) -> None:
        self._k, self._before, self._after = k, before, after
        self.calls = 0

    def wrap(self, ports: Ports) -> Ports:
        fields = {field.name: getattr(ports, field.name) for field in dataclasses.fields(ports)}
        watched = set(fields) - {"clock", "crew", "entropy", "calls", "layouts"}
        return Ports(
            **{
                name: _Watched(port, self) if name in watched else port
                for name, port in fields.items()
            }
        )

    @contextmanager
    def passing(self) -> Iterator[None]:
        self.calls += 1
        is_here = self.calls == self._k
        if is_here:
            self._before()
        yield
        if is_here:
            self._after()

    def pass_through(self, call: Callable[[], Any]) -> Any:
        with self.passing():
            return call()

    async def pass_through_later(self, step: Coroutine[Any, Any, Any]) -> Any:
        try:
            with self.passing():
                return await step
        finally:
            step.close()


class _Watched:
    def __init__(self, port: Any, wire: Tripwire) -> None:
        self._port, self._wire = port, wire

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if name.endswith("_uri"):
            return method
        if name in ("open", "open_rejects", "stage"):
            return lambda *arguments: self._context(method, arguments)
        if inspect.iscoroutinefunction(method):
            return lambda *arguments: self._wire.pass_through_later(method(*arguments))
        return lambda *arguments: self._wire.pass_through(lambda: method(*arguments))

    @contextmanager
    def _context(self, method: Any, arguments: Any) -> Any:
        with method(*arguments) as stream:
            yield self._wire.pass_through(lambda: stream)
        self._wire.pass_through(lambda: None)


def _nothing() -> None:
    pass


def _crash() -> None:
    raise CrashError


def _lose() -> None:
    raise TransientError("aws_unreachable", "the reply was lost")


class Scene:
    def __init__(self) -> None:
        self.world = MemoryWorld(os.urandom, MemoryLayouts(LAYOUT))
        self.upload = self.world.quarantine.put("incoming/x/a.csv", BODY)

    def worker(self, ports: Ports | None = None) -> Worker:
        ports = ports or self.world.ports()
        key = FingerprintKey(ports.key_service, ports.data_key_records, ports.clock)
        return Worker(ports, key.fingerprinter, memory_gb=1.0)

    def run(self, wire: Tripwire | None = None, upload: Upload | None = None) -> Any:
        ports = wire.wrap(self.world.ports()) if wire else None
        return run_job(upload or self.upload, self.worker(ports), lambda: 900.0)

    def check_at_any_time(self) -> None:
        """What must hold even between a crash and the next delivery."""
        world = self.world
        for token in world.fingerprints.tokens.values():
            assert world.vault.rows[token].data_key_id in world.data_keys.records
        for receipt in world.tokenized.receipts.values():
            for output in receipt["outputs"]:
                part = pq.read_table(io.BytesIO(world.tokenized.objects[output["uri"]]))
                assert part.num_rows == output["rows"]
                assert set(part["card_token"].to_pylist()) <= set(world.vault.rows)

    def check(self) -> None:
        """Every invariant, against all that there is."""
        self.check_at_any_time()
        world = self.world
        (receipt,) = world.tokenized.receipts.values()
        assert receipt["status"] == "committed"
        assert (receipt["rows_read"], receipt["rows_written"], receipt["rows_rejected"]) == (
            42,
            40,
            2,
        )
        visible = {uri: body for uri, body in world.tokenized.objects.items() if "/data/" in uri}
        assert list(visible) == [output["uri"] for output in receipt["outputs"]]
        (part,) = visible.values()
        tokens = pq.read_table(io.BytesIO(part))["card_token"].to_pylist()
        assert len(set(tokens)) == len(world.fingerprints.tokens) == len(PANS)
        assert set(tokens) == set(world.fingerprints.tokens.values())
        pans = detokenize(tokens, self, world.data_keys, world.keys)
        assert [pan.decode() for pan in pans.digits] == PANS
        assert set(receipt["rejects_uris"]) <= set(world.quarantine.rejects)
        assert len(receipt["rejects_uris"]) == 1
        assert {job.status for job in world.ledger.jobs.values()} == {"committed"}
        assert (self.upload.key, self.upload.version_id) in world.quarantine.tokenized

    def get(self, tokens: Any) -> Any:
        return self.world.vault.rows


def _calls_of_a_run() -> int:
    scene, wire = Scene(), Tripwire(0, _nothing, _nothing)
    scene.run(wire)
    scene.check()
    return wire.calls


CALLS = _calls_of_a_run()


def test_a_run_makes_enough_calls_to_be_worth_breaking() -> None:
    assert CALLS >= 15


@pytest.mark.parametrize("k", range(1, CALLS + 1))
@pytest.mark.parametrize("fault", [_crash, _lose], ids=["killed", "lost"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_fault_at_any_call_and_a_redelivery_end_in_one_commit(
    k: int, fault: Callable[[], None], when: str
) -> None:
    scene = Scene()
    before, after = (fault, _nothing) if when == "before" else (_nothing, fault)
    with pytest.raises((CrashError, TransientError)):
        scene.run(Tripwire(k, before, after))
    scene.check_at_any_time()
    scene.run()
    scene.check()


@pytest.mark.parametrize("k", range(1, CALLS + 1))
def test_a_worker_that_is_overtaken_at_any_call_changes_nothing(k: int) -> None:
    scene = Scene()
    scene.run(Tripwire(k, lambda: scene.run() and None, _nothing))
    scene.check()


@pytest.mark.parametrize("k", range(1, CALLS + 1))
def test_a_worker_that_wakes_up_after_another_has_finished_does_no_harm(k: int) -> None:
    scene = Scene()

    def overtaken_and_killed() -> None:
        scene.run()
        raise CrashError

    with pytest.raises(CrashError):
        scene.run(Tripwire(k, overtaken_and_killed, _nothing))
    scene.run()
    scene.check()


@pytest.mark.parametrize("k", range(1, CALLS + 1))
def test_two_files_with_the_same_cards_agree_on_every_token(k: int) -> None:
    scene = Scene()
    other = scene.world.quarantine.put("incoming/x/b.csv", BODY)
    scene.run(Tripwire(k, lambda: scene.run(upload=other) and None, _nothing))
    receipts = scene.world.tokenized.receipts.values()
    tables = [
        pq.read_table(io.BytesIO(scene.world.tokenized.objects[receipt["outputs"][0]["uri"]]))
        for receipt in receipts
    ]
    assert tables[0].equals(tables[1])
    assert Counter(receipt["tokens_new"] for receipt in receipts).total() == 2
    assert sum(receipt["tokens_new"] for receipt in receipts) == len(PANS)


def test_a_committed_job_is_left_alone() -> None:
    scene = Scene()
    first = scene.run()
    wire = Tripwire(0, _nothing, _nothing)
    assert scene.run(wire) == first
    assert wire.calls == 1


def test_a_refusal_that_comes_after_a_commit_does_not_undo_it() -> None:
    scene = Scene()

    def commit_and_refuse() -> None:
        scene.run()
        raise PermanentError("malformed_file")

    receipt = scene.run(Tripwire(2, commit_and_refuse, _nothing))
    assert receipt["status"] == "committed"
    scene.check()


def test_a_source_that_is_replaced_meanwhile_is_another_job() -> None:
    scene = Scene()
    newer = scene.world.quarantine.put("incoming/x/a.csv", f"card\n{PANS[0]}\n".encode())
    assert newer.job_id != scene.upload.job_id
    scene.run()
    scene.check()
    scene.run(upload=newer)
    assert len(scene.world.tokenized.receipts) == 2
    assert len(scene.world.vault.rows) == len(PANS)


def _sweep() -> int:
    """How many crashes leave something that must never be there."""
    violations = 0
    for k in range(1, CALLS + 1):
        scene = Scene()
        with suppress(CrashError):
            scene.run(Tripwire(k, _nothing, _crash))
        try:
            scene.check_at_any_time()
        except (AssertionError, KeyError):
            violations += 1
    return violations


def test_the_sweep_finds_nothing_in_the_product() -> None:
    assert _sweep() == 0


def test_the_sweep_finds_a_claim_that_comes_before_its_vault_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def claim_first(
        mint: Any, places: Any, sealed: SealedPans, fingerprints: Sequence[bytes]
    ) -> Any:
        winners = await mint._claim(fingerprints, sealed.tokens)
        await mint._store(places, sealed)
        return places, winners

    monkeypatch.setattr(Mint, "_store_and_claim", claim_first)
    assert _sweep() > 0


def test_the_sweep_finds_a_receipt_that_comes_before_its_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish = MemoryTokenized.publish
    postponed: list[tuple[str, str]] = []

    def publish_later(store: MemoryTokenized, staged_uri: str, uri: str) -> None:
        postponed.append((staged_uri, uri))

    def discard(store: MemoryTokenized, staged_uris: Any) -> None:
        while postponed:
            with suppress(KeyError):  # of a scene that crashed before
                publish(store, *postponed.pop())

    monkeypatch.setattr(MemoryTokenized, "publish", publish_later)
    monkeypatch.setattr(MemoryTokenized, "discard_staged", discard)
    assert _sweep() > 0


# The same content twice

REFUSING = LAYOUT + '[options]\nduplicates = "refuse"\n'


def _duplicates(layout: str) -> tuple[Scene, Upload]:
    scene = Scene()
    scene.world.layouts = MemoryLayouts(layout)
    return scene, scene.world.quarantine.put("incoming/x/again.csv", BODY)


def test_content_that_comes_again_is_reported() -> None:
    scene, again = _duplicates(LAYOUT)
    assert scene.run()["duplicate_of"] is None
    receipt = scene.run(upload=again)
    assert (receipt["status"], receipt["duplicate_of"]) == ("committed", scene.upload.job_id)
    assert scene.run(upload=again) == receipt


def test_content_that_comes_again_is_refused_if_the_layout_says_so() -> None:
    scene, again = _duplicates(REFUSING)
    scene.run()
    for _ in range(2):
        with pytest.raises(PermanentError, match="duplicate_content"):
            scene.run(upload=again)
    receipt = scene.world.tokenized.receipts[again.job_id]
    assert (receipt["reason"], receipt["duplicate_of"]) == (
        "duplicate_content",
        scene.upload.job_id,
    )
    assert len(scene.world.tokenized.objects) == 1


def test_the_same_job_again_is_no_duplicate_of_itself() -> None:
    scene, _ = _duplicates(REFUSING)
    calls = Tripwire(0, _nothing, _nothing)
    scene.run(calls)
    for k in range(1, calls.calls + 1):
        scene, _ = _duplicates(REFUSING)
        with suppress(CrashError):
            scene.run(Tripwire(k, _nothing, _crash))
        scene.run()
        scene.check()


def test_content_of_a_job_that_failed_may_come_again() -> None:
    scene, again = _duplicates(REFUSING)
    ledger = scene.world.ledger
    decide = ledger.decide
    ledger.decide = lambda *_: _lose()  # type: ignore[method-assign]
    with pytest.raises(TransientError):
        scene.run()
    give_up(scene.upload, scene.worker(), TransientError("throttled"))
    ledger.decide = decide  # type: ignore[method-assign]
    assert scene.run(upload=again)["duplicate_of"] is None
    with pytest.raises(PermanentError, match="duplicate_content"):
        scene.run()


def test_of_two_with_the_same_content_at_once_one_is_refused() -> None:
    for k in range(1, CALLS + 1):
        scene, again = _duplicates(REFUSING)

        def overtake(scene: Scene = scene, again: Upload = again) -> None:
            with suppress(PermanentError):
                scene.run(upload=again)

        with suppress(PermanentError):
            scene.run(Tripwire(k, overtake, _nothing))
        statuses = [receipt["status"] for receipt in scene.world.tokenized.receipts.values()]
        assert sorted(statuses) == ["committed", "failed"]
