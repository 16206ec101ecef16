"""What holds for every format whose records are named values, not lines of text."""

from __future__ import annotations

import csv
import io
import itertools
import json
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.jobs import repair_key
from pipeline.errors import LayoutError, PermanentError
from pipeline.job import run_job
from pipeline.model import Position
from pipeline.readers import registry
from pipeline.samples.cards import synthetic_pans
from tests.unit.structured import (
    WRITERS,
    as_avro,
    as_json,
    as_jsonl,
    as_orc,
    as_parquet,
    as_xlsx,
    batches,
    cells,
    document,
    faults,
    keep,
    parsed,
)
from tests.unit.test_tokenize import Bench

KINDS = list(WRITERS)
PANS = synthetic_pans(25, seed=41)
ROWS = [{"card": pan, "note": f"n{at}", "cvv": "123"} for at, pan in enumerate(PANS)]
SMALL = {
    "jsonl": {"block_bytes": 300},
    "json": {"block_bytes": 300},
    "parquet": {"max_rows": 3},
    "orc": {"max_rows": 3},
    "avro": {"max_rows": 3},
    "xlsx": {"max_rows": 3},
}


def opened(bench: Bench, receipt: Any) -> list[str]:
    return bench.opened(bench.table(receipt)["card_token"].to_pylist())


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_opens_to_the_pan_of_its_row(kind: str) -> None:
    bench = Bench(document(kind, keep("note")))
    receipt = bench.run(WRITERS[kind](ROWS))
    assert opened(bench, receipt) == PANS
    assert bench.table(receipt)["note"].to_pylist() == [row["note"] for row in ROWS]
    assert receipt["columns"] == {"kept": ["note"], "tokenized": ["card"], "dropped": ["cvv"]}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_read_on_from_the_end_of_any_batch(kind: str) -> None:
    content, layout = WRITERS[kind](ROWS), parsed(document(kind, keep("note")))
    whole = batches(content, layout, **SMALL[kind])
    assert len(whole) > 2
    assert cells(whole, "card") == PANS
    for at, batch in enumerate(whole):
        rest = batches(content, layout, start=batch.end, **SMALL[kind])
        assert cells(rest, "card") == cells(whole[at + 1 :], "card")
        assert batch.end is not None
        begin = whole[at - 1].end if at else Position()
        assert begin is not None
        one = batches(content, layout, start=begin, end_bytes=batch.end.offset_bytes, **SMALL[kind])
        assert cells(one, "card") == cells([batch], "card")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_worked_off_in_as_many_invocations_as_it_takes(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = registry.READERS[kind]
    monkeypatch.setitem(registry.READERS, kind, partial(reader, **SMALL[kind]))  # type: ignore[arg-type]
    bench = Bench(document(kind, keep("note")))
    upload = bench.world.quarantine.put("incoming/x/a", WRITERS[kind](ROWS))
    invocations = 0
    receipt = None
    while not isinstance(receipt, dict):
        clock = itertools.chain([900.0], itertools.repeat(0.0))
        receipt = run_job(upload, bench.worker, lambda clock=clock: next(clock))  # type: ignore[misc]
        invocations += 1
    assert invocations > 3
    assert opened(bench, receipt) == PANS


@pytest.mark.parametrize("kind", KINDS)
def test_rejected_rows_hold_all_fields_but_the_sensitive_ones_and_go_through_repaired(
    kind: str,
) -> None:
    bench = Bench(document(kind, keep("amount", "decimal(8,2)")))
    rows = [
        {"card": PANS[0], "amount": "1.00", "cvv": "123", "memo": 'a "b",\nc'},
        {"card": PANS[1], "amount": "ten", "cvv": "456", "memo": 'a "b",\nc'},
        {"card": "4111********1111", "amount": "3.00", "cvv": "789", "memo": ""},
    ]
    job = bench.run(WRITERS[kind](rows))
    assert job["rejects_by_reason"] == {"invalid_decimal": 1, "pan_masked": 1}
    first, second = bench.rejects(job)
    fields = next(csv.reader(io.StringIO(first["record"], newline="")))
    assert PANS[1] in fields
    assert "ten" in fields
    assert 'a "b",\nc' in fields or json.dumps(rows[1]["memo"]) in fields[-1]
    assert not any("456" in field or "789" in field for field in fields)
    mended = first["record"].replace("ten", "10.00")
    lines = [
        json.dumps({"row": 2, "record": mended}),
        json.dumps({"row": 3, "record": second["record"]}),
    ]
    upload = bench.world.quarantine.put(
        repair_key("x", job["job_id"], "a.jsonl"), "\n".join(lines).encode()
    )
    repair = run_job(upload, bench.worker, lambda: 900.0)
    assert repair is not None
    assert opened(bench, repair) == [PANS[1]]
    assert bench.table(repair)["amount"].to_pylist() == [Decimal("10.00")]
    assert (repair["rows_read"], repair["rows_rejected"]) == (2, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_of_pans_that_the_file_lacks_fails_it(kind: str) -> None:
    with pytest.raises(PermanentError, match="missing_column"):
        Bench(document(kind)).run(WRITERS[kind]([{"pan": PANS[0], "note": "a"}]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_without_rows_says_so(kind: str) -> None:
    schema = pa.schema({"card": pa.string()})
    empty = {
        "jsonl": b"\n\n",
        "json": b" [ ] ",
        "parquet": as_parquet([], schema),
        "orc": as_orc([], schema),
        "avro": as_avro([], {"card": "string"}),
        "xlsx": as_xlsx([{"card": None}]),
    }
    with pytest.raises(PermanentError, match="no_rows"):
        Bench(document(kind)).run(empty[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_file_fails(kind: str) -> None:
    with pytest.raises(PermanentError) as error:
        Bench(document(kind)).run(b"")
    assert error.value.code in ("empty_file", "malformed_file", "corrupt_archive")


@pytest.mark.parametrize("kind", KINDS)
def test_sensitive_columns_cannot_be_kept_however_deep_they_are(kind: str) -> None:
    for name in ("cvv", "payment.card.cvv", "payment.track2.data", "a.cvv.value"):
        with pytest.raises(LayoutError, match="may only be dropped"):
            parsed(document(kind, keep(name)))


def test_result_codes_about_sensitive_data_may_be_kept() -> None:
    parsed(document("jsonl", keep("checks.cvv_result")))


TYPED = [
    {
        "card": PANS[0],
        "day": date(2026, 3, 2),
        "moment": datetime(2026, 3, 2, 1, 2, 3, 500000, UTC),
        "amount": Decimal("12.50"),
        "ok": True,
        "count": 7,
    },
    {"card": PANS[1], "day": None, "moment": None, "amount": None, "ok": None, "count": None},
]
SCHEMA = pa.schema(
    {
        "card": pa.string(),
        "day": pa.date32(),
        "moment": pa.timestamp("us", "UTC"),
        "amount": pa.decimal128(20, 10),
        "ok": pa.bool_(),
        "count": pa.int32(),
    }
)
AVRO_TYPES = {
    "card": "string",
    "day": ["null", {"type": "int", "logicalType": "date"}],
    "moment": ["null", {"type": "long", "logicalType": "timestamp-micros"}],
    "amount": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 10}],
    "ok": ["null", "boolean"],
    "count": ["null", "int"],
}
TYPED_FILES = {
    "parquet": as_parquet(TYPED, SCHEMA),
    "orc": as_orc(TYPED, SCHEMA),
    "avro": as_avro(TYPED, AVRO_TYPES),
    "xlsx": as_xlsx(
        [row | {"moment": row["moment"] and row["moment"].replace(tzinfo=None)} for row in TYPED]
    ),
    "jsonl": as_jsonl(
        [
            row
            | {name: row[name] and str(row[name]) for name in ("day", "moment")}
            | {"amount": row["amount"] and float(row["amount"])}
            for row in TYPED
        ]
    ),
}


@pytest.mark.parametrize("kind", TYPED_FILES)
def test_typed_values_become_typed_columns(kind: str) -> None:
    columns = [keep("day", "date"), keep("moment", "timestamp"), keep("amount", "decimal(12,2)")]
    bench = Bench(document(kind, *columns, keep("ok", "boolean"), keep("count", "integer")))
    receipt = bench.run(TYPED_FILES[kind])
    assert receipt["rows_rejected"] == 0
    rows = bench.table(receipt).to_pylist()
    for row, given_row in zip(rows, TYPED, strict=True):
        for name in ("day", "moment", "amount", "ok", "count"):
            assert row[name] == given_row[name], name


@pytest.mark.parametrize("kind", ["parquet", "orc", "avro", "xlsx"])
def test_typed_days_and_moments_follow_the_format_that_the_layout_states(kind: str) -> None:
    columns = [keep("day", "date", 'format = "%d.%m.%Y"')]
    columns += [keep("moment", "timestamp", 'format = "%Y%m%d%H%M%S"')]
    bench = Bench(document(kind, *columns))
    rows = bench.table(bench.run(TYPED_FILES[kind])).to_pylist()
    assert rows[0]["day"] == date(2026, 3, 2)
    assert rows[0]["moment"].replace(microsecond=0) == datetime(2026, 3, 2, 1, 2, 3, 0, UTC)


INTEGERS = [{"card": 4111111111111111}, {"card": 11111111117}, {"card": None}, {"card": 0}]
INTEGER_FILES = {
    "parquet": as_parquet(INTEGERS, pa.schema({"card": pa.int64()})),
    "parquet of decimals": as_parquet(INTEGERS, pa.schema({"card": pa.decimal128(19, 0)})),
    "orc": as_orc(INTEGERS, pa.schema({"card": pa.int64()})),
    "avro": as_avro(INTEGERS, {"card": ["null", "long"]}),
}


@pytest.mark.parametrize("name", INTEGER_FILES)
def test_a_column_of_whole_numbers_is_refused_unless_the_layout_states_the_length(
    name: str,
) -> None:
    kind = name.split(maxsplit=1)[0]
    with pytest.raises(PermanentError, match="pan_column_is_numeric: column card"):
        Bench(document(kind)).run(INTEGER_FILES[name])
    found = batches(INTEGER_FILES[name], parsed(document(kind, card="digits = 16")))
    assert cells(found, "card") == ["4111111111111111", "0000011111111117", "", ""]


@pytest.mark.parametrize("name", INTEGER_FILES)
def test_a_number_that_is_longer_than_the_layout_states_is_rejected(name: str) -> None:
    kind = name.split(maxsplit=1)[0]
    found = batches(INTEGER_FILES[name], parsed(document(kind, card="digits = 15")))
    assert faults(found) == {1: ("pan_wrong_length", "card")}


FLOATS = [{"card": 4111111111111111.0}]
FLOAT_FILES = {
    "parquet": as_parquet(FLOATS, pa.schema({"card": pa.float64()})),
    "orc": as_orc(FLOATS, pa.schema({"card": pa.float64()})),
    "avro": as_avro(FLOATS, {"card": "double"}),
}


@pytest.mark.parametrize("kind", FLOAT_FILES)
def test_a_column_of_floats_is_refused_whatever_the_layout_states(kind: str) -> None:
    for digits in ("", "digits = 16"):
        with pytest.raises(PermanentError, match="pan_column_is_inexact"):
            Bench(document(kind, card=digits)).run(FLOAT_FILES[kind])


@pytest.mark.parametrize("kind", [*KINDS, "delimited"])
def test_digits_can_be_stated_for_every_format(kind: str) -> None:
    assert parsed(document(kind, card="digits = 16")).columns["card"].digits == 16


@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize(
    ("literal", "reason"),
    [
        ("4111111111111111", None),
        ("9792030000000003", "pan_number_inexact"),  # beyond 2^53
        ("4111111111111111.0", "pan_number_inexact"),
        ("4.111111111111111e15", "pan_number_inexact"),
        ("-4111111111111111", "pan_wrong_length"),
        ("41111111111111110", "pan_number_inexact"),
    ],
)
def test_json_numbers_are_read_from_their_text(kind: str, literal: str, reason: str | None) -> None:
    row = f'{{"card":{literal}}}'
    content = (row if kind == "jsonl" else f"[{row}]").encode()
    found = batches(content, parsed(document(kind, card="digits = 16")))
    assert faults(found) == ({1: (reason, "card")} if reason else {})
    assert cells(found, "card") == ([] if reason else [literal])
    if reason is None:
        assert faults(batches(content, parsed(document(kind)))) == {1: ("pan_number", "card")}


@pytest.mark.parametrize(
    ("value", "digits", "reason"),
    [
        (378282246310005, 15, None),
        (378282246310005, None, "pan_number"),
        (4111111111111110, 16, "pan_number_inexact"),
        (4.11111111111111e18, 19, "pan_number_inexact"),
        (378282246310005.5, 16, "pan_number_inexact"),
        (5018000009, 12, None),
    ],
)
def test_numbers_in_sheets_that_lost_digits_are_rejected(
    value: float, digits: int | None, reason: str | None
) -> None:
    content = as_xlsx([{"card": value, "n": 1}, {"card": PANS[0], "n": 2}])
    card = f"digits = {digits}" if digits else ""
    found = batches(content, parsed(document("xlsx", card=card)))
    assert faults(found) == ({1: (reason, "card")} if reason else {})
    if reason is None:
        assert cells(found, "card") == [str(value).zfill(digits or 0), PANS[0]]


NESTED = [
    {"id": at, "payment": {"card": {"number": pan, "cvv": "123"}, "tags": ["a", "b"]}}
    for at, pan in enumerate(PANS[:4])
]
CARD = '[columns."payment.card.number"]\nrole = "pan"'
NESTED_AVRO = {
    "id": "long",
    "payment": {
        "type": "record",
        "name": "payment",
        "fields": [
            {
                "name": "card",
                "type": [
                    "null",
                    {
                        "type": "record",
                        "name": "card",
                        "fields": [
                            {"name": "number", "type": "string"},
                            {"name": "cvv", "type": "string"},
                        ],
                    },
                ],
            },
            {"name": "tags", "type": {"type": "array", "items": "string"}},
        ],
    },
}
NESTED_FILES = {
    "jsonl": as_jsonl(NESTED),
    "json": as_json(NESTED),
    "parquet": as_parquet(NESTED),
    "orc": as_orc(NESTED),
    "avro": as_avro(NESTED, NESTED_AVRO),
}


@pytest.mark.parametrize("kind", NESTED_FILES)
def test_a_name_with_dots_reaches_into_values(kind: str) -> None:
    text = f'name = "x"\n[format]\ntype = "{kind}"\n{CARD}\n{keep("id", "integer")}\n'
    bench = Bench(text + keep("payment.tags"))
    receipt = bench.run(NESTED_FILES[kind])
    table = bench.table(receipt)
    assert bench.opened(table["payment.card.number_token"].to_pylist()) == PANS[:4]
    assert table["payment.tags"].to_pylist() == ['["a","b"]'] * 4
    assert sorted(table["id"].to_pylist()) == [0, 1, 2, 3]
    assert "payment.card.cvv" in receipt["columns"]["dropped"]


@pytest.mark.parametrize("kind", NESTED_FILES)
def test_nested_sensitive_data_is_in_no_reject(kind: str) -> None:
    text = f'name = "x"\n[format]\ntype = "{kind}"\n{CARD}\n{keep("id", "boolean")}\n'
    bench = Bench(text)
    rejects = bench.rejects(bench.run(NESTED_FILES[kind]))
    assert [each["reason"] for each in rejects] == ["invalid_boolean"] * 2
    assert all(pan in each["record"] for pan, each in zip(PANS[2:], rejects, strict=False))
    assert not any(
        "123" in each["record"].replace(PANS[2], "").replace(PANS[3], "") for each in rejects
    )


@pytest.mark.parametrize(("kind", "module"), [("avro", "fastavro"), ("xlsx", "python_calamine")])
def test_a_reader_that_is_not_installed_says_what_to_install(
    kind: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = WRITERS[kind](ROWS)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(PermanentError, match=r"reader_not_installed: .*pantok\[formats\]"):
        Bench(document(kind)).run(content)


FRAGMENTS = [
    *PANS[:3],
    '{"card":',
    '"',
    "}",
    "[",
    "]",
    ",",
    "\n",
    "null",
    "1e5",
    "4111111111111111",
    "\\u",
    "\ud83d".encode("utf-8", "replace").decode(),
    "true",
    '{"card":"',
    '"}',
    " ",
]
ANY_TEXT = st.lists(st.sampled_from(FRAGMENTS), max_size=25).map(
    lambda parts: "".join(parts).encode()
)


@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from(KINDS), content=st.binary(max_size=200) | ANY_TEXT)
def test_any_bytes_as_a_file_add_up_or_get_a_reason(kind: str, content: bytes) -> None:
    check(kind, content)


FILES = {kind: write(ROWS) for kind, write in WRITERS.items()}
# ORC's library trusts what is inside of a file and may end the process over it: what it is given
# here is cut short, but not changed.
CHANGED = [kind for kind in KINDS if kind != "orc"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_short_anywhere_adds_up_or_gets_a_reason(kind: str) -> None:
    content = FILES[kind]
    for cut in range(0, len(content), max(1, len(content) // 40)):
        check(kind, content[:cut])


@settings(max_examples=400, deadline=None)
@given(
    kind=st.sampled_from(CHANGED),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=5),
    cut=st.integers(0, 60),
)
def test_damaged_files_add_up_or_get_a_reason(
    kind: str, flips: list[tuple[int, int]], cut: int
) -> None:
    body = bytearray(FILES[kind])
    for at, change in flips:
        body[at % len(body)] ^= change
    check(kind, bytes(body[: len(body) - cut]))


def check(kind: str, content: bytes) -> None:
    bench = Bench(document(kind, keep("note")))
    try:
        receipt = bench.run(content)
    except PermanentError as error:
        (receipt,) = bench.world.tokenized.receipts.values()
        assert (receipt["status"], receipt["reason"]) == ("failed", error.code)
        assert not any(pan in f"{error!r}" for pan in PANS)
    else:
        assert receipt["rows_read"] == receipt["rows_written"] + receipt["rows_rejected"]
        rejects = bench.rejects(receipt) if receipt["rejects_uris"] else []
        assert len(rejects) == receipt["rows_rejected"]
