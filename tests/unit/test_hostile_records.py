"""Files of records that were made to do harm: each gets a reason, in bounded memory."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.layout_documents import parse_layout
from pipeline.errors import PermanentError
from pipeline.samples.cards import synthetic_pans
from tests.unit.record_reading import PAN, read
from tests.unit.test_hostile_files import GIGABYTE, Endless, refused
from tests.unit.test_ipm import presentment, vbs
from tests.unit.test_tokenize import Bench

FIXED = 'name = "x"\n[format]\ntype = "fixed"\n{}\n[format.fields]\ncard = {{ start = 1, length = 16 }}\n[columns.card]\nrole = "pan"'
CTF = 'name = "x"\n[format]\ntype = "ctf"\n[columns.account_number]\nrole = "pan"'
IPM = 'name = "x"\n[format]\ntype = "ipm"\n{}\n[columns.DE2]\nrole = "pan"'

HARM: dict[str, tuple[str, bytes, bytes, str]] = {
    "a line without end": (FIXED.format(""), b"", b"4" * (1 << 20), "record_too_long"),
    "a line of EBCDIC without end": (
        FIXED.format('encoding = "cp037"'),
        b"",
        b"\xf4" * (1 << 20),
        "record_too_long",
    ),
    "a transaction without end": (
        CTF,
        b"",
        b"0501".ljust(168) * 6_000,
        "record_too_long",
    ),
    "a transaction of lines without end": (
        CTF,
        b"",
        (b"0501".ljust(168) + b"\n") * 6_000,
        "record_too_long",
    ),
    "a record of four gigabytes": (
        IPM.format(""),
        struct.pack(">I", 0xFFFF_FFF0),
        b"4" * (1 << 20),
        "malformed_file",
    ),
    "blocks that are none": (IPM.format("blocked = true"), b"", b"4" * (1 << 20), "malformed_file"),
    "another file behind the end": (
        IPM.format(""),
        vbs(presentment()),
        b"4" * (1 << 20),
        "data_after_end",
    ),
}


@pytest.mark.parametrize("harm", HARM)
def test_a_gigabyte_without_structure_is_refused_after_a_few_blocks(harm: str) -> None:
    layout, beginning, piece, reason = HARM[harm]
    assert refused(Bench(layout), Endless(beginning, piece, GIGABYTE)) == reason


def test_chip_data_in_chip_data_in_chip_data_is_given_up() -> None:
    chip = b"\x9a\x01\x26"
    for _ in range(20):
        chip = b"\x70" + bytes([len(chip)]) + chip
    bench = Bench(IPM.format("") + '\n[columns.DE55]\nrole = "text"')
    receipt = bench.run(vbs(presentment(), presentment(DE55=chip)))
    assert receipt["rejects_by_reason"] == {"malformed_chip_data": 1}
    assert receipt["rows_written"] == 1


def test_a_bitmap_of_its_own_in_every_message_costs_no_more_than_the_messages() -> None:
    lines = [presentment(**{f"DE{at}": "x"}) for at in (54, 72, 111, 124)]
    pans = synthetic_pans(4, seed=3)
    records = [line.replace(PAN.encode(), b"4" * 16) for line in lines]
    assert len({record[4:20] for record in records}) == len(pans)
    receipt = Bench(IPM.format("")).run(vbs(*records))
    assert receipt["rows_written"] == 4


@pytest.mark.parametrize("reason", ["truncated_file", "malformed_file"])
def test_reasons_say_where_and_never_what(reason: str) -> None:
    content = vbs(presentment(), end=b"")
    content += b"" if reason == "truncated_file" else b"4111"
    bench = Bench(IPM.format(""))
    with pytest.raises(Exception, match=f"{reason}.* byte {len(vbs(presentment(), end=b''))}"):
        bench.run(content)
    (receipt,) = bench.world.tokenized.receipts.values()
    assert receipt["reason"] == reason
    assert PAN not in str(receipt)


NOISY = {
    "lines": FIXED.format(""),
    "lines of EBCDIC": FIXED.format('encoding = "cp1047"\nshort_lines = "pad"'),
    "records": FIXED.format('record_bytes = 20\nencoding = "cp500"'),
    "records of UTF-8": FIXED.format("record_bytes = 20"),
    "either": FIXED.format('record_bytes = 16\nline_ends = "optional"\nencoding = "cp1252"'),
    "CTF": CTF,
    "ITF": CTF.replace('"ctf"', '"ctf"\nvariant = "itf"'),
    "IPM": IPM.format(""),
    "IPM in blocks": IPM.format("blocked = true\nencoding = 'cp500'"),
}
BITS = [b"\n", b"\x15", b"\r", b"4" * 16, b"\xf4" * 16, b"\xef\xbb\xbf", b"\0\0\0\x14", b"0500"]


@pytest.mark.parametrize("kind", NOISY)
@settings(max_examples=60)
@given(
    st.lists(st.one_of(st.sampled_from(BITS), st.binary(max_size=200)), max_size=12),
    st.integers(300, 2_000),
)
def test_noise_is_accounted_for_to_the_last_record(
    kind: str, pieces: list[bytes], block_bytes: int
) -> None:
    try:
        reading = read(b"".join(pieces), parse_layout(NOISY[kind].encode()), block_bytes)
    except PermanentError as error:
        assert error.code
        return
    assert len(reading.raw) == len(reading.rows) + len(reading.malformed)
