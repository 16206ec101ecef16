"""The folder of a local stack: where each thing is in it, and the lock on it."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.local.errors import LocalStackError
from pipeline.local.waiting import wait_until

STATE_DIR_VARIABLE = "PANTOK_LOCAL_DIR"
DEFAULT_STATE_DIR = Path(".pantok") / "local"
LOCK_WAIT_SECONDS = 240.0


def default_state_dir() -> Path:
    """Return the folder that `PANTOK_LOCAL_DIR` names, else `.pantok/local` below here."""
    return Path(os.environ.get(STATE_DIR_VARIABLE) or DEFAULT_STATE_DIR)


@dataclass(frozen=True, slots=True)
class StatePaths:
    """Where each thing is in a state folder; `root` is absolute."""

    root: Path

    @classmethod
    def below(cls, state_dir: Path) -> "StatePaths":
        """Resolve a state folder, which need not exist."""
        return cls(state_dir.expanduser().resolve())

    @property
    def record(self) -> Path:
        """What runs or was kept."""
        return self.root / "stack.json"

    @property
    def log(self) -> Path:
        """What the engine printed since it was last started."""
        return self.root / "engine.log"

    @property
    def scratch(self) -> Path:
        """The engine's working and temporary folder: the unpacked code of the functions."""
        return self.root / "scratch"

    @property
    def data(self) -> Path:
        """What the engine saves when it is asked to end: tables, queues, keys, functions."""
        return self.root / "data"

    @property
    def objects(self) -> Path:
        """The contents of the buckets."""
        return self.data / "s3"

    def make(self) -> None:
        """Create the folders, for this user's eyes only: card numbers and keys end up here."""
        for folder in (self.root, self.scratch, self.data, self.objects):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.chmod(0o700)

    def discard_scratch(self) -> None:
        """Remove the unpacked code."""
        shutil.rmtree(self.scratch, ignore_errors=True)

    def discard_data(self) -> None:
        """Remove the record and everything that the engine saved."""
        self.record.unlink(missing_ok=True)
        shutil.rmtree(self.data, ignore_errors=True)


@contextlib.contextmanager
def locked(paths: StatePaths, report: Callable[[str], None]) -> Iterator[None]:
    """Hold the folder against another `up` or `down`; waits up to `LOCK_WAIT_SECONDS`."""
    paths.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (paths.root / "lock").open("w") as lock:
        if not _try_lock(lock.fileno()):
            report("another `pantok local` command is at work in this folder: waiting for it")
            if not wait_until(lambda: _try_lock(lock.fileno()), LOCK_WAIT_SECONDS):
                raise LocalStackError(
                    f"another `pantok local` command has held {paths.root} for"
                    f" {LOCK_WAIT_SECONDS:.0f} s: end it and try again"
                )
        yield


def _try_lock(file_descriptor: int) -> bool:
    try:
        fcntl.flock(file_descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
