"""Libraries that read formats for us: whether they are there, and what they raise."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.errors import PantokError, PermanentError

EXTRA = "formats"


def library(name: str) -> Any:
    """The module of that name; raises `PermanentError` `reader_not_installed`."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise PermanentError(
            "reader_not_installed", f"{name} is missing: install pantok[{EXTRA}]"
        ) from None


@contextmanager
def damage_as_errors(format_name: str) -> Iterator[None]:
    """Whatever a library raises for bytes that it does not understand, as `malformed_file`.

    Decoders raise what their depths raise, with parts of the file in it; all of it means the same.
    """
    try:
        yield
    except PantokError:
        raise
    except BaseException as error:
        is_panic = type(error).__name__ == "PanicException"  # how Rust says what Python raises
        if not is_panic and not isinstance(error, Exception):
            raise
        raise PermanentError(
            "malformed_file", f"the file is no {format_name} file, or is damaged"
        ) from None
