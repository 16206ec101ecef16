"""Writes docs/permissions.md: what each role of the template may do, and what it never may.

`python -m tests.permissions` writes it from the template's policies, resolved as CloudFormation
would; `tests/unit/test_permissions.py` holds it against them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.policies import Statement, allows, as_list, denies
from tests.template import ARNS, Template, load
from tests.template_checks.access import identity_statements

PAGE = Path(__file__).resolve().parents[1] / "docs" / "permissions.md"
INTRODUCTION = """\
# Who may do what

Made from the policies in `infra/template.yaml` by `make permissions`; a test holds it against them.
Of each role it lists whatever its policies allow, by resource of the template, and what they deny
whatever else is attached to the role later. What is not listed as allowed is refused. Policies of
keys, buckets and queues, which refuse more, are not in these tables. The parameters that name
private keys and uploaders have examples for values.

"""
ROLE = "AWS::IAM::Role"


def permissions_page(template: Template) -> str:
    """The page for a template: one table for each role."""
    sections = [_section(template, role) for role in sorted(template.of_type(ROLE))]
    return INTRODUCTION + "\n".join(sections)


def _section(template: Template, role: str) -> str:
    description = template.properties(role).get("Description", "")
    policy = identity_statements(template, role)
    rows = sorted(set(_rows(_names(template), policy)))
    lines = [f"| {' | '.join(row)} |" for row in rows]
    head = f"## {role}\n\n{description}\n\n| | on | actions | where |\n|---|---|---|---|\n"
    return head + "".join(f"{line}\n" for line in lines)


def _rows(names: dict[str, str], policy: list[Statement]) -> Iterator[tuple[str, str, str, str]]:
    """(may or never, resource, actions, conditions)."""
    for statement in policy:
        for arn in _resources(statement):
            resource = f"`{_named(names, arn)}`"
            where = "<br>".join(_conditions(statement))
            if not allows(statement):
                yield "never", resource, _denied(statement), where
                continue
            actions = as_list(statement.get("Action"))
            taken_back = {each for each in actions if denies(policy, each, arn)}
            if kept := set(actions) - taken_back:
                yield "may", resource, _listed(kept), where
            if taken_back:
                yield "may, if it were not denied", resource, _listed(taken_back), where


def _denied(statement: Statement) -> str:
    if "NotAction" in statement:
        return f"anything but {_listed(as_list(statement['NotAction']))}"
    return _listed(as_list(statement.get("Action")))


def _resources(statement: Statement) -> list[str]:
    excepted = [f"anything but {arn}" for arn in as_list(statement.get("NotResource"))]
    return as_list(statement.get("Resource")) + excepted


def _conditions(statement: Statement) -> Iterator[str]:
    for operator, entries in sorted(statement.get("Condition", {}).items()):
        for key, values in sorted(entries.items()):
            yield f"`{key}` {operator} {_listed(map(_text, as_list(values)))}"


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(f"`{text}`" for text in sorted(texts))


def _names(template: Template) -> dict[str, str]:
    """Logical ids by ARN, those of which another's is a beginning first."""
    known = {
        template.arn(logical_id): logical_id
        for logical_id, resource in template.expanded["Resources"].items()
        if resource["Type"] in ARNS
    }
    return dict(sorted(known.items(), key=lambda pair: len(pair[0]), reverse=True))


def _named(names: dict[str, str], text: str) -> str:
    """The text with the template's resources by their logical ids."""
    for arn, logical_id in names.items():
        text = text.replace(arn, logical_id)
    return text


def main() -> None:
    """Writes the page."""
    PAGE.write_text(permissions_page(Template(load())))


if __name__ == "__main__":
    main()
