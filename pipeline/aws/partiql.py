"""PartiQL inserts: they cannot overwrite, and IAM can allow them alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.aws.faults import pauses, transient, translated

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

STATEMENTS_PER_CALL = 25  # DynamoDB's limit for BatchExecuteStatement

_DUPLICATE = "DuplicateItem"
_REPEATABLE = frozenset(
    {
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "ThrottlingError",
        "InternalServerError",
        "TransactionConflict",
    }
)


def insert_all(client: DynamoDBClient, table: str, items: Sequence[Mapping[str, Any]]) -> list[int]:
    """Inserts the items (DynamoDB JSON); returns the indices of those that were there already.

    HTTP 200 is not success: every statement has a result of its own, and only those that failed
    are sent again. Raises `TransientError` when some cannot be inserted.
    """
    duplicates: list[int] = []
    for start in range(0, len(items), STATEMENTS_PER_CALL):
        some = items[start : start + STATEMENTS_PER_CALL]
        duplicates += [start + at for at in _insert(client, table, some)]
    return duplicates


def _insert(client: DynamoDBClient, table: str, items: Sequence[Mapping[str, Any]]) -> list[int]:
    pending = list(range(len(items)))
    duplicates: list[int] = []
    failures: list[str] = []
    for _ in pauses():
        statements = [_statement(table, items[at]) for at in pending]
        with translated("dynamodb:PartiQLInsert"):
            response = client.batch_execute_statement(Statements=statements)
        outcomes = list(zip(pending, map(_code, response["Responses"]), strict=True))
        duplicates += [at for at, code in outcomes if code == _DUPLICATE]
        pending = [at for at, code in outcomes if code not in ("", _DUPLICATE)]
        failures = [code for _, code in outcomes if code not in ("", _DUPLICATE)]
        if not set(failures) <= _REPEATABLE or not failures:
            break
    if failures:
        worst = min(failures, key=_REPEATABLE.__contains__)
        raise transient("dynamodb:PartiQLInsert", worst)
    return duplicates


def _code(result: Mapping[str, Any]) -> str:
    return str(result.get("Error", {}).get("Code", ""))


def _statement(table: str, item: Mapping[str, Any]) -> Any:
    fields = ", ".join(f"'{name}': ?" for name in item)
    return {
        "Statement": f'INSERT INTO "{table}" VALUE {{{fields}}}',
        "Parameters": list(item.values()),
    }
