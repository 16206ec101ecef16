"""Decides as IAM does whether a role may make a request, from the template's real documents.

Identity policy, bucket policy and key policy are looked at together, conditions included. A
condition with an operator that is not known here raises, so that nothing is decided by guessing.
Source: AWS IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements: Condition".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.policies import Statement, allows, as_list, covers, matches, principals, statements
from tests.template import ACCOUNT, Template
from tests.template_checks.access import identity_statements

ACCOUNT_ROOT = f"arn:aws:iam::{ACCOUNT}:root"
EQUALS = {"Bool", "StringEquals"}
LIKE = {"ArnEquals", "ArnLike", "StringLike"}
NEGATED = {"ArnNotEquals": "ArnEquals", "StringNotEquals": "StringEquals"}
Context = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Request:
    """One action on one resource; `context` has what the caller's request says beside them."""

    action: str
    resource: str
    context: Context = field(default_factory=dict)


def is_allowed(template: Template, role: str, request: Request) -> bool:
    """Whether the role may: an Allow of its own, one of the key's policy too, and no Deny."""
    principal = template.arn(role)
    context: Context = {
        "aws:PrincipalArn": [principal],
        "aws:SecureTransport": ["true"],
        **request.context,
    }
    own = _in_force(identity_statements(template, role), request, context)
    of_resource = [
        statement
        for statement in _in_force(_resource_policy(template, request), request, context)
        if principals(statement) & {"*", principal, ACCOUNT_ROOT}
    ]
    if any(not allows(statement) for statement in [*own, *of_resource]):
        return False
    is_of_key = request.action.startswith("kms:")
    return any(map(allows, own)) and (not is_of_key or any(map(allows, of_resource)))


def _in_force(policy: Iterable[Statement], request: Request, context: Context) -> list[Statement]:
    return [
        statement
        for statement in policy
        if covers(statement, request.action, request.resource) and _is_met(statement, context)
    ]


def _resource_policy(template: Template, request: Request) -> list[Statement]:
    for key, properties in template.of_type("AWS::KMS::Key").items():
        if request.resource == template.arn(key):
            return statements(properties["KeyPolicy"])
    for kind, owners in (
        ("AWS::S3::BucketPolicy", "Bucket"),
        ("AWS::SQS::QueuePolicy", "Queues"),
    ):
        for properties in template.of_type(kind).values():
            names = as_list(properties[owners])
            if _name_in(request.resource) in names:
                return statements(properties["PolicyDocument"])
    return []


def _name_in(arn: str) -> str:
    """The name of a bucket or a queue."""
    return arn.rsplit(":", 1)[-1].partition("/")[0]


def _is_met(statement: Statement, context: Context) -> bool:
    return all(
        holds(operator, [str(value) for value in as_list(expected)], context.get(key))
        for operator, keys in statement.get("Condition", {}).items()
        for key, expected in keys.items()
    )


def holds(operator: str, expected: Sequence[str], actual: Sequence[str] | None) -> bool:
    """Whether one condition is met; `actual` is None where the request says nothing of the key.

    Raises `ValueError` for an operator that the templates do not use.
    """
    if operator == "Null":
        return (actual is None) == (expected == ["true"])
    if operator.endswith("IfExists"):
        return actual is None or holds(operator.removesuffix("IfExists"), expected, actual)
    if operator in NEGATED:
        return not holds(NEGATED[operator], expected, actual)
    quantifier, _, plain = operator.rpartition(":")
    among: Callable[[Iterable[bool]], bool] = all if quantifier == "ForAllValues" else any
    if plain in EQUALS:
        return among(each in expected for each in actual or ())
    if plain in LIKE:
        return among(any(matches(one, each) for one in expected) for each in actual or ())
    raise ValueError(operator)
