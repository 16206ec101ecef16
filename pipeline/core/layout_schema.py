"""The layout grammar as JSON Schema, for editors and for other programs."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator
from itertools import pairwise
from textwrap import dedent
from typing import Any

from pipeline.core.layouts import Layout
from pipeline.core.strict import Strict

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def layout_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a layout document, read as TOML.

    It knows every setting, its type and its values. What only holds between settings, it does not:
    `pantok layouts check` does.
    """
    described = Layout.model_json_schema()
    for model in _models(Strict):
        name = model.__name__
        _describe(model, described if model is Layout else described["$defs"].get(name, {}))
    schema = _tidied(described)
    schema["$defs"]["Column"]["properties"]["type"]["default"] = "string"
    return {"$schema": SCHEMA_DIALECT, **schema}


def layout_schema_document() -> str:
    """The schema as text, the same for the same grammar."""
    return json.dumps(layout_schema(), indent=2, ensure_ascii=False) + "\n"


def _models(base: type[Strict]) -> Iterator[type[Strict]]:
    for model in base.__subclasses__():
        yield model
        yield from _models(model)


def _describe(model: type[Strict], schema: dict[str, Any]) -> None:
    """Gives the model's settings the texts that follow them in its source."""
    texts: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, Strict):
            texts |= _texts_in(each)
    properties = schema.get("properties", {})
    for name in properties.keys() & texts:
        properties[name] = dict(sorted({"description": texts[name], **properties[name]}.items()))


def _texts_in(model: type[Strict]) -> dict[str, str]:
    """The string behind each setting of a class, by setting."""
    source = ast.parse(dedent(inspect.getsource(model)))
    statements = [each for part in source.body for each in getattr(part, "body", [])]
    return {
        setting.target.id: inspect.cleandoc(text.value.value)
        for setting, text in pairwise(statements)
        if isinstance(setting, ast.AnnAssign)
        and isinstance(setting.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


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
