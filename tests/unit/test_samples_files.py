import csv
import io
import re
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.core.layout_documents import parse_layout
from pipeline.samples import write_sample_files
from pipeline.samples.__main__ import main
from pipeline.samples.cards import luhn_check_digit, synthetic_pans
from pipeline.samples.files import SAMPLE_FILES, SAMPLE_SEED
from pipeline.samples.rejects import EVERY_REJECT_CASES, REJECT_COLUMNS, expected_rejects
from pipeline.samples.unfamiliar import ACME_COLUMNS

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "sample_data"
LAYOUTS = [
    *sorted((ROOT / "pipeline" / "layouts_builtin").glob("*.toml")),
    *sorted((SAMPLES / "layouts").glob("*.toml")),
]
REASONS = {
    "pan_empty",
    "pan_masked",
    "pan_scientific_notation",
    "pan_too_short",
    "pan_too_long",
    "pan_not_digits",
    "pan_luhn",
    "wrong_field_count",
    "unbalanced_quote",
    "invalid_encoding",
    "invalid_decimal",
    "invalid_integer",
    "invalid_date",
    "invalid_timestamp",
    "guard_hit",
}


def normalised(raw_pan: str) -> str:
    return re.sub(r"[ '-]", "", raw_pan)


@pytest.mark.parametrize("name", SAMPLE_FILES)
def test_a_sample_file_is_what_its_generator_writes(name: str) -> None:
    stream = io.BytesIO()
    SAMPLE_FILES[name](stream)
    assert (SAMPLES / name).read_bytes() == stream.getvalue()


def test_no_file_lies_in_the_folder_that_nothing_generates() -> None:
    others = {"README.md", ".gitattributes", "layouts", "grants.toml"}
    data = {path.name for path in SAMPLES.iterdir()} - others
    assert data == set(SAMPLE_FILES)


def test_one_command_writes_all_files(tmp_path: Path) -> None:
    main([str(tmp_path / "new")])
    assert {path.name for path in (tmp_path / "new").iterdir()} == set(SAMPLE_FILES)
    assert [path.name for path in write_sample_files(tmp_path)] == list(SAMPLE_FILES)


@pytest.mark.parametrize("path", LAYOUTS, ids=lambda path: path.stem)
def test_a_layout_is_valid_and_named_like_its_file(path: Path) -> None:
    assert parse_layout(path.read_bytes(), path.stem).description


def test_the_readme_tells_of_every_file_and_every_reject_count() -> None:
    readme = (SAMPLES / "README.md").read_text("utf-8")
    assert [name for name in SAMPLE_FILES if f"| `{name}` |" not in readme] == []
    counts = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|$", readme, re.MULTILINE))
    assert {reason: int(count) for reason, count in counts.items()} == expected_rejects()
    bad = sum(expected_rejects().values())
    assert f"| {len(EVERY_REJECT_CASES)} | {len(EVERY_REJECT_CASES) - bad} | {bad} |" in readme


def test_every_reject_reason_occurs_beside_good_rows() -> None:
    assert set(expected_rejects()) == REASONS
    assert sum(case.reason is None for case in EVERY_REJECT_CASES) == 15


def test_cells_that_differ_belong_to_columns_of_the_reject_file() -> None:
    assert all(set(case.cells) <= set(REJECT_COLUMNS) for case in EVERY_REJECT_CASES)
    layout = parse_layout((ROOT / "pipeline/layouts_builtin/every-reject.toml").read_bytes())
    assert set(layout.columns) == set(REJECT_COLUMNS)


def reject_lines() -> list[tuple[str | None, bytes]]:
    lines = (SAMPLES / "every_reject.csv").read_bytes().splitlines()[1:]
    return list(zip((case.reason for case in EVERY_REJECT_CASES), lines, strict=True))


def test_only_the_row_of_that_fault_is_not_utf_8() -> None:
    def is_utf_8(line: bytes) -> bool:
        return line.decode("utf-8", "replace").encode() == line

    faulty = {reason for reason, line in reject_lines() if not is_utf_8(line)}
    assert faulty == {"invalid_encoding"}


def test_only_the_row_of_that_fault_leaves_a_quote_open() -> None:
    assert {r for r, line in reject_lines() if line.count(b'"') % 2} == {"unbalanced_quote"}


def test_only_rows_of_that_fault_have_other_numbers_of_fields() -> None:
    faulty = [
        reason
        for reason, line in reject_lines()
        if len(next(csv.reader([line.decode("latin-1")]))) != len(REJECT_COLUMNS)
    ]
    assert faulty == ["wrong_field_count"] * 2


def test_only_rows_of_a_pan_fault_lack_a_luhn_valid_pan() -> None:
    for reason, line in reject_lines():
        pan = normalised(next(csv.reader([line.decode("latin-1")]))[1])
        is_good = re.fullmatch(r"[0-9]{12,19}", pan) is not None and pan[-1] == luhn_check_digit(
            pan[:-1]
        )
        assert is_good == (reason is None or not reason.startswith("pan_"))


def test_good_rows_of_the_reject_file_hold_eight_cards() -> None:
    raw_pans = [line.split(b",")[1].decode() for reason, line in reject_lines() if reason is None]
    assert len({normalised(raw_pan) for raw_pan in raw_pans}) == 8
    assert "4000001234567899" not in raw_pans  # what row 15 has as a reference


def test_the_wrong_trailer_is_a_cent_off_and_all_else_is_equal() -> None:
    right = (SAMPLES / "acquirer_pipe.txt").read_text("utf-8").splitlines()
    wrong = (SAMPLES / "acquirer_pipe_wrong_trailer.txt").read_text("utf-8").splitlines()
    assert right[:-1] == wrong[:-1]
    sums = [Decimal(lines[-1].split("|")[2]) for lines in (wrong, right)]
    assert sums[0] - sums[1] == Decimal("0.01")


def acme_rows() -> list[dict[str, str]]:
    text = (SAMPLES / "acme_unknown.csv").read_bytes().decode("cp1252")
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=";", strict=True))


def test_the_unknown_file_has_the_columns_of_the_example_layout() -> None:
    layout = parse_layout((SAMPLES / "layouts" / "acme.toml").read_bytes())
    assert set(layout.columns) == set(ACME_COLUMNS) == set(acme_rows()[0])
    assert b"\r\n" in (SAMPLES / "acme_unknown.csv").read_bytes()


def test_the_unknown_file_groups_its_pans_and_repeats_some_in_free_text() -> None:
    rows = acme_rows()
    pans = [normalised(row["Kartennummer"]) for row in rows]
    assert set(pans) == set(synthetic_pans(40, SAMPLE_SEED))
    assert all(" " in row["Kartennummer"] for row in rows)
    repeated = [row for row, pan in zip(rows, pans, strict=True) if pan in row["Verwendungszweck"]]
    assert len(repeated) == 3


def test_a_card_of_the_unknown_file_has_one_customer() -> None:
    owners = {(row["Kartennummer"], row["Kundennummer"]) for row in acme_rows()}
    assert len(owners) == 40


def test_the_file_without_names_has_pans_in_its_third_column_only() -> None:
    with (SAMPLES / "unnamed_columns.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    pans = set(synthetic_pans(30, SAMPLE_SEED))
    assert len(rows) == 80
    assert {row[2] for row in rows} == pans
    assert pans.isdisjoint(cell for row in rows for cell in row[:2] + row[3:])
