"""TOML documents to layouts, or to their mistakes, each with its place and never with a value."""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from collections.abc import Sequence
from typing import Any, get_args, get_origin

from pydantic import (
    BaseModel,
    ValidationError,
)
from pydantic_core import ErrorDetails

from pipeline.core.guard import could_hold_pan
from pipeline.core.known_formats import FORMATS
from pipeline.core.layouts import RESERVED_NAMES, Layout
from pipeline.errors import LayoutError

MAX_LAYOUT_BYTES = 1 << 20


def parse_layout(document: bytes, expected_name: str | None = None) -> Layout:
    """The layout that a TOML document describes.

    `expected_name` is the stem of the document's file name, which the layout must repeat.
    Raises `LayoutError` with every mistake found, each with its place; never with a value.
    """
    unverified = parse_toml(document)
    try:
        layout = Layout.model_validate(unverified)
    except ValidationError as error:
        raise LayoutError(tuple(mistake_in_words(item) for item in error.errors())) from None
    if layout.name in RESERVED_NAMES:
        raise LayoutError((f"name: {layout.name} is reserved",))
    if expected_name is not None and layout.name != expected_name:
        raise LayoutError(("name: must equal the layout's file name without .toml",))
    layout._sha256 = hashlib.sha256(document).hexdigest()
    return layout


def parse_toml(document: bytes) -> dict[str, Any]:
    """What a TOML document holds; raises `LayoutError` with the place of its mistake."""
    if len(document) > MAX_LAYOUT_BYTES:
        raise LayoutError((f"the document is larger than {MAX_LAYOUT_BYTES} bytes",))
    try:
        return tomllib.loads(document.decode("utf-8"))
    except UnicodeDecodeError:
        raise LayoutError(("the document is not UTF-8",)) from None
    except (ValueError, RecursionError) as error:  # ValueError: an integer of too many digits
        raise LayoutError((_place_of_syntax_error(error),)) from None


def _place_of_syntax_error(error: Exception) -> str:
    place = re.search(r"line \d+, column \d+|end of document", str(error))
    return f"not valid TOML at {place[0]}" if place else "not valid TOML"


def mistake_in_words(item: ErrorDetails) -> str:
    """A mistake with its place in front, as far as pydantic knows it; never with a value."""
    place = ".".join(map(_printable, place_of(item)))
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "union_tag_invalid":
        message = f"must be one of {', '.join(FORMATS)}"
    if item["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(place_of(item)[-1]), settings_beside(item), n=1)
        message = "unknown setting" + (f"; did you mean {close[0]}?" if close else "")
    return f"{place}: {message}" if place else message


def place_of(item: ErrorDetails) -> tuple[int | str, ...]:
    """The path of tables and settings to a mistake."""
    loc = item["loc"]
    if item["type"] == "union_tag_invalid":
        return (*loc, "type")
    if loc[:1] == ("format",) and len(loc) > 1 and loc[1] in FORMATS:
        return (loc[0], *loc[2:])  # the type by which the model was chosen is no setting
    return loc


def _printable(part: int | str) -> str:
    """A part of a place; it may be a name out of the document, which may be anything."""
    return "[long number]" if could_hold_pan(str(part)) else str(part)


def settings_beside(item: ErrorDetails) -> list[str]:
    """The settings that the table of a mistake has."""
    return list(model_of_table(item["loc"][:-1]).model_fields)


def model_of_table(loc: Sequence[int | str]) -> type[BaseModel]:
    """The model of the table at that place, as pydantic names places."""
    models: list[type[BaseModel]] = [Layout]
    is_named_freely = False
    for part in loc:
        if is_named_freely:
            is_named_freely = False
        elif FORMATS.get(str(part)) in models:
            models = [FORMATS[str(part)]]
        else:
            fields = [each.model_fields[str(part)] for each in models if part in each.model_fields]
            models = [model for field in fields for model in _models_in(field.annotation)] or models
            is_named_freely = any(get_origin(each.annotation) in (dict, tuple) for each in fields)
    return models[0]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]
