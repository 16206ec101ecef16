"""Mastercard IPM files: every message is a row or has a reason, and no track or PIN is kept."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from cardutil import mciipm
from cardutil.iso8583 import dumps
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.layouts import Layout
from pipeline.errors import PermanentError
from pipeline.samples.mastercard import message, private_data, write_ipm
from tests.unit.record_reading import PAN, a_layout, read
from tests.unit.test_tokenize import Bench

LAYOUT = """[format]
type = "ipm"
{settings}
[columns.DE2]
role = "pan"
empty = "keep"
[columns.MTI]
role = "keep"
[columns.DE43]
role = "text"
[columns.DE71]
role = "keep"
[columns.PDS0023]
role = "keep"
[columns.PDS0158]
role = "keep"
{more}
"""
ENCODINGS = ["latin-1", "cp500", "cp037"]
TRACK = f"{PAN}=28121011234567890"
END = b"\0\0\0\0"


def layout(settings_text: str = "", more: str = "") -> Layout:
    return a_layout(LAYOUT.format(settings=settings_text, more=more))


def settings_of(encoding: str, *, blocked: bool) -> str:
    return f'encoding = "{encoding}"\nblocked = {str(blocked).lower()}'


def vbs(*messages: bytes, end: bytes = END) -> bytes:
    return b"".join(struct.pack(">I", len(each)) + each for each in messages) + end


def presentment(encoding: str = "latin-1", **more: str | bytes) -> bytes:
    elements: dict[int, str | bytes] = {2: PAN, 24: "200", 71: "00000002"}
    elements |= {int(name[2:]): value for name, value in more.items()}
    return message("1240", elements, encoding)


def control(code: str, count: int | None = None) -> bytes:
    private = {"0105": "x" * 25} | ({} if count is None else {"0306": f"{count:08d}"})
    return message("1644", {24: code, 48: private_data(private), 71: "00000001"})


HEADER = control("697")


def written_by_cardutil(messages: list[dict[str, str]], encoding: str, *, blocked: bool) -> bytes:
    sink = io.BytesIO()
    writer = mciipm.VbsWriter(sink, blocked=blocked)
    for each in messages:
        writer.write(dumps(dict(each), encoding=encoding))
    writer.close()
    return sink.getvalue()


@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_cardutil_writes_is_read(encoding: str, blocked: bool) -> None:
    messages = [
        {
            "MTI": "1240",
            "DE2": PAN[: 16 - at % 4] + "0" * (at % 4),
            "DE43": f"SHOP {at}\\STREET\\CITY\\12345        USA",
            "DE71": f"{at:08d}",
            "PDS0023": "CT6",
            "PDS0158": "x" * at,
        }
        for at in range(1, 60)
    ]
    content = written_by_cardutil(messages, encoding, blocked=blocked)
    reading = read(content, layout(settings_of(encoding, blocked=blocked)), 3000)
    assert reading.malformed == {}
    for row, each in zip(reading.rows.values(), messages, strict=True):
        assert row == each


@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_the_samples_writer_writes_cardutil_reads(encoding: str, blocked: bool) -> None:
    sink = io.BytesIO()
    write_ipm(sink, 70, 30, 1, encoding=encoding, blocked=blocked)
    reader = mciipm.IpmReader(io.BytesIO(sink.getvalue()), encoding=encoding, blocked=blocked)
    theirs = [each for each in reader if each["MTI"] == "1240"]
    ours = read(sink.getvalue(), layout(settings_of(encoding, blocked=blocked)), 5000)
    assert [each["DE2"] for each in theirs] == ours.column("DE2")
    assert [each["PDS0158"] for each in theirs] == ours.column("PDS0158")
    assert [each["DE43"] for each in theirs] == ours.column("DE43")


@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("encoding", ["latin-1", "cp500"])
def test_a_file_of_cardutils_own_messages_goes_through(
    shared_data: Path, encoding: str, blocked: bool
) -> None:
    original = (shared_data / "ipm_ascii_vbs.bin").read_bytes()
    messages = [dict(each) for each in mciipm.IpmReader(io.BytesIO(original))]
    content = written_by_cardutil(messages, encoding, blocked=blocked)
    if (encoding, blocked) == ("latin-1", False):
        content = original
    text = LAYOUT.format(settings=settings_of(encoding, blocked=blocked), more="")
    bench = Bench(f'name = "x"\n{text}')
    receipt = bench.run(content)
    table = bench.table(receipt)
    assert bench.opened(table["DE2_token"].to_pylist()) == ["4444555544445555"] * 15
    assert (receipt["luhn_failed"], receipt["rows_rejected"]) == (15, 0)
    assert set(table["DE43"].to_pylist()) == {str(messages[0]["DE43"])}


def test_header_and_trailer_are_no_rows_and_the_count_is_verified() -> None:
    content = vbs(HEADER, presentment(), presentment(), control("695", 4))
    assert list(read(content, layout()).rows) == [1, 2]
    counted = vbs(HEADER, presentment(), control("695", 1))
    assert list(read(counted, layout('trailer_counts = "data"')).rows) == [1]
    assert list(read(counted, layout('trailer_counts = "nothing"')).rows) == [1]


def test_a_file_can_hold_several_logical_files() -> None:
    one = [HEADER, presentment(), control("695", 3)]
    assert list(read(vbs(*one, *one), layout(), 200).rows) == [1, 2]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([HEADER, presentment(), control("695", 4)], "trailer_mismatch"),
        ([HEADER, presentment()], "trailer_missing"),
        ([HEADER, presentment(), HEADER], "trailer_missing"),
        ([HEADER, control("695", 2), presentment()], "records_after_trailer"),
        ([presentment("cp500")], "encoding_mismatch"),
        ([], "no_rows"),
        ([HEADER, control("695")], None),
    ],
)
@pytest.mark.parametrize("block_bytes", [100, 1 << 16])
def test_a_file_whose_trailer_or_encoding_disagrees_is_refused(
    messages: list[bytes], reason: str | None, block_bytes: int
) -> None:
    if reason is None:
        assert read(vbs(*messages), layout(), block_bytes).rows == {}
        return
    with pytest.raises(PermanentError, match=reason):
        read(vbs(*messages), layout(), block_bytes)


def test_a_trailer_can_be_required() -> None:
    assert len(read(vbs(presentment()), layout()).rows) == 1
    with pytest.raises(PermanentError, match="trailer_missing"):
        read(vbs(presentment()), layout('trailer = "required"'))


WHOLE = vbs(presentment(), presentment())


def test_a_file_that_breaks_off_anywhere_is_refused() -> None:
    known = layout()
    for cut in range(1, len(WHOLE)):
        with pytest.raises(PermanentError, match="truncated_file"):
            read(WHOLE[:cut], known)


@pytest.mark.parametrize("blocked", [False, True])
def test_files_that_were_put_together_are_refused(blocked: bool) -> None:
    content = written_by_cardutil(
        [{"MTI": "1240", "DE2": PAN, "DE71": "1"}] * 3, "latin-1", blocked=blocked
    )
    known = layout(settings_of("latin-1", blocked=blocked))
    assert len(read(content, known).rows) == 3
    with pytest.raises(PermanentError, match="data_after_end"):
        read(content + content, known)
    with pytest.raises(PermanentError, match="truncated_file"):
        read(content[: 60 if blocked else -5], known)


@pytest.mark.parametrize(
    ("content", "known", "reason"),
    [
        (b"", layout(), "empty_file"),
        (vbs(*[presentment()] * 40), layout("blocked = true"), "malformed_file: not in blocks"),
        (b"\x40" * 5000, layout(), "malformed_file: no length of a record at byte 0"),
        (b"4111111111111111,a\n" * 50, layout(), "malformed_file"),
    ],
)
def test_what_is_no_such_file_is_refused(content: bytes, known: Layout, reason: str) -> None:
    with pytest.raises(PermanentError, match=reason) as error:
        read(content, known)
    assert PAN not in str(error.value)


def test_a_message_that_does_not_end_with_its_elements_is_rejected_alone() -> None:
    good = presentment(DE43="SHOP")
    cut, longer = good[:-3], good + b"x"
    reading = read(vbs(good, cut, longer, b"1240", good), layout())
    assert reading.malformed == dict.fromkeys((2, 3, 4), ("malformed_message", None))
    assert list(reading.rows) == [1, 5]
    assert reading.repairable(3)["DE2"] == PAN


def test_a_message_with_an_element_that_nobody_knows_is_rejected_unless_the_layout_knows() -> None:
    bits = (1 << 127 | 1 << 126 | 1 << (128 - 80)).to_bytes(16, "big")
    odd = b"1240" + bits + b"16" + PAN.encode() + b"ABCD"
    assert read(vbs(odd), layout()).malformed == {1: ("unknown_element", None)}
    known = layout('elements = { DE80 = "4" }', '[columns.DE80]\nrole = "keep"')
    assert read(vbs(odd), known).column("DE80") == ["ABCD"]


@pytest.mark.parametrize("private", ["0023003CT", "00230", "0023003CT60023003CT6", "0158xxx"])
def test_private_data_that_cannot_be_taken_apart_rejects_the_message(private: str) -> None:
    reading = read(vbs(presentment(DE48=private)), layout())
    assert reading.malformed == {1: ("malformed_private_data", None)}
    assert reading.repairable(1)["DE48"] == private


def test_private_data_is_found_in_every_element_that_holds_such() -> None:
    content = vbs(presentment(DE48=private_data({"0023": "A"}), DE124=private_data({"0158": "B"})))
    assert read(content, layout()).rows[1]["PDS0158"] == "B"


SENSITIVE = {"DE35": TRACK, "DE45": f"B{PAN}^DOE/J^2812101", "DE52": b"\x01PINBLK\x02"}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_tracks_and_pin_blocks_are_never_kept_not_even_for_repair(encoding: str) -> None:
    good = presentment(encoding, **SENSITIVE)
    reading = read(vbs(good, good + b"x"), layout(f'encoding = "{encoding}"'))
    assert reading.rows[1]["DE2"] == PAN
    assert reading.malformed == {2: ("malformed_message", None)}
    for raw in reading.raw.values():
        assert b"=2812" not in raw
        assert b"PINBLK" not in raw
        assert b"DOE" not in raw
        assert b"2812101" not in raw
    assert reading.repairable(1)["DE35"] == reading.repairable(1)["DE52"] == ""


def tlv(tag: str, value: bytes) -> bytes:
    return bytes.fromhex(tag) + bytes([len(value)]) + value


CHIP = tlv("57", bytes.fromhex(PAN + "D2812101123456789F")) + tlv("9F26", b"\xab" * 8)
CHIP_LAYOUT = layout(more='[columns.DE55]\nrole = "text"\n[columns.TAG9F26]\nrole = "keep"')


def test_chip_data_is_kept_without_its_tracks() -> None:
    nested = tlv("70", tlv("56", b"B track one") + tlv("9F6B", b"track") + tlv("9A", b"\x26\x03"))
    reading = read(vbs(presentment(DE55=CHIP + nested)), CHIP_LAYOUT)
    assert reading.column("DE55") == ["9F2608" + "AB" * 8 + "9A022603"]
    assert reading.column("TAG9F26") == ["AB" * 8]
    assert b"D2812" not in reading.raw[1]


@pytest.mark.parametrize("chip", [CHIP[:-3], b"\x9f", b"\x57\x85", b"\x57\x82\x01"])
def test_chip_data_that_cannot_be_taken_apart_rejects_the_message_and_is_not_kept(
    chip: bytes,
) -> None:
    reading = read(vbs(presentment(DE55=chip)), CHIP_LAYOUT)
    assert reading.malformed == {1: ("malformed_chip_data", None)}
    assert reading.repairable(1)["DE55"] == ""
    assert reading.repairable(1)["DE2"] == PAN


def test_bytes_beyond_ascii_are_read_in_the_encoding() -> None:
    content = vbs(presentment("cp500", DE43="GRÜN\\1\\ZÜRICH"))
    assert read(content, layout('encoding = "cp500"')).column("DE43") == ["GRÜN\\1\\ZÜRICH"]


@settings(max_examples=150)
@given(
    elements=st.dictionaries(
        st.sampled_from([3, 12, 26, 38, 42, 43, 54, 63, 72, 94, 111]),
        st.text("ABC 0123", min_size=1, max_size=40),
        max_size=8,
    ),
    encoding=st.sampled_from(ENCODINGS),
)
def test_elements_of_any_messages_are_found(elements: dict[int, str], encoding: str) -> None:
    sizes = {3: 6, 12: 12, 26: 4, 38: 6, 42: 15}
    filled = {
        at: text.ljust(sizes.get(at, 0))[: sizes.get(at, 40)] for at, text in elements.items()
    }
    more = "\n".join(f'[columns.DE{at}]\nrole = "keep"' for at in filled if at != 43)
    content = vbs(message("1240", {2: PAN, **filled}, encoding))
    reading = read(content, layout(f'encoding = "{encoding}"', more))
    row = reading.rows[1]
    assert {at: row[f"DE{at}"] for at in filled} == {
        at: text.strip() if at in sizes else text for at, text in filled.items()
    }


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_noise_never_gets_through_unnoticed(noise: bytes) -> None:
    try:
        reading = read(vbs(presentment(), noise) if noise else vbs(presentment()), layout())
    except PermanentError:
        return
    assert len(reading.rows) + len(reading.malformed) == 1 + bool(noise)


OTHER_PANS = ["5555555555554444", "378282246310005", "6011111111111117"]


@pytest.mark.parametrize("encoding", ["latin-1", "cp500"])
@pytest.mark.parametrize("other", OTHER_PANS)
def test_another_card_in_private_data_becomes_its_token_though_digits_stand_against_it(
    encoding: str, other: str
) -> None:
    private = private_data({"0023": "CT7", "0052": other, "0146": "12345", "0164": other})
    text = LAYOUT.format(settings=f'encoding = "{encoding}"', more='[columns.DE48]\nrole = "text"')
    bench = Bench(f'name = "x"\n{text}')
    cell = bench.table(bench.run(vbs(presentment(encoding, DE48=private))))["DE48"][0].as_py()
    token = cell.split()[1]
    assert bench.opened([token]) == [other]
    assert cell == (f"0023003CT700520{len(other)} {token} 01460051234501640{len(other)} {token} ")


def test_another_card_in_kept_private_data_rejects_its_row() -> None:
    text = LAYOUT.format(settings="", more='[columns.DE62]\nrole = "keep"')
    bench = Bench(f'name = "x"\n{text}')
    private = private_data({"0052": OTHER_PANS[0], "0158": "1"})
    receipt = bench.run(vbs(presentment(DE62=private)))
    assert receipt["rejects_by_reason"] == {"guard_hit": 1}


@pytest.mark.parametrize("value", ["5555555555554444", "378282246310005F", "4000000000000000006F"])
def test_the_card_number_of_chip_data_becomes_its_token(value: str) -> None:
    text = LAYOUT.format(settings="", more='[columns.DE55]\nrole = "text"')
    bench = Bench(f'name = "x"\n{text}')
    chip = tlv("9F26", b"\x11" * 8) + tlv("5A", bytes.fromhex(value)) + tlv("9A", b"\x26\x03\x02")
    cell = bench.table(bench.run(vbs(presentment(DE55=chip))))["DE55"][0].as_py()
    assert bench.opened([cell.split()[1].removesuffix("F")]) == [value.removesuffix("F")]
