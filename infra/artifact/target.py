"""What a package is built for, and where it is put."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
TEMPLATES_FOLDER = BUILD / "lambda"  # CodeUri of infra/template.yaml

LAMBDA_PYTHON = "3.12"  # Runtime of infra/template.yaml
MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
GLIBC_MINORS = range(34, 16, -1)  # Amazon Linux 2023 has glibc 2.34; 2.17 is manylinux2014


@dataclass(frozen=True, slots=True)
class Target:
    """A processor as Lambda names it, and a minor version of CPython."""

    architecture: str
    python_version: str = LAMBDA_PYTHON

    @property
    def machine(self) -> str:
        """The processor as wheels name it."""
        return MACHINES[self.architecture]

    @property
    def platforms(self) -> list[str]:
        """The platforms as wheels name them, the best first."""
        manylinux = [f"manylinux_2_{minor}_{self.machine}" for minor in GLIBC_MINORS]
        return [*manylinux, f"manylinux2014_{self.machine}"]

    @property
    def markers(self) -> dict[str, str]:
        """The values of environment markers on Lambda."""
        return {
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.python_version}.0",
            "python_version": self.python_version,
            "sys_platform": "linux",
        }


@dataclass(frozen=True, slots=True)
class Distribution:
    """What one wheel brought; `wheel_sha256` is in hexadecimal digits."""

    name: str
    version: str
    wheel_sha256: str
    licences: tuple[str, ...]  # SPDX expressions, identifiers or names, as its metadata has them
    top_level: frozenset[str]  # names right below the package's folder
