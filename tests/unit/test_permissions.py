"""The page of permissions is what the template says, and no change of a policy is missing in it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.permissions import PAGE, permissions_page
from tests.policies import as_list, statements
from tests.template import Template, load

POLICIES = ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy")


def _statements(expanded: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Those of the roles' policies that stand there whatever the parameters."""
    for resource in expanded["Resources"].values():
        if resource["Type"] in POLICIES:
            for statement in statements(resource["Properties"]["PolicyDocument"]):
                if "Effect" in statement:
                    yield statement


TEMPLATE = Template(load())
SIDS = [
    pytest.param(at, id=f"{at}-{statement.get('Sid', '')}")
    for at, statement in enumerate(_statements(TEMPLATE.expanded))
]
PRINTED = permissions_page(TEMPLATE)


def test_the_page_is_what_the_template_says() -> None:
    print(PRINTED)  # noqa: T201 - to be read with `pytest -s`
    assert PAGE.read_text() == PRINTED, "make permissions"


def test_the_page_says_what_the_product_promises() -> None:
    worker = PRINTED.partition("## WorkerRole")[2].partition("\n## ")[0]
    assert "| never | `VaultTable` | anything but `dynamodb:PartiQLInsert` |  |" in worker
    assert "kms:Decrypt" not in "".join(
        line for line in worker.splitlines() if "`VaultKey`" in line and line.startswith("| may")
    )


@pytest.mark.parametrize("at", SIDS)
def test_whatever_changes_in_a_statement_changes_the_page(at: int) -> None:
    for change in (_removed, _widened, _freed):
        changed = Template(TEMPLATE.raw)
        changed.expanded = copy.deepcopy(TEMPLATE.expanded)
        if change(list(_statements(changed.expanded))[at]):
            assert permissions_page(changed) != PRINTED, change.__name__


def _removed(statement: dict[str, Any]) -> bool:
    statement["Resource"] = []
    return True


def _widened(statement: dict[str, Any]) -> bool:
    """One action more is allowed, or excepted from what is denied."""
    name = "NotAction" if "NotAction" in statement else "Action"
    statement[name] = [*as_list(statement[name]), "dynamodb:DescribeBackup"]
    return True


def _freed(statement: dict[str, Any]) -> bool:
    return statement.pop("Condition", None) is not None
