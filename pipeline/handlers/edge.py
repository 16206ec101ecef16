"""The edge of a Lambda function: nothing that others say passes it.

What leaves a handler is printed by Lambda's runtime with its text and traceback, past every log
filter; what is raised inside of a trace is noted in the trace.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from pipeline.errors import PantokError, PermanentError, TransientError
from pipeline.log_filter import install, redacted

Entry = Callable[[Any, Any], Any]


def contained(entry: Entry) -> Entry:
    """A Lambda entry point whose logs are filtered and whose errors are all our own.

    It raises `PermanentError` and `TransientError` without any other error in their chain.
    """

    @wraps(entry)
    def contained_entry(event: Any, context: Any) -> Any:
        install()
        try:
            return entry(event, context)
        except Exception as error:  # noqa: BLE001 - the edge
            ours = _ours(error)
        # Outside of the `except` block: the error there would be the context of this one.
        raise ours

    return contained_entry


def _ours(error: Exception) -> PantokError:
    kind = PermanentError if isinstance(error, PermanentError) else TransientError
    described = error if isinstance(error, PantokError) else without_content(error)
    return kind(redacted(described.code), redacted(described.detail))


def without_content(error: Exception) -> TransientError:
    """A `TransientError` as it is; of any other error what and where it was, without its text."""
    if isinstance(error, TransientError):
        return error
    traceback, place = error.__traceback__, ""
    while traceback is not None:
        name = traceback.tb_frame.f_globals.get("__name__", "")
        if name.startswith("pipeline."):
            place = f"{name}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return TransientError("unexpected", f"{type(error).__name__} at {place}")
