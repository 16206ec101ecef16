"""A dry run agrees with the run."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.aws.layout_catalogue import built_in_layout
from pipeline.core.fingerprints import Fingerprinter
from pipeline.core.layout_documents import parse_layout
from pipeline.core.layouts import Layout
from pipeline.core.masking import masked_pan, shape_of
from pipeline.errors import PermanentError
from pipeline.inspection import Inspection, inspect_file
from pipeline.job import Worker, run_job
from pipeline.keys import FingerprintKey
from pipeline.samples.cards import synthetic_pans
from pipeline.testing import MemoryLayouts, MemoryWorld

LAYOUT = b"""name = "x"
[columns.card]
role = "pan"
[columns.note]
role = "text"
[columns.reference]
role = "keep"
"""
PANS = synthetic_pans(60, seed=31)


def inspected(content: bytes, layout: Layout | None, **options: Any) -> Inspection:
    fingerprinter = Fingerprinter(bytes(32), version=0)
    return inspect_file(io.BytesIO(content), len(content), layout, fingerprinter, **options)


def receipt_of(content: bytes, document: bytes | None) -> Any:
    layouts = MemoryLayouts(*([document.decode()] if document else []))
    world = MemoryWorld(os.urandom, layouts=layouts)
    folder = f"{parse_layout(document).name}/" if document else ""
    upload = world.quarantine.put(f"incoming/{folder}a.csv", content)
    ports = world.ports()
    key = FingerprintKey(ports.key_service, ports.data_key_records, ports.clock)
    try:
        return run_job(upload, Worker(ports, key.fingerprinter, 1.0), lambda: 900.0)
    except PermanentError:
        return world.tokenized.receipts[upload.job_id]


CASES = [
    ("card_present.csv", "card-present"),
    ("acquirer_pipe.txt", "acquirer-pipe"),
    ("every_reject.csv", "every-reject"),
    ("amex_grrcn.csv", "amex-grrcn"),
    ("visa_ctf.txt", "visa-ctf"),
    ("mastercard_ipm.bin", "mastercard-ipm"),
    ("unnamed_columns.csv", None),
]


@pytest.mark.parametrize(("file", "name"), CASES)
def test_a_dry_run_counts_what_the_run_counts(
    file: str, name: str | None, sample_data: Path
) -> None:
    content = (sample_data / file).read_bytes()
    document = built_in_layout(name) if name else None
    seen = inspected(content, parse_layout(document) if document else None)
    receipt = receipt_of(content, document)
    tally = seen.tally
    assert receipt["status"] == "committed"
    assert (tally.rows_read, tally.rows_written) == (receipt["rows_read"], receipt["rows_written"])
    assert dict(tally.rejects) == receipt["rejects_by_reason"]
    assert tally.rejected_rows == receipt["rejected_rows"]
    assert tally.luhn_failed == receipt["luhn_failed"]
    assert seen.pans_distinct == seen.pans_in_all == receipt["pans_distinct"]
    assert tally.guard_hits == receipt["guard"]["hits"]
    assert tally.guard_cells_scanned == receipt["guard"]["cells_scanned"]
    assert {kind: list(names) for kind, names in tally.columns.items()} == receipt["columns"]
    assert seen.is_whole
    assert seen.rows_in_all == receipt["rows_read"]


def test_a_file_that_will_be_refused_says_why(sample_data: Path) -> None:
    content = (sample_data / "acquirer_pipe_wrong_trailer.txt").read_bytes()
    seen = inspected(content, parse_layout(built_in_layout("acquirer-pipe") or b""))
    assert seen.refused is not None
    assert seen.refused[0] == "trailer_mismatch"
    assert seen.bytes_read == len(content)


def test_a_column_that_is_missing_refuses_the_file() -> None:
    seen = inspected(b"card\n4111111111111111\n", parse_layout(LAYOUT))
    assert seen.refused is not None
    assert seen.refused[0] == "missing_column"


def test_what_is_no_text_is_refused_at_once() -> None:
    seen = inspected(b"%PDF-1.7", parse_layout(LAYOUT))
    assert seen.refused is not None
    assert seen.refused[0] == "unsupported_format"
    assert seen.columns == []
    with pytest.raises(PermanentError, match="unsupported_format"):
        inspected(b"%PDF-1.7", None)


def test_columns_come_with_roles_masked_examples_and_counts() -> None:
    rows = ["card,cvv,note,reference,more"]
    rows += [f"{pan},123,paid with {PANS[0]},REF {at},x" for at, pan in enumerate(PANS)]
    rows += [f"4111111111111112,123,,{PANS[1]},x", "411111******1111,123,,,x"]
    seen = inspected("\n".join(rows).encode(), parse_layout(LAYOUT))
    columns = {each.name: each for each in seen.columns}
    assert [each.role for each in seen.columns] == ["pan", "not named", "text", "keep", "not named"]
    assert [each.name for each in seen.columns if each.is_sensitive] == ["cvv"]
    assert columns["cvv"].examples == columns["more"].examples == []
    assert columns["card"].luhn_failed == 1
    assert columns["reference"].guard_hits == 1
    assert columns["reference"].examples[0] == "XXX #"
    assert columns["card"].examples[0].endswith(PANS[0][-4:])
    assert seen.tally.rejects == {"guard_hit": 1, "pan_masked": 1}
    assert sum(seen.cells_by_scheme.values()) == 61  # of good rows, before the guard


@pytest.mark.parametrize("column", ["card", "reference"])
def test_the_action_of_the_guard_is_that_of_the_layout(column: str) -> None:
    content = f"card,note,reference\n{PANS[0]},,{PANS[1]}\n".encode()
    for action, rejected in (("reject", 1), ("redact", 0), ("tokenize", 0)):
        document = LAYOUT + f'[options]\nguard_action = "{action}"\n'.encode()
        assert inspected(content, parse_layout(document)).tally.rows_rejected == rejected


def a_large_file(rows: int, cards: int) -> bytes:
    lines = (f"{PANS[at % cards]},{'x' * 300},{at}" for at in range(rows))
    return ("card,note,reference\n" + "\n".join(lines) + "\n").encode()


def test_of_a_large_file_a_part_is_read_and_the_rest_is_estimated() -> None:
    content = a_large_file(60_000, 50)
    seen = inspected(content, parse_layout(LAYOUT), max_bytes=6 * 1024 * 1024)
    assert not seen.is_whole
    assert seen.bytes_read < len(content) / 2
    assert seen.rows_in_all == pytest.approx(60_000, rel=0.05)
    assert seen.pans_in_all == 50
    assert seen.forecast.cost_usd > 0


@pytest.mark.parametrize(
    ("pack", "more", "chunks"),
    [
        (bytes, b"", 5),
        (gzip.compress, b"", 1),
        (lambda content: content.decode().encode("utf-16"), b'[format]\nencoding = "utf-16"\n', 1),
    ],
)
def test_only_what_can_be_parted_is_forecast_in_parts(
    pack: Callable[[bytes], bytes], more: bytes, chunks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = pack(a_large_file(1000, 50))
    monkeypatch.setattr("pipeline.fan_out.CHUNK_BYTES", len(content) // 5 + 1)
    forecast = inspected(content, parse_layout(LAYOUT + more)).forecast
    assert forecast.chunks == chunks


def test_it_says_how_far_it_has_read() -> None:
    content = a_large_file(100, 50)
    reported: list[int] = []
    inspected(content, parse_layout(LAYOUT), report=reported.append)
    assert sum(reported) == len(content)


def test_one_time_tokens_need_one_for_each_row_and_no_look_up() -> None:
    document = LAYOUT + b'[options]\ntoken_mode = "one_time"\n'
    calls = inspected(a_large_file(100, 5), parse_layout(document)).forecast.aws_calls
    assert calls["dynamodb"]["BatchGetItem"] == 0
    assert calls["dynamodb"]["BatchExecuteStatement"] == 100 / 25 + 1


def test_a_masked_pan_shows_four_digits_and_no_more() -> None:
    assert masked_pan("4111111111111111") == "•" * 12 + "1111"
    assert masked_pan("41111111111") == "•" * 11


@pytest.mark.parametrize(
    ("cell", "shape"),
    [
        ("Zürich 12", "Xxxxxx ##"),
        ("٣½Ⅻ", "###"),
        ("a\n\x1b[0m", "x??[#x"),
        ("x" * 30, "x" * 24 + "…"),
        ("", ""),
    ],
)
def test_a_shape_shows_no_letter_and_no_digit(cell: str, shape: str) -> None:
    assert shape_of(cell) == shape
