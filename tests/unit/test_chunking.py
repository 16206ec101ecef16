"""A file that one invocation cannot work off goes on where it stopped, and ends as if it had not."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import tokenize
from pipeline.core import stored_pans
from pipeline.detokenize import detokenize
from pipeline.errors import PermanentError, TransientError
from pipeline.job import Worker, run_job
from pipeline.keys import FingerprintKey
from pipeline.model import START, Unfinished, Upload
from pipeline.readers import registry
from pipeline.readers.delimited import read_delimited
from pipeline.samples.cards import synthetic_pans
from pipeline.testing import MemoryLayouts, MemoryWorld
from tests.unit.reading import a_layout

PANS = synthetic_pans(400, seed=31)
FAILS_LUHN = "4111111111111112"
LAYOUT = 'name = "x"\n[columns.card]\nrole = "pan"\n[columns.note]\nrole = "keep"\n'
Seconds = Callable[[], float]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.READERS, "delimited", partial(read_delimited, block_bytes=1024))


def body(*notes: tuple[int, str], extra: str = "") -> bytes:
    by_row = dict(notes)
    lines = [f"{pan},{by_row.get(at, '')}" for at, pan in enumerate(PANS, start=1)]
    return ("card,note\n" + "\n".join(lines) + "\n" + extra).encode()


class Scene:
    """One file and a worker whose time is up whenever the test says so."""

    def __init__(self, content: bytes, layout: str = LAYOUT, folder: str = "x/") -> None:
        self.world = MemoryWorld(os.urandom, MemoryLayouts(layout))
        self.upload = self.world.quarantine.put(f"incoming/{folder}a.csv", content)
        self.invocations = 0

    def worker(self) -> Worker:
        ports = self.world.ports()
        key = FingerprintKey(ports.key_service, ports.data_key_records, ports.clock)
        return Worker(ports, key.fingerprinter, memory_gb=1.0)

    def invoke(self, seconds_left: Seconds, upload: Upload | None = None) -> Any:
        self.invocations += 1
        return run_job(upload or self.upload, self.worker(), seconds_left)

    def run(self, seconds_left: Callable[[], Seconds]) -> Mapping[str, Any]:
        """Invokes until the job is done, as the queue would."""
        for _ in range(1000):
            try:
                receipt = self.invoke(seconds_left())
            except TransientError as error:
                assert error.code == "out_of_time"
            else:
                if not isinstance(receipt, Unfinished):
                    return dict(receipt)
        raise AssertionError("the job does not come to an end")

    def table(self, receipt: Mapping[str, Any]) -> pa.Table:
        parts = [self.world.tokenized.objects[each["uri"]] for each in receipt["outputs"]]
        return pa.concat_tables([pq.read_table(io.BytesIO(part)) for part in parts])

    def opened(self, receipt: Mapping[str, Any]) -> list[str]:
        tokens = self.table(receipt)["card_token"].to_pylist()
        pans = detokenize(tokens, self, self.world.data_keys, self.world.keys)
        return [pan.decode() for pan in pans.digits]

    def rejects(self, receipt: Mapping[str, Any]) -> list[int]:
        bodies = [
            gzip.decompress(self.world.quarantine.rejects[u]) for u in receipt["rejects_uris"]
        ]
        return [json.loads(line)["row"] for text in bodies for line in text.splitlines()[1:]]

    def get(self, tokens: Any) -> Any:
        return self.world.vault.rows


def plenty() -> Seconds:
    return lambda: 900.0


def batches(count: int) -> Callable[[], Seconds]:
    """Time for so many record batches in each invocation."""

    def seconds_left() -> Seconds:
        asked = itertools.count(1)
        return lambda: 900.0 if next(asked) < count else 1.0

    return seconds_left


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_file_in_many_invocations_ends_like_a_file_in_one(count: int) -> None:
    content = body((7, "fine"), extra=f'"",no card\n{PANS[0]},last\n')
    whole, parted = Scene(content), Scene(content)

    expected, receipt = whole.run(plenty), parted.run(batches(count))

    assert parted.invocations > 5 / count
    assert whole.invocations == 1
    assert len(receipt["outputs"]) > len(expected["outputs"]) == 1
    for field in ("rows_read", "rows_written", "rows_rejected", "rejected_rows", "pans_distinct",
                  "tokens_new", "tokens_reused", "columns", "guard", "luhn_failed"):  # fmt: skip
        assert receipt[field] == expected[field], field
    assert receipt["source"]["sha256"] == expected["source"]["sha256"]
    assert parted.opened(receipt) == whole.opened(expected) == [*PANS, PANS[0]]
    assert parted.table(receipt)["note"].equals(whole.table(expected)["note"])
    assert parted.rejects(receipt) == [401]


def test_a_chunk_of_many_different_pans_ends_for_the_sake_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = body((7, "fine"), extra=f'"",no card\n{PANS[0]},last\n')
    whole, parted = Scene(content), Scene(content)
    expected = whole.run(plenty)
    monkeypatch.setattr(tokenize, "MAX_CHUNK_PANS", 90)
    receipt = parted.run(plenty)

    assert parted.invocations == 1
    assert len(receipt["outputs"]) == 4
    for field in ("rows_written", "rejected_rows", "pans_distinct", "tokens_new", "tokens_reused"):
        assert receipt[field] == expected[field], field
    assert parted.opened(receipt) == [*PANS, PANS[0]]


def test_counting_the_pans_of_many_chunks_goes_on_where_the_time_was_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stored_pans, "MOST_AT_ONCE", 30)
    scene = Scene(body(extra=f"{PANS[0]},last\n"))
    receipt = scene.run(batches(1))
    counts = [name for _, name in scene.world.ledger.chunks if name.startswith("count.")]
    assert len(counts) > 10
    assert receipt["pans_distinct"] == receipt["tokens_new"] == len(PANS)


def test_nothing_is_visible_before_the_last_chunk() -> None:
    scene = Scene(body())
    while isinstance(receipt := scene.invoke(batches(1)()), Unfinished):
        assert not any("/data/" in uri for uri in scene.world.tokenized.objects)
        assert scene.world.tokenized.receipts == {}
    assert sum(output["rows"] for output in receipt["outputs"]) == len(PANS)
    assert not any("/staging/" in uri for uri in scene.world.tokenized.objects)


def test_what_is_recorded_is_not_worked_off_again() -> None:
    scene = Scene(body())
    assert scene.invoke(batches(1)()) is Unfinished.TO_BE_CONTINUED
    known = dict(scene.world.fingerprints.tokens)
    scene.world.quarantine.objects[scene.upload.key, scene.upload.version_id] = body().replace(
        PANS[0].encode(), b"not a card numb!"
    )  # nobody looks there any more
    receipt = scene.run(plenty)
    assert receipt["rows_rejected"] == 0
    assert known.items() <= scene.world.fingerprints.tokens.items()


def test_two_workers_on_the_same_file_agree_on_its_chunks() -> None:
    scene = Scene(body())
    assert scene.invoke(batches(1)()) is Unfinished.TO_BE_CONTINUED
    for _ in range(500):
        ours, theirs = scene.invoke(batches(1)()), scene.invoke(batches(3)())
        if ours or theirs:
            break
    receipt = scene.run(plenty)
    assert receipt["rows_written"] == len(PANS)
    assert scene.opened(receipt) == PANS


MARKED = "|".join(FAILS_LUHN[at : at + 4] for at in range(0, 16, 4))


@pytest.mark.parametrize("guard", ["reject", "redact", "tokenize"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("shown", [FAILS_LUHN, MARKED, f"{MARKED}|1234|5678|9012"])
def test_a_pan_of_another_chunk_in_a_kept_cell_is_found(guard: str, count: int, shown: str) -> None:
    notes = body((2, f"ref {shown}"), extra=f"{FAILS_LUHN},x\n{PANS[3]},y {shown} z\n")
    layout = f'{LAYOUT}[options]\nguard_action = "{guard}"\n'
    whole, parted = Scene(notes, layout), Scene(notes, layout)

    expected, receipt = whole.run(plenty), parted.run(batches(count))

    for field in ("rows_written", "rejected_rows", "pans_distinct", "tokens_new", "tokens_reused"):
        assert receipt[field] == expected[field], field
    kept = "".join(filter(None, parted.table(receipt)["note"].to_pylist()))
    assert FAILS_LUHN not in kept
    assert MARKED not in kept
    assert not any("/staging/" in uri for uri in parted.world.tokenized.objects)


@pytest.mark.parametrize("count", [1, 3])
def test_a_pan_of_another_chunk_in_free_text_becomes_its_token(count: int) -> None:
    said, meant = synthetic_pans(402, seed=12)[-2:]
    notes = body(
        (2, f"ref {FAILS_LUHN}"),
        (3, f"order {meant}"),
        extra=f"{FAILS_LUHN},x\n{PANS[3]},card {meant}\n{PANS[4]},order {said}\n",
    )
    layout = LAYOUT.replace('"keep"', '"text"')
    whole, parted = Scene(notes, layout), Scene(notes, layout)

    expected, receipt = whole.run(plenty), parted.run(batches(count))

    for field in ("rows_written", "rejected_rows", "pans_distinct", "tokens_new", "tokens_reused"):
        assert receipt[field] == expected[field], field
    kept = "".join(filter(None, parted.table(receipt)["note"].to_pylist()))
    assert FAILS_LUHN not in kept
    assert meant not in kept
    assert said in kept


def test_one_time_tokens_differ_in_every_row_of_every_chunk() -> None:
    content = ("card,note\n" + f"{PANS[0]},\n" * 400).encode()
    scene = Scene(content, f'{LAYOUT}[options]\ntoken_mode = "one_time"\n')
    receipt = scene.run(batches(1))
    assert len(set(scene.table(receipt)["card_token"].to_pylist())) == 400
    assert (receipt["pans_distinct"], receipt["tokens_new"], receipt["tokens_reused"]) == (
        1,
        400,
        0,
    )


RECORDS = """
[format]
header = false
fields = ["kind", "card", "note"]
delimiter = "|"
[records.types.header]
match = "H"
role = "skip"
[records.types.payment]
[records.types.trailer]
match = "T"
role = "trailer"
[records.types.trailer.totals]
count_field = 2
sum_field = 3
sum_column = "note"
"""


@pytest.mark.parametrize(("total", "reason"), [("40000", None), ("40001", "trailer_mismatch")])
def test_control_totals_add_up_over_chunks(total: str, reason: str | None) -> None:
    lines = ["H|today", *(f"D|{pan}|100" for pan in PANS), f"T|400|{total}"]
    scene = Scene("\n".join(lines).encode(), LAYOUT.replace("\n", RECORDS, 1))
    if reason is None:
        assert scene.run(batches(1))["rows_written"] == 400
        return
    with pytest.raises(PermanentError, match=reason):
        scene.run(batches(1))
    assert scene.invocations > 5


def test_a_sum_that_reads_like_a_card_is_not_written_into_the_ledger() -> None:
    amounts = ["0"] * len(PANS)
    amounts[0] = "4111111111111111"
    lines = ["H|today", *(f"D|{pan}|{n}" for pan, n in zip(PANS, amounts, strict=True))]
    lines += [f"T|400|{amounts[0]}"]
    layout = LAYOUT.replace("\n", RECORDS, 1).replace('role = "keep"', 'role = "drop"')
    scene = Scene("\n".join(lines).encode(), layout)
    with pytest.raises(TransientError, match="out_of_time"):
        scene.invoke(batches(1)())
    assert scene.world.ledger.chunks == {}


def test_an_unfamiliar_file_goes_on_too() -> None:
    content = ("id;card\n" + "".join(f"{at};{pan}\n" for at, pan in enumerate(PANS))).encode()
    scene = Scene(content, folder="")
    receipt = scene.run(batches(1))
    assert receipt["rows_written"] == 400
    assert scene.opened(receipt) == PANS


def test_the_receipt_adds_up_what_all_invocations_took() -> None:
    scene = Scene(body())
    receipt = scene.run(batches(1))
    assert scene.invocations > 5
    assert receipt["estimated_cost_usd"] >= round(scene.invocations * 0.20 / 1e6, 8)
    assert len(receipt["data_key_ids"]) == len(set(receipt["data_key_ids"])) > 5


# Reading in pieces

ENCODINGS = ["utf-8", "utf-8-sig", "latin-1", "utf-16", "cp037", "shift_jis"]


@settings(max_examples=150)
@given(
    names=st.lists(
        st.sampled_from(["", "Zoë", "plain", '"quo""ted"', "ルート", '"two\nlines"']),
        min_size=1,
        max_size=60,
    ),
    encoding=st.sampled_from(ENCODINGS),
    block_bytes=st.integers(40, 300),
    ends=st.sampled_from(["\n", "\r\n"]),
)
def test_a_file_read_in_pieces_is_the_file(
    names: list[str], encoding: str, block_bytes: int, ends: str
) -> None:
    text = ends.join(["card,note", *(f"{PANS[at]},{name}" for at, name in enumerate(names))])
    content = text.encode(encoding, "replace")
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    layout = a_layout("card", "note", encoding=declared, embedded_newlines=True)
    read = partial(read_delimited, layout=layout, block_bytes=block_bytes)
    whole = list(read(io.BytesIO(content)))

    pieces, start = [], START
    while start is not None:
        batch = next(read(io.BytesIO(content), start=start), None)
        if batch is None:
            break
        assert batch.end is not None
        again = list(read(io.BytesIO(content), start=start, end_bytes=batch.end.offset_bytes))
        assert _table(again).equals(_table([batch]))
        pieces.append(batch)
        start = batch.end

    assert _table(pieces).equals(_table(whole))
    numbers = [number for each in pieces for number in each.row_numbers.to_pylist()]
    assert numbers == list(range(1, len(names) + 1))


def _table(batches: list[Any]) -> pa.Table:
    return pa.Table.from_batches([each.columns for each in batches])


@pytest.mark.parametrize("seconds_each", [45.0, 80.0, 100.0])
def test_a_worker_whose_record_batches_take_long_stops_in_time(
    seconds_each: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [0.0]

    def read_slowly(*arguments: Any, **options: Any) -> Iterator[Any]:
        for batch in read_delimited(*arguments, block_bytes=1024, **options):
            yield batch
            left[0] -= seconds_each  # which its rows take
            assert left[0] > 0, "the worker was killed at work"

    def invocation() -> Seconds:
        left[0] = 300.0
        return lambda: left[0]

    monkeypatch.setitem(registry.READERS, "delimited", read_slowly)
    scene = Scene(body())
    receipt = scene.run(invocation)
    assert receipt["rows_read"] == receipt["rows_written"] == len(PANS)
    assert scene.invocations > 1
