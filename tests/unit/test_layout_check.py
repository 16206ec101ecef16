"""What `check` says about a layout with mistakes: each one, its line, a remedy."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.aws.layout_catalogue import built_in_layout, built_in_names
from pipeline.core.layout_check import Mistake, check_layout
from pipeline.core.layout_documents import MAX_LAYOUT_BYTES, parse_layout
from pipeline.errors import LayoutError
from tests.unit.test_layouts import FULL

BROKEN = b"""name = "broken"
zzz = 1

[format]
delimeter = ";"
header = "maybe"

[columns.a]
role = "pam"

[columns.b]
role = "keep"
type = "text"
"""


def one(document: str, name: str | None = None) -> Mistake:
    (mistake,) = check_layout(document.encode(), name)
    return mistake


def test_every_mistake_has_its_line_and_a_remedy() -> None:
    found = [(each.line, each.fix) for each in check_layout(BROKEN)]
    assert [line for line, _ in found] == [2, 5, 6, 9, 13]
    fixes = [fix for _, fix in found]
    assert fixes[0].startswith("take it out; there are name, version")
    assert fixes[1:4] == [
        "write delimiter",
        "write true or false, without quotes",
        'write role = "pan"',
    ]
    assert "decimal(12,2)" in fixes[4]


def test_what_is_missing_is_shown_where_it_belongs() -> None:
    mistake = one('name = "x"\n\n[columns.a]\nrole = "pan"\n[columns.b]\ntype = "date"\n')
    assert (mistake.line, mistake.fix) == (5, 'add it: role = "keep"')
    assert one("[columns.a]\nrole = 'pan'").fix == 'add it: name = "my-layout"'


def test_a_mistake_of_the_whole_layout_has_the_line_that_it_names() -> None:
    document = 'name = "x"\n[columns.card]\nrole = "pan"\n[columns.cvv]\nrole = "keep"\n'
    mistake = one(document)
    assert mistake.line == 4
    assert mistake.fix.startswith('write role = "drop"')
    assert one(document.replace("[columns.cvv]", '[columns."c.v: v"]').replace("pan", "keep")).line


def test_a_name_that_is_not_that_of_the_file_is_shown_on_its_line() -> None:
    document = '# why\nname = "x"\n[columns.card]\nrole = "pan"\n'
    assert one(document, "y").line == 2
    assert not check_layout(document.encode(), "x")
    for reserved in ("auto", "folders"):
        assert "reserved" in one(document.replace('"x"', f'"{reserved}"')).problem


@pytest.mark.parametrize(
    ("document", "line"),
    [("a = 1\nb = ]", 2), ("a = 1\nb =", 2), ("a = 1\nb = 1\nb = 2\n\n", None), ("[[", 1)],
)
def test_what_is_no_toml_has_a_line_and_a_remedy(document: str, line: int | None) -> None:
    mistake = one(document)
    assert line is None or mistake.line == line
    assert mistake.fix


def test_a_document_that_is_no_text_or_too_large_has_a_remedy() -> None:
    for document in (b"\xff", b" " * (MAX_LAYOUT_BYTES + 1)):
        assert check_layout(document)[0].fix


@pytest.mark.parametrize("name", built_in_names())
def test_a_layout_that_ships_with_the_product_has_no_mistake(name: str) -> None:
    assert check_layout(built_in_layout(name) or b"", name) == []


@settings(max_examples=200)
@given(at=st.integers(0, len(FULL)), drop=st.integers(0, 20), insert=st.text(max_size=4))
def test_check_and_use_agree_on_what_can_be_used(at: int, drop: int, insert: str) -> None:
    document = (FULL[:at] + insert + FULL[at + drop :]).encode()
    try:
        parse_layout(document)
    except LayoutError as error:
        found = check_layout(document)
        assert sorted(each.problem for each in found) == sorted(error.mistakes)
        assert all(each.fix for each in found)
    else:
        assert check_layout(document) == []


@pytest.mark.parametrize("value", ['"4111111111111111"', "4111111111111111", '"s3cr3t"'])
@pytest.mark.parametrize("place", ["name", "version", "scope", "format.delimiter", "options.scope"])
def test_no_value_is_repeated(place: str, value: str) -> None:
    document = f"{place} = {value}\n[columns.a]\nrole = {value}\n[columns.b]\ntype = {value}\n"
    for each in check_layout(document.encode()):
        assert value.strip('"') not in repr(each)
