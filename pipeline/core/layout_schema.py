"""The layout grammar as JSON Schema, for editors and for other programs."""

from __future__ import annotations

import json
from typing import Any

from pipeline.core.layouts import Layout

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def layout_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a layout document, read as TOML.

    It knows every setting, its type and its values. What only holds between settings, it does not:
    `pantok layouts check` does.
    """
    schema = _tidied(Layout.model_json_schema())
    schema["$defs"]["Column"]["properties"]["type"]["default"] = "string"
    return {"$schema": SCHEMA_DIALECT, **schema}


def layout_schema_document() -> str:
    """The schema as text, the same for the same grammar."""
    return json.dumps(layout_schema(), indent=2, ensure_ascii=False) + "\n"


def _tidied(schema: Any) -> Any:
    """Descriptions on one line each."""
    if isinstance(schema, list):
        return [_tidied(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    tidied = {name: _tidied(each) for name, each in schema.items()}
    if isinstance(description := tidied.get("description"), str):
        tidied["description"] = " ".join(description.split())
    return tidied
