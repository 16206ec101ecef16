"""Every code that something can fail with has a meaning, and every meaning a code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from pipeline.core import reasons
from pipeline.core.pans import Reason as PanReason
from pipeline.handlers.api_problems import TITLES
from tests.conftest import ROOT

PIPELINE = ROOT / "pipeline"
CODE = re.compile(r"[a-z]+(?:_[a-z0-9]+)*")
ELSEWHERE = {"loadtest", "local", "samples", "testing"}  # no product errors
NOT_OURS = {"ValueError", "TypeError", "BadParameter", "LocalStackError", "ImportError"}
GROUPS = (
    reasons.OF_ROWS,
    reasons.OF_FILES,
    reasons.OF_MESSAGES,
    reasons.PASSING,
    reasons.OF_DEPLOYMENTS,
    reasons.OF_ITEMS,
    reasons.OF_COMMANDS,
)
KNOWN = {code for group in GROUPS for code in group} | TITLES.keys()
OF_COLUMN_TYPES = {"integer", "decimal", "date", "timestamp", "boolean"}
OF_FIELD_TYPES = {"zoned", "packed", "bcd", "binary"}
MADE_UP = {f"invalid_{each}" for each in OF_COLUMN_TYPES | OF_FIELD_TYPES}
# Refusals inside of a request, which is answered `try_again`.
UNSEEN = {"audit_rejected", "limits_contended"}


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for file in sorted(PIPELINE.rglob("*.py")):
        if file.relative_to(PIPELINE).parts[0] not in ELSEWHERE and file.name != "reasons.py":
            yield file, ast.parse(file.read_text("utf-8"))


def given_codes() -> set[str]:
    """Codes that stand where errors and faults are made."""
    return {
        code
        for _, tree in sources()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        for code in codes_of(call)
    }


def codes_of(call: ast.Call) -> Iterator[str]:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    texts = [each.value if isinstance(each, ast.Constant) else None for each in call.args]
    if name.endswith("Error") and name not in NOT_OURS:
        wanted = texts[:1]
    elif name in {"Fault", "MalformedRow", "add_all", "_refuse", "_expect"}:
        wanted = texts[1:2]
    elif name in {"Unreadable", "dict.fromkeys"}:
        wanted = texts[:1]
    else:
        wanted = [
            each.value.value
            for each in call.keywords
            if each.arg in {"refused", "error"} and isinstance(each.value, ast.Constant)
        ]
    yield from (text for text in wanted if isinstance(text, str) and CODE.fullmatch(text))


def test_every_code_that_is_given_has_a_meaning() -> None:
    found = given_codes()
    assert len(found) > 100
    assert found - KNOWN - UNSEEN == set()


def test_every_reason_for_a_card_number_has_a_meaning() -> None:
    assert set(get_args(PanReason)) <= reasons.OF_ROWS.keys()
    assert reasons.OF_ROWS.keys() >= MADE_UP


def test_every_meaning_is_of_a_code() -> None:
    texts = {
        node.value
        for _, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert KNOWN - texts - MADE_UP == set()


@pytest.mark.parametrize("group", GROUPS)
def test_meanings_are_sentences_without_an_end(group: dict[str, reasons.Reason]) -> None:
    for code, reason in group.items():
        assert reason.means[0].islower(), code
        assert not reason.means.endswith("."), code


def test_a_dead_letter_of_another_version_has_no_meaning() -> None:
    assert reasons.of_letter("of_tomorrow") is None
    assert reasons.of_letter("unknown_layout") is not None
