"""Object keys of uploads: what they ask for."""

from __future__ import annotations

from pipeline.core.guard import find_pans
from pipeline.errors import PermanentError
from pipeline.readers.auto import AUTO

INTAKE_PREFIX = "incoming/"


def layout_name_of(key: str) -> str:
    """`incoming/<layout>/<anything>` names its layout; a file directly under `incoming/` is `auto`.

    Raises `PermanentError` `pan_in_object_key`: such a key must not go on into receipts and logs.
    """
    if find_pans(key):
        raise PermanentError("pan_in_object_key", "the object's key holds a card number: rename it")
    folder, separator, _ = key.removeprefix(INTAKE_PREFIX).partition("/")
    return folder if separator else AUTO


def is_intake(key: str) -> bool:
    """Whether the key is that of an uploaded file; a folder's placeholder is not."""
    return key.startswith(INTAKE_PREFIX) and not key.endswith("/")
