"""The JSON Schema of layouts: generated, complete, and in agreement with the grammar."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.columns import Column
from pipeline.core.known_formats import FORMATS
from pipeline.core.layout_schema import layout_schema, layout_schema_document

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "layout.schema.json"


def test_the_schema_in_the_documentation_is_that_of_the_grammar() -> None:
    """To write it anew: `pantok layouts schema > docs/layout.schema.json`."""
    assert SCHEMA.read_text() == layout_schema_document()


def definitions() -> dict[str, Any]:
    schema = layout_schema()
    return {"Layout": schema, **schema["$defs"]}


@pytest.mark.parametrize("name", definitions())
def test_unknown_settings_are_mistakes_for_an_editor_too(name: str) -> None:
    assert definitions()[name]["additionalProperties"] is False


@pytest.mark.parametrize("name", definitions())
def test_every_setting_is_described(name: str) -> None:
    settings = definitions()[name]["properties"]
    assert [each for each in settings if not {"description", "$ref"} & set(settings[each])] == []


def test_every_format_is_in_the_schema() -> None:
    assert {model.__name__ for model in FORMATS.values()} <= set(layout_schema()["$defs"])


@pytest.mark.parametrize("text", ["string", "date", "decimal(12,2)", "decimal(12, 2)"])
def test_a_type_that_the_grammar_takes_fits_the_schema(text: str) -> None:
    pattern = layout_schema()["$defs"]["Column"]["properties"]["type"]["pattern"]
    assert re.search(pattern, text)
    assert Column.model_validate({"role": "keep", "type": text})
    assert not re.search(pattern, f"{text}x")


def test_each_description_is_one_line() -> None:
    assert "\\n" not in json.dumps(layout_schema())
