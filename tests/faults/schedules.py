"""Schedules: which files, which workers, which faults where; each run ends in its violations."""

from __future__ import annotations

import io
import json
import logging
import random
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from unittest import mock

import moto.s3.models
from botocore.awsrequest import AWSResponse

from pipeline import fan_out
from pipeline.aws import s3_writing
from pipeline.core.jobs import repair_key
from pipeline.handlers import work_queue
from pipeline.model import Upload
from pipeline.readers import registry
from pipeline.readers.delimited import read_delimited
from pipeline.samples.cards import synthetic_pans
from tests.faults.cloud import QUARANTINE, Apply, Cloud, CloudWorker, cloud
from tests.faults.invariants import SENSITIVE, Expected, View, at_any_time, leaks, once_it_is_quiet
from tests.faults.kinds import KINDS, Fault

LAYOUT = 'name = "{name}"\n[columns.card]\nrole = "pan"\n[columns.note]\nrole = "keep"\n{rest}'
LAYOUTS = {
    "plain": LAYOUT.format(name="plain", rest=""),
    "once-only": LAYOUT.format(name="once-only", rest='[options]\nduplicates = "refuse"\n'),
}
PANS = tuple(synthetic_pans(56, seed=61))
FAILS_LUHN = "4111111111111112"
BLOCK_BYTES = 1000  # a chunk of the chunked files holds some thirty rows
PARTED_BYTES = 350  # half of which a file must have to be parted
SMALL_PART_BYTES = 400  # of an object that is written in parts
MAX_DELIVERIES = 60


@dataclass(frozen=True)
class File:
    """A file to upload, and what is to become of it."""

    name: str
    layout: str
    pans: tuple[str, ...]
    rejects: tuple[str, ...] = ()
    reason: str | None = None
    notes: Mapping[int, str] = field(default_factory=dict)
    lost: tuple[int, ...] = ()  # rows that the guard takes
    members: int = 0  # of a zip archive, over which the rows are spread; 0 if it is none

    @property
    def body(self) -> bytes:
        if not self.members:
            return self._text()
        share = -(-len(self.pans) // self.members)
        shares = [self.pans[at : at + share] for at in range(0, len(self.pans), share)]
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for at, pans in enumerate(shares):
                rejects = self.rejects if at == len(shares) - 1 else ()
                archive.writestr(f"{at}.csv", replace(self, pans=pans, rejects=rejects)._text())
        return packed.getvalue()

    def _text(self) -> bytes:
        rows = [f"{pan},{self.notes.get(at, '')}" for at, pan in enumerate(self.pans)]
        lines = [f"{row},{SENSITIVE}" for row in [*rows, *self.rejects]]
        return ("card,note,cvv\n" + "\n".join(lines) + "\n").encode()

    def expected(self, upload: Upload) -> Expected:
        written = [pan for at, pan in enumerate(self.pans) if at not in self.lost]
        rows = len(self.pans) + len(self.rejects)
        is_exclusive = self.layout == "once-only"
        return Expected(upload, written, len(set(self.pans)), rows, self.reason, is_exclusive)


REPAIRED = (*synthetic_pans(1, seed=62), PANS[0])
REJECTS = (",no card", "411111******1111,masked", "1,2,3")
DAY = File("day.csv", "plain", PANS, REJECTS)
AGAIN = File("again.csv", "plain", PANS, REJECTS)
SAME_CARDS = File("same.csv", "plain", tuple(reversed(PANS)), REJECTS[:1])
ONCE = File("once.csv", "once-only", PANS[:30])
TWICE = File("twice.csv", "once-only", PANS[:30])
UNFAMILIAR = File("strange.csv", "nobody-knows", PANS[:3], reason="unknown_layout")
MEMBERS = File("day.zip", "plain", PANS, REJECTS, members=3)
LATE = File(
    "late.csv",
    "plain",
    (*PANS, FAILS_LUHN),
    notes={1: f"ref {FAILS_LUHN}", 40: f"ref {FAILS_LUHN}"},
    lost=(1, 40),
)


@dataclass(frozen=True)
class Scenario:
    files: tuple[File, ...]
    is_chunked: bool = False  # the time is up after each record batch
    is_parted: bool = False  # into chunks that have messages of their own
    is_in_parts: bool = False  # objects are written as multipart uploads
    repairs: tuple[str, ...] = ()  # names of files that repair the first rows of the first file's

    def seconds_left(self) -> Callable[[], float]:
        return (lambda: 1.0) if self.is_chunked else (lambda: 900.0)


SCENARIOS = {
    "a file": Scenario((DAY,)),
    "a file in chunks": Scenario((DAY,), is_chunked=True),
    "two files of the same cards": Scenario((DAY, SAME_CARDS)),
    "the same content twice": Scenario((ONCE, TWICE)),
    "a file and two that may come once": Scenario((DAY, ONCE, TWICE)),
    "a file that fails": Scenario((UNFAMILIAR,)),
    "two repairs of one job": Scenario((DAY,), repairs=("one.jsonl", "other.jsonl")),
    "a PAN that shows late, in chunks": Scenario((LATE,), is_chunked=True),
    "a file of many workers": Scenario((DAY,), is_parted=True),
    "a PAN that shows late, to many workers": Scenario((LATE,), is_parted=True),
    "a file written in parts": Scenario((DAY,), is_in_parts=True),
    "an archive in chunks": Scenario((MEMBERS,), is_chunked=True),
}


@dataclass
class Outcome:
    requests: Sequence[str]
    violations: list[str]


class Stage:
    """A scenario under way."""

    def __init__(
        self, scenario: Scenario, cloud: Cloud, order: Callable[[list[Any]], None]
    ) -> None:
        self.scenario, self.cloud = scenario, cloud
        for name, document in LAYOUTS.items():
            cloud.client("s3").put_object(
                Bucket=QUARANTINE, Key=f"layouts/{name}.toml", Body=document.encode()
            )
        self.expected = [
            file.expected(cloud.upload(f"incoming/{file.layout}/{file.name}", file.body))
            for file in scenario.files
        ]
        self.workers: list[CloudWorker] = []
        self.violations: list[str] = []
        self._order = order
        self.announce()
        if scenario.repairs:
            self.drain()
            self.expected += [self._repair(name) for name in scenario.repairs]
            self.announce()

    def _repair(self, name: str) -> Expected:
        """Two of the first file's rejected rows repaired, and one left."""
        file, job = self.scenario.files[0], self.expected[0].upload.job_id
        first = len(file.pans) + 1
        rows = [
            {"row": first + at, "record": f"{pan},,{SENSITIVE}"} for at, pan in enumerate(REPAIRED)
        ]
        body = "\n".join(map(json.dumps, rows)).encode()
        upload = self.cloud.upload(repair_key(file.layout, job, name), body)
        return Expected(upload, REPAIRED, len(REPAIRED), len(file.rejects), repairs=job)

    def announce(self) -> None:
        uploads = [each.upload for each in self.expected]
        self._order(uploads)
        for upload in uploads:
            self.cloud.announce(upload)

    def worker(self) -> CloudWorker:
        self.workers.append(self.cloud.worker(self.scenario.seconds_left))
        return self.workers[-1]

    def drain(self, worker: CloudWorker | None = None, fault: Fault | None = None) -> None:
        """Delivers until the queue is empty, to another worker where one is killed."""
        worker = worker or self.worker()
        for _ in range(MAX_DELIVERIES):
            delivery = self.cloud.receive()
            if delivery is None:
                return
            if not worker.is_alive:
                worker = self.worker()
            self._hand(delivery, worker)
            if fault is not None and fault.times_struck and fault.lasts:
                worker.wire.meddle = None  # until the delivery ended
            if fault is not None:
                self.violations += at_any_time(View(self.cloud))
        self.violations.append("the queue does not become empty")

    def _hand(self, delivery: Any, worker: CloudWorker) -> None:
        try:
            self.cloud.deliver(delivery, worker)
        except Exception as error:  # noqa: BLE001 - nothing but what `deliver` knows may come out
            self.violations.append(f"{type(error).__name__} came out of the worker")
            self.cloud.give_back(delivery)

    def overtake(self) -> None:
        """Another worker gets the same events, and everything else, and works all of it off."""
        self.announce()
        self.drain()

    def delete_sources(self) -> None:
        """Somebody deletes the files: each is through by now, or fails for that."""
        for each in self.expected:
            where = {"Key": each.upload.key, "VersionId": each.upload.version_id}
            self.cloud.client("s3").delete_object(Bucket=QUARANTINE, **where)
        self.expected = [replace(each, may_be_missing=True) for each in self.expected]

    def replace_source(self) -> None:
        """Somebody uploads other content under the name of the first file."""
        upload = self.cloud.upload(self.expected[0].upload.key, SAME_CARDS.body)
        is_exclusive = self.expected[0].is_exclusive
        reason = self.expected[0].reason
        self.expected.append(
            replace(SAME_CARDS.expected(upload), is_exclusive=is_exclusive, reason=reason)
        )
        self.cloud.announce(upload)

    def happening(self, kind: str) -> Callable[[], None]:
        """What a fault of this kind does beside the request."""
        others = {"source deleted": self.delete_sources, "source replaced": self.replace_source}
        return others.get(kind, self.overtake)

    def finish(self, said: io.StringIO) -> None:
        letters = self.cloud.dead_letters()
        view = View(self.cloud)
        self.violations += once_it_is_quiet(view, self.expected, letters)
        pans = [*PANS, *REPAIRED, FAILS_LUHN]
        self.violations += leaks(view, pans, said.getvalue(), letters)
        self.announce()
        self.drain()
        after = View(self.cloud)
        if _committed(after) != _committed(view) or after.claims != view.claims:
            self.violations.append("a replay changed what was committed")
        for worker in self.workers:
            self.violations += worker.wire.beyond_its_rights


def _committed(view: View) -> dict[str, bytes]:
    return {key: body for key, body in view.objects.items() if key.startswith("data/")}


@contextmanager
def staged(
    scenario: Scenario, order: Callable[[list[Any]], None] = lambda _: None
) -> Iterator[tuple[Stage, io.StringIO]]:
    said = io.StringIO()
    with ExitStack() as stack:
        for handler in logging.getLogger(work_queue.SERVICE).handlers:
            stack.enter_context(mock.patch.object(handler, "stream", said))
        stack.enter_context(redirect_stdout(said))
        if scenario.is_parted:
            stack.enter_context(mock.patch.object(fan_out, "CHUNK_BYTES", PARTED_BYTES))
        if scenario.is_chunked or scenario.is_parted:
            reader = partial(read_delimited, block_bytes=BLOCK_BYTES)
            stack.enter_context(mock.patch.dict(registry.READERS, {"delimited": reader}))  # type: ignore[arg-type]
        if scenario.is_in_parts:
            stack.enter_context(
                mock.patch.object(s3_writing, "UPLOAD_PART_BYTES", SMALL_PART_BYTES)
            )
            stack.enter_context(mock.patch.object(moto.s3.models, "S3_UPLOAD_PART_MIN_SIZE", 0))
        yield Stage(scenario, stack.enter_context(cloud()), order), said


def run_single(scenario: Scenario, kind: str | None = None, at: int = 0) -> Outcome:
    """One fault at one request of the run, then redelivery until all is quiet."""
    with staged(scenario) as (stage, said):
        victim = stage.worker()
        fault = None
        if kind is not None:
            fault = Fault(kind, at, overtake=stage.happening(kind))
            fault.put_in(victim)
        stage.drain(victim, fault)
        requests = list(victim.wire.requests)
        stage.finish(said)
        return Outcome(requests, stage.violations)


def run_random(seed: int) -> Outcome:
    """Files, workers, faults, duplicates and their order in time, all from a seed."""
    rng = random.Random(seed)
    pool = [DAY, AGAIN, SAME_CARDS, ONCE, TWICE, UNFAMILIAR, LATE]
    files = tuple(rng.sample(pool, rng.randint(1, 3)))
    can_be_repaired = len(files[0].rejects) >= len(REPAIRED)
    repairs = ("one.jsonl", "other.jsonl") if can_be_repaired and rng.random() < 0.5 else ()
    scenario = Scenario(
        files,
        is_chunked=rng.random() < 0.5,
        is_parted=rng.random() < 0.4,
        is_in_parts=rng.random() < 0.3,
        repairs=repairs,
    )
    with staged(scenario, rng.shuffle) as (stage, said):
        if rng.random() < 0.7:
            stage.announce()
        turnstile = Turnstile(rng)
        workers = [stage.worker() for _ in range(rng.randint(1, 3))]
        kinds = [kind for kind in KINDS if not kind.startswith("overtaken")]
        struck = [number for number in range(len(workers)) if rng.random() < 0.8]
        chosen = {number: rng.choice(kinds) for number in struck}
        faults = {
            number: Fault(kind, rng.randint(1, 60), overtake=stage.happening(kind))
            for number, kind in chosen.items()
        }
        for number, worker in enumerate(workers):
            turnstile.add(partial(_work, stage, worker, faults.get(number), turnstile))
        turnstile.run()
        stage.violations += at_any_time(View(stage.cloud))
        for worker in workers:
            worker.wire.meddle = None
        stage.drain()
        stage.finish(said)
        return Outcome([], stage.violations)


def _work(stage: Stage, worker: CloudWorker, fault: Fault | None, turnstile: Turnstile) -> None:
    def meddle(count: int, operation: str, request: Any, apply: Apply) -> AWSResponse:
        turnstile.wait()
        if fault is None:
            return apply(request)
        return fault.meddle(count, operation, request, apply)

    worker.wire.meddle = meddle
    for _ in range(MAX_DELIVERIES):
        turnstile.wait()
        delivery = stage.cloud.receive() if worker.is_alive else None
        if delivery is None:
            return
        stage._hand(delivery, worker)
        if fault is not None and fault.times_struck and fault.lasts:
            fault = None


class Turnstile:
    """Lets one of several threads go on at a time, as far as its next turn: chance decides which."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._changed = threading.Condition()
        self._waiting: set[str] = set()
        self._turn = ""
        self._threads: dict[str, threading.Thread] = {}

    def add(self, work: Callable[[], None]) -> None:
        name = f"worker-{len(self._threads)}"

        def first_wait() -> None:
            try:
                work()
            finally:
                with self._changed:
                    self._threads.pop(name)
                    self._changed.notify_all()

        self._threads[name] = threading.Thread(target=first_wait, name=name, daemon=True)

    def wait(self) -> None:
        """Called by a thread before it does something that others can see."""
        name = threading.current_thread().name
        with self._changed:
            self._waiting.add(name)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._turn == name)
            self._turn = ""
            self._waiting.discard(name)

    def run(self) -> None:
        for thread in list(self._threads.values()):
            thread.start()
        with self._changed:
            while self._threads:
                self._changed.wait_for(
                    lambda: not self._turn and self._waiting >= self._threads.keys()
                )
                if self._threads:
                    self._turn = self._rng.choice(sorted(self._waiting))
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: not self._turn)


@dataclass(frozen=True)
class Schedule:
    """One run: a fault of a kind at a request of a scenario, or all that a seed says."""

    scenario: str = ""
    kind: str = ""
    at: int = 0
    seed: int = 0

    def __str__(self) -> str:
        return (
            f"{self.scenario}: {self.kind} at request {self.at}"
            if self.kind
            else f"seed {self.seed}"
        )

    def run(self) -> list[str]:
        """Its violations."""
        if self.kind:
            return run_single(SCENARIOS[self.scenario], self.kind, self.at).violations
        return run_random(self.seed).violations


def single_faults(scenario: str, kinds: Sequence[str] = tuple(KINDS)) -> list[Schedule]:
    """A fault of each of these kinds at every request of a scenario's run."""
    requests = run_single(SCENARIOS[scenario]).requests
    places = range(1, len(requests) + 1)
    return [Schedule(scenario, kind, at) for at in places for kind in kinds]


def random_schedules(seeds: Sequence[int]) -> list[Schedule]:
    return [Schedule(seed=seed) for seed in seeds]


@dataclass
class Score:
    """What a sweep came to."""

    schedules: int = 0
    violated: list[tuple[Schedule, list[str]]] = field(default_factory=list)

    def add(self, schedule: Schedule, violations: list[str]) -> None:
        self.schedules += 1
        if violations:
            self.violated.append((schedule, violations))

    def __str__(self) -> str:
        """The violations by kind, with the first schedule that showed each."""
        counts = Counter(text for _, texts in self.violated for text in set(texts))
        first = {text: name for name, texts in reversed(self.violated) for text in texts}
        lines = [f"{self.schedules:,} schedules, {len(self.violated):,} violated an invariant"]
        lines += [f"  {count} x {text} (first: {first[text]})" for text, count in counts.items()]
        return "\n".join(lines)


def sweep(schedules: Sequence[Schedule]) -> Score:
    score = Score()
    for schedule in schedules:
        score.add(schedule, schedule.run())
    return score
