"""Original records, less the sensitive authentication data in them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipeline.core.layouts import Format
from pipeline.core.sensitive import is_sensitive_name, without_track_data


class RecordRedactor:
    """Takes sensitive columns and track data out of a delimited record (PCI DSS 3.3.1)."""

    def __init__(self, dialect: Format, file_columns: Sequence[str]) -> None:
        self._columns = len(file_columns)
        self._sensitive = [at for at, name in enumerate(file_columns) if is_sensitive_name(name)]
        self._delimiter = dialect.delimiter.encode()
        self._separator = _separator(dialect)

    def redacted(self, record: bytes) -> bytes:
        """The record; nothing at all when it is unclear which field is the sensitive one."""
        if self._sensitive:
            fields = self._fields(record)
            if len(fields) != self._columns:
                return b""
            for at in self._sensitive:
                fields[at] = b""
            record = self._delimiter.join(fields)
        return without_track_data(record)

    def _fields(self, record: bytes) -> list[bytes]:
        edges = [match.start() for match in self._separator.finditer(record) if match["delimiter"]]
        starts = [0, *(edge + len(self._delimiter) for edge in edges)]
        return [record[start:end] for start, end in zip(starts, [*edges, len(record)], strict=True)]


def _separator(dialect: Format) -> re.Pattern[bytes]:
    """Finds delimiters; quoted fields and escaped characters are stepped over."""
    delimiter = rb"(?P<delimiter>" + re.escape(dialect.delimiter.encode()) + rb")"
    steps = []
    if dialect.escape:
        steps.append(re.escape(dialect.escape.encode()) + rb"(?s:.)")
    if dialect.quote:
        quote = re.escape(dialect.quote.encode())
        begin = rb"(?:(?<=" + re.escape(dialect.delimiter.encode()) + rb")|(?<![\s\S]))"
        steps.append(begin + quote + rb"(?:[^" + quote + rb"]|" + quote + quote + rb")*" + quote)
    return re.compile(rb"|".join([*steps, delimiter]))
