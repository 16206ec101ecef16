"""Puts locked wheels into a folder, and tells what each of them is."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from email.message import Message
from importlib.metadata import Distribution as Installed
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from infra.artifact.target import Distribution, Target

_LICENCE_CLASSIFIER = "License :: "


def install(requirements: Sequence[str], target: Target, folder: Path) -> list[Distribution]:
    """Puts the wheels for Lambda's platform into the folder; nothing is built or resolved.

    `requirements` are lines `name==version --hash=…`. Raises `CalledProcessError` for what has no
    such wheel, or one whose hash is not locked.
    """
    with tempfile.TemporaryDirectory() as temporary:
        locked, report = Path(temporary, "requirements.txt"), Path(temporary, "report.json")
        locked.write_text("\n".join(requirements))
        subprocess.run(  # noqa: S603 - no part of the command comes from outside
            [*_pip(target), "--target", folder, "--report", report, "--requirement", locked],
            check=True,
        )
        return described(folder, _digests(json.loads(report.read_text())))


def described(folder: Path, digests: Mapping[str, str]) -> list[Distribution]:
    """The distributions of a folder by name; `digests` are the SHA-256 of their wheels."""
    found = distributions(path=[str(folder)])
    return sorted((_described(each, digests) for each in found), key=lambda each: each.name)


def licences_of(metadata: Message) -> tuple[str, ...]:
    """The licences that a wheel's metadata names: an expression before classifiers before text."""
    if expression := metadata.get("License-Expression"):
        return (str(expression),)
    classifiers = [str(each) for each in metadata.get_all("Classifier", [])]
    named = [each for each in classifiers if each.startswith(_LICENCE_CLASSIFIER)]
    # "License :: OSI Approved" alone is a heading.
    if names := {each.rsplit(" :: ", 1)[1] for each in named} - {"OSI Approved"}:
        return tuple(sorted(names))
    first_line = str(metadata.get("License", "")).strip().partition("\n")[0]
    return (first_line,) if first_line else ()


def _pip(target: Target) -> Iterator[str]:
    yield from (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    yield from ("--no-compile", "--require-hashes", "--no-deps", "--only-binary=:all:")
    yield from ("--implementation=cp", f"--python-version={target.python_version}")
    yield from (f"--platform={platform}" for platform in target.platforms)


def _digests(report: Any) -> dict[str, str]:
    """The SHA-256 of each wheel, by name, from pip's report of an installation."""
    return {
        canonicalize_name(each["metadata"]["name"]): each["download_info"]["archive_info"][
            "hashes"
        ]["sha256"]
        for each in report["install"]
    }


def _described(installed: Installed, digests: Mapping[str, str]) -> Distribution:
    metadata: Message = installed.metadata  # type: ignore[assignment]
    name = canonicalize_name(metadata["Name"])
    files = installed.files or []
    return Distribution(
        name=name,
        version=metadata["Version"],
        wheel_sha256=digests[name],
        licences=licences_of(metadata),
        top_level=frozenset(file.parts[0] for file in files if file.parts[0] != ".."),
    )
