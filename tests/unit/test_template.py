"""The template holds to every check, and every check notices what it is for."""

import copy
from typing import Any

import pytest

from tests.policies import principals
from tests.template import UPLOADER_ARN, Template, load
from tests.template_checks import CHECKS, Check
from tests.template_checks.access import policies
from tests.template_mutants import MUTANTS, Breakage


@pytest.fixture(scope="module")
def raw() -> dict[str, Any]:
    return load()


@pytest.fixture(scope="module")
def template(raw: dict[str, Any]) -> Template:
    return Template(raw)


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
    assert check(Template(broken)) != []


def test_without_uploaders_nobody_is_let_in_for_them(raw: dict[str, Any]) -> None:
    template = Template(raw, parameter_values={})
    named = {name for _, statement in policies(template) for name in principals(statement)}
    assert not named & {"", UPLOADER_ARN}
    assert not any("Uploaders" in statement.get("Sid", "") for _, statement in policies(template))


@pytest.mark.parametrize("kind", ["Read", "Write"])
def test_a_table_is_warmed_for_reads_or_writes_alone(kind: str, raw: dict[str, Any]) -> None:
    template = Template(raw, parameter_values={f"VaultWarm{kind}Units": "20000"})
    assert template.properties("VaultTable")["WarmThroughput"] == {f"{kind}UnitsPerSecond": 20_000}
    assert "WarmThroughput" not in template.properties("FingerprintsTable")


def test_every_check_has_been_seen_to_fail() -> None:
    assert set(CHECKS) == MUTANTS.keys()
