"""What a load test uploads is known to the last row, and the pipeline treats it as planned."""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from importlib.resources import files

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.messages import parse_message
from pipeline.errors import PermanentError
from pipeline.job import Worker, run_job
from pipeline.keys import FingerprintKey
from pipeline.loadtest.contents import Contents
from pipeline.loadtest.events import another_event, repeated_event
from pipeline.loadtest.plan import (
    FAULTS,
    Load,
    PlannedFile,
    expected_counts,
    planned_duplicates,
    planned_files,
    planned_rows,
    row_id,
    row_number,
)
from pipeline.loadtest.poison import POISONS, Poison
from pipeline.loadtest.reconcile import RowCheck, TokenBook
from pipeline.model import Upload
from pipeline.samples.transactions import BLOCK_ROWS
from pipeline.testing import MemoryLayouts, MemoryWorld

LOAD = Load(
    "run", files=2, rows=300, cards=40, reject_rate=0.2, poison=0, duplicate_events=0, seed=3
)


def _builtin_layouts() -> MemoryLayouts:
    folder = files("pipeline.layouts_builtin")
    names = ("card-present", "acquirer-pipe")
    return MemoryLayouts(*(folder.joinpath(f"{name}.toml").read_text() for name in names))


class _Bench:
    def __init__(self) -> None:
        self.world = MemoryWorld(os.urandom, _builtin_layouts())
        ports = self.world.ports()
        key = FingerprintKey(ports.key_service, ports.data_key_records, ports.clock)
        self.worker = Worker(ports, key.fingerprinter, memory_gb=1.0)

    def run(self, load: Load, file: PlannedFile) -> dict[str, object]:
        upload = self.world.quarantine.put(file.key, _content(load, file))
        receipt = run_job(upload, self.worker, lambda: 900.0)
        assert receipt is not None
        return dict(receipt)

    def table(self, receipt: dict[str, object]) -> pa.Table:
        outputs = receipt["outputs"]
        assert isinstance(outputs, list)
        parts = [self.world.tokenized.objects[each["uri"]] for each in outputs]
        return pa.concat_tables([pq.read_table(io.BytesIO(part)) for part in parts])


def _content(load: Load, file: PlannedFile) -> bytes:
    stream = io.BytesIO()
    Contents(load).write(file, stream)
    return stream.getvalue()


def _good_file(number: int) -> PlannedFile:
    return PlannedFile(number, f"incoming/card-present/{number}.csv")


def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_ones() -> None:
    other = Load("run", 2, 300, 40, 0.2, 0, 0, seed=4)
    assert _content(LOAD, _good_file(0)) == _content(LOAD, _good_file(0))
    assert _content(LOAD, _good_file(0)) != _content(LOAD, _good_file(1))
    assert _content(LOAD, _good_file(0)) != _content(other, _good_file(0))


def test_rows_are_planned_in_blocks_so_that_memory_is_bounded() -> None:
    load = Load("run", 1, BLOCK_ROWS + 7, 10, 0.0, 0, 0, seed=1)
    assert [(rows.first, len(rows.cards)) for rows in planned_rows(load, 0)] == [
        (0, BLOCK_ROWS),
        (BLOCK_ROWS, 7),
    ]


def test_the_pipeline_reads_writes_and_rejects_exactly_what_was_planned() -> None:
    bench, tokens = _Bench(), TokenBook()
    for number in range(LOAD.files):
        receipt, expected = bench.run(LOAD, _good_file(number)), expected_counts(LOAD, number)
        assert receipt["rows_read"] == expected.rows_read == LOAD.rows
        assert receipt["rows_written"] == expected.rows_written
        assert receipt["rejects_by_reason"] == expected.rejects_by_reason
        assert receipt["rejected_rows"] == expected.rejected_rows
        check = RowCheck(LOAD, _good_file(number), tokens)
        table = bench.table(receipt)
        check.take(table["transaction_id"].to_pylist(), table["card_number_token"].to_pylist())
        assert check.findings(receipt) == []
    assert tokens.findings(tokens.cards) == []


def test_every_fault_occurs_and_has_a_reason_of_its_own() -> None:
    reasons = Counter(
        fault.reason
        for number in range(LOAD.files)
        for rows in planned_rows(LOAD, number)
        for fault in rows.faults
        if fault
    )
    assert reasons.keys() == {fault.reason for fault in FAULTS}
    assert len(reasons) == len(FAULTS)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_no_row_or_every_row_can_have_a_fault(rate: float) -> None:
    load = Load("run", 1, 50, 5, rate, 0, 0, seed=1)
    assert expected_counts(load, 0).rows_rejected == round(50 * rate)


@pytest.mark.parametrize("poison", POISONS, ids=lambda poison: poison.name)
def test_every_poisoned_file_is_refused_for_its_reason(poison: Poison) -> None:
    bench = _Bench()
    load = Load("run", 0, 1, 1, 0.0, len(POISONS), 0, seed=9)
    file = next(each for each in planned_files(load) if each.poison == poison)
    with pytest.raises(PermanentError) as error:
        bench.run(load, file)
    assert error.value.code == poison.reason


@given(files=st.integers(0, 20), poison=st.integers(0, 20))
def test_every_file_has_a_name_of_its_own_that_bears_the_run(files: int, poison: int) -> None:
    load = Load("run-7", files, 1, 1, 0.0, poison, 0, seed=1)
    planned = planned_files(load)
    assert len({each.key for each in planned}) == files + poison
    assert all("loadtest-run-7" in each.key for each in planned)
    assert sum(each.poison is not None for each in planned) == poison


def test_duplicate_events_are_early_and_late_repeated_and_announced_anew() -> None:
    load = Load("run", 3, 1, 1, 0.0, 0, duplicate_events=8, seed=1)
    planned = planned_duplicates(load)
    assert len(planned) == 8
    assert {(each.is_early, each.is_reannounced) for each in planned} == {
        (early, anew) for early in (True, False) for anew in (True, False)
    }
    assert {each.file_number for each in planned} == {0, 1, 2}


def test_both_kinds_of_duplicate_ask_for_the_same_job() -> None:
    upload = Upload("quarantine", "incoming/card-present/loadtest-a/ä b.csv", "v1")
    for event in (repeated_event(upload), another_event(upload, 1_800_000_000.25)):
        assert parse_message(json.dumps(event), "quarantine").uploads == (upload,)
    assert repeated_event(upload) != another_event(upload, 1_800_000_000.25)


@given(st.integers(0, 10**10 - 2))
def test_row_ids_are_ordered_as_their_numbers_are(number: int) -> None:
    assert row_id(number) < row_id(number + 1)


def test_rows_of_different_files_have_different_numbers() -> None:
    assert row_number(LOAD, 0, LOAD.rows - 1) + 1 == row_number(LOAD, 1, 0)
