"""From locked wheels and the pipeline's code to a package: one straight line."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.artifact import archive, bytecode, locked, trim, wheels
from infra.artifact.sbom import bill_of_materials
from infra.artifact.sizes import sizes_by_distribution
from infra.artifact.target import BUILD, ROOT, Distribution, Target
from pipeline.local.package import deployed_files

NO_BYTECODE = "none"


@dataclass(frozen=True, slots=True)
class Package:
    """A built package: its folder, its zip, its bill of materials, and bytes by distribution."""

    folder: Path
    zip_file: Path
    zip_sha256: str
    sbom_file: Path
    sizes: dict[str, int]


def build(
    target: Target, extras: Sequence[str] = (), interpreter: str | None = None, into: Path = BUILD
) -> Package:
    """Builds `lambda-<architecture>/`, `….zip` and `….cdx.json`, in place of what was there.

    `interpreter` is of the target's Python and compiles the package; without it, there will be no
    bytecode. Raises `SystemExit` or `CalledProcessError` for what is not locked or has no wheel.
    """
    return assemble(requirements_of(target, extras), target, interpreter, into)


def requirements_of(target: Target, extras: Sequence[str] = ()) -> list[str]:
    """What the package holds beside the pipeline, as locked lines; `SystemExit` as above."""
    names = locked.needed_names(locked.project_dependencies(extras), target.markers)
    constraints = (ROOT / "constraints.txt").read_text()
    return locked.locked_lines(names, target.markers, constraints)


def assemble(
    requirements: Sequence[str], target: Target, interpreter: str | None, into: Path
) -> Package:
    """As `build`, of the distributions that these locked lines name."""
    folder = into / f"lambda-{target.architecture}"
    distributions = fill(folder, requirements, target, interpreter)
    zip_file, sbom_file = (into / f"{folder.name}{suffix}" for suffix in (".zip", ".cdx.json"))
    zip_sha256 = archive.write_zip(folder, zip_file)
    compiled_by = NO_BYTECODE if interpreter is None else _version_of(interpreter)
    sbom_file.write_text(bill_of_materials(distributions, target, zip_sha256, compiled_by))
    sizes = sizes_by_distribution(folder, distributions)
    return Package(folder, zip_file, zip_sha256, sbom_file, sizes)


def fill(
    folder: Path, requirements: Sequence[str], target: Target, interpreter: str | None
) -> list[Distribution]:
    """Makes the folder what Lambda unpacks, and returns what wheels brought to it."""
    shutil.rmtree(folder, ignore_errors=True)
    distributions = wheels.install(requirements, target, folder)
    trim.trim(folder)
    copy_pipeline(folder)
    if interpreter is not None:
        bytecode.compile_all(folder, interpreter)
    return distributions


def copy_pipeline(folder: Path) -> None:
    """Adds the pipeline, its built-in layouts included."""
    source = ROOT / "pipeline"
    for path in deployed_files(source):
        copy = folder / path.relative_to(source.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _version_of(interpreter: str) -> str:
    told = subprocess.run(  # noqa: S603 - no part of the command comes from outside
        [interpreter, "-I", "-S", "--version"], check=True, capture_output=True, text=True
    )
    return told.stdout.strip()
