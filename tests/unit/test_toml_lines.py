"""On which line of a TOML document each of its settings stands."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.aws.layout_catalogue import built_in_layout, built_in_names
from pipeline.core.toml_lines import lines_of_settings

DOCUMENT = '''# a comment with = and [
name = "x"  # [not.a.table]

[format]
"quoted.key" = "it's"
fields = [
    "a",  # the first
    "b, not c",
    { name = "c", at = [1, 2] },
]
text = """
[no.table]
key = 1
"""
raw = \'\'\'
x = ]
\'\'\'
dotted . key = 3

[columns."a.b"]
role = "pan"
[columns]
inline = {role = "keep", type = "date"}

[[records]]
kind = 1
[records.totals]
field = 2
[[records]]
kind = 3
'''


def test_each_setting_has_its_line() -> None:
    lines = lines_of_settings(DOCUMENT)
    expected = {
        ("name",): 2,
        ("format",): 4,
        ("format", "quoted.key"): 5,
        ("format", "fields"): 6,
        ("format", "fields", 0): 7,
        ("format", "fields", 1): 8,
        ("format", "fields", 2): 9,
        ("format", "fields", 2, "name"): 9,
        ("format", "fields", 2, "at", 1): 9,
        ("format", "text"): 11,
        ("format", "raw"): 15,
        ("format", "dotted", "key"): 18,
        ("columns", "a.b", "role"): 21,
        ("columns", "inline", "type"): 23,
        ("records", 0): 25,
        ("records", 0, "kind"): 26,
        ("records", 0, "totals", "field"): 28,
        ("records", 1, "kind"): 30,
    }
    assert {path: lines.get(path) for path in expected} == expected


def paths(value: Any, path: tuple[int | str, ...] = ()) -> set[tuple[int | str, ...]]:
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    return {path} | {each for name, item in inner for each in paths(item, (*path, name))}


@pytest.mark.parametrize("name", built_in_names())
def test_every_setting_of_a_real_layout_is_found(name: str) -> None:
    document = (built_in_layout(name) or b"").decode()
    assert paths(tomllib.loads(document)) - {()} == set(lines_of_settings(document))


def test_line_ends_of_windows_count_once() -> None:
    assert lines_of_settings("a = 1\r\n\r\nb = 2\r\n") == {("a",): 1, ("b",): 3}


@settings(max_examples=300)
@given(at=st.integers(0, len(DOCUMENT)), drop=st.integers(0, 12), insert=st.text(max_size=4))
def test_whatever_is_valid_is_gone_through(at: int, drop: int, insert: str) -> None:
    document = DOCUMENT[:at] + insert + DOCUMENT[at + drop :]
    try:
        found = tomllib.loads(document)
    except ValueError:
        return
    lines = lines_of_settings(document)
    assert paths(found) - {()} == set(lines)
    assert max(lines.values(), default=0) <= document.count("\n") + 1
