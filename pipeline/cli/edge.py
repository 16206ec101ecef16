"""The edge of the command line: what goes to the terminal as a message holds no card number.

Messages repeat what a person typed, what a path is called, what AWS, DuckDB or the interpreter
says; each of those may hold a card number. What is asked for goes to standard output, and is each
command's own affair.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from pathlib import Path
from typing import Any, TextIO, cast

from pipeline.core.guard import find_pans
from pipeline.handlers.edge import without_content
from pipeline.log_filter import install, redacted

# A time to the second as files are named by it. No card of 14 digits begins with 20.
_TIME = re.compile(r"(?<!\d)(20\d\d[01]\d[0-3]\d[0-2]\d[0-5]\d[0-5]\d)(?!\d)")


class CleanStream:
    """A text stream with a marker for whatever has as many digits as a card; times stay."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes the clean text."""
        pieces = _TIME.split(text)
        pieces[::2] = map(redacted, pieces[::2])
        self._stream.write("".join(pieces))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Writes clean lines."""
        for line in lines:
            self.write(line)


@contextmanager
def clean_messages() -> Iterator[None]:
    """Filters standard error and all logs."""
    install()
    with redirect_stderr(cast(TextIO, CleanStream(sys.stderr))):
        yield


def card_among(arguments: Sequence[str]) -> int | None:
    """Which argument, from 1, holds a card number and is no file that exists; None if none does.

    A job's id, a layout's name or a principal is sent to AWS, whose own logs show it in clear.
    """
    for at, argument in enumerate(arguments, start=1):
        if find_pans(argument) and not _is_file(argument):
            return at
    return None


def _is_file(argument: str) -> bool:
    value = argument.partition("=")[2] if argument.startswith("--") else argument
    with suppress(OSError, ValueError):  # a name that is too long, or holds a NUL
        return Path(value).exists()
    return False


def in_words(error: Exception) -> str:
    """What can be said of an error that nobody foresaw: its kind and place, never its text.

    Of one of the operating system, what it says and of which file.
    """
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return f"{without_content(error)}; its text is withheld, since it may hold card numbers"
