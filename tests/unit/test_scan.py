"""`pantok scan` over files: it finds card numbers, wherever they are, and prints none."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.cli import scan
from pipeline.cli.main import app

PAN = "4111111111111111"


def scanned(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    done = CliRunner().invoke(app, ["scan", "--json", *arguments])
    return done.exit_code, json.loads(done.stdout), done.output


def test_a_file_without_card_numbers_is_clean(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("order 1234567890, token tok_f52jhzrikflpf3q74jjzl5mylk")
    assert scanned(str(tmp_path))[:2] == (0, [])


@pytest.mark.parametrize(
    "name", [f"{PAN}.txt", "4111-1111-1111-1111.txt", b64encode(PAN.encode()).decode() + ".txt"]
)
def test_a_card_number_in_a_name_is_found_and_not_printed(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(f"card {PAN}")
    status, leaks, printed = scanned(str(tmp_path))
    assert (status, [leak["form"] for leak in leaks]) == (1, ["name", "plain"])
    assert name not in printed
    assert PAN not in printed


def test_a_known_number_in_a_name_is_not_printed(tmp_path: Path) -> None:
    odd = "4111111111111112"
    (tmp_path / "known").write_text(f"{odd}\n")
    (tmp_path / f"{odd}.txt").write_text("nothing")
    pans, place = str(tmp_path / "known"), str(tmp_path / f"{odd}.txt")
    status, leaks, printed = scanned("--pans", pans, "--only-known", place)
    assert (status, [leak["form"] for leak in leaks]) == (1, ["name"])
    assert odd not in printed


@pytest.mark.parametrize("at", range(90, 111, 4))
def test_a_card_number_that_two_blocks_share_is_found_once(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "BLOCK_BYTES", 100)
    monkeypatch.setattr(scan, "OVERLAP_BYTES", 40)
    (tmp_path / "a.log").write_text("x" * at + PAN + "y" * 300)
    assert [leak["byte"] for leak in scanned(str(tmp_path))[1]] == [at]


def test_an_archive_is_searched_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "BLOCK_BYTES", 100)
    (tmp_path / "a.log.gz").write_bytes(gzip.compress(f"{list(range(999))} {PAN}".encode()))
    assert scanned(str(tmp_path))[1][0]["form"] == "gzip"


def test_a_place_that_is_not_there_is_an_error() -> None:
    assert CliRunner().invoke(app, ["scan", "/no/such/place"]).exit_code == 1
