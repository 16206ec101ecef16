"""`pantok layouts` and `pantok inspect`, where no deployment is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from pipeline.aws.layout_catalogue import built_in_names
from pipeline.cli.main import app
from pipeline.core.layout_schema import layout_schema
from pipeline.core.leaks import LeakScanner
from pipeline.errors import PermanentError
from pipeline.samples.cards import synthetic_pans
from pipeline.samples.files import SAMPLE_FILES

PANS = synthetic_pans(30, seed=55)


@pytest.fixture(autouse=True)
def _no_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PANTOK_LOCAL_DIR", str(tmp_path / "none"))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def as_json(*arguments: str | Path) -> Any:
    done = run(*arguments, "--json")
    assert done.exit_code in (0, 1), done.exception
    return json.loads(done.stdout)


def test_the_list_names_what_is_built_in() -> None:
    assert [each["name"] for each in as_json("layouts", "list")] == built_in_names()


def test_a_layout_can_be_shown_and_taken_as_a_start(tmp_path: Path) -> None:
    document = run("layouts", "show", "card-present").stdout
    (tmp_path / "card-present.toml").write_text(document)
    assert run("layouts", "check", tmp_path / "card-present.toml").exit_code == 0
    assert as_json("layouts", "show", "card-present")["columns"]["card_number"]["role"] == "pan"
    assert isinstance(run("layouts", "show", "nobody").exception, PermanentError)


def test_the_schema_is_printed() -> None:
    assert json.loads(run("layouts", "schema").stdout) == layout_schema()


def test_mistakes_are_printed_with_line_and_remedy_and_end_with_1(tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text('name = "broken"\n[columns.a]\nrole = "pann"\n[format]\ndelimeter = ";"\n')
    done = run("layouts", "check", file)
    assert done.exit_code == 1
    assert 'write role = "pan"' in done.stdout
    assert "did you mean delimiter?" in done.stdout
    (report,) = as_json("layouts", "check", file)
    assert not report["is_valid"]
    assert [each["line"] for each in report["mistakes"]] == [3, 5]


def test_rules_for_folders_are_checked_too(tmp_path: Path) -> None:
    file = tmp_path / "folders.toml"
    file.write_text('"incoming/a/" = "x"\n')
    assert run("layouts", "check", file).exit_code == 0
    file.write_text('"incoming/a/" = "x"\n"incoming/b" = "x"\n')
    (report,) = as_json("layouts", "check", file)
    assert [each["line"] for each in report["mistakes"]] == [2]


@pytest.mark.parametrize("name", SAMPLE_FILES)
def test_what_new_writes_is_checked_and_inspected_without_a_mistake(
    name: str, sample_data: Path, tmp_path: Path
) -> None:
    layout = tmp_path / "drafted.toml"
    assert run("layouts", "new", sample_data / name, "-o", layout).exit_code == 0
    assert run("layouts", "check", layout).exit_code == 0
    seen = as_json("inspect", sample_data / name, "--layout", layout)
    assert seen["refused"] is None
    assert seen["pans_distinct"] >= 8
    assert seen["guard"]["hits"] <= 2


def test_new_does_not_overwrite_a_layout(sample_data: Path, tmp_path: Path) -> None:
    layout = tmp_path / "mine.toml"
    layout.write_text("precious")
    done = run("layouts", "new", sample_data / "card_present.csv", "-o", layout)
    assert isinstance(done.exception, PermanentError)
    assert layout.read_text() == "precious"


def test_a_name_that_is_none_is_a_mistake(sample_data: Path) -> None:
    done = run("layouts", "new", sample_data / "card_present.csv", "--name", "Not A Name")
    assert done.exit_code == 1


def test_inspect_finds_the_layout_by_name_by_file_or_by_content(sample_data: Path) -> None:
    file = sample_data / "acme_unknown.csv"
    own = sample_data / "layouts" / "acme.toml"
    assert as_json("inspect", file, "--layout", own)["layout"] == "acme"
    assert as_json("inspect", sample_data / "unnamed_columns.csv")["layout"] == "auto"
    card_present = sample_data / "card_present.csv"
    seen = as_json("inspect", card_present, "--layout", "card-present")
    assert seen["forecast"]["rows"] == 1000
    assert seen["layout_sha256"]


def test_a_file_that_would_be_refused_ends_with_1(sample_data: Path) -> None:
    file = sample_data / "acquirer_pipe_wrong_trailer.txt"
    done = run("inspect", file, "--layout", "acquirer-pipe")
    assert done.exit_code == 1
    assert "trailer_mismatch" in done.stderr


@pytest.mark.parametrize("arguments", [("nowhere.csv",), ("{here}", "--layout", "nowhere.toml")])
def test_what_is_not_there_is_an_error_for_people(
    arguments: tuple[str, ...], sample_data: Path
) -> None:
    here = str(sample_data / "card_present.csv")
    done = run("inspect", *(each.format(here=here) for each in arguments))
    assert isinstance(done.exception, PermanentError)
    assert done.exception.code == "no_such_file"


# Canaries: no card number reaches the terminal, whatever the file is.


def shown_by(*arguments: str | Path) -> bytes:
    done = run(*arguments)
    return f"{done.stdout}{done.stderr}{done.exception}".encode()


def hostile_files(folder: Path) -> list[Path]:
    grouped = " ".join(PANS[0][at : at + 4] for at in range(0, 16, 4))
    wide = PANS[1].translate({48 + digit: 0xFF10 + digit for digit in range(10)})
    contents = {
        "plain.csv": "\n".join(["card,note", *(f"{pan},pay {pan} {grouped}" for pan in PANS)]),
        "headerless.csv": "\n".join(f"{pan};{grouped};x{pan}x" for pan in PANS),
        "in-header.csv": "\n".join([f"card,{PANS[0]},n {grouped}", *(f"{p},{p},1" for p in PANS)]),
        "references.csv": "\n".join(["card,ref", *(f"x,{pan}" for pan in PANS)]),
        "wide.csv": "\n".join(["card,note", *(f"{pan},{wide} {wide}" for pan in PANS)]),
        "quotes.csv": "\n".join(["card,note", *(f'"{pan},"{pan}' for pan in PANS)]),
        "lines.txt": "\n".join(f"{pan}   {grouped}   {wide}" for pan in PANS),
        "types.txt": "\n".join([f"H|{PANS[0]}", *(f"{p}|{p}|2" for p in PANS), f"T|{PANS[1]}|30"]),
        "ragged.csv": "\n".join(
            ["card,a", *(",".join([pan] * (at % 4)) for at, pan in enumerate(PANS))]
        ),
    }
    for name, content in contents.items():
        (folder / name).write_text(content, encoding="utf-8")
    return [folder / name for name in contents]


def assert_no_card_shown(file: Path, pans: list[str], folder: Path) -> None:
    layout = folder / "canary.toml"
    layout.unlink(missing_ok=True)
    shown = shown_by("layouts", "new", file)
    shown += shown_by("layouts", "new", file, "--json")
    run("layouts", "new", file, "-o", layout)
    for options in ([], ["--layout", layout] if layout.exists() else ["--layout", "card-present"]):
        shown += shown_by("inspect", file, *options)
        shown += shown_by("inspect", file, *options, "--json")
    written = layout.read_bytes() if layout.exists() else b""
    assert LeakScanner([pan.encode() for pan in pans]).leaks_in(shown + written) == []


def test_no_card_number_of_a_hostile_file_is_shown(tmp_path: Path) -> None:
    for file in hostile_files(tmp_path):
        assert_no_card_shown(file, PANS, tmp_path)


@pytest.mark.parametrize("name", SAMPLE_FILES)
def test_no_card_number_of_a_sample_is_shown(name: str, sample_data: Path, tmp_path: Path) -> None:
    assert_no_card_shown(sample_data / name, PANS, tmp_path)


def test_no_card_number_of_a_third_partys_file_is_shown(shared_data: Path, tmp_path: Path) -> None:
    file = shared_data / "kylo_userdata1.csv"
    pans = [line.split(",")[7] for line in file.read_text().splitlines()[1:] if "," in line]
    assert_no_card_shown(file, [pan for pan in pans if pan.isdigit()], tmp_path)


def test_no_card_number_in_a_layout_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "canary.toml"
    for document in (
        f'name = "canary"\ndescription = "{PANS[0]}"\n[columns.a]\nrole = "{PANS[1]}"\n',
        f'name = "canary"\n[columns."{PANS[0]}"]\nrole = "x"\n"{PANS[1]}" = 1\n',
        f'name = "{PANS[0]}"\n{PANS[1]}',
    ):
        file.write_text(document)
        shown = shown_by("layouts", "check", file) + shown_by("layouts", "check", file, "--json")
        shown += shown_by("inspect", file, "--layout", file)
        assert LeakScanner([pan.encode() for pan in PANS]).leaks_in(shown) == []
