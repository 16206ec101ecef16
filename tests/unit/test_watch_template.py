"""The watching template holds to every check, and every check notices what it is for."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from tests.template import WATCH_PATH, Template, WatchTemplate, load
from tests.template_mutants import Breakage
from tests.watch_checks import CHECKS, Check
from tests.watch_checks.alarms import ALARMS, OPERATIONS
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


HANDBOOK = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def sections() -> dict[str, str]:
    """What the handbook says under each heading, by the heading's anchor."""
    parts = re.split(r"^### (.+)$", HANDBOOK.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return {
        title.lower().replace(" ", "-"): text.partition("\n## ")[0]
        for title, text in zip(parts[::2], parts[1::2], strict=True)
    }


@pytest.mark.parametrize("name", ALARMS)
def test_each_alarm_leads_to_what_it_means_and_three_steps(name: str, template: Template) -> None:
    found = OPERATIONS.search(template.properties(name)["AlarmDescription"])
    assert found is not None
    section = sections()[found[1]]
    assert re.findall(r"^(\d)\. ", section, re.MULTILINE) == ["1", "2", "3"]


def test_the_handbook_has_no_alarm_that_is_not_there(template: Template) -> None:
    named = {
        found[1]
        for properties in template.of_type("AWS::CloudWatch::Alarm").values()
        if (found := OPERATIONS.search(properties["AlarmDescription"]))
    }
    assert sections().keys() == named


def test_the_handbook_names_each_saved_query(template: Template) -> None:
    text = HANDBOOK.read_text("utf-8")
    for properties in template.of_type("AWS::Athena::NamedQuery").values():
        assert f"*{properties['Name']}*" in text
