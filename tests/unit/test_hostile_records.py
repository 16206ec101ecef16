"""Files of records that were made to do harm: each gets a reason, in bounded memory."""

from __future__ import annotations

import struct

import pytest

from pipeline.samples.cards import synthetic_pans
from tests.unit.record_reading import PAN
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
