"""Layouts of record formats: mistakes are named with their place, and rejected rows are repaired."""

from __future__ import annotations

import json

import pytest

from pipeline.core.codepages import is_ebcdic, is_single_byte
from pipeline.core.layout_documents import parse_layout
from pipeline.errors import LayoutError
from pipeline.samples.cards import synthetic_pans
from pipeline.samples.mainframe import packed
from pipeline.samples.mastercard import message, private_data
from pipeline.samples.visa import account
from tests.unit.test_ipm import vbs
from tests.unit.test_repairs import Clinic

A, B, C = synthetic_pans(3, seed=29)
PAN_COLUMN = '\n[columns.card]\nrole = "pan"\n'
FIELDS = "[format.fields]\ncard = { start = 1, length = 16 }\n"


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ('[format]\ntype = "fixed"', "format: fields must say where the columns are"),
        ('[format]\ntype = "fixed"\nfields.card = { start = 0, length = 1 }', "start"),
        (
            '[format]\ntype = "fixed"\nfields.other = { start = 1, length = 1 }',
            "columns.card: is not",
        ),
        (
            f'[format]\ntype = "fixed"\nrecord_bytes = 10\n{FIELDS}',
            "a field ends behind record_bytes",
        ),
        (
            '[format]\ntype = "fixed"\nfields.card = { start = 1, length = 8, type = "packed" }',
            "packed, bcd and binary fields need record_bytes",
        ),
        (
            '[format]\ntype = "fixed"\nfields.card = { start = 1, length = 8, decimals = 2 }',
            "need a numeric type",
        ),
        (f'[format]\ntype = "fixed"\nencoding = "utf-16"\n{FIELDS}', "one byte a character"),
        (f'[format]\ntype = "fixed"\nencoding = "s3cr3t"\n{FIELDS}', "is not an encoding"),
        (f'[format]\ntype = "fixed"\nline_ends = "none"\n{FIELDS}', "record_bytes must be set"),
        (
            f'[format]\ntype = "fixed"\n{FIELDS}[format.types.a]\nvalues = ["A", "BB"]',
            "must all have the same length",
        ),
        (
            f'[format]\ntype = "fixed"\n{FIELDS}[format.types.a]\nvalues = ["A"]\n'
            "count = { start = 1, length = 2 }",
            "count belongs to the kinds section and trailer",
        ),
        (
            f'[format]\ntype = "fixed"\n{FIELDS}[format.types.t]\nvalues = ["T"]\n'
            'kind = "trailer"\ncount = { start = 2, length = 2 }\ncounts = ["x"]',
            "counts names types that are not there",
        ),
        ('[format]\ntype = "ctf"', "columns.card: is not among"),
        ('[format]\ntype = "ctf"\naccounts = { 90 = 5 }', "are headers and trailers"),
        ('[format]\ntype = "ctf"\nfields.card = { tcr = "G", start = 1, length = 1 }', "0 to 9"),
        ('[format]\ntype = "ctf"\nfields.card = { start = 160, length = 16 }', "ends behind"),
        ('[format]\ntype = "ipm"', "columns.card: is not among"),
        ('[format]\ntype = "ipm"\nencoding = "utf-8"', "one byte a character"),
        ('[format]\ntype = "ipm"\nelements = { DE1 = "8" }', "must be named DE2 to DE128"),
        ('[format]\ntype = "ipm"\nelements = { DE80 = "L" }', "must be LL, LLL or"),
    ],
)
def test_a_mistake_is_named_and_never_echoed(text: str, mistake: str) -> None:
    with pytest.raises(LayoutError) as error:
        parse_layout(f'name = "x"\n{text}{PAN_COLUMN}'.encode())
    assert mistake in str(error.value)
    assert "s3cr3t" not in str(error.value)


@pytest.mark.parametrize("column", ["DE35", "DE36", "DE45", "DE52", "TAG57", "TAG9F6B", "TAG9F20"])
def test_elements_of_sensitive_data_can_only_be_dropped(column: str) -> None:
    def layout(role: str) -> bytes:
        return (
            'name = "x"\n[format]\ntype = "ipm"\n[columns.DE2]\nrole = "pan"\n'
            f'[columns.{column}]\nrole = "{role}"'
        ).encode()

    assert parse_layout(layout("drop"))
    with pytest.raises(LayoutError, match="may only be dropped"):
        parse_layout(layout("keep"))


def test_code_page_1047_is_037_with_three_pairs_changed_about() -> None:
    page = bytes(range(256)).decode("cp1047")
    assert page.encode("IBM-1047") == bytes(range(256))
    assert b"\xad\xbd\x5f".decode("cp1047") == "[]^"
    old = bytes(range(256)).decode("cp037")
    assert [at for at in range(256) if page[at] != old[at]] == [0x5F, 0xAD, 0xB0, 0xBA, 0xBB, 0xBD]


@pytest.mark.parametrize("encoding", ["cp037", "cp500", "cp1047", "cp273", "cp1140"])
def test_ebcdic_is_told_by_its_digits(encoding: str) -> None:
    assert is_ebcdic(encoding)
    assert is_single_byte(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "shift-jis", "gb18030", "no such"])
def test_encodings_of_several_bytes_are_told(encoding: str) -> None:
    assert not is_single_byte(encoding)
    assert not is_ebcdic(encoding)


FIXED = f"""name = "x"
[format]
type = "fixed"
encoding = "cp500"
record_bytes = 40
[format.fields]
card = {{ start = 1, length = 19 }}
amount = {{ start = 20, length = 4, type = "packed", decimals = 2 }}
note = {{ start = 24, length = 14 }}
cvv = {{ start = 38, length = 3 }}
{PAN_COLUMN}
[columns.amount]
role = "keep"
type = "decimal(7,2)"
[columns.note]
role = "keep"
"""


def fixed_record(card: str, amount: bytes, note: str) -> bytes:
    return f"{card:<19}".encode("cp500") + amount + f"{note:<14}987".encode("cp500")


def opened(clinic: Clinic, receipt: object, column: str) -> list[str]:
    return clinic.opened(clinic.table(receipt)[f"{column}_token"].to_pylist())  # type: ignore[arg-type]


def test_rejected_fixed_length_records_are_repaired_as_delimited_text() -> None:
    clinic = Clinic(FIXED)
    records = [
        fixed_record(A, packed(100, 4), "good"),
        fixed_record(B, b"\xff\xff\xff\xff", 'say "a, b"'),
        fixed_record("", packed(-300, 4), "no card"),
    ]
    job = clinic.run(b"".join(records))
    assert {each["row"]: each["record"] for each in clinic.rejects(job)} == {
        2: f'{B},X\'FFFFFFFF\',"say ""a, b""",',
        3: ",-3.00,no card,",
    }
    repair = clinic.repair(
        job["job_id"], {2: f'{B},2.00,"say ""a, b""",', 3: f"{C},-3.00,no card,"}
    )
    assert opened(clinic, repair, "card") == [B, C]
    table = clinic.table(repair)
    assert list(map(str, table["amount"].to_pylist())) == ["2.00", "-3.00"]
    assert table["note"].to_pylist() == ['say "a, b"', "no card"]


def test_what_is_sent_back_unrepaired_is_rejected_again() -> None:
    clinic = Clinic(FIXED)
    job = clinic.run(fixed_record(A, b"\xff\xff\xff\xff", "x"))
    (rejected,) = clinic.rejects(job)
    assert rejected["reason"] == "invalid_packed"
    repair = clinic.repair(job["job_id"], {1: rejected["record"]})
    assert repair["rejects_by_reason"] == {"invalid_decimal": 1}


def test_rejected_transactions_are_repaired_as_delimited_text() -> None:
    text = (
        'name = "x"\n[format]\ntype = "ctf"\n[columns.account_number]\nrole = "pan"\n'
        '[columns.source_amount]\nrole = "keep"\ntype = "integer"\n[columns.tcr1]\nrole = "text"'
    )
    clinic = Clinic(text)
    lines = [f"0500{account(A)}".ljust(168), "0501 note".ljust(168)]
    lines[0] = lines[0][:76] + "00000000O123" + lines[0][88:]
    job = clinic.run("\n".join(lines))
    (rejected,) = clinic.rejects(job)
    assert (rejected["reason"], rejected["column"]) == ("invalid_integer", "source_amount")
    mended = rejected["record"].replace("00000000O123", "000000000123")
    repair = clinic.repair(job["job_id"], {1: mended})
    assert opened(clinic, repair, "account_number") == [A]
    assert clinic.table(repair).to_pylist()[0]["tcr1"] == "0501 note"
    assert clinic.table(repair).to_pylist()[0]["source_amount"] == 123


def test_rejected_messages_are_repaired_as_delimited_text() -> None:
    text = (
        'name = "x"\n[format]\ntype = "ipm"\n[columns.DE2]\nrole = "pan"\n'
        '[columns.DE4]\nrole = "keep"\ntype = "integer"\n[columns.DE72]\nrole = "text"\n'
        '[columns.PDS0158]\nrole = "keep"'
    )
    clinic = Clinic(text)
    private = private_data({"0158": "MCC"})
    content = vbs(
        message(
            "1240", {2: A, 4: "00000000O123", 48: private, 72: f'"{C}"\nline two', 35: f"{A}=1"}
        )
    )
    job = clinic.run(content)
    (rejected,) = clinic.rejects(job)
    assert f"{A}=1" not in rejected["record"]
    mended = rejected["record"].replace("00000000O123", "000000000123")
    repair = clinic.repair(job["job_id"], {1: mended})
    assert opened(clinic, repair, "DE2") == [A]
    (row,) = clinic.table(repair).to_pylist()
    assert (row["DE4"], row["PDS0158"]) == (123, "MCC")
    assert row["DE72"].startswith('"tok_')
    assert row["DE72"].endswith('"\nline two')


def test_receipts_name_the_columns_of_a_record_format() -> None:
    clinic = Clinic(FIXED)
    receipt = clinic.run(fixed_record(A, packed(100, 4), "good"))
    assert receipt["columns"] == {
        "kept": ["amount", "note"],
        "tokenized": ["card"],
        "dropped": ["cvv"],
    }
    assert A not in json.dumps(dict(receipt))
