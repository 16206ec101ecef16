"""What the pages of docs/ name is there: tests, files, commands, resources, reasons, metrics."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests import reference, template
from tests.conftest import ROOT

TEMPLATES = sorted((ROOT / "infra").glob("*.yaml"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SPAN = re.compile(r"`([^`\n]+)`")
FENCED = re.compile(r"^ *```\w*\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
FOLDERS = "benchmarks|docs|infra|pipeline|sample_data|tests"
IN_FOLDER = re.compile(rf"(?:{FOLDERS})/[\w./-]*")
TEST_ID = re.compile(r"((?:tests|benchmarks)/[\w/]+\.py)::(\w+)")
RESOURCE = re.compile(
    r"[A-Z]\w*(?:Role|Key|Bucket|Table|Queue|Function|LogGroup|Policy|Alarm|Topic|Trail)|"
    r"[A-Z]\w*(?:RetentionDays|WarmReadUnits|WarmWriteUnits|Arns|Concurrency)"
)
STATEMENT = re.compile(r"(\w+Policy)/(\w+)")
NOT_OF_THE_TEMPLATE = {"ChunkDataKey", "DescribeKey", "GenerateDataKey"}  # a class, actions of KMS


def pages() -> Any:
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def spans(page: Path) -> list[str]:
    """What stands in code, outside of blocks."""
    return SPAN.findall(FENCED.sub("", page.read_text("utf-8")))


@cache
def parts(kind: str) -> dict[str, Any]:
    """The resources, parameters or outputs of all templates."""
    found = [template.load(file).get(kind, {}) for file in TEMPLATES]
    return {name: part for each in found for name, part in each.items()}


@cache
def commands() -> dict[str, Any]:
    return reference.commands()


@cache
def functions_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pages()
def test_each_test_that_a_page_names_exists(page: Path) -> None:
    for file, name in TEST_ID.findall(page.read_text("utf-8")):
        assert (ROOT / file).is_file(), file
        assert name in functions_in(file), f"{file}::{name}"


def test_the_threats_are_shown_by_many_tests() -> None:
    named = set(TEST_ID.findall((ROOT / "docs" / "threat-model.md").read_text("utf-8")))
    assert len(named) > 80


@pages()
def test_each_file_that_a_page_names_exists(page: Path) -> None:
    for span in spans(page):
        if (found := IN_FOLDER.fullmatch(span.partition("::")[0])) and "…" not in span:
            assert (ROOT / found[0]).exists(), span


def command_lines(page: Path) -> Iterator[str]:
    text = page.read_text("utf-8")
    for block in FENCED.findall(text):
        yield from (line.strip() for line in block.replace("\\\n", " ").splitlines())
    yield from spans(page)


@pages()
def test_each_command_that_a_page_names_exists_with_its_options(page: Path) -> None:
    for line in command_lines(page):
        for part in re.split(r"\s&&\s|\s\|\s|;\s", line.partition("  #")[0]):
            if part.startswith("pantok ") and "COMMAND" not in part:
                assert unknown_words(words_of(part)) == [], part


def words_of(line: str) -> list[str]:
    """As a shell takes them; of a text that goes on in the next line, as they stand."""
    try:
        return shlex.split(line.replace("…", ""), comments=True)
    except ValueError:
        return line.split()


def unknown_words(words: list[str]) -> list[str]:
    """Options that the command has not; all of it if there is no such command."""
    known, name = commands(), words[0]
    rest = words[1:]
    while rest and f"{name} {rest[0]}" in known:
        name, rest = f"{name} {rest[0]}", rest[1:]
    command = known[name]
    if hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        return words
    options = {option for each in command.params for option in each.opts} | {"--help"}
    return [word for word in rest if re.match(r"-{1,2}[a-z]", word) and word not in options]


def test_a_command_that_is_not_there_would_be_noticed() -> None:
    assert unknown_words(["pantok", "dlq", "burn"]) == ["pantok", "dlq", "burn"]
    assert unknown_words(["pantok", "dlq", "list", "--colour"]) == ["--colour"]
    assert unknown_words(["pantok", "dlq", "replay", "--all"]) == []


@pages()
def test_each_target_of_make_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for line in command_lines(page):
        if found := re.match(r"make ([a-z]+)", line):
            assert found[1] in targets, line


@pages()
def test_each_resource_and_parameter_that_a_page_names_exists(page: Path) -> None:
    known = parts("Resources").keys() | parts("Parameters").keys() | parts("Outputs").keys()
    for span in spans(page):
        if RESOURCE.fullmatch(span):
            assert span in known | NOT_OF_THE_TEMPLATE, span


@pages()
def test_each_policy_statement_that_a_page_names_exists(page: Path) -> None:
    for policy, sid in filter(None, map(policy_statement, spans(page))):
        statements = parts("Resources")[policy]["Properties"]["PolicyDocument"]["Statement"]
        assert sid in {each.get("Sid") for each in statements}, f"{policy}/{sid}"


def policy_statement(span: str) -> tuple[str, str] | None:
    found = STATEMENT.fullmatch(span)
    return (found[1], found[2]) if found else None


@pages()
def test_each_metric_that_a_page_names_is_counted(page: Path) -> None:
    counting = [*(ROOT / "pipeline" / "handlers").glob("*.py"), *TEMPLATES]
    source = "".join(file.read_text("utf-8") for file in counting)
    for metric in re.findall(r"[Mm]etrics? `(\w+)`", page.read_text("utf-8")):
        assert re.search(rf"\b{metric}\b", source), metric


@pages()
def test_diagrams_are_of_kinds_that_are_drawn(page: Path) -> None:
    for diagram in re.findall(r"```mermaid\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        assert diagram.startswith(("flowchart ", "sequenceDiagram\n"))
        assert diagram.count("[") == diagram.count("]")
        assert diagram.startswith("flowchart ") or ";" not in diagram  # it would end a message
        opened = len(re.findall(r"^ *(?:subgraph|opt|alt|loop)\b", diagram, re.MULTILINE))
        assert opened == len(re.findall(r"^ *end$", diagram, re.MULTILINE))


def test_pages_that_are_made_are_up_to_date() -> None:
    assert reference.outdated() == []
