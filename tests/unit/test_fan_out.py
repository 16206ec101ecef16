"""A large file is parted, its chunks are worked off by anybody in any order, and it ends as one."""

from __future__ import annotations

import gzip
import itertools
import json
import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import fan_out
from pipeline.core.messages import WorkMessage, parse_message
from pipeline.errors import PermanentError, TransientError
from pipeline.job import Worker, give_up, run_chunk, run_job
from pipeline.model import ChunkTask, Unfinished
from pipeline.readers import registry
from pipeline.readers.delimited import read_delimited
from pipeline.testing import A_MOMENT
from tests.unit.test_chunking import FAILS_LUHN, LAYOUT, PANS, Scene, batches, body, plenty

TRAILER = '[records.types.detail]\nmatch = "D,"\n[records.types.trailer]\nmatch = "T,"\nrole = "trailer"\n[records.types.trailer.totals]\ncount_field = 2\nsum_field = 3\nsum_column = "amount"\n'
TOTALLED = f'name = "x"\n{TRAILER}[format]\nheader = false\nfields = ["type", "card", "amount"]\n[columns.card]\nrole = "pan"\n[columns.amount]\nrole = "keep"\ntype = "decimal(12,2)"\n'


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.READERS, "delimited", partial(read_delimited, block_bytes=512))
    monkeypatch.setattr(fan_out, "CHUNK_BYTES", 1500)


class Crowd:
    """A file and the messages about it; `seconds_left` is what each worker has."""

    def __init__(self, content: bytes, layout: str = LAYOUT, folder: str = "x/") -> None:
        self.scene = Scene(content, layout, folder)
        self.seconds_left = plenty
        self.outcomes: list[Any] = []

    @property
    def messages(self) -> list[Mapping[str, Any]]:
        return self.scene.world.work_queue.messages

    def plan(self) -> Any:
        return run_job(self.scene.upload, self.scene.worker(), self.seconds_left())

    def plan_to_the_end(self) -> None:
        while self.plan() is Unfinished.TO_BE_CONTINUED:
            pass

    @property
    def asked_for(self) -> list[int]:
        """The chunks that there are messages for, by their place in the plan."""
        return [task.ordinal for each in self.messages for task in _parsed(each).chunks]

    def deliver(self, message: Mapping[str, Any]) -> Any:
        parsed = _parsed(message)
        worker = self.scene.worker()
        for upload in parsed.uploads:
            return run_job(upload, worker, self.seconds_left())
        (task,) = parsed.chunks
        outcome = run_chunk(task, worker, self.seconds_left())
        if outcome is Unfinished.TO_BE_CONTINUED:
            self.messages.append(message)
        return outcome

    def deliver_all(self, order: random.Random) -> dict[str, Any]:
        """Every message, in some order, until there are none; the receipt."""
        while self.messages:
            message = self.messages.pop(order.randrange(len(self.messages)))
            self.outcomes.append(self.deliver(message))
        return dict(self.scene.world.tokenized.receipts[self.scene.upload.job_id])


EVEN_LINES, LINE_BYTES = 128, 32  # a block that is read at once has 16 of them
EVEN = "".join(f"{pan},".ljust(LINE_BYTES - 1, "x") + "\n" for pan in PANS[:EVEN_LINES]).encode()
NO_HEADER = LAYOUT + '[format]\nheader = false\nfields = ["card", "note"]\n'


def _parsed(message: Mapping[str, Any]) -> WorkMessage:
    parsed = parse_message(json.dumps(message), "quarantine")
    assert not parsed.refused
    return parsed


SAME = ("rows_read", "rows_written", "rows_rejected", "rejected_rows", "pans_distinct",
        "tokens_new", "tokens_reused", "columns", "luhn_failed")  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_a_file_worked_off_in_any_order_ends_like_a_file_in_one_piece(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = body((7, "fine"), extra=f'"",no card\n{PANS[0]},last\n')
    crowd = Crowd(content)
    assert crowd.plan() is Unfinished.ELSEWHERE
    assert len(crowd.messages) > 3

    receipt = crowd.deliver_all(random.Random(seed))

    monkeypatch.setattr(fan_out, "CHUNK_BYTES", 10**9)
    whole = Scene(content)
    expected = whole.run(plenty)
    assert {name: receipt[name] for name in SAME} == {name: expected[name] for name in SAME}
    assert receipt["source"]["sha256"] == expected["source"]["sha256"]
    assert crowd.scene.opened(receipt) == whole.opened(expected) == [*PANS, PANS[0]]
    assert crowd.scene.rejects(receipt) == [401]
    assert sum(not isinstance(each, Unfinished) for each in crowd.outcomes) == 1


def test_work_can_begin_before_the_plan_is_complete() -> None:
    crowd = Crowd(body())
    crowd.seconds_left = batches(3)
    assert crowd.plan() is Unfinished.TO_BE_CONTINUED
    crowd.seconds_left = plenty
    assert crowd.deliver(crowd.messages.pop()) is Unfinished.ELSEWHERE
    crowd.plan_to_the_end()
    assert crowd.deliver_all(random.Random(1))["rows_written"] == len(PANS)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_plan_and_chunks_that_run_out_of_time_go_on_where_they_stopped(count: int) -> None:
    content = body()
    crowd = Crowd(content)
    crowd.seconds_left = batches(count)
    crowd.plan_to_the_end()
    receipt = crowd.deliver_all(random.Random(count))
    assert receipt["rows_written"] == len(PANS)
    assert crowd.scene.opened(receipt) == PANS
    assert Unfinished.TO_BE_CONTINUED in crowd.outcomes


def test_a_card_of_one_chunk_in_a_kept_cell_of_another_one_is_found() -> None:
    crowd = Crowd(body((3, f"see {FAILS_LUHN}"), extra=f"{FAILS_LUHN},\n"))
    crowd.plan()
    receipt = crowd.deliver_all(random.Random(2))
    assert receipt["rejects_by_reason"] == {"guard_hit": 1}
    assert receipt["rejected_rows"] == {"guard_hit": [3]}
    assert receipt["tokens_new"] == len(PANS) + 1
    for body_ in crowd.scene.world.tokenized.objects.values():
        assert FAILS_LUHN.encode() not in body_


def test_totals_are_verified_over_all_chunks() -> None:
    lines = [f"D,{pan},{at}.50" for at, pan in enumerate(PANS)]
    total = f"{sum(range(len(PANS))) + len(PANS) * 0.5:.2f}"
    good = "\n".join([*lines, f"T,{len(PANS)},{total}"]).encode()
    crowd = Crowd(good, TOTALLED)
    crowd.plan()
    assert len(crowd.messages) > 3
    assert crowd.deliver_all(random.Random(3))["rows_written"] == len(PANS)

    wrong = Crowd("\n".join([*lines, f"T,{len(PANS)},1.00"]).encode(), TOTALLED)
    with pytest.raises(PermanentError, match="trailer_mismatch"):
        wrong.plan()


def test_a_message_that_comes_again_changes_nothing() -> None:
    crowd = Crowd(body())
    crowd.plan()
    messages = list(crowd.messages)
    receipt = crowd.deliver_all(random.Random(4))
    vault = dict(crowd.scene.world.vault.rows)
    for message in messages:
        assert crowd.deliver(message) == receipt
    assert crowd.plan() == receipt
    assert crowd.scene.world.vault.rows == vault
    assert crowd.messages == []


def test_a_replay_asks_for_the_chunks_that_are_left() -> None:
    crowd = Crowd(body())
    crowd.plan()
    first, *_, last = list(crowd.messages)
    crowd.messages.clear()
    crowd.deliver(first)
    give_up(crowd.scene.upload, crowd.scene.worker(), TransientError("throttled"))
    assert crowd.deliver(last) is Unfinished.ELSEWHERE
    assert crowd.plan() is Unfinished.ELSEWHERE
    assert first not in crowd.messages
    assert last in crowd.messages
    assert crowd.deliver_all(random.Random(5))["status"] == "committed"


def test_a_planner_that_goes_on_asks_for_the_chunk_where_it_stopped_and_those_behind_it() -> None:
    crowd = Crowd(body())
    crowd.seconds_left = batches(1)
    for _ in range(3):
        assert crowd.plan() is Unfinished.TO_BE_CONTINUED
    assert crowd.asked_for == [0, 0, 1, 1, 2]
    crowd.messages.clear()
    crowd.seconds_left = plenty
    crowd.plan()
    assert crowd.asked_for == list(range(2, len(crowd.asked_for) + 2))


def test_a_planner_that_goes_on_after_a_failure_asks_for_all_that_is_not_worked_off() -> None:
    crowd = Crowd(body())
    crowd.seconds_left = batches(1)
    for _ in range(3):
        crowd.plan()
    worked_off = crowd.messages[crowd.asked_for.index(1)]
    crowd.seconds_left = plenty
    crowd.deliver(worked_off)
    give_up(crowd.scene.upload, crowd.scene.worker(), TransientError("throttled"))
    crowd.messages.clear()
    crowd.seconds_left = batches(1)
    assert crowd.plan() is Unfinished.TO_BE_CONTINUED
    assert sorted(set(crowd.asked_for)) == [0, 2, 3]


@pytest.mark.parametrize("fails", [False, True])
def test_no_chunk_is_asked_for_before_it_is_planned(fails: bool) -> None:
    crowd = Crowd(body())
    queue, ledger = crowd.scene.world.work_queue, crowd.scene.world.ledger
    send_all = queue.send_all

    def send_what_is_planned(messages: list[Mapping[str, Any]]) -> None:
        for task in (task for each in messages for task in _parsed(each).chunks):
            name = f"plan.{task.ordinal:05d}"
            assert ledger.recorded_chunk(crowd.scene.upload.job_id, name) is not None
        send_all(messages)

    queue.send_all = send_what_is_planned  # type: ignore[method-assign, assignment]
    crowd.seconds_left = batches(2)
    while crowd.plan() is Unfinished.TO_BE_CONTINUED:
        if fails:
            give_up(crowd.scene.upload, crowd.scene.worker(), TransientError("throttled"))
    assert crowd.deliver_all(random.Random(13))["rows_written"] == len(PANS)


def test_a_planner_whose_last_word_was_lost_plans_nothing_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crowd = Crowd(body())
    with monkeypatch.context() as lost:
        lost.setattr(crowd.scene.world.ledger, "finish_plan", _lose)
        with pytest.raises(TransientError):
            crowd.plan()
    planned = len(set(crowd.asked_for))
    assert crowd.plan() is Unfinished.ELSEWHERE
    assert crowd.scene.world.ledger.fan_out(crowd.scene.upload.job_id).planned == planned
    receipt = crowd.deliver_all(random.Random(14))
    assert crowd.scene.opened(receipt) == PANS
    assert receipt["source"]["sha256"] == sha256(body()).hexdigest()


def _lose(*_: object) -> None:
    raise TransientError("network")


def test_whoever_plans_a_file_at_one_go_takes_its_checksum() -> None:
    crowd = Crowd(body())
    crowd.plan()
    fan_out = crowd.scene.world.ledger.fan_out(crowd.scene.upload.job_id)
    assert fan_out.source_sha256 == sha256(body()).hexdigest()


@pytest.mark.parametrize(
    ("content", "layout"),
    [
        (gzip.compress(EVEN, compresslevel=0), NO_HEADER),
        (EVEN, NO_HEADER + 'encoding = "cp1252"\n'),
    ],
    ids=["packed", "in another encoding"],
)
def test_what_cannot_be_parted_is_one_chunk(content: bytes, layout: str) -> None:
    crowd = Crowd(content, layout)
    crowd.plan()
    assert crowd.asked_for == [0]
    assert crowd.deliver_all(random.Random(15))["rows_written"] == EVEN_LINES


@pytest.mark.parametrize(
    ("limits", "rows"),
    [
        ({"CHUNK_BYTES": 1024}, [32] * 4),
        ({"CHUNK_BYTES": 1025}, [48, 48, 32]),
        ({"CHUNK_ROWS": 32}, [32] * 4),
        ({"CHUNK_ROWS": 33}, [48, 48, 32]),
        ({"CHUNK_ROWS": 1, "MAX_CHUNKS": 5}, [32] * 4),
        ({"CHUNK_ROWS": 1, "MAX_CHUNKS": 4}, [48, 48, 32]),
        ({"CHUNK_ROWS": 1, "MAX_CHUNKS": 2}, [128]),
    ],
)
def test_a_chunk_is_as_small_as_the_limits_let_it_be(
    limits: dict[str, int], rows: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, limit in limits.items():
        monkeypatch.setattr(fan_out, name, limit)
    crowd = Crowd(EVEN, NO_HEADER)
    crowd.plan()
    receipt = crowd.deliver_all(random.Random(16))
    assert [output["rows"] for output in receipt["outputs"]] == rows


def test_the_time_that_planning_took_is_in_the_receipt() -> None:
    crowd, ticks = Crowd(body()), itertools.count()
    worker = crowd.scene.worker

    def on_the_clock() -> Worker:
        ports = replace(worker().ports, clock=lambda: A_MOMENT + timedelta(seconds=next(ticks)))
        return replace(worker(), ports=ports)

    crowd.scene.worker = on_the_clock  # type: ignore[method-assign]
    crowd.plan()
    receipt = crowd.deliver_all(random.Random(17))
    noted = [each.get("effort") for each in crowd.scene.world.ledger.chunks.values()]
    assert receipt["seconds"] >= sum(effort["seconds"] for effort in noted if effort)


def test_a_planner_that_stopped_between_a_chunk_and_its_message_sends_it_in_the_end() -> None:
    crowd = Crowd(body())
    crowd.seconds_left = batches(3)
    crowd.plan()
    crowd.messages.pop()
    crowd.seconds_left = plenty
    crowd.plan()
    assert crowd.deliver_all(random.Random(6))["rows_written"] == len(PANS)


def test_a_chunk_that_nobody_planned_is_refused_and_harms_no_file_under_way() -> None:
    crowd = Crowd(body())
    crowd.plan()
    with pytest.raises(PermanentError, match="unknown_chunk"):
        run_chunk(ChunkTask(crowd.scene.upload, 10_000), crowd.scene.worker(), plenty())
    assert crowd.deliver_all(random.Random(7))["rows_written"] == len(PANS)


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), chunk_bytes=st.integers(200, 5000), count=st.integers(1, 9))
def test_whatever_the_chunks_and_the_time_every_row_is_there_once(
    seed: int, chunk_bytes: int, count: int
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(fan_out, "CHUNK_BYTES", chunk_bytes)
        crowd = Crowd(body())
        crowd.seconds_left = batches(count)
        crowd.plan_to_the_end()
        receipt = crowd.deliver_all(random.Random(seed))
        assert crowd.scene.opened(receipt) == PANS
        assert receipt["tokens_new"] == len(PANS)


def test_chunks_that_came_while_the_job_had_failed_are_asked_for_once_it_is_planned() -> None:
    crowd = Crowd(body())
    crowd.seconds_left = batches(1)
    assert crowd.plan() is Unfinished.TO_BE_CONTINUED
    assert crowd.plan() is Unfinished.TO_BE_CONTINUED
    give_up(crowd.scene.upload, crowd.scene.worker(), TransientError("throttled"))
    crowd.seconds_left = plenty
    while crowd.messages:
        assert crowd.deliver(crowd.messages.pop()) is Unfinished.ELSEWHERE
    assert crowd.plan() is Unfinished.ELSEWHERE
    assert crowd.deliver_all(random.Random(8))["rows_written"] == len(PANS)


def test_short_rows_do_not_make_more_chunks_than_a_decision_can_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fan_out, "MAX_CHUNKS", 5)
    monkeypatch.setattr(fan_out, "CHUNK_ROWS", 5)
    crowd = Crowd(body())
    crowd.plan()
    assert 3 < len(crowd.messages) <= 5
    assert crowd.deliver_all(random.Random(9))["rows_written"] == len(PANS)


def test_a_file_of_short_rows_is_parted_by_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fan_out, "CHUNK_ROWS", 30)
    crowd = Crowd(body())
    crowd.plan()
    receipt = crowd.deliver_all(random.Random(10))
    assert max(output["rows"] for output in receipt["outputs"]) <= 60


def test_a_planner_that_finds_another_plan_leaves_the_file_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crowd = Crowd(body())
    queue = crowd.scene.world.work_queue
    send_all = queue.send_all

    def send_and_be_overtaken(messages: list[Mapping[str, Any]]) -> None:
        monkeypatch.setattr(queue, "send_all", send_all)
        send_all(messages)
        with pytest.MonkeyPatch.context() as other:
            other.setattr(fan_out, "CHUNK_BYTES", 500)
            crowd.seconds_left = batches(1)
            assert crowd.plan() is Unfinished.TO_BE_CONTINUED
        crowd.seconds_left = plenty

    monkeypatch.setattr(queue, "send_all", send_and_be_overtaken)
    assert crowd.plan() is Unfinished.ELSEWHERE
    crowd.plan_to_the_end()
    receipt = crowd.deliver_all(random.Random(11))
    assert crowd.scene.opened(receipt) == PANS


def test_a_place_whose_total_looks_like_a_card_is_not_noted() -> None:
    wide = TOTALLED.replace("decimal(12,2)", "decimal(18,0)")
    lines = [f"D,{PANS[0]},4111111111111111", *[f"D,{pan},0" for pan in PANS[1:]]]
    crowd = Crowd("\n".join([*lines, f"T,{len(PANS)},4111111111111111"]).encode(), wide)
    crowd.plan()
    noted = json.dumps([dict(each) for each in crowd.scene.world.ledger.chunks.values()])
    assert "plan" in str(list(crowd.scene.world.ledger.chunks))
    assert "4111111111111111" not in noted
    assert crowd.deliver_all(random.Random(12))["rows_read"] == len(PANS)
