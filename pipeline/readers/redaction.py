"""Original records, less the sensitive authentication data in them."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.core.sensitive import is_sensitive_name, without_track_data
from pipeline.readers.framing import QuotedGrammar


class RecordRedactor:
    """Takes sensitive columns and track data out of a delimited record (PCI DSS 3.3.1).

    `grammar` splits records in which delimiters may be quoted or escaped.
    """

    def __init__(
        self, delimiter: str, grammar: QuotedGrammar | None, file_columns: Sequence[str]
    ) -> None:
        self._columns = len(file_columns)
        self._sensitive = [at for at, name in enumerate(file_columns) if is_sensitive_name(name)]
        self._delimiter = delimiter.encode()
        self._grammar = grammar

    def redacted(self, record: bytes, *, has_file_columns: bool = True) -> bytes:
        """The record; nothing at all when it is unclear which field is the sensitive one.

        That is so when the record's type is not the one whose fields are the file's columns.
        """
        if self._sensitive:
            fields = self._fields(record) if has_file_columns else None
            if fields is None or len(fields) != self._columns:
                return b""
            for at in self._sensitive:
                fields[at] = b""
            record = self._delimiter.join(fields)
        return without_track_data(record)

    def _fields(self, record: bytes) -> list[bytes] | None:
        return self._grammar.fields(record) if self._grammar else record.split(self._delimiter)
