"""Files of several record types, each with its own fields, and with sections."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.aws.layout_catalogue import built_in_layout
from pipeline.core.layout_documents import parse_layout
from pipeline.core.layouts import Layout
from pipeline.core.rows import check_rows
from pipeline.errors import PermanentError
from pipeline.model import START
from pipeline.readers.delimited import read_delimited
from tests.unit.reading import Reading, a_layout, read

SALE = {"match": ["S", "R"], "fields": ["kind", "pan", "amount"]}
FEE = {"match": "F", "fields": ["kind", "amount", "text", "pan"]}
NOTE = {"match": "N", "fields": ["kind", "text"]}
SECTIONS = {
    "open": {"match": "B", "role": "section_header"},
    "close": {
        "match": "E",
        "role": "section_trailer",
        "totals": {"count_field": 2, "sum_field": 3, "sum_column": "amount", "of": ["sale", "fee"]},
    },
    "end": {"match": "T", "role": "trailer", "totals": {"count_field": 2}},
}


def typed(extra: dict[str, Any] | None = None, field: int | None = 1, **settings: Any) -> Layout:
    types = {"sale": SALE, "fee": FEE, "note": NOTE} | (extra or {})
    records = {"field": field, "types": types} if field else {"types": types}
    roles = {"amount": "keep", "text": "text"}
    return a_layout("pan", roles=roles, header=False, records=records, **settings)


def read_lines(*lines: str, layout: Layout | None = None, block_bytes: int = 4096) -> Reading:
    return read("\n".join(lines).encode(), layout or typed(), block_bytes)


@pytest.mark.parametrize("block_bytes", [12, 4096])
def test_each_type_has_its_own_fields_and_its_own_pan_column(block_bytes: int) -> None:
    reading = read_lines("S,1,2.00", "F,0.10,fee,3", "N,hi", "R,4,5.00", block_bytes=block_bytes)
    assert reading.file_columns == ("kind", "pan", "amount", "text")
    assert reading.rows == {
        1: ("1", "2.00", None),
        2: ("3", "0.10", "fee"),
        3: (None, None, "hi"),
        4: ("4", "5.00", None),
    }


def test_a_cell_that_a_type_has_not_is_null_and_no_fault() -> None:
    content = b"S,4111111111111111,2\nN,hi\nS,4111 1111 1111 1111,x\n"
    (batch,) = read_delimited(io.BytesIO(content), typed())
    checked = check_rows(batch.columns, typed())
    assert checked.pans["pan"].to_pylist() == ["4111111111111111", None, "4111111111111111"]
    assert not checked.faults


def test_a_record_with_fields_of_another_type_is_rejected() -> None:
    reading = read_lines("S,1,2.00", "S,1,2.00,x", "F,1", "N,hi")
    assert reading.malformed == {2: "wrong_field_count", 3: "wrong_field_count"}
    assert reading.raw[2] == b"S,1,2.00,x"


@pytest.mark.parametrize("line", ["X,1", "SS,1,2", '"s",1,2', ",S,1", "1,S"])
def test_a_record_of_no_known_type_is_rejected(line: str) -> None:
    reading = read_lines("S,1,2.00", line, "N,hi")
    assert reading.malformed == {2: "unknown_record_type"}


@pytest.mark.parametrize("line", ['"S",1,2', 'S,"1","2"', '"S"  ,1,2', " S ,1,2", '" S ",1,2'])
def test_the_field_that_tells_the_type_may_be_quoted_and_padded(line: str) -> None:
    assert read_lines(line).cells == [("1", "2", None)]


def test_the_field_that_tells_the_type_need_not_be_the_first() -> None:
    types = {
        "sale": {"match": "S", "fields": ["no", "name", "kind", "pan"]},
        "fee": {"match": "F", "fields": ["no", "name", "kind", "amount", "pan"]},
    }
    records = {"field": 3, "types": types}
    layout = a_layout("pan", roles={"amount": "keep"}, header=False, records=records)
    lines = ['1,"a, ""S"", b",S,11', '2,x"F",F,5.00,22', '3,"a,F,b",S,33', "4,S", "5,,F,1,44"]
    reading = read("\n".join(lines).encode(), layout)
    assert reading.cells == [("11", None), ("22", "5.00"), ("33", None), ("44", "1")]
    assert reading.malformed == {4: "unknown_record_type"}


def test_a_type_without_a_match_is_all_other_lines() -> None:
    layout = typed({"other": {"fields": ["pan"]}})
    assert read_lines("S,1,2", "12345", "N,x", layout=layout).cells == [
        ("1", "2", None),
        ("12345", None, None),
        (None, None, "x"),
    ]


def test_a_sensitive_field_of_one_type_is_kept_out_of_rejects() -> None:
    layout = typed({"auth": {"match": "A", "fields": ["kind", "cvv", "pan", "amount"]}})
    reading = read_lines("A,123,1,2", "S,123,1", "A,123", "X,123", layout=layout)
    assert reading.raw == {1: b"A,,1,2", 2: b"S,123,1", 3: b"", 4: b""}


def test_sections_are_added_up_one_by_one() -> None:
    layout = typed(SECTIONS)
    lines = ["B,1", "S,1,2.00", "F,0.50,x,1", "N,not counted", "E,2,2.50"]
    lines += ["B,2", "E,0,0", "B,3", "R,1,-1.00", "E,1,-1", "T,4"]
    for block_bytes in (12, 19, 4096):
        assert len(read_lines(*lines, layout=layout, block_bytes=block_bytes).rows) == 4


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["B", "S,1,2.00", "E,2,2.00", "T,1"], "trailer_mismatch"),
        (["B", "S,1,2.00", "E,1,2.01", "T,1"], "trailer_mismatch"),
        (["B", "S,1,x", "E,1,0", "T,1"], "trailer_mismatch"),
        (["B", "S,1,2.00", "E,1,2.00", "T,2"], "trailer_mismatch"),
        (["B", "S,1,2.00", "B", "S,1,2.00", "E,2,4.00", "T,2"], "trailer_missing"),
        (["B", "S,1,2.00", "T,1"], "trailer_missing"),
        (["B", "S,1,2.00", "E,1,2.00"], "trailer_missing"),
        (["B", "S,1,2.00", "E,1,2.00", "T,1", "B"], "records_after_trailer"),
    ],
)
@pytest.mark.parametrize("block_bytes", [12, 4096])
def test_a_section_or_file_that_does_not_add_up_is_refused(
    lines: list[str], reason: str, block_bytes: int
) -> None:
    with pytest.raises(PermanentError, match=reason):
        read_lines(*lines, layout=typed(SECTIONS), block_bytes=block_bytes)


def test_a_trailer_may_count_every_record_of_the_file() -> None:
    every = {"count_field": 2, "of": ["head", "sale", "note", "end"]}
    end = {"match": "T", "role": "trailer", "totals": every}
    layout = typed({"head": {"match": "H", "role": "skip"}, "end": end})
    assert len(read_lines("H", "S,1,2", "N,x", "T,4", layout=layout).rows) == 2
    with pytest.raises(PermanentError, match="trailer_mismatch"):
        read_lines("H", "S,1,2", "N,x", "T,2", layout=layout)


def test_a_declared_trailer_is_required_even_if_it_states_nothing() -> None:
    layout = typed({"end": {"match": "T", "role": "trailer"}})
    with pytest.raises(PermanentError, match="trailer_missing"):
        read_lines("S,1,2", layout=layout)
    assert read_lines("S,1,2", "T", layout=layout).rows


@settings(max_examples=60)
@given(
    sections=st.lists(st.lists(st.sampled_from("SFN"), max_size=5), min_size=1, max_size=6),
    block=st.integers(12, 80),
)
def test_reading_can_go_on_behind_any_batch(sections: list[list[str]], block: int) -> None:
    content, layout = a_file_of(sections), typed(SECTIONS)
    whole = list(read_delimited(io.BytesIO(content), layout, block_bytes=block))
    rows = [row for batch in whole for row in batch.columns.to_pylist()]
    for at, batch in enumerate(whole):
        if batch.end is None:
            continue
        rest = list(read_delimited(io.BytesIO(content), layout, batch.end, block_bytes=block))
        before = list(
            read_delimited(
                io.BytesIO(content), layout, START, batch.end.offset_bytes, block_bytes=block
            )
        )
        assert len(before) == at + 1
        assert [row for part in [*before, *rest] for row in part.columns.to_pylist()] == rows


def a_file_of(sections: list[list[str]]) -> bytes:
    lines: list[str] = []
    for section in sections:
        records = {"S": "S,1,1.50", "F": "F,0.25,x,2", "N": "N,text"}
        cents = sum({"S": 150, "F": 25, "N": 0}[kind] for kind in section)
        count = sum(kind != "N" for kind in section)
        lines += ["B", *(records[kind] for kind in section), f"E,{count},{cents / 100:.2f}"]
    lines.append(f"T,{sum(map(len, sections))}")
    return "\n".join(lines).encode()


def test_the_american_express_sample_is_read_whole(sample_data: Path) -> None:
    document = built_in_layout("amex-grrcn")
    assert document is not None
    layout = parse_layout(document)
    content = (sample_data / "amex_grrcn.csv").read_bytes()
    (batch,) = read_delimited(io.BytesIO(content), layout)
    checked = check_rows(batch.columns, layout)
    assert (batch.rows, batch.malformed, checked.faults) == (253, [], ())
    pans = re.findall(rb'"(3\d{14,15})"', content)
    assert checked.pans["card_number"].to_pylist() == [pan.decode() for pan in pans]
    cut = content.replace(b'"TXNPRICING"', b'"SUMMARY"', 1).replace(b"\r\n", b"\n")
    assert sum(each.rows for each in read_delimited(io.BytesIO(cut), layout)) == 252
    lost = content.split(b"\r\n")
    with pytest.raises(PermanentError, match="trailer_mismatch"):
        list(read_delimited(io.BytesIO(b"\r\n".join(lost[:5] + lost[6:])), layout))


def test_the_example_of_the_documentation_reads_such_a_file() -> None:
    document = (Path(__file__).parents[2] / "docs" / "layouts.md").read_text("utf-8")
    examples = re.findall(r"```toml\n(.*?)```", document, re.DOTALL)
    (example,) = [each for each in examples if "[records.types.sale]" in each]
    layout = parse_layout(f'name = "x"\n{example}'.encode())
    content = "Report\nH|1\n# x\nSALE|d|11|2.00\nFEE|d|0.10|22\nREFUND|d|33|-1.00\nT|2|1.00\n"
    assert read(content.encode(), layout).cells == [
        ("11", "2.00", None),
        ("22", None, "0.10"),
        ("33", "-1.00", None),
    ]
