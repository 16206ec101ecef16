"""Reads IAM policy statements: what they cover, whom they name, what they grant and deny.

Conditions are not evaluated. A check that asks what may happen takes a conditional Allow for an
Allow, and leaves a conditional Deny out.
"""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import botocore.session

Statement = dict[str, Any]


def as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def statements(document: dict[str, Any]) -> list[Statement]:
    return as_list(document.get("Statement"))


def matches(pattern: str, text: str) -> bool:
    """IAM's wildcards: `*` for any characters, `?` for one, nothing else."""
    return expression(pattern).fullmatch(text) is not None


@cache
def expression(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def covers_action(statement: Statement, action: str) -> bool:
    """Actions are compared without regard to case, as IAM does."""
    if "NotAction" in statement:
        return not any(
            matches(pattern.lower(), action.lower()) for pattern in as_list(statement["NotAction"])
        )
    return any(
        matches(pattern.lower(), action.lower()) for pattern in as_list(statement.get("Action"))
    )


def covers_resource(statement: Statement, arn: str) -> bool:
    if "NotResource" in statement:
        return not any(matches(pattern, arn) for pattern in as_list(statement["NotResource"]))
    return any(matches(pattern, arn) for pattern in as_list(statement.get("Resource")))


def covers(statement: Statement, action: str, arn: str) -> bool:
    return covers_action(statement, action) and covers_resource(statement, arn)


def principals(statement: Statement) -> set[str]:
    """Every principal named, of whatever kind; who is not excluded by NotPrincipal is anybody."""
    if "NotPrincipal" in statement:
        return {"*"}
    named = statement.get("Principal")
    values = named.values() if isinstance(named, dict) else [named]
    return {principal for value in values for principal in as_list(value)}


def allows(statement: Statement) -> bool:
    return bool(statement["Effect"] == "Allow")


def grants(policy: Iterable[Statement], action: str, arn: str) -> bool:
    """Whether an Allow covers it, its conditions taken as met and every Deny left out."""
    return any(allows(statement) and covers(statement, action, arn) for statement in policy)


def denies(policy: Iterable[Statement], action: str, arn: str) -> bool:
    """Whether a Deny covers it whatever the circumstances."""
    return any(
        not allows(statement) and not statement.get("Condition") and covers(statement, action, arn)
        for statement in policy
    )


def granted(policy: Iterable[Statement], actions: Iterable[str], arn: str) -> set[str]:
    policy = list(policy)
    return {action for action in actions if grants(policy, action, arn)}


def condition_values(statement: Statement, operator: str, key: str) -> list[Any]:
    return as_list(statement.get("Condition", {}).get(operator, {}).get(key))


def operations(service: str) -> set[str]:
    names = botocore.session.get_session().get_service_model(service).operation_names
    return {f"{service}:{name}" for name in names}


KMS_ACTIONS = frozenset(operations("kms") | {"kms:ReEncryptFrom", "kms:ReEncryptTo"})
DYNAMODB_ACTIONS = frozenset(
    operations("dynamodb")
    | {f"dynamodb:PartiQL{verb}" for verb in ("Delete", "Insert", "Select", "Update")}
    | {"dynamodb:ConditionCheckItem"}
)
# What touches plaintext, or lets somebody else touch it.
KMS_CRYPTOGRAPHY = frozenset(
    action
    for action in KMS_ACTIONS
    if re.search(r":(CreateGrant|Decrypt|Derive|Encrypt|Generate|ReEncrypt|Sign|Verify)", action)
)
S3_READS = frozenset(
    {
        "s3:GetObject",
        "s3:GetObjectTorrent",
        "s3:GetObjectVersion",
        "s3:GetObjectVersionForReplication",
        "s3:GetObjectVersionTorrent",
    }
)
S3_TAGGING = frozenset(
    {
        "s3:DeleteObjectTagging",
        "s3:DeleteObjectVersionTagging",
        "s3:PutObjectTagging",
        "s3:PutObjectVersionTagging",
    }
)
S3_OBJECT_ACTIONS = (
    S3_READS
    | S3_TAGGING
    | {
        "s3:AbortMultipartUpload",
        "s3:BypassGovernanceRetention",
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:GetObjectAcl",
        "s3:GetObjectAttributes",
        "s3:GetObjectTagging",
        "s3:GetObjectVersionTagging",
        "s3:PutObject",
        "s3:PutObjectAcl",
        "s3:PutObjectLegalHold",
        "s3:PutObjectRetention",
        "s3:ReplicateDelete",
        "s3:ReplicateObject",
        "s3:RestoreObject",
    }
)


def refuses_without_tls(policy: Iterable[Statement], service: str, *arns: str) -> bool:
    """Whether one Deny covers every action on every ARN, for everybody, over plain HTTP."""
    return any(
        not allows(statement)
        and principals(statement) == {"*"}
        and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
        and all(covers(statement, f"{service}:AnyActionAtAll", arn) for arn in arns)
        for statement in policy
    )
