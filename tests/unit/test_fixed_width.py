"""Fixed-width lines and fixed-length records: every record is a row or has a reason."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import LayoutError, PermanentError
from pipeline.samples.mainframe import packed, zoned
from tests.unit.record_reading import PAN, Reading, a_layout, read

COLUMNS = '\n[columns.card]\nrole = "pan"\n[columns.note]\nrole = "keep"\n'
LINES = a_layout(
    f"""[format]
type = "fixed"
[format.fields]
card = {{ start = 1, length = 19 }}
note = {{ start = 21, length = 10 }}
{COLUMNS}"""
)


def unbroken(encoding: str = "cp037", size: int = 30, more: str = "") -> str:
    return f"""[format]
type = "fixed"
encoding = "{encoding}"
record_bytes = {size}
{more}
[format.fields]
card = {{ start = 1, length = 19 }}
note = {{ start = 21, length = 10 }}
{COLUMNS}"""


def line(card: str, note: str) -> str:
    return f"{card:<19} {note:<10}"


def one_number(field: str, raw: bytes) -> Reading:
    """The column `n` of a record that is a card and that field."""
    layout = a_layout(
        f"""[format]
type = "fixed"
encoding = "cp037"
record_bytes = {16 + len(raw)}
[format.fields]
card = {{ start = 1, length = 16 }}
n = {{ start = 17, length = {len(raw)}, {field} }}
[columns.card]
role = "pan"
[columns.n]
role = "keep"
"""
    )
    return read(PAN.encode("cp037") + raw, layout)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_are_cut_into_fields_without_the_blanks_around_them(end: str, last: bool) -> None:
    text = end.join([line(PAN, "one"), "", line("", " two")]) + (end if last else "")
    assert read(text.encode(), LINES).cells == [(PAN, "one"), ("", "two")]


@pytest.mark.parametrize("encoding", ["cp037", "cp500", "cp1047", "cp273", "latin-1", "utf-8"])
def test_records_that_nothing_separates_are_told_by_their_length(encoding: str) -> None:
    content = "".join([line(PAN, "one [x]"), line(PAN, "two")]).encode(encoding)
    assert read(content, a_layout(unbroken(encoding))).cells == [(PAN, "one [x]"), (PAN, "two")]


@pytest.mark.parametrize("line_end", [b"\x15", b"\x25", b"\x0d\x25"])
def test_lines_of_ebcdic_end_in_its_own_line_ends(line_end: bytes) -> None:
    layout = a_layout(unbroken(more='line_ends = "required"'))
    content = line_end.join(line(PAN, note).encode("cp037") for note in ("a", "b"))
    assert read(content, layout).column("note") == ["a", "b"]


def test_a_file_that_may_have_line_ends_is_read_with_them_and_without() -> None:
    layout = a_layout(unbroken("latin-1", more='line_ends = "optional"'))
    lines = [line(PAN, "a"), line(PAN, "b")]
    assert read("".join(lines).encode(), layout).column("note") == ["a", "b"]
    assert read("\n".join(lines).encode(), layout).column("note") == ["a", "b"]


def test_positions_count_characters_in_lines_of_utf_8() -> None:
    content = f"\ufeff{line(PAN, 'Grüße')}\n{'é' * 19} {'ab':<10}\n".encode()
    assert read(content, LINES).column("note") == ["Grüße", "ab"]


def test_characters_beyond_ascii_are_read_in_single_byte_encodings() -> None:
    content = (line(PAN, "Grüße") + line(PAN, "ñandú")).encode("cp037")
    assert read(content, a_layout(unbroken())).column("note") == ["Grüße", "ñandú"]


def test_a_line_that_is_not_in_the_encoding_is_rejected_alone() -> None:
    content = f"{line(PAN, 'good')}\n".encode() + line(PAN, "caf").encode()[:-7] + b"\xe9 more \n"
    reading = read(content, LINES)
    assert reading.malformed == {2: ("invalid_encoding", "note")}
    assert reading.column("note") == ["good"]


def test_bytes_that_the_encoding_does_not_know_reject_only_where_they_are_needed() -> None:
    layout = a_layout(unbroken("cp1252"))
    good, bad = line(PAN, "x").encode(), line(PAN, "y").encode().replace(b"y", b"\x81")
    assert read(good + bad, layout).malformed == {2: ("invalid_encoding", "note")}
    filler = good[:19] + b"\x81" + good[20:]
    assert read(filler, layout).malformed == {}


def test_a_line_that_ends_before_its_fields_is_rejected_unless_lines_may_be_short() -> None:
    content = f"{line(PAN, 'full')}\n{PAN}    ab\n{line(PAN, 'long')} and more\n".encode()
    reading = read(content, LINES)
    assert reading.malformed == {2: ("wrong_record_length", None)}
    assert reading.column("note") == ["full", "long"]
    assert reading.repairable(2) == {"card": PAN, "note": "ab"}
    text = unbroken("utf-8").replace("record_bytes = 30", 'short_lines = "pad"')
    assert read(content, a_layout(text)).column("note") == ["full", "ab", "long"]


@pytest.mark.parametrize("filling", [b"", b"\r\n", b"\x1a", b"\0\0\0", b"\x40\x40"])
def test_filling_behind_the_last_record_is_none(filling: bytes) -> None:
    content = line(PAN, "a").encode("cp037") + filling
    assert read(content, a_layout(unbroken())).column("note") == ["a"]


def test_a_file_that_breaks_off_in_a_record_is_refused() -> None:
    content = (line(PAN, "a") * 3).encode("cp037")
    with pytest.raises(PermanentError, match="truncated_file: the last record has 25 of 30 bytes"):
        read(content[:-5], a_layout(unbroken()))


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_a_file_without_records_is_refused(content: bytes) -> None:
    with pytest.raises(PermanentError, match="empty_file" if not content else "no_rows"):
        read(content, LINES)


@settings(max_examples=60)
@given(
    notes=st.lists(st.text("abc xyzäß", max_size=10), min_size=1, max_size=40),
    encoding=st.sampled_from(["cp037", "cp500", "cp1047", "latin-1", "utf-8"]),
    is_lines=st.booleans(),
    block_bytes=st.integers(64, 700),
)
def test_any_notes_come_through_in_any_encoding_and_blocks(
    notes: list[str], encoding: str, is_lines: bool, block_bytes: int
) -> None:
    is_lines = is_lines or encoding == "utf-8"
    more = 'line_ends = "required"' if is_lines else ""
    records = [line(PAN, note) + ("\n" if is_lines else "") for note in notes]
    layout = a_layout(unbroken(encoding, more=more))
    reading = read("".join(records).encode(encoding), layout, block_bytes)
    assert reading.column("note") == [note.strip() for note in notes]
    assert reading.column("card") == [PAN] * len(notes)


@settings(max_examples=200)
@given(cents=st.integers(-(10**12), 10**12), decimals=st.integers(0, 15))
def test_packed_and_zoned_numbers_keep_sign_and_decimals(cents: int, decimals: int) -> None:
    expected = Decimal(cents).scaleb(-decimals)
    for kind, raw in (("packed", packed(cents, 7)), ("zoned", zoned(cents, 13))):
        (cell,) = one_number(f'type = "{kind}", decimals = {decimals}', raw).column("n")
        assert Decimal(cell) == expected
        assert len(cell.partition(".")[2]) == decimals


@settings(max_examples=100)
@given(number=st.integers(-(2**31), 2**31 - 1), decimals=st.integers(0, 12))
def test_binary_numbers_keep_sign_and_decimals(number: int, decimals: int) -> None:
    raw = number.to_bytes(4, "big", signed=True)
    (cell,) = one_number(f'type = "binary", decimals = {decimals}', raw).column("n")
    assert Decimal(cell) == Decimal(number).scaleb(-decimals)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0012{", "120"),
        ("0012}", "-120"),
        ("0012C", "123"),
        ("0012L", "-123"),
        ("00123", "123"),
        ("-0123", "-123"),
        ("0123-", "-123"),
        ("+0123", "123"),
        ("  123", "123"),
        ("     ", ""),
    ],
)
def test_zoned_numbers_are_read_with_every_kind_of_sign(text: str, number: str) -> None:
    layout = a_layout(
        """[format]
type = "fixed"
[format.fields]
card = { start = 1, length = 16 }
n = { start = 17, length = 5, type = "zoned" }
[columns.card]
role = "pan"
[columns.n]
role = "keep"
"""
    )
    assert read(f"{PAN}{text}\n".encode(), layout).column("n") == [number]
    assert one_number('type = "zoned"', text.encode("cp037")).column("n") == [number]


@pytest.mark.parametrize(
    ("kind", "raw", "shown"),
    [
        ("packed", b"\x12\x34\x5a\x6c", "X'12345A6C'"),
        ("packed", b"\x12\x34\x56", "X'123456'"),
        ("zoned", "12A4".encode("cp037"), "X'F1F2C1F4'"),
        ("zoned", "--12".encode("cp037"), "X'6060F1F2'"),
        ("bcd", b"\x12\xa4", "X'12A4'"),
    ],
)
def test_what_is_no_number_rejects_its_record_and_is_shown_for_repair(
    kind: str, raw: bytes, shown: str
) -> None:
    reading = one_number(f'type = "{kind}"', raw)
    assert reading.malformed == {1: (f"invalid_{kind}", "n")}
    assert reading.repairable(1) == {"card": PAN, "n": shown}


@pytest.mark.parametrize("raw", [b"\x40\x40\x40", b"\0\0\0"])
def test_a_packed_field_of_spaces_or_low_values_holds_no_number(raw: bytes) -> None:
    assert one_number('type = "packed"', raw).column("n") == [""]


def test_a_packed_number_can_keep_its_digits() -> None:
    raw = packed(4111111111111, 9)
    assert one_number('type = "packed", digits = 16', raw).column("n") == ["0004111111111111"]
    too_long = one_number('type = "packed", digits = 12', raw)
    assert too_long.malformed == {1: ("invalid_packed", "n")}


def test_unsigned_packed_digits_lose_their_filling_halves() -> None:
    raw = bytes.fromhex("4111111111111111FFFF")
    assert one_number('type = "bcd"', raw).column("n") == [PAN]


TYPED = f"""[format]
type = "fixed"
[format.fields]
card = {{ start = 2, length = 16 }}
[format.types.sale]
values = ["S"]
[format.types.sale.fields]
note = {{ start = 18, length = 4 }}
[format.types.move]
values = ["M"]
[format.types.move.fields]
card = {{ start = 3, length = 16 }}
other = {{ start = 19, length = 16 }}
[format.types.head]
values = ["H"]
kind = "header"
[format.types.batch]
values = ["B"]
kind = "section"
count = {{ start = 2, length = 4 }}
[format.types.end]
values = ["E"]
kind = "trailer"
count = {{ start = 2, length = 4 }}
counts = ["sale", "move", "head"]
[format.types.filling]
values = ["9"]
kind = "skip"
{COLUMNS}
[columns.other]
role = "pan"
empty = "keep"
"""
OTHER = "5555555555554444"
SALE, MOVE = f"S{PAN}abcd", f"M {PAN}{OTHER}"


def typed(*lines: str, block_bytes: int = 1 << 16) -> Reading:
    return read("".join(f"{line}\n" for line in lines).encode(), a_layout(TYPED), block_bytes)


@pytest.mark.parametrize("block_bytes", [40, 60, 1 << 16])
def test_each_type_has_its_fields_and_trailers_are_held_against_the_records(
    block_bytes: int,
) -> None:
    lines = ["H", SALE, MOVE, "B0002", SALE, "B0001", "E0004", "9", "9"]
    reading = typed(*lines, block_bytes=block_bytes)
    assert reading.file_columns == ("card", "note", "other")
    assert [tuple(reading.rows[at].values()) for at in (1, 2, 3)] == [
        (PAN, "abcd", ""),
        (PAN, "", OTHER),
        (PAN, "abcd", ""),
    ]
    assert reading.malformed == {}


def test_a_record_of_no_known_type_is_rejected_alone() -> None:
    reading = typed(SALE, f"X{PAN}efgh", MOVE, "B0002", "E0002")
    assert reading.malformed == {2: ("unknown_record_type", None)}
    assert reading.repairable(2) == {"card": PAN, "note": "", "other": ""}
    assert list(reading.rows) == [1, 3]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["H", SALE, "B0002", "E0002"], "trailer_mismatch: batch does not state the 1"),
        (["H", SALE, "B0001", "E0001"], "trailer_mismatch: end does not state the 2"),
        (["H", SALE, "B000x", "E0002"], "trailer_mismatch: the count of a trailer is not"),
        (["H", SALE, "B0001"], "trailer_missing"),
        (["H", SALE, "E0002", "H", SALE, "E0002"], "records_after_trailer"),
    ],
)
@pytest.mark.parametrize("block_bytes", [40, 1 << 16])
def test_a_file_whose_trailer_disagrees_is_refused(
    lines: list[str], reason: str, block_bytes: int
) -> None:
    with pytest.raises(PermanentError, match=reason):
        typed(*lines, block_bytes=block_bytes)


def test_a_trailer_that_counts_none_confirms_a_file_without_rows() -> None:
    assert typed("H", "E0001").rows == {}


@settings(max_examples=60)
@given(
    kinds=st.lists(st.sampled_from([SALE, MOVE, "X" * 30, "B"]), max_size=60),
    block_bytes=st.integers(64, 400),
)
def test_rows_and_counts_add_up_however_types_are_mixed(kinds: list[str], block_bytes: int) -> None:
    lines, good, in_section = ["H"], 0, 0
    for kind in kinds:
        if kind == "B":
            lines.append(f"B{in_section:04d}")
            in_section = 0
            continue
        lines.append(kind)
        is_good = kind in (SALE, MOVE)
        good, in_section = good + is_good, in_section + is_good
    reading = typed(*lines, f"E{good + 1:04d}", block_bytes=block_bytes)
    assert len(reading.rows) == good
    assert len(reading.malformed) == kinds.count("X" * 30)


def test_sensitive_fields_and_tracks_are_not_in_what_is_kept_for_repair() -> None:
    layout = a_layout(
        f"""[format]
type = "fixed"
[format.fields]
card = {{ start = 1, length = 19 }}
note = {{ start = 21, length = 40 }}
cvv2 = {{ start = 61, length = 3 }}
amount = {{ start = 64, length = 4, type = "zoned" }}
{COLUMNS}
[columns.amount]
role = "keep"
"""
    )
    content = f"{PAN:<20}{';' + PAN + '=28121011234567890?':<40}987oops\n".encode()
    reading = read(content, layout)
    assert reading.malformed == {1: ("invalid_zoned", "amount")}
    assert reading.repairable(1) == {
        "card": PAN,
        "note": "[removed]",
        "cvv2": "",
        "amount": "X'6F6F7073'",
    }


def test_a_dropped_field_may_hold_anything() -> None:
    layout = a_layout(
        unbroken("latin-1")
        .replace("length = 10 }", 'length = 10, type = "zoned" }')
        .replace('role = "keep"', 'role = "drop"')
    )
    assert read(line(PAN, "no number").encode(), layout).malformed == {}


def test_two_records_on_one_line_are_rejected_where_the_length_of_records_is_known() -> None:
    content = f"{line(PAN, 'a')}\n{line(PAN, 'b')}{line(PAN, 'c')}\n{line(PAN, 'd')}\n".encode()
    for more in ('line_ends = "optional"', 'line_ends = "required"'):
        reading = read(content, a_layout(unbroken("latin-1", more=more)))
        assert reading.malformed == {2: ("wrong_record_length", None)}
        assert reading.column("note") == ["a", "d"]


PREFIXED = a_layout(
    f"""[format]
type = "fixed"
encoding = "cp037"
length_prefix = "rdw"
[format.fields]
kind = {{ start = 1, length = 1 }}
card = {{ start = 2, length = 16 }}
amount = {{ start = 18, length = 3, type = "packed", decimals = 2 }}
[format.types.sale]
values = ["S"]
fields = {{ note = {{ start = 21, length = 5 }} }}
[format.types.fee]
values = ["F"]
[format.types.end]
values = ["T"]
kind = "trailer"
count = {{ start = 2, length = 4 }}
[columns.amount]
role = "keep"
{COLUMNS}"""
)


def prefixed(*records: bytes) -> bytes:
    return b"".join((len(each) + 4).to_bytes(2, "big") + b"\0\0" + each for each in records)


def sale(note: str) -> bytes:
    return f"S{PAN}".encode("cp037") + b"\x01\x25\x0c" + note.encode("cp037")


FEE = (
    f"F{PAN}".encode("cp037") + b"\x00\x15\x0d"
)  # no longer than its fields; hex 15 is no line end


@pytest.mark.parametrize("block_bytes", [7, 30, 1 << 16])
@pytest.mark.parametrize("filling", [b"", b"\0" * 9, b"\x40" * 50, b"\x1a"])
def test_records_behind_their_lengths_are_rows(block_bytes: int, filling: bytes) -> None:
    records = [sale("one  "), FEE, sale("longer than its fields"), b"X" * 30, sale("two")]
    end = "T0004".encode("cp037")
    reading = read(prefixed(*records, end) + filling, PREFIXED, block_bytes)
    assert [row["note"] for row in reading.rows.values()] == ["one", "", "longe"]
    assert [row["amount"] for row in reading.rows.values()] == ["12.50", "-1.50", "12.50"]
    assert {row["card"] for row in reading.rows.values()} == {PAN}
    assert reading.malformed == {
        4: ("unknown_record_type", None),
        5: ("wrong_record_length", None),
    }


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (prefixed(FEE)[:-1], "truncated_file: the last record has 23 of 24 bytes"),
        (prefixed(FEE) + b"\0\x18", "truncated_file"),
        (prefixed(FEE) + b"\0\x03\0\0", "malformed_file: no length of a record at byte 24"),
        (prefixed(FEE) + b"\0\x18\x01\0" + FEE, "malformed_file: no length of a record at byte 24"),
        (prefixed(FEE) + b"\0" * 30 + FEE, "malformed_file: no length of a record at byte 24"),
        (b"", "empty_file"),
        (b"\0" * 100, "empty_file"),
    ],
)
def test_a_file_whose_lengths_cannot_be_is_refused(content: bytes, reason: str) -> None:
    known = a_layout(
        'format.type = "fixed"\nformat.encoding = "cp037"\nformat.length_prefix = "rdw"\n'
        "format.fields.card = { start = 2, length = 16 }\n"
        'columns.card.role = "pan"'
    )
    with pytest.raises(PermanentError, match=reason):
        read(content, known, 11)


def test_a_length_before_each_record_stands_instead_of_other_lengths() -> None:
    with pytest.raises(LayoutError, match="length_prefix stands instead of"):
        a_layout(unbroken(more='length_prefix = "rdw"'))
