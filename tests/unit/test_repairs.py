"""Rejected rows that somebody repaired: job and repair add up, and no row goes through twice."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.jobs import repair_key
from pipeline.errors import PermanentError, TransientError
from pipeline.job import run_job
from pipeline.readers import repairs
from pipeline.samples.cards import synthetic_pans
from pipeline.testing import MemoryLayouts
from tests.unit.test_tokenize import Bench, layout

A, B, C, D = synthetic_pans(4, seed=23)
AMOUNT = '[columns.amount]\nrole = "keep"\ntype = "decimal(8,2)"'
LAYOUT = layout(AMOUNT)
FILE = f"amount,card\n1.00,{A}\nten,{B}\n3.00,\n4.00,{D},more\n5.00,{C}\n"
ROWS = {2: f"ten,{B}", 3: "3.00,", 4: f"4.00,{D},more"}


class Clinic(Bench):
    """Where rows are repaired."""

    def repair(
        self, job_id: str, rows: Mapping[int, str], *, name: str = "a.jsonl", folder: str = "x"
    ) -> Mapping[str, Any]:
        lines = [{"row": row, "record": record} for row, record in rows.items()]
        return self.send(job_id, [json.dumps(line) for line in lines], name, folder)

    def send(
        self, job_id: str, lines: Sequence[str], name: str = "a.jsonl", folder: str = "x"
    ) -> Mapping[str, Any]:
        body = "\n".join(lines).encode()
        upload = self.world.quarantine.put(repair_key(folder, job_id, name), body)
        return run_job(upload, self.worker, lambda: 900.0)

    def rows(self, receipt: Mapping[str, Any]) -> list[tuple[str, str]]:
        table = self.table(receipt)
        pans = self.opened(table["card_token"].to_pylist())
        return list(zip(map(str, table["amount"].to_pylist()), pans, strict=True))


@pytest.fixture
def clinic() -> Clinic:
    return Clinic(LAYOUT)


def test_rejected_rows_and_their_columns_are_kept(clinic: Clinic) -> None:
    receipt = clinic.run(FILE)
    assert {each["row"]: each["record"] for each in clinic.rejects(receipt)} == ROWS
    body = gzip.decompress(clinic.world.quarantine.rejects[receipt["rejects_uris"][0]])
    assert json.loads(body.splitlines()[0]) == {"columns": ["amount", "card"]}


def test_repaired_rows_go_through_and_the_others_are_rejected_again(clinic: Clinic) -> None:
    job = clinic.run(FILE)
    repair = clinic.repair(job["job_id"], {2: f"10.00,{B}", 3: ROWS[3]})
    assert clinic.rows(repair) == [("10.00", B)]
    assert repair["repair_of"] == job["job_id"]
    assert job["repair_of"] is None
    assert (repair["rows_read"], repair["rows_written"], repair["rows_rejected"]) == (3, 1, 2)
    assert job["rows_rejected"] == repair["rows_read"]
    assert job["rows_read"] == job["rows_written"] + repair["rows_written"] + 2
    assert clinic.rejects(repair) == [
        {"row": 3, "reason": "pan_empty", "column": "card", "record": "3.00,"},
        {"row": 4, "reason": "wrong_field_count", "column": None, "record": ROWS[4]},
    ]


def test_what_a_repair_leaves_is_repaired_in_its_turn(clinic: Clinic) -> None:
    job = clinic.run(FILE)
    first = clinic.repair(job["job_id"], {2: f"10.00,{B}"})
    second = clinic.repair(first["job_id"], {3: f"3.00,{A}", 4: f"4.00,{D}"})
    assert clinic.rows(second) == [("3.00", A), ("4.00", D)]
    assert (second["rows_read"], second["rows_rejected"]) == (2, 0)
    assert second["rejects_uris"] == []
    with pytest.raises(PermanentError, match="not_repairable"):
        clinic.repair(second["job_id"], {2: f"10.00,{B}"})


def test_a_job_is_repaired_once(clinic: Clinic) -> None:
    job = clinic.run(FILE)
    first = clinic.repair(job["job_id"], {2: f"10.00,{B}"})
    with pytest.raises(PermanentError, match="already_repaired") as refused:
        clinic.repair(job["job_id"], {2: f"10.00,{B}"}, name="b.jsonl")
    assert first["job_id"] in refused.value.detail
    assert len(clinic.world.fingerprints.tokens) == 3


def test_after_a_repair_that_failed_comes_another_one(clinic: Clinic) -> None:
    job = clinic.run(FILE)
    with pytest.raises(PermanentError, match="unknown_row: row 7"):
        clinic.repair(job["job_id"], {2: f"10.00,{B}", 7: f"1.00,{B}"})
    assert clinic.repair(job["job_id"], {2: f"10.00,{B}"}, name="b.jsonl")["rows_written"] == 1


def test_of_two_repairs_at_once_one_is_decided(clinic: Clinic) -> None:
    """A repair that was given up, and goes on all the same, has lost its claim."""
    job = clinic.run(FILE)
    body = json.dumps({"row": 2, "record": f"10.00,{B}"}).encode()
    slow = clinic.world.quarantine.put(repair_key("x", job["job_id"], "slow.jsonl"), body)
    seconds = iter(lambda: 900.0, None)
    ledger = clinic.world.ledger
    decide = ledger.decide

    def decide_late(*arguments: Any) -> Any:
        ledger.decide = decide  # type: ignore[method-assign]
        ledger.fail(slow.job_id, "throttled", "")
        assert clinic.repair(job["job_id"], {2: f"10.00,{B}"})["rows_written"] == 1
        return decide(*arguments)

    ledger.decide = decide_late  # type: ignore[method-assign]
    with pytest.raises(TransientError, match="claim_lost"):
        run_job(slow, clinic.worker, lambda: next(seconds))
    with pytest.raises(PermanentError, match="already_repaired"):
        run_job(slow, clinic.worker, lambda: 900.0)


@pytest.mark.parametrize("duplicates", ["report", "refuse"])
def test_the_same_repair_of_two_jobs_is_no_duplicate(duplicates: str) -> None:
    clinic = Clinic(layout(AMOUNT, options=f'duplicates = "{duplicates}"'))
    for number, content in enumerate([FILE, f"{FILE}6.00,{A}\n"]):
        job = clinic.run(content)
        repair = clinic.repair(job["job_id"], {2: f"10.00,{B}"}, name=f"{number}.jsonl")
        assert (repair["status"], repair["duplicate_of"]) == ("committed", None)
        assert clinic.rows(repair) == [("10.00", B)]


def test_rows_go_through_unchanged_once_the_layout_was_mended(clinic: Clinic) -> None:
    job = clinic.run(FILE)
    mended = layout('[columns.amount]\nrole = "keep"')
    clinic.world.layouts.layouts = MemoryLayouts(mended).layouts
    assert clinic.rows(clinic.repair(job["job_id"], {2: ROWS[2]})) == [("ten", B)]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["{"], "malformed_repair: line 1: not JSON"),
        (['{"row": 2, "record": "1,2"}', "7"], "malformed_repair: line 2"),
        (['{"row": 2, "record": "1,2"}'] * 2, "malformed_repair: line 2: row 2 for the second"),
        (['{"columns": ["card"]}'], "malformed_repair: its columns"),
        (['{"row": 2, "record": "1,2\\n3,4"}'], "malformed_repair: line 1: not one record"),
        (['{"row": 2, "record": ""}'], "malformed_repair: line 1: not one record"),
        (['{"row": 1, "record": "1,2"}'], "unknown_row: row 1"),
    ],
)
def test_a_repair_that_cannot_be_understood_changes_nothing(
    clinic: Clinic, lines: list[str], reason: str
) -> None:
    job = clinic.run(FILE)
    with pytest.raises(PermanentError, match=reason):
        clinic.send(job["job_id"], lines)
    assert clinic.repair(job["job_id"], {2: f"10.00,{B}"}, name="b.jsonl")["rows_written"] == 1


@pytest.mark.parametrize("job_id", ["", "job_x", "../x", "job_" + "a" * 26])
def test_what_is_no_job_is_not_repaired(clinic: Clinic, job_id: str) -> None:
    with pytest.raises(PermanentError, match="not_repairable"):
        clinic.repair(job_id, {2: "1,2"})


def test_a_job_is_repaired_under_its_own_layout_and_never_without_one(clinic: Clinic) -> None:
    job = clinic.run(FILE)
    clinic.world.layouts.layouts["y"] = clinic.world.layouts.layouts["x"]
    with pytest.raises(PermanentError, match="not_repairable"):
        clinic.repair(job["job_id"], {2: "1,2"}, folder="y")
    found = clinic.run(f"card,name\n{A},x\n{B},y\n{C},y\n{D},z\n12345,z\n", folder="auto")
    with pytest.raises(PermanentError, match="not_repairable"):
        clinic.repair(found["job_id"], {5: f"{A},z"}, folder="auto")


def test_a_repair_is_bounded_in_memory(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    job = clinic.run(FILE)
    monkeypatch.setattr(repairs, "MAX_REPAIR_BYTES", 100)
    with pytest.raises(PermanentError, match="repair_too_large"):
        clinic.repair(job["job_id"], {2: "1" * 100})


def test_a_layout_that_names_a_column_that_the_file_lacks_does_not_fit(clinic: Clinic) -> None:
    job = clinic.run(FILE)
    grown = layout(AMOUNT, '[columns.note]\nrole = "keep"')
    clinic.world.layouts.layouts = MemoryLayouts(grown).layouts
    with pytest.raises(PermanentError, match="missing_column: not in the file: note"):
        clinic.repair(job["job_id"], {2: ROWS[2]})


def test_a_record_with_line_ends_in_quotes_is_one() -> None:
    clinic = Clinic(layout(AMOUNT, role="[format]\nembedded_newlines = true"))
    job = clinic.run(f'amount,card,note\nten,{A},"two\nlines"\n')
    repair = clinic.repair(job["job_id"], {1: f'1.00,{A},"two\nlines"\n'})
    assert clinic.rows(repair) == [("1.00", A)]
    job = clinic.run(f'amount,card,note\nten,{B},"two\nlines"\n')
    with pytest.raises(PermanentError, match="not one record"):
        clinic.repair(job["job_id"], {1: f'1.00,{B},"open'})


def test_sensitive_columns_that_were_emptied_do_not_stand_in_the_way() -> None:
    clinic = Clinic(layout(AMOUNT))
    job = clinic.run(f"amount,card,cvv\nten,{A},123\n")
    (rejected,) = clinic.rejects(job)
    assert rejected["record"] == f"ten,{A},"
    assert clinic.rows(clinic.repair(job["job_id"], {1: f"1.00,{A},"})) == [("1.00", A)]


def test_rows_of_typed_records_are_repaired_one_by_one() -> None:
    records = """[records.types]
header = {match = "H", role = "skip"}
payment = {match = "D"}
trailer = {match = "T", role = "trailer"}"""
    fields = '[format]\nheader = false\nfields = ["kind", "amount", "card"]'
    clinic = Clinic(layout(AMOUNT, records, fields))
    job = clinic.run(f"H,1\nD,ten,{A}\nX,1.00,{B}\nD,2.00,{C}\nT,9\n")
    assert [each["reason"] for each in clinic.rejects(job)] == [
        "invalid_decimal",
        "unknown_record_type",
    ]
    repair = clinic.repair(job["job_id"], {1: f"D,10.00,{A}", 2: f"D,1.00,{B}"})
    assert clinic.rows(repair) == [("10.00", A), ("1.00", B)]


@settings(max_examples=150, deadline=None)
@given(
    bad=st.lists(st.booleans(), min_size=1, max_size=30),
    mended=st.lists(st.sampled_from(["good", "still bad", "left"]), min_size=30, max_size=30),
)
def test_job_and_repair_always_add_up(bad: list[bool], mended: list[str]) -> None:
    clinic = Clinic(LAYOUT)
    lines = [f"{'x' if is_bad else at},{A}" for at, is_bad in enumerate(bad, start=1)]
    job = clinic.run("amount,card\n" + "\n".join(lines) + "\n")
    rejected = [at for at, is_bad in enumerate(bad, start=1) if is_bad]
    fates = dict(zip(rejected, mended, strict=False))
    rows = {
        at: f"{at if fate == 'good' else 'y'},{A}" for at, fate in fates.items() if fate != "left"
    }
    if not rejected:
        return
    repair = clinic.repair(job["job_id"], rows)
    good = [at for at, fate in fates.items() if fate == "good"]
    assert repair["rows_read"] == job["rows_rejected"] == len(rejected)
    assert repair["rows_rejected"] == len(rejected) - len(good)
    if good:
        assert [amount for amount, _ in clinic.rows(repair)] == [f"{at}.00" for at in good]
    assert job["rows_read"] == job["rows_written"] + repair["rows_written"] + len(rejected) - len(
        good
    )
