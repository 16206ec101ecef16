"""PartiQL inserts: they cannot overwrite, and IAM can allow them alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.aws.dynamodb_calls import DynamoDBCalls
from pipeline.aws.faults import pauses, transient, translated
from pipeline.errors import TransientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

STATEMENTS_PER_CALL = 25  # DynamoDB's limit for BatchExecuteStatement
MAX_ROUNDS = 20  # of a call, of which fewer statements are left each time

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


def insert_one(client: DynamoDBClient, table: str, item: Mapping[str, Any]) -> None:
    """Inserts an item (DynamoDB JSON); one that is there already stays as it is.

    Raises `TransientError` when it cannot be inserted.
    """
    insert_some(client, table, [item])


def insert_some(client: DynamoDBClient, table: str, items: Sequence[Mapping[str, Any]]) -> set[int]:
    """Inserts up to `STATEMENTS_PER_CALL` items; returns the indices of those already there.

    Raises `TransientError` when some cannot be inserted.
    """
    pending, duplicates, codes = list(range(len(items))), set[int](), list[str]()
    for _ in pauses():
        statements = [_statement(table, items[at]) for at in pending]
        with translated("dynamodb:PartiQLInsert"):
            response = client.batch_execute_statement(Statements=statements)
        outcomes = list(zip(pending, map(_code, response["Responses"]), strict=True))
        duplicates |= {at for at, code in outcomes if code == _DUPLICATE}
        pending = [at for at, code in outcomes if code not in ("", _DUPLICATE)]
        codes = [code for _, code in outcomes if code not in ("", _DUPLICATE)]
        if not pending:
            return duplicates
        if not _REPEATABLE.issuperset(codes):
            break
    raise _worst(codes)


def _statement(table: str, item: Mapping[str, Any]) -> Any:
    return {
        "Statement": insert_statement(table, list(item)),
        "Parameters": list(item.values()),
    }


def insert_statement(table: str, names: Sequence[str]) -> str:
    """A statement that inserts an item of these attributes, whose values are its parameters."""
    fields = ", ".join(f"'{name}': ?" for name in names)
    return f'INSERT INTO "{table}" VALUE {{{fields}}}'


async def insert_all(calls: DynamoDBCalls, statements: Sequence[bytes]) -> list[int]:
    """Executes the statements (JSON); returns the indices of those whose items were there already.

    HTTP 200 is not success: every statement has a result of its own, and only those that failed
    are sent again. Raises `TransientError` when some cannot be executed.
    """
    duplicates: list[int] = []
    for start in range(0, len(statements), STATEMENTS_PER_CALL):
        some = statements[start : start + STATEMENTS_PER_CALL]
        duplicates += [start + at for at in await _insert(calls, some)]
    return duplicates


async def _insert(calls: DynamoDBCalls, statements: Sequence[bytes]) -> list[int]:
    pending, duplicates = list(range(len(statements))), list[int]()
    for tries in range(1, MAX_ROUNDS + 1):
        body = b'{"Statements":[' + b",".join([statements[at] for at in pending]) + b"]}"
        response = await calls.call("BatchExecuteStatement", body)
        results = response["Responses"]
        if len(results) != len(pending):
            raise TransientError("aws_error", "dynamodb:PartiQLInsert: statements without a result")
        if not [result for result in results if "Error" in result]:
            return duplicates
        codes = [_code(result) for result in results]
        outcomes = list(zip(pending, codes, strict=True))
        duplicates += [at for at, code in outcomes if code == _DUPLICATE]
        failures = {at: code for at, code in outcomes if code not in ("", _DUPLICATE)}
        if not failures:
            return duplicates
        trouble = _worst(failures.values())
        if tries == MAX_ROUNDS or not _REPEATABLE.issuperset(failures.values()):
            raise trouble
        await calls.pause(tries, trouble)
        pending = list(failures)
    return duplicates


def _worst(codes: Collection[str]) -> TransientError:
    return transient("dynamodb:PartiQLInsert", min(codes, key=_REPEATABLE.__contains__))


def _code(result: Mapping[str, Any]) -> str:
    error = result.get("Error")
    return str(error.get("Code", "unknown")) if error else ""
