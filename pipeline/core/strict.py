"""What documents that people write are checked with."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A part of a document: unknown settings are mistakes, and mistakes never show their values."""

    # Not `use_attribute_docstrings`: it would read all sources at each cold start, for texts that
    # `pipeline.core.layout_schema` alone has a use for.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
