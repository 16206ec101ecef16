"""The columns of a sample, as the reader of its format reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from pipeline.core.layouts import Layout
from pipeline.core.sensitive import is_sensitive_name
from pipeline.errors import PermanentError
from pipeline.readers.framing import SeekableSource
from pipeline.readers.registry import read_record_batches

MAX_ROWS = 20_000


def cells_by_reader(
    source: SeekableSource,
    settings: Mapping[str, object],
    records: Mapping[str, object],
    names: Sequence[str],
) -> pa.RecordBatch | None:
    """The first rows of the file in all columns of these names; None if there are none."""
    layout = _provisional(settings, records, names)
    if layout is None:
        return None
    try:
        for batch in read_record_batches(source, layout):
            if batch.columns.num_rows:
                return batch.columns.slice(0, MAX_ROWS)
    except PermanentError:  # a sample has no end, and so no trailer
        pass
    return None


def _provisional(
    settings: Mapping[str, object], records: Mapping[str, object], names: Sequence[str]
) -> Layout | None:
    """A layout that reads every column."""
    harmless = [name for name in names if not is_sensitive_name(name)]
    if not harmless:
        return None
    columns = {name: {"role": "pan" if name == harmless[0] else "drop"} for name in names}
    document = {"name": "draft", "format": dict(settings), "columns": columns}
    return Layout.model_validate(document | ({"records": dict(records)} if records else {}))
