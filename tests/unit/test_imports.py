"""Imports point one way, so that what is pure stays pure and what is thin stays thin."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PIPELINE = Path(__file__).resolve().parents[2] / "pipeline"

VALUES = {"model", "errors", ""}  # "" is the package itself: its version
PURE = VALUES | {"core", "readers"}
# What each part of the package may import of the package.
ALLOWED = {
    "": set(),
    "model": VALUES,
    "errors": set(),
    "core": PURE,
    "readers": PURE,
    "ports": PURE,
    "keys": PURE | {"ports"},
    "succession": PURE | {"ports"},
    "staging": PURE | {"ports"},
    "minting": PURE | {"ports", "keys"},
    "decryption": PURE | {"ports"},
    "access": PURE | {"ports"},
    "opening": PURE | {"ports", "access", "detokenize"},
    "bulk": PURE | {"ports", "access", "keys", "opening"},
    "tokenize_api": PURE | {"ports", "access", "keys", "minting"},
    "bench": PURE | {"ports"},
    "opened_chunk": PURE | {"ports", "bench", "staging", "decryption"},
    "look_back": PURE | {"ports", "bench"},
    "tokenize": PURE
    | {"ports", "keys", "minting", "staging", "bench", "opened_chunk", "look_back"},
    "chunking": PURE | {"ports", "keys", "bench", "look_back", "tokenize"},
    "vault_care": PURE | {"ports", "keys"},
    "detokenize": PURE | {"ports"},
    "fan_out": PURE | {"ports", "chunking", "opened_chunk"},
    "job": PURE | {"ports", "keys", "bench", "chunking", "fan_out"},
    "aws": PURE | {"ports", "layouts_builtin", "vault_care"},
    "testing": PURE | {"ports", "keys", "succession", "vault_care"},
    "settings": VALUES,
    "wiring": PURE | {"ports", "settings", "aws", "succession"},
    "api_wiring": PURE | {"ports", "settings", "aws", "keys", "access", "opening", "bulk"},
    "tokenize_wiring": PURE
    | {"ports", "settings", "aws", "keys", "api_wiring", "tokenize_api", "succession"},
    "watch": PURE,
    "log_filter": PURE,
    "handlers": PURE
    | {"ports", "settings", "aws", "wiring", "keys", "job", "log_filter"}
    | {"access", "api_wiring", "tokenize_wiring", "opening", "tokenize_api", "bulk", "watch"},
    "layouts_builtin": set(),
    "samples": {"samples", "errors", ""},
    "loadtest": PURE | {"samples", "loadtest"},
    "local": {"local", "errors", ""},
    "drafting": PURE | {"drafting"},
    "inspection": PURE | {"fan_out"},
    "cli": PURE
    | {"aws", "settings", "wiring", "local", "samples", "detokenize", "staging", "loadtest", "cli"}
    | {"drafting", "inspection", "handlers", "vault_care", "log_filter"},
}
# Outside of what is pure and what is only told: the world.
IMPURE_MODULES = {"boto3", "botocore", "smart_open", "logging", "os", "random", "secrets", "time"}


def _part(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def _imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {
                f"{node.module}.{alias.name}" if node.module == "pipeline" else node.module
                for alias in node.names
            }
    return found


FILES = sorted(PIPELINE.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PIPELINE)))
def test_a_file_imports_only_what_its_part_may(file: Path) -> None:
    part = _part(f"pipeline.{file.relative_to(PIPELINE).parts[0].removesuffix('.py')}")
    part = "" if part == "__init__" else part
    ours = {name for name in _imports(file) if name.split(".")[0] == "pipeline"}
    imported = {_part(name) if _part(name) in ALLOWED else "" for name in ours}

    assert imported - ALLOWED[part] - {part} == set()


@pytest.mark.parametrize(
    "file",
    [
        file
        for file in FILES
        if file.relative_to(PIPELINE).parts[0] in ("core", "readers", "loadtest")
    ],
    ids=lambda file: str(file.relative_to(PIPELINE)),
)
def test_what_is_pure_knows_no_clock_network_environment_or_log(file: Path) -> None:
    assert {name.split(".")[0] for name in _imports(file)} & IMPURE_MODULES == set()


def test_every_part_of_the_package_has_its_rule() -> None:
    parts = {file.relative_to(PIPELINE).parts[0].removesuffix(".py") for file in FILES}
    assert parts - {"__init__"} == set(ALLOWED) - {""}


def test_the_lambda_imports_nothing_that_only_people_need() -> None:
    served = ("core", "readers", "aws", "handlers", "wiring", "job", "tokenize", "keys", "staging")
    served += (
        "log_filter",
        "access",
        "api_wiring",
        "tokenize_wiring",
        "opening",
        "tokenize_api",
        "succession",
        "watch",
    )
    people = {"typer", "rich", "duckdb", "ministack", "yaml", "pytest", "moto"}
    for file in FILES:
        if file.relative_to(PIPELINE).parts[0].removesuffix(".py") in served:
            assert {name.split(".")[0] for name in _imports(file)} & people == set()
