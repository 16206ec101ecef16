"""The table of reader speeds reads whole files of every format."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import readers_binary
from benchmarks.reader_speeds import cases, measure
from pipeline.readers.registry import READERS

ROWS = 2_000


def test_every_reader_is_measured() -> None:
    measured = {layout.format.type for _, _, layout in cases(ROWS)}
    assert set(READERS) - {"auto"} <= measured


@pytest.mark.parametrize("at", range(len(cases(ROWS))))
def test_every_row_of_a_file_is_read(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ROWS", "CARDS"):
        monkeypatch.setattr(readers_binary, name, getattr(readers_binary, name))
    name, make, layout = cases(ROWS)[at]
    (tmp_path / "file").write_bytes(make())
    figures = measure(name, layout, tmp_path / "file")
    # Disputes come on top of transactions, and the ORC sample leaves short and long cards out.
    assert ROWS * 0.6 <= figures["rows"] <= ROWS * 1.2
    assert figures["rows_a_second"] > 0
