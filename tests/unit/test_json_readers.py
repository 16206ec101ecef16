"""JSON: lines and arrays, however they are written, and whatever is wrong with them."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.receipts import MAX_LISTED_COLUMNS
from pipeline.errors import PermanentError
from pipeline.model import START
from pipeline.readers import framing
from pipeline.readers.registry import READERS
from pipeline.readers.rendering import MAX_DEPTH
from pipeline.samples.cards import synthetic_pans
from tests.unit.structured import as_json, as_jsonl, batches, cells, document, faults, keep, parsed
from tests.unit.test_hostile_files import BOUND_BYTES, GIGABYTE, Endless
from tests.unit.test_tokenize import Bench

A, B, C = synthetic_pans(3, seed=61)
LINES = parsed(document("jsonl", keep("note")))
ARRAY = parsed(document("json", keep("note")))


def line(**members: Any) -> bytes:
    return json.dumps(members).encode()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"card": "x"', "malformed_json"),
        (b"not JSON", "malformed_json"),
        (b'{"card": 1} {"card": 2}', "malformed_json"),
        (b'{"card": NaN}', "malformed_json"),
        (b'{"card": 01}', "malformed_json"),
        (b'["4111111111111111"]', "not_an_object"),
        (b"4111111111111111", "not_an_object"),
        (b"null", "not_an_object"),
        (b'{"card": "1", "card": "2"}', "duplicate_name"),
        (b'{"card": "1", "a": {"b": 1, "b": 2}}', "duplicate_name"),
        (b'{"a": ' + b"[" * 70 + b"]" * 70 + b"}", "nested_too_deep"),
        (b"[" * 100_000, "nested_too_deep"),
        (b'{"a":' * 100_000, "nested_too_deep"),
        (b'{"card": "\\ud800"}', "invalid_encoding"),
        (b'{"card": "\xff"}', "invalid_encoding"),
    ],
)
def test_a_line_that_cannot_be_read_is_rejected_alone(bad: bytes, reason: str) -> None:
    found = batches(b"\n".join([line(card=A), bad, b"", b"\t", line(card=B)]), LINES)
    assert cells(found, "card") == [A, B]
    assert [fault[0] for fault in faults(found).values()] == [reason]
    assert list(faults(found)) == [2]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"card": "1", "card": "2"}', "duplicate_name"),
        (b'["a"]', "not_an_object"),
        (b"12", "not_an_object"),
        (b'{"a": ' + b"[" * 70 + b"]" * 70 + b"}", "nested_too_deep"),
        (b'{"card": "\\ud800"}', "invalid_encoding"),
    ],
)
def test_an_element_that_is_no_record_is_rejected_alone(bad: bytes, reason: str) -> None:
    found = batches(b"[" + b" , ".join([line(card=A), bad, line(card=B)]) + b"]\n", ARRAY)
    assert cells(found, "card") == [A, B]
    assert [fault[0] for fault in faults(found).values()] == [reason]


GOOD = line(card=A)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" + GOOD, "malformed_json"),
        (b"[" + GOOD + b",", "malformed_json"),
        (b"[" + GOOD + b",]", "malformed_json"),
        (b"[" + GOOD + b" " + GOOD + b"]", "malformed_json"),
        (b"[" + GOOD + b"] more", "malformed_json"),
        (b"[" + GOOD + b"][" + GOOD + b"]", "malformed_json"),
        (b"[" + GOOD[:-1], "malformed_json"),
        (b"[," + GOOD + b"]", "malformed_json"),
        (b"[" + b"[" * 100_000, "malformed_json"),
        (GOOD, "not_an_array"),
        (b'"text"', "not_an_array"),
        (b" \n", "not_an_array"),
        (b"", "empty_file"),
        (b"[]", "no_rows"),
    ],
)
def test_a_document_that_is_no_array_fails_as_a_whole(content: bytes, reason: str) -> None:
    with pytest.raises(PermanentError) as error:
        batches(content, ARRAY)
    assert error.value.code == reason


def test_a_mistake_in_a_document_is_placed() -> None:
    with pytest.raises(PermanentError, match=f"at byte {len(GOOD) + 2}$"):
        batches(b"[" + GOOD + b" x", ARRAY)


def test_an_array_may_stand_inside_of_a_document() -> None:
    at = parsed(document("json", settings='path = "data.rows"'))
    rows = as_json([{"card": A}, {"card": B}]).decode()
    content = f'{{"rows": [1], "data": {{"n": {{"rows": 2}}, "rows": {rows}, "end": [3]}}, "x": 1}}'
    assert cells(batches(content.encode(), at), "card") == [A, B]
    for cut in range(1, len(', "end": [3]}, "x": 1}')):
        with pytest.raises(PermanentError, match="malformed_json"):
            batches(content[:-cut].encode(), at)
    with pytest.raises(PermanentError, match="malformed_json"):
        batches(content.encode() + b"}", at)
    for other in ('{"data": 1}', '{"data": {"x": []}}', "[]", "{}"):
        with pytest.raises(PermanentError, match="not_an_array"):
            batches(other.encode(), at)


def test_names_reach_into_objects_and_arrays_and_may_hold_dots_themselves() -> None:
    names = ["a.b", "list.1.c", "x.y.z", "none.at.all"]
    layout = parsed(document("jsonl", *(keep(name) for name in names)))
    record = {"card": A, "a": {"b": 1.50}, "list": [0, {"c": "two"}], "x.y": {"z": True}}
    found = batches(as_jsonl([record]), layout)
    assert [cells(found, name) for name in names] == [["1.5"], ["two"], ["true"], [""]]


def test_numbers_keep_the_digits_that_stood_there() -> None:
    content = b'{"card": "%s", "note": 12345678901234567890.100}' % A.encode()
    assert cells(batches(content, LINES), "note") == ["12345678901234567890.100"]


def test_nulls_are_empty_cells() -> None:
    found = batches(line(card=A, note=None) + b"\n" + line(card=B), LINES)
    assert cells(found, "note") == ["", ""]


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    mark = b"\xef\xbb\xbf"
    assert cells(batches(mark + line(card=A), LINES), "card") == [A]
    assert cells(batches(mark + b"[" + line(card=A) + b"]", ARRAY), "card") == [A]
    with pytest.raises(PermanentError, match="encoding_mismatch"):
        batches(line(card=A).decode().encode("utf-16"), LINES)


def test_sensitive_members_are_in_no_reject_wherever_they_stand() -> None:
    bench = Bench(document("jsonl", keep("n", "integer"), keep("all")))
    bodies = [
        line(card=A, n="x", cvv="123", deep=[{"track2": f";{A}=25121011234567890?"}, {"pin": 987}]),
        line(card=B, n="x", all={"cvv": "123", "ok": 1}, memo=f";{A}=25121011234567890?"),
        b'{"card": "' + A.encode() + b'", "cvv": "123", broken',
    ]
    rejects = bench.rejects(bench.run(b"\n".join(bodies)))
    text = " ".join(each["record"] for each in rejects)
    assert len(rejects) == 3
    assert not any(secret in text for secret in ("123", "25121", "987"))
    assert A in text
    assert rejects[2]["record"] == ",,,"


def test_the_receipt_lists_names_but_never_long_numbers_and_not_without_end() -> None:
    bench = Bench(document("jsonl"))
    many = {f"m{at}": 1 for at in range(2 * MAX_LISTED_COLUMNS)}
    receipt = bench.run(as_jsonl([{"card": A, B: 1, "a": {C: 2}}, {"card": B, **many}]))
    dropped = receipt["columns"]["dropped"]
    assert "[long number]" in dropped
    assert len(dropped) < MAX_LISTED_COLUMNS
    assert not any(pan in json.dumps(receipt) for pan in (A, B, C))


def test_the_receipt_lists_the_names_of_all_members_of_an_archive() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("1", as_jsonl([{"card": A, "note": "x", "city": "y"}]))
        members.writestr("2", as_jsonl([{"card": B, "note": "x", "colour": "z"}]))
    receipt = Bench(document("jsonl", keep("note"))).run(archive.getvalue())
    assert receipt["columns"] == {
        "kept": ["note"],
        "tokenized": ["card"],
        "dropped": ["city", "colour"],
    }


@pytest.mark.parametrize(
    ("kind", "beginning"),
    [("jsonl", b'{"card": "'), ("json", b'[{"card": "'), ("json", b'{"a": "')],
)
def test_a_gigabyte_that_never_ends_is_refused_after_a_few_blocks(
    kind: str, beginning: bytes
) -> None:
    path = 'path = "x"' if beginning.startswith(b'{"a"') else ""
    layout = parsed(document(kind, settings=path))
    stream = Endless(beginning, b"x" * (1 << 20), GIGABYTE)
    tracemalloc.start()
    try:
        with pytest.raises(PermanentError, match="record_too_long"):
            list(READERS[kind](stream, layout, START, None))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < BOUND_BYTES


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    notes=st.lists(VALUES, min_size=1, max_size=12),
    block_bytes=st.sampled_from([400, 1000, framing.BLOCK_BYTES]),
    indent=st.sampled_from([None, 2]),
    is_ascii=st.booleans(),
)
def test_lines_and_arrays_of_the_same_objects_give_the_same_rows(
    notes: list[Any], block_bytes: int, indent: int | None, is_ascii: bool
) -> None:
    rows = [{"card": A, "note": note} for note in notes]
    lines = "\n".join(json.dumps(row, ensure_ascii=is_ascii) for row in rows).encode()
    array = json.dumps(rows, ensure_ascii=is_ascii, indent=indent).encode()
    try:
        of_lines = batches(lines, LINES, block_bytes=block_bytes)
        of_array = batches(array, ARRAY, block_bytes=block_bytes)
    except PermanentError as error:
        assert error.code == "record_too_long"
        return
    assert cells(of_lines, "note") == cells(of_array, "note")
    texts = iter(cells(of_lines, "note"))
    for note in notes:
        if isinstance(note, str):
            assert next(texts) == note
        elif note is None:
            assert next(texts) == ""
        else:
            text = next(texts)
            assert note == without_sensitive(note) != json.loads(text) or json.loads(text) == note


def without_sensitive(note: Any) -> Any:
    return note


def test_a_depth_is_counted_where_brackets_are_not_text() -> None:
    deep = "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    content = f'{{"card": "{A}", "note": {deep}, "text": "{"[" * 500}"}}'.encode()
    found = batches(content, LINES)
    assert cells(found, "note") == [deep]
    assert faults(batches(content.replace(b"[]", b"[[]]"), LINES)) == {1: ("nested_too_deep", None)}
