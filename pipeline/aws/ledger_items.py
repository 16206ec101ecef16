"""Items of the ledger's table: changed under conditions, alone or together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.aws.faults import error_code, pauses, translated
from pipeline.errors import TransientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEYS_PER_CALL = 100  # DynamoDB's limit for BatchGetItem
_NAMES = {
    name: name.removeprefix("#")
    for name in (
        "#attempts",
        "#chunk",
        "#decision",
        "#detail",
        "#done",
        "#expires_at",
        "#has_chunks",
        "#has_failed",
        "#layout",
        "#owner",
        "#planned",
        "#reason",
        "#rows_read",
        "#sha256",
        "#started_at",
        "#status",
        "#trouble",
        "#updated_at",
        "#uri",
    )
}


class LedgerItems:
    """The table. Expressions name an attribute `#attribute`, whatever DynamoDB has reserved."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def update(
        self, item_id: str, expression: str, values: Mapping[str, Any], condition: str
    ) -> Mapping[str, Any] | None:
        """The item after the update; None when the condition did not hold."""
        request = self.request(item_id, expression, values, condition)
        with translated("dynamodb:UpdateItem"):
            try:
                response = self._client.update_item(**request, ReturnValues="ALL_NEW")
            except ClientError as error:
                if error_code(error) == "ConditionalCheckFailedException":
                    return None
                raise
        return response["Attributes"]

    def request(
        self, item_id: str, expression: str, values: Mapping[str, Any], condition: str
    ) -> Any:
        """An `Update`, to be sent alone or in a transaction."""
        check = self.check(item_id, condition, values)
        names = _names_in(f"{expression} {condition}")
        return {**check, "UpdateExpression": expression, "ExpressionAttributeNames": names}

    def check(self, item_id: str, condition: str, values: Mapping[str, Any]) -> Any:
        """A `ConditionCheck` for a transaction."""
        return {
            "TableName": self._table,
            "Key": {"job_id": {"S": item_id}},
            "ConditionExpression": condition,
            "ExpressionAttributeNames": _names_in(condition),
            "ExpressionAttributeValues": dict(values),
        }

    def transact(self, *items: Any) -> bool:
        """All of it or nothing; whether the conditions held."""
        with translated("dynamodb:TransactWriteItems"):
            try:
                self._client.transact_write_items(TransactItems=items)
            except ClientError as error:
                if _is_refused(error):
                    return False
                raise
        return True

    def get(self, item_id: str) -> Mapping[str, Any]:
        """The item; empty if there is none."""
        with translated("dynamodb:GetItem"):
            response = self._client.get_item(
                TableName=self._table, Key={"job_id": {"S": item_id}}, ConsistentRead=True
            )
        return response.get("Item", {})

    def get_some(
        self, item_ids: Sequence[str], attributes: Sequence[str]
    ) -> Iterator[Mapping[str, Any]]:
        """These attributes of the items that there are of `KEYS_PER_CALL` at most, in no order."""
        names = {f"#{name}": name for name in attributes}
        pending: Any = {
            "Keys": [{"job_id": {"S": item_id}} for item_id in item_ids],
            "ConsistentRead": True,
            "ProjectionExpression": ", ".join(names),
            "ExpressionAttributeNames": names,
        }
        for _ in pauses():
            with translated("dynamodb:BatchGetItem"):
                response = self._client.batch_get_item(RequestItems={self._table: pending})
            yield from response["Responses"].get(self._table, [])
            pending = response.get("UnprocessedKeys", {}).get(self._table)
            if not pending or not pending["Keys"]:
                return
        raise TransientError("throttled", "dynamodb:BatchGetItem")

    def all(self) -> Iterator[Mapping[str, Any]]:
        """Every item, in no order."""
        with translated("dynamodb:Scan"):
            for page in self._client.get_paginator("scan").paginate(TableName=self._table):
                yield from page["Items"]


def _names_in(expression: str) -> dict[str, str]:
    return {short: name for short, name in _NAMES.items() if short in expression}


def _is_refused(error: ClientError) -> bool:
    """Whether a condition of a transaction did not hold; a conflict with another one passes."""
    reasons: Any = error.response.get("CancellationReasons", [])
    return any(reason.get("Code") == "ConditionalCheckFailed" for reason in reasons)
