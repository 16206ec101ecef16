"""The bytes of a load test's files."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import BinaryIO

from pipeline.loadtest.plan import (
    INVALID_DATE,
    WRONG_FIELD_COUNT,
    Fault,
    Load,
    PlannedFile,
    Rows,
    planned_rows,
    row_number,
)
from pipeline.samples.cards import synthetic_pans
from pipeline.samples.merchants import all_terminals
from pipeline.samples.randomness import draw_indexes, draw_skewed_indexes, seeded_random
from pipeline.samples.settlement import SETTLEMENT_COLUMNS, SettlementLines
from pipeline.samples.transactions import (
    AMOUNTS,
    APPROVALS,
    NOTES,
    SECONDS_PER_DAY,
    Block,
)

_SETTLEMENT_DATE = re.compile(r",\d{4}-\d\d-\d\d,")
_SPOILED_LINES: dict[Fault, Callable[[str], str]] = {
    WRONG_FIELD_COUNT: lambda line: line.rstrip("\n") + ",one too many\n",
    INVALID_DATE: lambda line: _SETTLEMENT_DATE.sub(",2026-02-30,", line),
}


class Contents:
    """Writes the files of one load test; holds its cards, and may be used by several threads."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._pans = synthetic_pans(load.cards, load.seed)
        self._lines = SettlementLines(load.seed, ",")

    def write(self, file: PlannedFile, stream: BinaryIO) -> None:
        """Writes a file, a block of rows at a time."""
        if file.poison is not None:
            stream.write(file.poison.content(self._load.seed + file.number))
            return
        stream.write((",".join(SETTLEMENT_COLUMNS) + "\n").encode())
        for rows in planned_rows(self._load, file.number):
            stream.write(self._text(file.number, rows).encode())

    def _text(self, file_number: int, rows: Rows) -> str:
        lines = self._lines.of(self._block(file_number, rows)).splitlines(keepends=True)
        for at, fault in enumerate(rows.faults):
            if fault is not None and fault in _SPOILED_LINES:
                lines[at] = _SPOILED_LINES[fault](lines[at])
        return "".join(lines)

    def _block(self, file_number: int, rows: Rows) -> Block:
        count = len(rows.cards)
        random = seeded_random(self._load.seed, f"load block {file_number} {rows.first}")
        first = row_number(self._load, file_number, rows.first)
        return Block(
            numbers=range(first, first + count),
            pans=[
                self._pans[card] if fault is None or fault.raw_pan is None else fault.raw_pan
                for card, fault in zip(rows.cards, rows.faults, strict=True)
            ],
            seconds=[(rows.first + at) * SECONDS_PER_DAY // self._load.rows for at in range(count)],
            terminals=draw_skewed_indexes(random, len(all_terminals()), count),
            approvals=draw_indexes(random, APPROVALS, count),
            amounts=draw_indexes(random, AMOUNTS, count),
            notes=draw_indexes(random, len(NOTES), count),
        )
