"""Who may read the vault and how much of it was read, in DynamoDB; and the reading itself."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

import orjson
from botocore.exceptions import ClientError

from pipeline.aws.dynamodb_calls import DynamoDBCalls
from pipeline.aws.faults import error_code, translated
from pipeline.core.limits import KEPT_AFTER_LAST_USE, Usage, Window
from pipeline.errors import TransientError
from pipeline.model import SealedPan
from pipeline.ports import Crew

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

GRANTS_ITEM = "grants"
MAX_WAIT_SECONDS = 5.0  # a caller waits, and API Gateway ends a request after 29
_CONDITION_FAILED = "ConditionalCheckFailedException"
_TURN = (
    "SET window_minute = :minute, window_day = :day, minute_tokens = :minute_tokens,"
    " day_tokens = :day_tokens, minute_unknown = :minute_unknown, day_unknown = :day_unknown,"
    " locked_until = :locked_until, expires_at = :expires_at"
)


class DynamoDBVaultReader:
    """Sealed PANs by token, for those few who may read them."""

    def __init__(self, calls: DynamoDBCalls, crew: Crew, table: str) -> None:
        self._calls = calls
        self._crew = crew
        self._table = table

    def get(self, tokens: Sequence[str]) -> Mapping[str, SealedPan]:
        """The rows of those tokens that exist, read consistently; 100 different ones at most.

        Raises `TransientError` when some cannot be read in five seconds.
        """
        gives_up_at = monotonic() + MAX_WAIT_SECONDS
        (rows,) = self._crew.run([self._get(tokens)], lambda: monotonic() < gives_up_at)
        return {row.token: row for row in rows}

    async def _get(self, tokens: Sequence[str]) -> list[SealedPan]:
        pending: Any = [{"token": {"S": token}} for token in tokens]
        found: list[SealedPan] = []
        tries = 0
        while pending:
            request = {"RequestItems": {self._table: {"Keys": pending, "ConsistentRead": True}}}
            response = await self._calls.call("BatchGetItem", orjson.dumps(request))
            found += map(_sealed_pan, response["Responses"].get(self._table, []))
            pending = response.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys")
            if pending:
                tries += 1
                trouble = TransientError("throttled", "dynamodb:BatchGetItem")
                await self._calls.pause(tries, trouble)
        return found


def _sealed_pan(item: Any) -> SealedPan:
    """The row of an item as it comes over the wire: bytes are base64."""
    return sealed_pan(item | {"ciphertext": {"B": b64decode(item["ciphertext"]["B"])}})


def sealed_pan(item: Any) -> SealedPan:
    """The row that an item (DynamoDB JSON) of the vault holds."""
    return SealedPan(
        token=item["token"]["S"],
        ciphertext=bytes(item["ciphertext"]["B"]),
        data_key_id=item["data_key_id"]["S"],
        created_at=item["created_at"]["S"],
        metadata={name: value["S"] for name, value in item["metadata"]["M"].items()},
    )


class DynamoDBGrants:
    """The grants document, as one item of a table."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def read(self) -> bytes:
        """The TOML document, empty if there is none."""
        with translated("dynamodb:GetItem"):
            response = self._client.get_item(
                TableName=self._table, Key={"name": {"S": GRANTS_ITEM}}, ConsistentRead=True
            )
        item: Any = response.get("Item")
        return item["document"]["S"].encode() if item else b""

    def write(self, document: str, changed_at: str) -> None:
        """Replaces the document."""
        item: Any = {
            "name": {"S": GRANTS_ITEM},
            "document": {"S": document},
            "changed_at": {"S": changed_at},
        }
        with translated("dynamodb:PutItem"):
            self._client.put_item(TableName=self._table, Item=item)


class DynamoDBUsages:
    """What callers had: one item for each, changed by conditional updates only."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def add(self, counter: str, usage: Usage, limits: tuple[int, int], now: str) -> bool:
        """Adds the tokens, or says that the counter is elsewhere, locked or at its limits."""
        return self._update(
            counter,
            "ADD minute_tokens :count, day_tokens :count",
            {
                ":count": usage.minute_tokens,
                ":minute": usage.window.minute,
                ":minute_room": limits[0] - usage.minute_tokens,
                ":day_room": limits[1] - usage.day_tokens,
                ":now": now,
            },
            "window_minute = :minute AND minute_tokens <= :minute_room"
            " AND day_tokens <= :day_room AND locked_until <= :now",
        )

    def get(self, counter: str) -> Usage | None:
        """The counter, read consistently."""
        with translated("dynamodb:GetItem"):
            response = self._client.get_item(
                TableName=self._table, Key={"counter": {"S": counter}}, ConsistentRead=True
            )
        item: Any = response.get("Item")
        return _usage(item) if item else None

    def replace(self, counter: str, seen: Usage | None, usage: Usage) -> None:
        """Turns to the other window; if somebody was quicker, theirs is the same."""
        values: dict[str, str | int] = {
            ":minute": usage.window.minute,
            ":day": usage.window.day,
            ":minute_tokens": usage.minute_tokens,
            ":day_tokens": usage.day_tokens,
            ":minute_unknown": usage.minute_unknown,
            ":day_unknown": usage.day_unknown,
            ":locked_until": usage.locked_until,
            ":expires_at": _expiry(usage.window),
        }
        condition = "attribute_not_exists(window_minute)"
        if seen is not None:
            # What was counted since it was seen must not be lost either.
            condition = (
                "window_minute = :seen AND day_tokens = :seen_tokens AND "
                "day_unknown = :seen_unknown AND locked_until = :seen_lock"
            )
            values |= {
                ":seen": seen.window.minute,
                ":seen_tokens": seen.day_tokens,
                ":seen_unknown": seen.day_unknown,
                ":seen_lock": seen.locked_until,
            }
        self._update(counter, _TURN, values, condition)

    def note_unknown(self, counter: str, count: int) -> Usage:
        """Adds unknown tokens to a counter that is there."""
        with translated("dynamodb:UpdateItem"):
            response = self._client.update_item(
                TableName=self._table,
                Key={"counter": {"S": counter}},
                UpdateExpression="ADD minute_unknown :count, day_unknown :count",
                ExpressionAttributeValues={":count": {"N": str(count)}},
                ReturnValues="ALL_NEW",
            )
        return _usage(response["Attributes"])

    def lock(self, counter: str, until: str) -> None:
        """Lets nothing be added until that time."""
        self._update(counter, "SET locked_until = :until", {":until": until}, None)

    def _update(
        self, counter: str, update: str, values: Mapping[str, str | int], condition: str | None
    ) -> bool:
        conditional: Any = {"ConditionExpression": condition} if condition else {}
        with translated("dynamodb:UpdateItem"):
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key={"counter": {"S": counter}},
                    UpdateExpression=update,
                    ExpressionAttributeValues={
                        name: {"N": str(value)} if isinstance(value, int) else {"S": value}
                        for name, value in values.items()
                    },
                    **conditional,
                )
            except ClientError as error:
                if error_code(error) == _CONDITION_FAILED:
                    return False
                raise
        return True


def _usage(item: Any) -> Usage:
    return Usage(
        window=Window(item["window_minute"]["S"], item["window_day"]["S"]),
        minute_tokens=int(item["minute_tokens"]["N"]),
        day_tokens=int(item["day_tokens"]["N"]),
        minute_unknown=int(item["minute_unknown"]["N"]),
        day_unknown=int(item["day_unknown"]["N"]),
        locked_until=item["locked_until"]["S"],
    )


def _expiry(window: Window) -> int:
    day = datetime.fromisoformat(f"{window.day}T00:00:00+00:00")
    return int((day + KEPT_AFTER_LAST_USE).timestamp())
