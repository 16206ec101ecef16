"""Formats told by what a file begins with, and their columns."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.known_formats import FORMATS
from pipeline.drafting.columns import pan_share
from pipeline.drafting.detectors import DETECTORS
from pipeline.drafting.fixed_width import detect_fixed_width, spans_of
from pipeline.drafting.processors import ctf_settings, ipm_settings
from pipeline.drafting.sample import Proposal, Sample, take_sample
from pipeline.drafting.structured import (
    detect_avro,
    detect_json_array,
    detect_json_lines,
    detect_orc,
    detect_parquet,
    detect_xlsx,
)
from pipeline.errors import PermanentError
from pipeline.readers.streams import LookAhead
from pipeline.samples.cards import synthetic_pans

PANS = [pan for pan in synthetic_pans(400, seed=91) if len(pan) == 16][:60]
ROWS = [
    {"id": at, "card": {"number": pan, "list": [{"n": pan}]}, "note": None, "ok": at % 2 == 0}
    for at, pan in enumerate(PANS)
]


def pan_columns(proposal: Proposal | None) -> list[str]:
    assert proposal is not None
    cells = proposal.cells
    return [
        name
        for name, column in zip(cells.schema.names, cells.columns, strict=True)
        if pan_share(column) > 0.9
    ]


def json_lines() -> bytes:
    return "\n".join(map(json.dumps, ROWS)).encode()


def test_json_lines_have_columns_by_path() -> None:
    proposal = detect_json_lines(take_sample(io.BytesIO(json_lines())))
    assert pan_columns(proposal) == ["card.number", "card.list.0.n"]
    assert proposal is not None
    assert proposal.settings == {"type": "jsonl"}
    assert proposal.numbers == {"id"}
    assert proposal.cells.column("ok")[0].as_py() == "true"
    assert proposal.cells.column("note")[0].as_py() == ""


def test_a_card_that_is_a_number_in_json_keeps_all_of_its_digits() -> None:
    content = "\n".join(f'{{"card": {pan}, "x": 1.0}}' for pan in PANS)
    proposal = detect_json_lines(take_sample(io.BytesIO(content.encode())))
    assert proposal is not None
    assert proposal.cells.column("card").to_pylist() == PANS
    assert proposal.numbers == {"card", "x"}


@pytest.mark.parametrize(
    ("wrap", "settings"),
    [
        ("[\n{}\n]", {"type": "json"}),
        ('{{"payments": [{}', {"type": "json", "path": "payments"}),
        ("[{}, ", {"type": "json"}),
        (
            '{{"day": [1, [2]], "a": {{"x": 1}}, "b": {{"rows": [{}]}}}}',
            {"type": "json", "path": "b.rows"},
        ),
    ],
)
def test_a_json_array_is_found_by_itself_or_under_a_name(
    wrap: str, settings: dict[str, str]
) -> None:
    content = wrap.format(", ".join(map(json.dumps, ROWS))).encode()
    proposal = detect_json_array(take_sample(io.BytesIO(content)))
    assert pan_columns(proposal) == ["card.number", "card.list.0.n"]
    assert proposal is not None
    assert proposal.settings == settings


def columnar() -> pa.Table:
    return pa.table(
        {
            "id": pa.array(range(60)),
            "card": PANS,
            "as_number": pa.array(map(int, PANS), pa.int64()),
            "inner": pa.array([{"pan": pan, "x": 1} for pan in PANS]),
            "nothing": pa.nulls(60, pa.string()),
        }
    )


def test_parquet_and_orc_are_told_by_magic_and_name_their_columns() -> None:
    parquet, orc = io.BytesIO(), io.BytesIO()
    pq.write_table(columnar(), parquet)
    pyarrow.orc.write_table(columnar(), orc)
    for detect, sink in ((detect_parquet, parquet), (detect_orc, orc)):
        proposal = detect(take_sample(io.BytesIO(sink.getvalue())))
        assert pan_columns(proposal) == ["card", "as_number", "inner.pan"]
        assert proposal is not None
        assert proposal.numbers == {"id", "as_number", "inner.x"}


def test_avro_is_told_by_magic_and_names_its_columns() -> None:
    schema = {
        "type": "record",
        "name": "row",
        "fields": [
            {"name": "card", "type": "string"},
            {"name": "as_number", "type": ["null", "long"]},
            {
                "name": "inner",
                "type": {
                    "type": "record",
                    "name": "i",
                    "fields": [{"name": "pan", "type": "string"}],
                },
            },
        ],
    }
    sink = io.BytesIO()
    fastavro.writer(
        sink, schema, [{"card": p, "as_number": int(p), "inner": {"pan": p}} for p in PANS]
    )
    proposal = detect_avro(take_sample(io.BytesIO(sink.getvalue())))
    assert pan_columns(proposal) == ["card", "as_number", "inner.pan"]
    assert proposal is not None
    assert proposal.numbers == {"as_number"}
    assert detect_avro(take_sample(io.BytesIO(sink.getvalue()[:40]))) is None
    assert detect_avro(take_sample(io.BytesIO(b"card,n\n"))) is None


def a_workbook(rows: list[list[str]]) -> bytes:
    """The least that a spreadsheet program opens: cells of inline text and numbers."""
    kinds = {True: '<c t="inlineStr"><is><t>{}</t></is></c>', False: "<c><v>{}</v></c>"}
    body = "".join(
        "<row>"
        + "".join(kinds[not cell.isdigit() or len(cell) > 15].format(cell) for cell in row)
        + "</row>"
        for row in rows
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="One" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{office}/worksheet" Target="worksheets/one.xml"/></Relationships>',
        "xl/worksheets/one.xml": f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>',
    }
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return sink.getvalue()


def test_a_workbook_names_its_columns_in_the_first_row() -> None:
    content = a_workbook([["card", "n"], *([pan, "5"] for pan in PANS)])
    proposal = detect_xlsx(take_sample(io.BytesIO(content)))
    assert pan_columns(proposal) == ["card"]
    assert proposal is not None
    assert proposal.settings == {"type": "xlsx"}
    assert proposal.cells.column("n")[0].as_py() == "5"
    assert proposal.numbers == {"n"}
    with pytest.raises(PermanentError, match="corrupt_archive"):
        take_sample(io.BytesIO(content[:300]))
    titled = a_workbook([["Payments of a day"], ["card", "n"], *([pan, "5"] for pan in PANS)])
    proposal = detect_xlsx(take_sample(io.BytesIO(titled)))
    assert pan_columns(proposal) == ["card"]
    assert proposal is not None
    assert proposal.settings == {"type": "xlsx", "header_row": 2}
    assert (
        detect_xlsx(take_sample(io.BytesIO(a_workbook([[PANS[0], "n"], [PANS[1], "5"]])))) is None
    )


def test_a_cut_parquet_file_is_none() -> None:
    assert detect_parquet(take_sample(io.BytesIO(b"PAR1" + b"\x15\x04" * 100))) is None
    assert detect_orc(take_sample(io.BytesIO(b"ORC" + b"\x15\x04" * 100))) is None


def fixed_lines() -> list[str]:
    return [f"D{at:06d}{pan}{at * 7:010d}USD  SHOP{at % 3}   X" for at, pan in enumerate(PANS)]


def test_fixed_width_fields_are_told_by_blanks_and_by_the_cards_among_digits() -> None:
    proposal = detect_fixed_width(take_sample(io.BytesIO("\n".join(fixed_lines()).encode())))
    assert proposal is not None
    assert proposal.settings["fields"]["field_8"] == {"start": 8, "length": 16}  # type: ignore[index]
    assert pan_columns(proposal) == ["field_8"]


@given(places=st.sets(st.integers(0, 30), max_size=12))
def test_fields_cover_all_that_is_not_blank(places: set[int]) -> None:
    line = "".join("x" if at in places else " " for at in range(31))
    covered = {at for start, end in spans_of([line, line]) for at in range(start, end)}
    assert covered == places


def test_delimited_and_ragged_lines_are_not_of_fixed_width() -> None:
    for content in ("a,b\n" * 20, "\n".join("x" * at for at in range(20)), ""):
        assert detect_fixed_width(take_sample(io.BytesIO(content.encode()))) is None


def test_visa_clearing_files_are_told_by_length_and_transaction_code() -> None:
    record = ("0500" + "4111111111111111" + "000").ljust(168)
    assert ctf_settings(f"{record}\n{record}\n".encode()) == {"type": "ctf"}
    assert ctf_settings((record * 3).encode()) == {"type": "ctf"}
    itf = ("05" + "  " + "00" + "4111111111111111").ljust(170)
    assert ctf_settings((itf * 3).encode("cp037")) == {"type": "ctf", "variant": "itf"}
    assert ctf_settings(f"{record}x\n{record}\n".encode()) is None
    assert ctf_settings(b"") is None


def message(encoding: str) -> bytes:
    body = "1644".encode(encoding) + b"\x80".ljust(16, b"\0") + "0".encode(encoding) * 40
    return len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize("encoding", ["latin-1", "cp037"])
def test_mastercard_ipm_is_told_by_length_and_message_type(encoding: str) -> None:
    stream = message(encoding) * 40
    blocked = b"".join(stream[at : at + 1012] + b"\x40\x40" for at in range(0, 2024, 1012))
    assert ipm_settings(stream) == {"type": "ipm", "encoding": encoding}
    assert ipm_settings(blocked) == {"type": "ipm", "encoding": encoding, "blocked": True}
    assert ipm_settings(b"\0\0\0\x20abcd") is None
    assert ipm_settings(b"") is None


def test_a_third_partys_ipm_file_is_told(shared_data: Path) -> None:
    head = (shared_data / "ipm_ascii_vbs.bin").read_bytes()
    assert ipm_settings(head) == {"type": "ipm", "encoding": "latin-1"}


def test_every_format_has_a_detector_that_knows_no_other_format_for_its_own() -> None:
    assert set(FORMATS) <= {format_type for format_type, _ in DETECTORS}


def a_sample(content: bytes) -> Sample:
    """What may begin like an archive without being one."""
    return Sample(content, is_whole=True, stream=LookAhead(io.BytesIO(content), len(content)))


@pytest.mark.parametrize("detect", [detect_json_lines, detect_json_array, detect_fixed_width])
@given(content=st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_proposal_or_none(
    detect: Callable[..., Proposal | None], content: bytes
) -> None:
    proposal = detect(a_sample(content))
    assert proposal is None or proposal.cells.num_rows > 0


def padded_lines() -> list[str]:
    pans = synthetic_pans(60, seed=91)
    return [
        f"6{at:09d}1234567{pan.rjust(22, '0')}{at:05d}".ljust(60) for at, pan in enumerate(pans)
    ]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", ""])
def test_padded_cards_of_all_lengths_are_found_in_lines_and_in_unbroken_records(
    line_end: str,
) -> None:
    lines = ["1HEADER".ljust(60), *padded_lines(), "9TRAILER".ljust(60)]
    content = "".join(line + line_end for line in lines).encode()
    proposal = detect_fixed_width(take_sample(io.BytesIO(content)))
    assert proposal is not None
    fields: Any = proposal.settings["fields"]
    (name,) = pan_columns(proposal)
    assert fields[name] == {"start": 18, "length": 22, "padding": "0"}
    assert proposal.settings.get("record_bytes") == (None if line_end else 60)
    types: Any = proposal.settings["types"]
    assert types["detail"] == {"values": ["6"]}
    assert types["other"] == {"values": ["1", "9"], "kind": "skip"}


def test_unbroken_records_in_ebcdic_keep_long_cards_whole() -> None:
    lines = [
        f"D{at:06d}{pan.ljust(19)}USD   X" for at, pan in enumerate(synthetic_pans(60, seed=92))
    ]
    lines = [line.ljust(50) for line in lines]
    content = "".join(lines).encode("cp037")
    proposal = detect_fixed_width(take_sample(io.BytesIO(content)))
    assert proposal is not None
    (name,) = pan_columns(proposal)
    fields: Any = proposal.settings["fields"]
    assert proposal.settings["encoding"] == "cp037"
    assert (fields[name]["start"], fields[name]["length"]) == (8, 19)


def test_one_number_on_every_line_is_no_column_of_cards() -> None:
    lines = [f"D{at:06d}4111111111111111 x" for at in range(20)]
    proposal = detect_fixed_width(take_sample(io.BytesIO("\n".join(lines).encode())))
    assert proposal is None or "padding" not in str(proposal.settings)
