"""Visa BASE II files: a transaction with all its component records is a row or has a reason."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PermanentError
from pipeline.samples.visa import account, itf_record
from tests.unit.record_reading import PAN, Reading, a_layout, read

LAYOUT = """[format]
type = "ctf"
{settings}
[format.fields]
terminal_id = {{ tcr = 1, start = 10, length = 8 }}
rate = {{ tcr = "D", start = 5, length = 6, type = "zoned", decimals = 3 }}
[columns.account_number]
role = "pan"
[columns.transaction_code]
role = "keep"
[columns.terminal_id]
role = "keep"
[columns.rate]
role = "keep"
[columns.tcr2]
role = "text"
"""


def layout(settings_text: str = "") -> str:
    return LAYOUT.format(settings=settings_text)


def first(code: str = "05", pan: str = PAN) -> str:
    return f"{code}00{account(pan)}".ljust(168)


def further(component: str, text: str, code: str = "05") -> str:
    return f"{code}0{component}{text}".ljust(168)


TRAILER = "9200".ljust(168)
HEADER = "9000".ljust(168)
FORMS = {
    "unbroken": lambda records: "".join(records).encode(),
    "lines": lambda records: "".join(f"{record}\r\n" for record in records).encode(),
    "ITF": lambda records: b"".join(map(itf_record, records)),
    "ITF lines": lambda records: b"\x25".join(map(itf_record, records)),
}


def read_form(form: str, *records: str, more: str = "", block_bytes: int = 1 << 16) -> Reading:
    variant = 'variant = "itf"\n' if form.startswith("ITF") else ""
    return read(FORMS[form](records), a_layout(layout(variant + more)), block_bytes)


@pytest.mark.parametrize("form", FORMS)
def test_components_stay_with_their_transaction(form: str) -> None:
    records = [HEADER, first(), further("1", "     TERM0001"), further("2", "hello")]
    records += [first("06"), further("D", "0012C4 "), first("25"), TRAILER]
    reading = read_form(form, *records[:5], *records[6:])
    assert reading.malformed == {}
    assert reading.column("transaction_code") == ["05", "06", "25"]
    assert reading.column("terminal_id") == ["TERM0001", "", ""]
    assert reading.column("tcr2") == ["0502hello", "", ""]


def test_numbers_of_any_component_are_read() -> None:
    assert read_form("lines", first(), further("D", "001234")).column("rate") == ["1.234"]


@pytest.mark.parametrize(
    "pan",
    ["4222222222222", "378282246310005", PAN, "62055000000000010", "6205500000000000004"],
)
def test_account_numbers_of_any_length_are_put_together(pan: str) -> None:
    assert read_form("unbroken", first(pan=pan)).column("account_number") == [pan]


def test_a_transaction_code_without_a_known_account_number_is_rejected_and_kept_whole() -> None:
    text = further("0", "4" + "x" * 20, code="40")
    reading = read_form("lines", first(), text, further("1", "more", code="40"))
    assert reading.malformed == {2: ("unknown_record_type", None)}
    assert reading.repairable(2)["tcr0"] == text.rstrip()
    assert reading.repairable(2)["tcr1"] == "4001more"


def test_a_layout_can_say_where_other_transactions_have_their_account_number() -> None:
    record = ("1000" + "0" * 23 + account(PAN)).ljust(168)
    reading = read_form("lines", first(), record, more="accounts = { 10 = 28 }")
    assert reading.column("account_number") == [PAN, PAN]


def test_transactions_can_be_skipped_by_code() -> None:
    reading = read_form("lines", first("40"), first(), more='skip = ["40"]')
    assert (list(reading.rows), reading.malformed) == ([1], {})


@pytest.mark.parametrize("form", ["unbroken", "lines"])
def test_components_in_the_wrong_place_reject_their_transaction(form: str) -> None:
    records = [further("1", "orphan"), first(), further("1", "x", code="07"), first()]
    records += [further("1", "a"), further("1", "b"), first()]
    reading = read_form(form, *records)
    assert reading.malformed == {
        1: ("orphan_component", None),
        2: ("orphan_component", None),
        3: ("repeated_component", None),
    }
    assert reading.repairable(3)["tcr1"] == "0501a\n0501b"
    assert list(reading.rows) == [4]


def test_records_of_another_length_reject_their_transaction() -> None:
    records = [first(), further("1", "short").rstrip(), first(), first() + "x", first()]
    assert read_form("lines", *records).malformed == {
        1: ("wrong_record_length", None),
        3: ("wrong_record_length", None),
    }
    padded = read_form("lines", *records, more='short_lines = "pad"')
    assert padded.malformed == {3: ("wrong_record_length", None)}


@pytest.mark.parametrize("form", FORMS)
def test_what_follows_the_file_trailer_refuses_the_file(form: str) -> None:
    with pytest.raises(PermanentError, match="records_after_trailer"):
        read_form(form, HEADER, first(), TRAILER, HEADER, first(), TRAILER)
    with pytest.raises(PermanentError, match="records_after_trailer"):
        read_form(form, HEADER, first(), TRAILER, HEADER, first(), TRAILER, block_bytes=400)


def test_a_trailer_can_be_required() -> None:
    assert len(read_form("lines", first()).rows) == 1
    with pytest.raises(PermanentError, match="trailer_missing"):
        read_form("lines", first(), more='trailer = "required"')


@pytest.mark.parametrize("form", ["unbroken", "ITF"])
def test_a_file_that_breaks_off_in_a_record_is_refused(form: str) -> None:
    content = FORMS[form]([first(), first()])
    variant = 'variant = "itf"' if form == "ITF" else ""
    with pytest.raises(PermanentError, match="truncated_file: the last record has"):
        read(content[:-9], a_layout(layout(variant)))


def test_a_file_of_headers_alone_has_no_rows() -> None:
    with pytest.raises(PermanentError, match="no_rows"):
        read_form("lines", HEADER)
    assert read_form("lines", HEADER, TRAILER).rows == {}


@settings(max_examples=80)
@given(
    form=st.sampled_from(list(FORMS)),
    transactions=st.lists(st.sets(st.sampled_from("12D")), min_size=1, max_size=25),
    block_bytes=st.integers(1_000, 4_000),
)
def test_transactions_come_through_whole_in_blocks_of_any_size(
    form: str, transactions: list[set[str]], block_bytes: int
) -> None:
    records = [HEADER]
    for components in transactions:
        records.append(first())
        records += [further(each, f"00{each}".replace("D", "7")) for each in sorted(components)]
    reading = read_form(form, *records, TRAILER, block_bytes=block_bytes)
    assert reading.malformed == {}
    assert [bool(cell) for cell in reading.column("tcr2")] == ["2" in each for each in transactions]
    assert [bool(cell) for cell in reading.column("rate")] == ["D" in each for each in transactions]


def test_full_tracks_are_not_in_what_is_kept_for_repair() -> None:
    track = further("1", f" {PAN}D28121011234567890")
    reading = read_form("lines", first("40"), track.replace("05", "40", 1))
    assert reading.repairable(1)["tcr1"] == "4001 [removed]"


def test_the_two_more_bytes_of_an_itf_may_be_anything() -> None:
    record = itf_record(first())
    content = (record[:2] + b"\x15\x25" + record[4:]) * 3
    reading = read(content, a_layout(layout('variant = "itf"')))
    assert reading.column("account_number") == [PAN] * 3
