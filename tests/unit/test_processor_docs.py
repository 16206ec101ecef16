"""What docs/formats-processors.md shows is what the product reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.core.layout_documents import parse_layout
from pipeline.core.layouts import Layout
from pipeline.samples.mainframe import packed
from tests.unit.record_reading import PAN, read

DOCUMENT = Path(__file__).parents[2] / "docs" / "formats-processors.md"
BLOCKS = re.findall(r"```toml\n(name = .*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
LAYOUTS = {layout.name: layout for layout in (parse_layout(text.encode()) for text in BLOCKS)}


def test_the_worked_layouts_are_those_of_the_three_formats() -> None:
    kinds = {name: layout.format.type for name, layout in LAYOUTS.items()}
    assert kinds == {"ledger": "fixed", "my-visa": "ctf", "my-mastercard": "ipm"}


@pytest.fixture
def ledger() -> Layout:
    return LAYOUTS["ledger"]


def test_the_worked_ledger_reads_the_file_that_it_was_written_for(ledger: Layout) -> None:
    def record(text: str, cents: int | None = None, rest: str = "") -> bytes:
        amount = "" if cents is None else packed(cents, 6).decode("cp037")
        return f"{text}{amount}{rest}".ljust(80).encode("cp037")

    other = "5555555555554444"
    content = b"".join(
        [
            record("H20260302"),
            record(f"S000000001{PAN:<19}", 1250, "20260302Corner Shop"),
            record(f"T000000002{PAN:<19}", -995, f"20260303{other}"),
            record("Z000000002"),
        ]
    )
    reading = read(content, ledger)
    assert reading.malformed == {}
    assert [row["amount"] for row in reading.rows.values()] == ["12.50", "-9.95"]
    assert [row["to_card"] for row in reading.rows.values()] == ["", other]
    assert [row["merchant"] for row in reading.rows.values()] == ["Corner Shop", ""]
