"""All formats by name, and the choice among them by `type`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from pipeline.core.clearing_formats import Ctf, Ipm
from pipeline.core.formats import Delimited, FormatSettings
from pipeline.core.record_formats import Fixed
from pipeline.core.structured_formats import Avro, Json, JsonLines, Orc, Parquet, Xlsx

FORMATS: dict[str, type[FormatSettings]] = {
    "delimited": Delimited,
    "fixed": Fixed,
    "ctf": Ctf,
    "ipm": Ipm,
    "jsonl": JsonLines,
    "json": Json,
    "parquet": Parquet,
    "orc": Orc,
    "avro": Avro,
    "xlsx": Xlsx,
}


def _with_type(unverified: Any) -> Any:
    """A format without a type is delimited."""
    if isinstance(unverified, dict) and "type" not in unverified:
        return {"type": "delimited", **unverified}
    return unverified


_Records = Delimited | Fixed | Ctf | Ipm
_Structures = JsonLines | Json | Parquet | Orc | Avro | Xlsx

Format = Annotated[
    Annotated[_Records | _Structures, Field(discriminator="type")], BeforeValidator(_with_type)
]
