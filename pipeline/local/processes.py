"""Processes, named so that a reused process id cannot be mistaken for the one that was meant.

Linux tells through `/proc`, which needs no other program; elsewhere `ps` is asked.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.local.waiting import wait_until

PROC = Path("/proc")
BOOT_ID = PROC / "sys/kernel/random/boot_id"
TERM_GRACE_SECONDS = 2.0
KILL_WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process id together with when that process started: unique for as long as it matters.

    `started` is opaque: compare it, do not read it.
    """

    pid: int
    started: str

    @property
    def is_alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        return _started(self.pid) == self.started


@dataclass(frozen=True, slots=True)
class GroupMember:
    """A living process of a process group, and the command line that it was started with."""

    identity: ProcessIdentity
    command: str


def identify(pid: int) -> ProcessIdentity | None:
    """Name the living process `pid`, or None if there is none."""
    started = _started(pid)
    return None if started is None else ProcessIdentity(pid, started)


def group_members(group_id: int) -> list[GroupMember]:
    """List the living processes of a process group."""
    listed = _group_from_proc(group_id) if BOOT_ID.exists() else _group_from_ps(group_id)
    named = ((identify(pid), command) for pid, command in listed)
    return [GroupMember(identity, command) for identity, command in named if identity]


def exit_code_of_child(pid: int) -> int | None:
    """Collect a child that has ended; None if it still runs or is not a child of this process."""
    try:
        ended, wait_status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(wait_status) if ended else None


def wait_for_end(process: ProcessIdentity, timeout_seconds: float) -> bool:
    """Wait until a process is gone; says whether it is."""

    def has_ended() -> bool:
        exit_code_of_child(process.pid)
        return not process.is_alive

    return wait_until(has_ended, timeout_seconds)


def send(process: ProcessIdentity, which: signal.Signals) -> None:
    """Send a signal to this very process; one that has ended is no error."""
    if process.is_alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, which)


def kill_group(leader: ProcessIdentity) -> None:
    """Kill the whole process group of a living leader, at once."""
    if leader.is_alive:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader.pid, signal.SIGKILL)
        wait_for_end(leader, KILL_WAIT_SECONDS)


def end_all(processes: Iterable[ProcessIdentity]) -> None:
    """Ask processes to end, and kill those that have not after `TERM_GRACE_SECONDS`."""
    doomed = list(processes)
    for process in doomed:
        send(process, signal.SIGTERM)
    wait_until(lambda: not any(process.is_alive for process in doomed), TERM_GRACE_SECONDS)
    for process in doomed:
        send(process, signal.SIGKILL)
        wait_for_end(process, KILL_WAIT_SECONDS)


def _started(pid: int) -> str | None:
    return _started_from_proc(pid) if BOOT_ID.exists() else _started_from_ps(pid)


def _started_from_proc(pid: int) -> str | None:
    fields = _stat_fields(pid)
    if fields is None or fields[0] == "Z":
        return None
    return f"{BOOT_ID.read_text().strip()}/{fields[19]}"


def _stat_fields(pid: int) -> list[str] | None:
    """Return what follows the command in `/proc/<pid>/stat`: state, parent, group, …"""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _group_from_proc(group_id: int) -> Iterator[tuple[int, str]]:
    for entry in PROC.iterdir():
        fields = _stat_fields(int(entry.name)) if entry.name.isdigit() else None
        if fields is not None and fields[2] == str(group_id):
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                yield int(entry.name), command.decode(errors="replace")


def _started_from_ps(pid: int) -> str | None:
    state, _, started = _ps("-o", "stat=", "-o", "lstart=", "-p", str(pid)).strip().partition(" ")
    return started.strip() if started and not state.startswith("Z") else None


def _group_from_ps(group_id: int) -> Iterator[tuple[int, str]]:
    for line in _ps("-axww", "-o", "pid=", "-o", "pgid=", "-o", "command=").splitlines():
        pid, group, command = (*line.split(None, 2), "", "")[:3]
        if group == str(group_id):
            yield int(pid), command


def _ps(*arguments: str) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    command = ["ps", *arguments]
    done = subprocess.run(  # noqa: S603 - a fixed program, arguments of our own
        command, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout
