"""Canaries go through every command of `pantok`, and are nowhere to be seen afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from pipeline.cli import generate, inspect, layouts, main, scan
from tests.canaries.commands import AT_AWS, LOCAL, SHOWING, write_files
from tests.canaries.stage import MISTYPED, SCANNER, VALID
from tests.canaries.terminal import WEATHERS, Terminal, boom, terminal


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("PANTOK_LOCAL_DIR", str(tmp_path / "none"))
    with terminal(tmp_path) as found:
        write_files(tmp_path, found.known["token"])
        yield found


def check(at: Terminal, commands: Iterable[str]) -> None:
    for command in commands:
        call = at.run(command)
        assert call.exit_code in (0, 1, 2), command
        assert call.output or call.messages, command
        assert b"Traceback" not in call.messages, command
        assert not SCANNER.leaks_in(call.output + call.messages), command
    assert at.leaks() == {}


@pytest.mark.parametrize("weather", WEATHERS)
def test_no_canary_is_seen_at_the_terminal_with(
    at: Terminal, weather: str, record_property: pytest.RecordProperty
) -> None:
    at.weather = WEATHERS[weather]
    commands = AT_AWS if weather == "fine" else AT_AWS + SHOWING
    check(at, commands)
    record_property("cases", len(commands))


def test_no_canary_is_seen_at_the_terminal_of_commands_that_stay_here(
    at: Terminal, record_property: pytest.RecordProperty
) -> None:
    check(at, LOCAL)
    record_property("cases", len(LOCAL))


CRASHING = {
    "inspect {folder}/settlement.csv": (inspect, "inspect_file"),
    "layouts new {folder}/settlement.csv": (layouts, "draft_layout"),
    "layouts check {folder}/x.toml": (layouts, "check_layout"),
    "scan {folder}": (scan, "_found"),
    "generate --rows 3": (generate, "write_file"),
}


def test_no_canary_is_seen_after_a_crash_here(at: Terminal) -> None:
    for command, (module, name) in CRASHING.items():
        at.scene.patch(module, name, boom)
        call = at.run(command)
        assert call.exit_code == 1
        assert b"unexpected: BoomError at pipeline.cli." in call.messages
    assert at.leaks() == {}


def test_card_numbers_that_are_asked_for_are_shown_where_they_are_asked_for_alone(
    at: Terminal,
) -> None:
    for command in SHOWING:
        call = at.run(command)
        assert call.exit_code == 0
        assert SCANNER.leaks_in(call.output)
        assert not SCANNER.leaks_in(call.messages)


def test_a_card_number_on_the_command_line_is_refused_before_anything_is_sent(
    at: Terminal,
) -> None:
    for command in ("receipt {valid}", "layouts show --stack={amex} x", "trace {valid}"):
        assert at.run(command).exit_code == 2
    assert at.requests == []


def test_a_file_whose_name_holds_a_card_number_can_be_looked_into(at: Terminal) -> None:
    assert at.run("inspect {folder}/named/{valid}.csv").exit_code == 0


def test_times_in_messages_stay(at: Terminal) -> None:
    call = at.run("generate --rows 1 -o {folder}/day-20261125032658.csv")
    assert b"day-20261125032658.csv" in call.messages


def test_without_the_edge_a_canary_is_seen(at: Terminal) -> None:
    at.scene.patch(main, "clean_messages", nullcontext)
    at.scene.patch(main, "in_words", repr)
    at.weather = WEATHERS["a crash"]
    at.run(f"scan {{folder}}/{MISTYPED}")
    at.run("jobs")
    assert "commands' messages" in at.leaks()


DEBUGGING = """
import logging, sys, warnings
logging.basicConfig(level=logging.DEBUG)
import boto3
boto3.set_stream_logger("")
from pipeline.cli import inspect
from pipeline.cli.main import main
from tests.canaries.terminal import boom
if sys.argv.pop(1) == "crash":
    inspect.inspect_file = boom
main()
"""
TALKATIVE = {
    "PYTHONDEVMODE": "1",
    "PYTHONFAULTHANDLER": "1",
    "PYTHONWARNINGS": "always",
    "POWERTOOLS_DEV": "true",
    "POWERTOOLS_LOG_LEVEL": "DEBUG",
    "AWS_LAMBDA_LOG_LEVEL": "DEBUG",
    "TYPER_USE_RICH": "1",
    "_TYPER_FORCE_DISABLE_TERMINAL": "",
    "FORCE_COLOR": "1",
}


@pytest.mark.parametrize("how", ["crash", "no crash"])
def test_a_process_with_every_debugging_switch_on_shows_no_canary(tmp_path: Path, how: str) -> None:
    write_files(tmp_path, "")
    done = subprocess.run(
        [sys.executable, "-c", DEBUGGING, how, "inspect", str(tmp_path / "settlement.csv")],
        env={**os.environ, **TALKATIVE},
        capture_output=True,
        check=False,
    )
    assert done.returncode == (1 if how == "crash" else 0), how
    assert not SCANNER.leaks_in(done.stdout + done.stderr)
    assert VALID[-4:].encode() in done.stdout or how == "crash"
