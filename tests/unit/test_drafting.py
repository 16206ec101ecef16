"""A first layout, drafted from a look at a file."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import tomllib
import zipfile
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.layout_check import check_layout
from pipeline.core.layout_documents import parse_layout
from pipeline.core.layouts import Layout
from pipeline.core.leaks import LeakScanner
from pipeline.drafting.document import document_of, inline
from pipeline.drafting.draft import DEFAULT_NAME, Draft, draft_layout, layout_name_from
from pipeline.errors import PermanentError
from pipeline.model import START
from pipeline.samples.cards import synthetic_pans
from pipeline.samples.files import SAMPLE_FILES
from tests.unit.record_reading import read_part
from tests.unit.test_tokenize import Bench

PAN_COLUMNS = {
    "card_present.csv": ("card_number",),
    "acquirer_pipe.txt": ("column_6",),
    "acquirer_pipe_wrong_trailer.txt": ("column_6",),
    "every_reject.csv": ("card_number",),
    "unnamed_columns.csv": ("column_3",),
    "acme_unknown.csv": ("Kartennummer",),
    "amex_grrcn.csv": ("card_number",),
    "visa_ctf.txt": ("account_number",),
    "visa_itf.bin": ("account_number",),
    "mastercard_ipm.bin": ("DE2",),
    "mastercard_ipm_ebcdic.bin": ("DE2",),
    "mastercard_ipm_ebcdic_blocked.bin": ("DE2",),
    "amex_grrcn.txt": ("field_164",),
    "nacha_shr.txt": ("field_55",),
    "nacha_shr_unbroken.bin": ("field_55",),
    "mainframe_ebcdic.bin": ("field_13", "field_32"),
    "card_present.jsonl": ("payment.card.number",),
    "card_present.json": ("payment.card.number",),
    "card_present.parquet": ("card_number",),
    "card_present.orc": ("card_number",),
    "card_present.avro": ("card.number",),
    "card_present.xlsx": ("card_number",),
    "card_present_parts.zip": ("card_number",),
    "card_present.csv.gz": ("card_number",),
}
PANS = synthetic_pans(40, seed=77)


def draft_of(content: bytes | str) -> Draft:
    raw = content.encode() if isinstance(content, str) else content
    return draft_layout(io.BytesIO(raw), "drafted")


def layout_of(content: bytes | str) -> Layout:
    """The layout that the draft's document holds; it has no mistakes."""
    document = document_of(draft_of(content)).encode()
    assert check_layout(document, "drafted") == []
    return parse_layout(document, "drafted")


def a_table(header: str, row: str, rows: int = 40) -> str:
    lines = [row.replace("PAN", pan).replace("N", f"{at}") for at, pan in enumerate(PANS[:rows])]
    return "\n".join([header, *lines]) + "\n"


def roles(layout: Layout) -> dict[str, str]:
    return {name: column.role for name, column in layout.columns.items()}


@pytest.mark.parametrize("name", SAMPLE_FILES)
def test_the_draft_for_each_sample_proposes_its_pan_column(name: str, sample_data: Path) -> None:
    layout = layout_of((sample_data / name).read_bytes())
    assert layout.pan_columns == PAN_COLUMNS[name]


def test_record_types_and_control_totals_are_found(sample_data: Path) -> None:
    document = document_of(draft_of((sample_data / "acquirer_pipe.txt").read_bytes()))
    totals = {"count_field": 2, "sum_field": 3, "sum_column": "column_8"}
    assert tomllib.loads(document)["records"]["types"] == {
        "header": {"match": "H|", "role": "skip"},
        "detail": {"match": "D|"},
        "trailer": {"match": "T|", "role": "trailer", "totals": totals},
    }


def test_a_sum_that_does_not_add_up_is_not_proposed(sample_data: Path) -> None:
    wrong = (sample_data / "acquirer_pipe_wrong_trailer.txt").read_bytes()
    types = tomllib.loads(document_of(draft_of(wrong)))["records"]["types"]
    assert types["trailer"]["totals"] == {"count_field": 2}


def test_record_types_of_their_own_widths_share_one_column_of_cards(sample_data: Path) -> None:
    layout = layout_of((sample_data / "amex_grrcn.csv").read_bytes())
    assert layout.records is not None
    places = {
        name: each.fields.index("card_number") + 1
        for name, each in layout.records.detail_types.items()
    }
    assert places == {"transactn": 15, "txnpricing": 12, "chargeback": 12, "adjustment": 12}
    trailer = layout.records.types["trailer"]
    assert trailer.role == "trailer"
    assert trailer.totals is not None
    assert (trailer.totals.count_field, len(trailer.totals.of)) == (3, 8)
    assert layout.format.trim


def test_a_trailer_is_told_only_in_a_whole_file_of_many_types() -> None:
    rows = [f"A,{pan},x" for pan in PANS] + [f"B,{pan}" for pan in PANS] + ["Z,80"]
    records = layout_of("\n".join(rows)).records
    assert records is not None
    assert {name: each.role for name, each in records.types.items()} == {
        "a": "detail",
        "b": "detail",
        "z": "trailer",
    }
    assert records.totals["z"].count_field == 2
    assert records.totals["z"].of == ()


def test_what_tells_record_types_may_be_filled_up_with_blanks() -> None:
    rows = [f"A  ,{pan},x" for pan in PANS] + [f"BB ,{pan}" for pan in PANS]
    layout = layout_of("\n".join(rows))
    assert layout.records is not None
    assert [each.match for each in layout.records.types.values()] == [("A",), ("BB",)]
    assert layout.format.trim


@pytest.mark.parametrize("blank", ["", "\n"])
def test_lines_before_the_names_of_the_columns_are_a_preamble(blank: str) -> None:
    table = a_table("card,amount,n", "PAN,1.50,N")
    layout = layout_of(f"Settlement of a day\n{blank}by nobody, at all\n{table}")
    assert layout.format.preamble_lines == 2 + len(blank)
    assert layout.pan_columns == ("card",)
    assert layout.columns["amount"].type.kind == "decimal"


def test_a_short_line_before_records_without_names_is_no_preamble() -> None:
    layout = layout_of("Settlement\n" + a_table("1,2,3", "PAN,x,N"))
    assert not layout.format.preamble_lines


def zipped(*contents: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for at, content in enumerate(contents):
            archive.writestr(f"part{at}.csv", content)
    return packed.getvalue()


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda content: bytes(pa.compress(content, "zstd", asbytes=True)),
    "zip": zipped,
    "gzip in zip": lambda content: zipped(gzip.compress(content, mtime=0)),
}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("name", ["card_present.csv", "card_present.parquet", "visa_itf.bin"])
def test_a_packed_file_has_the_draft_of_what_is_in_it(
    packing: str, name: str, sample_data: Path
) -> None:
    content = (sample_data / name).read_bytes()
    assert document_of(draft_of(PACKINGS[packing](content))) == document_of(draft_of(content))


def test_of_an_archive_the_first_file_is_looked_at() -> None:
    table = a_table("card,n", "PAN,N").encode()
    draft = draft_of(zipped(table, table, b"anything"))
    assert draft.pan_columns == ("card",)
    assert not draft.is_whole
    assert "the first of 3 files" in draft.notes[0]


def test_a_packed_file_of_any_size_is_judged_by_its_beginning() -> None:
    content = a_table("card,note,n", "PAN,some words,N") + a_table("", "PAN,some words,N")[1:] * 900
    draft = draft_of(gzip.compress(content.encode(), mtime=0))
    assert not draft.is_whole
    assert draft.pan_columns == ("card",)


@pytest.mark.parametrize(
    ("name", "module"),
    [("card_present.avro", "fastavro"), ("card_present.xlsx", "python_calamine")],
)
def test_a_format_whose_library_is_missing_says_so(
    name: str, module: str, sample_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(PermanentError, match="reader_not_installed"):
        draft_of((sample_data / name).read_bytes())


@pytest.mark.parametrize(
    ("name", "expected"),
    [("cvv", "drop"), ("CVC2", "drop"), ("Track 2 Data", "drop"), ("pin_block", "drop")],
)
def test_sensitive_authentication_data_is_dropped_by_its_name(name: str, expected: str) -> None:
    draft = draft_of(a_table(f"card,{name}", "PAN,1N"))
    layout = layout_of(a_table(f"card,{name}", "PAN,1N"))
    assert roles(layout) == {"card": "pan", name: expected}
    assert "sensitive authentication data" in draft.columns[1].why


def test_full_track_is_dropped_whatever_the_column_is_called() -> None:
    layout = layout_of(a_table("card,extra", "PAN,;PAN=29121010000000000?"))
    assert roles(layout) == {"card": "pan", "extra": "drop"}


def test_expiry_is_dropped_unless_a_person_decides_otherwise() -> None:
    assert roles(layout_of(a_table("card,exp_date", "PAN,1229"))) == {
        "card": "pan",
        "exp_date": "drop",
    }


@pytest.mark.parametrize(
    ("cells", "settings"),
    [
        (["1", "22", "0"], {"type": "integer"}),
        (["0742", "5411", "0001"], {}),
        (["123456", "654321", "111111"], {}),
        (["1.50", "-22.5", "0.005"], {"type": "decimal(18,3)"}),
        (["2026-11-24", "2026-02-28", ""], {"type": "date"}),
        (["24.11.2026", "01.02.2026", "28.02.2026"], {"type": "date", "format": "%d.%m.%Y"}),
        (["11/24/2026", "2/1/2026", "3/3/2026"], {"type": "date", "format": "%m/%d/%Y"}),
        (["24/11/2026", "2/1/2026", "3/3/2026"], {"type": "date", "format": "%d/%m/%Y"}),
        (["20261124", "20260201", "20260228"], {"type": "date", "format": "%Y%m%d"}),
        (["99999999", "20260201", "20260228"], {}),
        (["2026-11-24T10:00:00Z", "2026-11-24 10:00:01", ""], {"type": "timestamp"}),
        (["20261124101112", "20260201000000", ""], {"type": "timestamp", "format": "%Y%m%d%H%M%S"}),
        (["true", "False", "true"], {"type": "boolean"}),
        (["Y", "N", "Y"], {"type": "boolean"}),
        (["1", "x", "2"], {}),
    ],
)
def test_a_kept_column_gets_the_type_that_all_of_its_cells_fit(
    cells: list[str], settings: dict[str, str]
) -> None:
    lines = [f"{pan},{cell}" for pan, cell in zip(PANS, cells, strict=False)]
    document = document_of(draft_of("\n".join(["card,value", *lines]) + "\n"))
    assert tomllib.loads(document)["columns"]["value"] == {"role": "keep"} | settings


def test_a_date_that_could_be_read_in_two_ways_says_so() -> None:
    column = draft_of(a_table("card,day", "PAN,03/04/2026")).columns[1]
    assert column.column.format == "%m/%d/%Y"
    assert "could as well be %d/%m/%Y" in column.why


def test_text_with_card_numbers_in_it_and_free_text_have_the_role_text() -> None:
    layout = layout_of(a_table("card,ref,memo", "PAN,paid with PAN today,"))
    assert roles(layout) == {"card": "pan", "ref": "text", "memo": "text"}


def test_elements_of_clearing_messages_that_may_name_a_card_are_texts(sample_data: Path) -> None:
    layout = layout_of((sample_data / "mastercard_ipm.bin").read_bytes())
    assert {layout.columns[name].role for name in ("DE48", "DE55", "DE72")} == {"text"}


def a_fixed_file(pattern: Callable[[int, str], str]) -> str:
    records = [pattern(at, pan).ljust(60) for at, pan in enumerate(PANS)]
    return "\n".join(["HDR20260302".ljust(60), *records, "TRL000040".ljust(60)]) + "\n"


def test_types_of_fixed_records_with_a_card_in_the_same_place_are_rows() -> None:
    content = a_fixed_file(lambda at, pan: f"{'TRF' if at % 5 == 0 else 'DTL'}{at:06d} {pan} shop")
    layout = layout_of(content)
    reading = read_part(content.encode(), layout, START, None, 1 << 16)
    assert len(reading.rows) == len(PANS)
    assert reading.malformed == {}


def test_types_of_fixed_records_with_a_card_elsewhere_are_never_left_out_in_silence() -> None:
    def pattern(at: int, pan: str) -> str:
        return f"FEE {'paid by':20} {pan}" if at % 5 == 0 else f"DTL{at:06d} {pan} shop"

    content = a_fixed_file(pattern)
    draft = draft_of(content)
    assert "1 more types of record hold card numbers: describe them too" in draft.notes
    reading = read_part(content.encode(), layout_of(content), START, None, 1 << 16)
    assert len(reading.rows) == 32
    assert set(reading.malformed.values()) == {("unknown_record_type", None)}
    assert len(reading.malformed) == 8


def test_a_type_of_which_some_records_name_a_card_is_never_left_out_in_silence() -> None:
    lines = [f"S|{pan}|10.00" for pan in PANS[:20]]
    lines += [f"C|{at}|{'card ' + pan if at % 4 == 0 else ''}|x" for at, pan in enumerate(PANS)]
    layout = layout_of("\n".join(["H|1", *lines, "T|60|a|b|c"]) + "\n")
    assert layout.records is not None
    assert {name: each.role for name, each in layout.records.types.items()} == {
        **{"h": "skip", "s": "detail", "c": "detail", "t": "trailer"}
    }
    assert layout.columns["c_3"].role == "text"


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("1.234,50", "12,00-"), ("decimal", 2, ",", ".")),
        (("1234,5", "12"), ("decimal", 1, ",", "")),
        (("1,234.50", "7.25"), ("decimal", 2, ".", ",")),
        (("0.5", "12"), ("decimal", 1, ".", "")),
        (("1,234", "2,345"), ("string", 0, ".", "")),
    ],
)
def test_amounts_are_read_as_they_are_written(cells: tuple[str, str], expected: Any) -> None:
    lines = [f"{pan};{cells[at % 2]}" for at, pan in enumerate(PANS)]
    layout = layout_of("card;amount\n" + "\n".join(lines) + "\n")
    amount = layout.columns["amount"]
    found = (amount.type.kind, amount.type.scale, amount.decimal_mark, amount.group_mark)
    assert found == expected
    bench = Bench(document_of(draft_of("card;amount\n" + "\n".join(lines) + "\n")))
    receipt = bench.run("card;amount\n" + "\n".join(lines) + "\n", "drafted")
    assert receipt["rows_written"] == len(PANS)


def rows_written(content: bytes) -> tuple[Layout, int]:
    """The drafted layout, and how many rows it writes of the file."""
    bench = Bench(document_of(draft_of(content)))
    return layout_of(content), bench.run(content, "drafted")["rows_written"]


def test_a_draft_of_parquet_reads_what_it_proposes() -> None:
    table = pa.table(
        {
            "pan": pa.array([Decimal(pan) for pan in PANS], pa.decimal128(19, 0)),
            "cards": pa.array([[pan, "x"] for pan in PANS]),
            "more": pa.array([[("card", pan)] for pan in PANS], pa.map_(pa.string(), pa.string())),
            "at": pa.array([datetime(2026, 3, 2, 1, 2, 3)] * len(PANS), pa.timestamp("ns")),
            "raw": pa.array([b"\xff\0"] * len(PANS)),
        }
    ).filter(pa.array([len(pan) == 16 for pan in PANS]))
    sink = io.BytesIO()
    pq.write_table(table, sink)
    layout, written = rows_written(sink.getvalue())
    assert roles(layout) == {"pan": "pan", "cards": "text", "more": "text", "at": "keep"}
    assert (layout.columns["pan"].digits, layout.columns["at"].type.kind) == (16, "timestamp")
    assert written == table.num_rows


def test_a_draft_of_avro_proposes_columns_that_the_reader_has() -> None:
    array, text_map = {"type": "array", "items": "string"}, {"type": "map", "values": "string"}
    inner = {"type": "record", "name": "c", "fields": [{"name": "pan", "type": "string"}]}
    fields = [("card", ["null", inner]), ("cards", array), ("more", text_map)]
    named = [{"name": name, "type": kind} for name, kind in fields]
    schema = {"type": "record", "name": "r", "fields": named}
    sink = io.BytesIO()
    records = [{"card": {"pan": pan}, "cards": [pan], "more": {"card": pan}} for pan in PANS]
    fastavro.writer(sink, schema, records)
    layout, written = rows_written(sink.getvalue())
    assert roles(layout) == {"card.pan": "pan", "cards": "text", "more": "text"}
    assert written == len(PANS)


def test_a_file_with_card_numbers_in_texts_alone_has_a_draft() -> None:
    layout = layout_of(a_table("id,memo", "7,paid with PAN today"))
    assert roles(layout) == {"id": "keep", "memo": "text"}


def test_references_that_pass_for_cards_by_chance_are_guarded_exactly() -> None:
    references = [f"4{at:015d}" for at in range(40)]
    lines = [f"{pan},{reference}" for pan, reference in zip(PANS, references, strict=True)]
    layout = layout_of("card,reference\n" + "\n".join(lines) + "\n")
    assert layout.pan_columns == ("card",)
    assert layout.columns["reference"].guard == "exact"


def test_a_column_called_card_is_one_although_many_of_its_cells_are_not() -> None:
    cells = [*PANS[:12], *["411111******1111"] * 20]
    lines = [f"{cell},1" for cell in cells]
    assert layout_of("card_number,n\n" + "\n".join(lines) + "\n").pan_columns == ("card_number",)


def test_empty_cells_of_a_pan_column_are_kept_empty() -> None:
    layout = layout_of(a_table("card,n", "PAN,N") + ",99\n")
    assert layout.columns["card"].empty == "keep"


@pytest.mark.parametrize(
    ("encoding", "named"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("cp1252", "cp1252"),
        ("cp037", "cp037"),
    ],
)
def test_the_encoding_is_found(encoding: str, named: str) -> None:
    text = a_table("card,händler", "PAN,Zürich N")
    text = text.replace("ä", "a").replace("ü", "u") if encoding == "cp037" else text
    layout = layout_of(text.encode(encoding))
    assert layout.format.encoding == named
    assert layout.pan_columns == ("card",)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "~", "^"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    layout = layout_of(a_table("card,a,b", "PAN,x y,N").replace(",", delimiter))
    assert layout.format.delimiter == delimiter
    assert layout.pan_columns == ("card",)


def test_quotes_with_line_ends_in_them_are_told_from_quotes_that_never_close() -> None:
    inside = a_table("card,note", 'PAN,"two\nlines"')
    assert layout_of(inside).format.embedded_newlines
    open_quote = a_table("card,note", "PAN,x") + f'{PANS[0]},"x\n' + a_table("", "PAN,x")
    assert not layout_of(open_quote.replace("\n\n", "\n")).format.embedded_newlines


def test_quotes_within_fields_are_text() -> None:
    assert layout_of(a_table("card;size", 'PAN;5" disk')).format.quote == ""


def test_names_that_stand_twice_are_left_out_with_a_note() -> None:
    draft = draft_of(a_table("card,a,a", "PAN,x,y"))
    assert [each.name for each in draft.columns] == ["card"]
    assert "twice" in draft.notes[0]


def test_marks_for_no_value_are_recognised() -> None:
    layout = layout_of(a_table("card,amount", "PAN,1.50", 20) + f"{PANS[0]},NULL\n")
    assert layout.format.null_values == ("", "NULL")
    assert layout.columns["amount"].type.kind == "decimal"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"a,b\n1,2\n3,4\n", "no_pan_column"),
        (b"", "format_not_recognised"),
        (b"\n\n", "format_not_recognised"),
        (b"%PDF-1.7 " + b"\0" * 100, "unsupported_format"),
        (b"-----BEGIN PGP MESSAGE-----\n", "encrypted"),
        (gzip.compress(b"card,n\n" * 99, mtime=0)[:-9], "corrupt_archive"),
        (bytes(range(256)) * 10, "format_not_recognised"),
    ],
)
def test_what_no_layout_can_be_drafted_for_has_a_reason(content: bytes, code: str) -> None:
    with pytest.raises(PermanentError) as caught:
        draft_of(content)
    assert caught.value.code == code


def test_a_large_file_is_judged_by_its_beginning() -> None:
    row = "PAN,some words of free text that fill the file,N"
    content = a_table("card,note,n", row) + a_table("", row)[1:] * 600
    draft = draft_of(content)
    assert not draft.is_whole
    assert 0 < draft.rows < 24_000
    assert draft.pan_columns == ("card",)


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("Settlement 2026-11-24.CSV", "settlement"),
        ("acme_unknown.csv", "acme-unknown"),
        ("acme.csv.gz", "acme"),
        ("acme.csv.gz.zip", "acme"),
        ("acme.zip", "acme"),
        ("4111111111111111.csv", DEFAULT_NAME),
        ("a4111111111111111b.csv", DEFAULT_NAME),
        ("folders.csv", DEFAULT_NAME),
        (".csv", DEFAULT_NAME),
        ("x" * 200, "x" * 64),
    ],
)
def test_a_layout_is_called_like_its_file_without_what_numbers_it(
    file_name: str, name: str
) -> None:
    assert layout_name_from(file_name) == name


ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


@given(
    value=st.recursive(
        ANY_TEXT | st.booleans() | st.integers(-(2**40), 2**40), st.lists, max_leaves=5
    )
)
def test_any_value_comes_back_from_the_document(value: Any) -> None:
    assert tomllib.loads(f"x = {inline(value)}")["x"] == value


REASONS = {"no_pan_column", "format_not_recognised", "unsupported_format"}
REASONS |= {"corrupt_archive", "encrypted", "empty_file", "expands_too_far"}


@given(content=st.binary(max_size=400) | st.text(max_size=300).map(str.encode))
def test_any_file_has_a_draft_without_mistakes_or_a_reason(content: bytes) -> None:
    try:
        draft = draft_of(content)
    except PermanentError as error:
        assert error.code in REASONS
    else:
        assert check_layout(document_of(draft).encode(), "drafted") == []


CELL = st.sampled_from([*PANS[:6], "x", "", '"', "a b c", "1.5", "é", "\t", " 41", PANS[0][:8]])


@given(rows=st.lists(st.lists(CELL, min_size=1, max_size=5), min_size=1, max_size=12))
def test_no_draft_shows_a_card_number(rows: list[list[str]]) -> None:
    content = "\n".join(",".join(row) for row in rows)
    try:
        draft = draft_of(content)
    except PermanentError as error:
        shown = f"{error}"
    else:
        shown = document_of(draft) + repr(draft)
    assert LeakScanner([pan.encode() for pan in PANS]).leaks_in(shown.encode()) == []
