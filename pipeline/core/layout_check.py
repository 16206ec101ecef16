"""Every mistake of a layout, with its line and what to do about it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pipeline.core.folders import FOLDERS_DOCUMENT, parse_folder_rules
from pipeline.core.known_formats import FORMATS
from pipeline.core.layout_documents import (
    mistake_in_words,
    model_of_table,
    parse_layout,
    parse_toml,
    place_of,
    settings_beside,
)
from pipeline.core.layouts import Layout
from pipeline.core.toml_lines import Path, lines_of_settings
from pipeline.errors import LayoutError

_LINE = re.compile(r"at line (\d+)")
_QUOTED = re.compile(r"'([^']*)'")

# What a person does about what a check in the grammar says; the first that fits.
_ADVICE: tuple[tuple[str, str], ...] = (
    (r"larger than", "a layout is a page of TOML: is this the file that it is for?"),
    (r"is not UTF-8", "save the document as UTF-8"),
    (r"not valid TOML", "put text in quotes, close what is open, and name nothing twice"),
    (r"needs role = 'pan'", 'say of the column with the card numbers: role = "pan"'),
    (r"may only be dropped", 'write role = "drop", or leave the column out: it is dropped then'),
    (r"cannot be set for role", "take it out, or change the role"),
    (r"is not among format\.fields", "spell it as in format.fields, or add it there"),
    (
        r"name of a token or last4 column",
        "leave that column out, or let the file call it otherwise",
    ),
    (r"customer_id: cannot be", "name a column of customer numbers, or take the setting out"),
    (r"must be one of string", 'write type = "string", or "decimal(12,2)" for amounts'),
    (r"decimal\(P,S\) needs", 'P counts all digits, S those behind the point: "decimal(12,2)"'),
    (r"format belongs to", 'take it out, or set type = "date"'),
    (r"format of a .* can only hold", 'write it like "%d.%m.%Y" or "%Y%m%d%H%M%S"'),
    (r"format needs a year", 'write all three of them: "%d.%m.%Y"'),
    (r"fields must name the columns", 'list them: fields = ["card", "amount"]'),
    (r"fields can only be set when", "take fields out, or set header = false"),
    (r"names a column twice", "give each column a name of its own"),
    (r"must equal the layout's file name", "rename the file, or the layout"),
    (r"is reserved", "give the layout another name"),
    (
        r"should match pattern '\^\[a-z0-9\]",
        "use a-z, 0-9 and dashes, 64 at most",
    ),
    (r"should match pattern", "use letters, digits, dots and dashes, 32 at most"),
    (r"cannot hold a long number", "number versions 1, 2, 3, or by date: 2026-11"),
    (r"is not an encoding", 'write "utf-8", "utf-16", "cp1252" or "cp037" for EBCDIC'),
    (r"valid string", "put it in quotes"),
    (r"valid boolean", "write true or false, without quotes"),
    (r"valid integer", "write a number without quotes"),
    (r"valid (?:dictionary|list|tuple|array)", "see docs/layouts.md for how it is written"),
)
_EXAMPLES = {"name": 'name = "my-layout"', "role": 'role = "keep"', "columns": "[columns.card]"}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake: what is wrong, on which line (None where no line is at fault), and a remedy."""

    problem: str
    line: int | None
    fix: str


def check_layout(document: bytes, expected_name: str | None = None) -> list[Mistake]:
    """All mistakes of a layout document, in its order; none when it can be used.

    Like `parse_layout`, it repeats no values.
    """
    try:
        unverified = parse_toml(document)
    except LayoutError as error:
        return [_without_document(error.mistakes[0], document)]
    lines = lines_of_settings(document.decode("utf-8"))
    try:
        Layout.model_validate(unverified)
        parse_layout(document, expected_name)
    except ValidationError as error:
        mistakes = [_mistake(item, lines) for item in error.errors()]
        return sorted(mistakes, key=lambda mistake: mistake.line or 0)
    except LayoutError as error:
        return [Mistake(each, lines.get(("name",)), _advice(each)) for each in error.mistakes]
    return []


def check_rules(document: bytes) -> list[Mistake]:
    """All mistakes of the rules for folders, in their order."""
    try:
        parse_folder_rules(document)
    except LayoutError as error:
        if not error.mistakes[0].startswith(FOLDERS_DOCUMENT):
            return [_without_document(error.mistakes[0], document)]
        lines = lines_of_settings(document.decode("utf-8"))
        return [_mistaken_rule(each, lines) for each in error.mistakes]
    return []


def _mistaken_rule(problem: str, lines: Mapping[Path, int]) -> Mistake:
    place = _place_in_words(problem.removeprefix(f"{FOLDERS_DOCUMENT}: "), lines)
    return Mistake(problem, _line_of(place, lines), 'write "incoming/partner/" = "its-layout"')


def _without_document(problem: str, document: bytes) -> Mistake:
    match = _LINE.search(problem)
    line = int(match[1]) if match else None
    if "at end of document" in problem:
        line = document.count(b"\n") + (not document.endswith(b"\n"))
    return Mistake(problem, line, _advice(problem))


def _mistake(item: ErrorDetails, lines: Mapping[Path, int]) -> Mistake:
    problem = mistake_in_words(item)
    place = place_of(item) or _place_in_words(problem, lines)
    return Mistake(problem, _line_of(place, lines), _fix(item, problem))


def _place_in_words(problem: str, lines: Mapping[Path, int]) -> Path:
    """The place that a mistake of the whole layout begins with: the longest that is known."""
    fitting = [path for path in lines if problem.startswith(".".join(map(str, path)) + ":")]
    return max(fitting, key=len, default=())


def _line_of(place: Path, lines: Mapping[Path, int]) -> int | None:
    """The line of the place, or of the table that it is missing from."""
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place)


def _fix(item: ErrorDetails, problem: str) -> str:
    name = str(place_of(item)[-1]) if place_of(item) else ""
    if item["type"] == "missing":
        return f"add it: {_EXAMPLES.get(name, name)}"
    if item["type"] == "extra_forbidden":
        return _fix_of_unknown(item, problem)
    if item["type"] in ("literal_error", "union_tag_invalid"):
        return _fix_of_choice(item, name)
    return _advice(problem) or _description(item, name) or "see docs/layouts.md"


def _fix_of_unknown(item: ErrorDetails, problem: str) -> str:
    known = settings_beside(item)
    _, is_alike, close = problem.partition("did you mean ")
    if is_alike:
        return f"write {close.removesuffix('?')}"
    return f"take it out; there are {', '.join(known)}"


def _fix_of_choice(item: ErrorDetails, name: str) -> str:
    """The value that comes closest to the one given, which itself is not repeated."""
    choices, given = _QUOTED.findall(item["msg"]), item["input"]
    if item["type"] == "union_tag_invalid":
        choices, given = list(FORMATS), given.get("type")
    close = difflib.get_close_matches(str(given), choices, n=1) or choices[:1]
    return f'write {name} = "{close[0]}"' if close else "choose one of these"


def _advice(problem: str) -> str:
    return next((fix for pattern, fix in _ADVICE if re.search(pattern, problem)), "")


def _description(item: ErrorDetails, name: str) -> str:
    """What the setting is for, in the grammar's own words."""
    field = model_of_table(item["loc"][:-1]).model_fields.get(name)
    description = " ".join((field.description or "").split()) if field else ""
    return f"{name}: {description}" if description else ""
