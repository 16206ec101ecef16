"""Telling processes apart, and ending them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.local import processes
from pipeline.local.processes import (
    ProcessIdentity,
    end_all,
    exit_code_of_child,
    group_members,
    identify,
    kill_group,
    wait_for_end,
)

ENDLESS = [sys.executable, "-c", "import time; time.sleep(60)", "the-mark"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('deaf', flush=True); time.sleep(60)",
]


SOURCES = ["proc", "ps"] if processes.BOOT_ID.exists() else ["ps"]


@pytest.fixture(params=SOURCES, autouse=True)
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask /proc where there is one, as Linux has it, and `ps` as on other systems."""
    if request.param == "ps":
        monkeypatch.setattr(processes, "BOOT_ID", Path("/not/there"))


@pytest.fixture
def endless() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(ENDLESS, process_group=0)
    yield process
    process.kill()
    process.wait()


def identity_of(process: subprocess.Popen[bytes]) -> ProcessIdentity:
    identity = identify(process.pid)
    assert identity is not None
    return identity


def test_a_process_keeps_its_identity(endless: subprocess.Popen[bytes]) -> None:
    assert identity_of(endless) == identity_of(endless)
    assert identity_of(endless).is_alive


def test_the_same_id_at_another_time_is_another_process(
    endless: subprocess.Popen[bytes],
) -> None:
    assert not ProcessIdentity(endless.pid, "another time").is_alive


def test_a_process_that_ended_is_gone_even_while_it_is_a_zombie(
    endless: subprocess.Popen[bytes],
) -> None:
    identity = identity_of(endless)
    endless.kill()
    os.waitid(os.P_PID, endless.pid, os.WEXITED | os.WNOWAIT)
    assert not identity.is_alive
    assert identify(endless.pid) is None


def test_a_group_lists_its_members_with_their_commands(
    endless: subprocess.Popen[bytes],
) -> None:
    (member,) = group_members(endless.pid)
    assert member.identity.pid == endless.pid
    assert "the-mark" in member.command


def test_a_group_that_is_killed_is_collected(endless: subprocess.Popen[bytes]) -> None:
    identity = identity_of(endless)
    kill_group(identity)
    assert not identity.is_alive
    assert group_members(endless.pid) == []
    kill_group(identity)


def test_a_process_that_ignores_the_request_to_end_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "TERM_GRACE_SECONDS", 0.1)
    with subprocess.Popen(STUBBORN, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        identity = identity_of(process)
        end_all([identity])
        assert not identity.is_alive


def test_waiting_for_the_end_gives_up_in_time(endless: subprocess.Popen[bytes]) -> None:
    assert not wait_for_end(identity_of(endless), 0.05)


def test_only_a_child_that_ended_has_an_exit_code(endless: subprocess.Popen[bytes]) -> None:
    assert exit_code_of_child(endless.pid) is None
    assert exit_code_of_child(os.getppid()) is None
