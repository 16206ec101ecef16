"""The watching template holds to every check, and every check notices what it is for."""

import copy
from typing import Any

import pytest

from tests.template import WATCH_PATH, Template, WatchTemplate, load
from tests.template_mutants import Breakage
from tests.watch_checks import CHECKS, Check
from tests.watch_mutants import MUTANTS


@pytest.fixture(scope="module")
def raw() -> dict[str, Any]:
    return load(WATCH_PATH)


@pytest.fixture(scope="module")
def template(raw: dict[str, Any]) -> Template:
    return WatchTemplate(raw)


def sentence(check: Check) -> str:
    return check.__name__.removeprefix("check_").replace("_", " ")


def breakages() -> list[Any]:
    return [
        pytest.param(check, breakage, id=f"{sentence(check)}: {what}")
        for check, mutants in MUTANTS.items()
        for what, breakage in mutants
    ]


@pytest.mark.parametrize("check", CHECKS, ids=sentence)
def test_the_template_holds(check: Check, template: Template) -> None:
    assert check(template) == []


@pytest.mark.parametrize(("check", "breakage"), breakages())
def test_a_broken_template_is_noticed(
    check: Check, breakage: Breakage, raw: dict[str, Any]
) -> None:
    broken = copy.deepcopy(raw)
    breakage(broken)
    assert broken != raw
    assert check(WatchTemplate(broken)) != []


def test_every_check_has_been_seen_to_fail() -> None:
    assert set(CHECKS) == MUTANTS.keys()


def test_nobody_is_subscribed_unasked(raw: dict[str, Any]) -> None:
    condition = raw["Conditions"][raw["Resources"]["AlarmSubscription"]["Condition"]]
    assert WatchTemplate(raw).resolve(condition) is True
    assert WatchTemplate(raw, {}).resolve(condition) is False
