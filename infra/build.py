"""Builds the Lambda package, `build/lambda/`: the pipeline and what it needs to run, nothing else.

Versions and hashes come from constraints.txt. Which packages belong to it comes from the metadata
of the installed ones, read as on Lambda's platform rather than on this machine's.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "build" / "lambda"

PYTHON_VERSION = "3.12"
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
GLIBC_MINORS = range(34, 16, -1)  # Amazon Linux 2023 has glibc 2.34; 2.17 is manylinux2014
UNZIPPED_LIMIT_BYTES = 262_144_000  # AWS Lambda quotas, "deployment package (.zip), unzipped"

# The command line, the local stack and whatever makes test data: no part of a system in
# production (PCI DSS 6.5.6).
LEFT_OUT_OF_PIPELINE = ("__pycache__", "cli", "loadtest", "local", "samples", "testing.py")
# Headers, tests and the Flight network service. Substrait, dataset and acero look as idle, but
# the libraries that read and write Parquet are linked against them.
LEFT_OUT_OF_PYARROW = (
    *("*.pxd", "*.pxi", "*.pyx", "include", "includes", "src"),
    *("_pyarrow_cpp_tests*", "conftest.py", "tests"),
    "*flight*",
)


def main() -> int:
    """Builds for `--architecture` and returns the exit code: 1 if Lambda would refuse the size."""
    parser = argparse.ArgumentParser(description="Builds the Lambda package, build/lambda/.")
    parser.add_argument("--architecture", choices=sorted(MACHINES), default="arm64")
    machine = MACHINES[parser.parse_args().architecture]

    shutil.rmtree(TARGET, ignore_errors=True)
    platform = markers_on_lambda(machine)
    install(locked_lines(needed_names(project_dependencies(), platform), platform), machine)
    prune()
    copy_pipeline()
    return report()


def project_dependencies() -> list[Requirement]:
    """What the pipeline declares to need at run time."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(line) for line in project["dependencies"]]


def markers_on_lambda(machine: str) -> dict[str, str]:
    """The values of environment markers on Lambda."""
    return {
        "implementation_name": "cpython",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{PYTHON_VERSION}.0",
        "python_version": PYTHON_VERSION,
        "sys_platform": "linux",
    }


def needed_names(roots: list[Requirement], platform: dict[str, str]) -> set[NormalizedName]:
    """The names of the roots and of everything that they need on the platform.

    Raises `PackageNotFoundError` for what is needed there and not installed here.
    """
    names: set[NormalizedName] = set()
    met: set[tuple[NormalizedName, frozenset[str]]] = set()
    waiting = list(roots)
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in met:
            continue
        met.add((name, extras))
        names.add(name)
        waiting.extend(needs_of(name, extras, platform))
    return names


def needs_of(name: str, extras: frozenset[str], platform: dict[str, str]) -> Iterator[Requirement]:
    """The direct requirements of an installed package that hold on the platform."""
    for line in importlib.metadata.requires(name) or ():
        requirement = Requirement(line)
        if requirement.marker is None or any(
            requirement.marker.evaluate({**platform, "extra": extra}) for extra in extras | {""}
        ):
            yield requirement


def locked_lines(names: set[NormalizedName], platform: dict[str, str]) -> list[str]:
    """`name==version --hash=…` for each name, from constraints.txt.

    Markers are decided here: pip would decide them for the Python that runs it. Raises
    `SystemExit` for a name that is not locked.
    """
    lines = {}
    for line in (ROOT / "constraints.txt").read_text().replace("\\\n", " ").splitlines():
        pinned, separator, hashes = line.partition(" --hash=")
        requirement = Requirement(pinned)
        if requirement.marker is None or requirement.marker.evaluate(platform):
            name = canonicalize_name(requirement.name)
            lines[name] = f"{name}{requirement.specifier}{separator}{hashes}"
    if missing := names - lines.keys():
        raise SystemExit(f"not in constraints.txt: {', '.join(sorted(missing))}")
    return [lines[name] for name in sorted(names)]


def install(requirements: list[str], machine: str) -> None:
    """Puts the wheels for Lambda's platform into the package; nothing is built or resolved."""
    with tempfile.TemporaryDirectory() as folder:
        locked = Path(folder) / "requirements.txt"
        locked.write_text("\n".join(requirements))
        platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in GLIBC_MINORS]
        subprocess.run(  # noqa: S603 - no part of the command comes from outside
            [
                *(sys.executable, "-m", "pip", "install"),
                *("--quiet", "--disable-pip-version-check", "--no-compile"),
                *("--require-hashes", "--no-deps", "--only-binary=:all:"),
                *("--implementation=cp", f"--python-version={PYTHON_VERSION}", *platforms),
                f"--platform=manylinux2014_{machine}",
                *("--target", TARGET, "--requirement", locked),
            ],
            check=True,
        )


def prune() -> None:
    """Drops console scripts, and the parts of pyarrow that nothing here loads."""
    shutil.rmtree(TARGET / "bin", ignore_errors=True)
    for pattern in LEFT_OUT_OF_PYARROW:
        for path in sorted((TARGET / "pyarrow").rglob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def copy_pipeline() -> None:
    """Adds the pipeline, its built-in layouts included."""
    ignore = shutil.ignore_patterns(*LEFT_OUT_OF_PIPELINE)
    shutil.copytree(ROOT / "pipeline", TARGET / "pipeline", ignore=ignore)


def report() -> int:
    """Prints bytes by top-level entry, largest first; returns 1 above Lambda's limit."""
    sizes = {entry.name: size_bytes(entry) for entry in TARGET.iterdir()}
    total_bytes = sum(sizes.values())
    rows = sorted(sizes.items(), key=lambda row: row[1], reverse=True)
    for name, entry_bytes in [*rows, ("total", total_bytes), ("limit", UNZIPPED_LIMIT_BYTES)]:
        sys.stdout.write(f"{entry_bytes:>13,}  {name}\n")
    if total_bytes > UNZIPPED_LIMIT_BYTES:
        sys.stderr.write("Lambda would refuse this package: it is over the limit.\n")
        return 1
    return 0


def size_bytes(path: Path) -> int:
    """The size of a file, or of all files below a folder."""
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())


if __name__ == "__main__":
    sys.exit(main())
