"""Compiles the package for Lambda's Python, ahead of its first start.

A function cannot write beside its code, so without this each cold start would compile everything.
The code is marked as never to be checked against its source (PEP 552): that is quicker, and a
check by time of change would make each build a different one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from infra.artifact.target import Target

TASK_ROOT = "/var/task"  # where Lambda unpacks a package

NO_INTERPRETER = """\
There is no Python {0} here to compile the package for Lambda: put python{0} on the PATH, or build
without its bytecode, which makes a cold start take more than twice as long:
make package BYTECODE=no
"""


def interpreter_for(python_version: str) -> str | None:
    """An interpreter of this minor version on this machine; None if there is none."""
    if python_version == "{}.{}".format(*sys.version_info):
        return sys.executable
    found = subprocess.run(  # noqa: S603 - no part of the command comes from outside
        [sys.executable, "-m", "uv", "python", "find", "--no-python-downloads", python_version],
        # Where python3.12 is a shim of pyenv, it runs only if it is told which version.
        env={**os.environ, "PYENV_VERSION": python_version},
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or None if found.returncode == 0 else None


def required_interpreter(target: Target) -> str:
    """As `interpreter_for`; raises `SystemExit` if there is none."""
    interpreter = interpreter_for(target.python_version)
    if interpreter is None:
        raise SystemExit(NO_INTERPRETER.format(target.python_version))
    return interpreter


def compile_all(folder: Path, interpreter: str) -> None:
    """Puts bytecode beside every module; the same modules and interpreter give the same bytes."""
    subprocess.run(  # noqa: S603 - no part of the command comes from outside
        [
            *(interpreter, "-I", "-S", "-m", "compileall", "-q", "-f"),
            *("--invalidation-mode", "unchecked-hash"),
            *("-s", folder, "-p", TASK_ROOT, folder),
        ],
        check=True,
    )
