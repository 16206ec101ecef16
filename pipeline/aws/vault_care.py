"""The vault and its fingerprints in DynamoDB, for those who check them or destroy rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from pipeline.aws.dynamodb_access import sealed_pan
from pipeline.aws.dynamodb_vault import KEYS_PER_CALL
from pipeline.aws.faults import error_code, pauses, translated
from pipeline.aws.partiql import STATEMENTS_PER_CALL, insert_some
from pipeline.errors import TransientError
from pipeline.model import SealedPan
from pipeline.vault_care.ports import Claim, Page

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = TypeVar("Item")
_REFUSED = "ConditionalCheckFailedException"


class DynamoDBVaultStore:
    """Sealed PANs, to be read and destroyed."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def page(self, segment: int, segments: int, position: str | None) -> Page[SealedPan]:
        """One page of a parallel scan."""
        start = None if position is None else {"token": {"S": position}}
        response = _scan(self._client, self._table, segment, segments, start)
        last = response.get("LastEvaluatedKey")
        return _page(response, sealed_pan, last["token"]["S"] if last else None)

    def get(self, tokens: Sequence[str]) -> Mapping[str, SealedPan]:
        """The rows of those tokens that exist, read consistently."""
        keys = [{"token": {"S": token}} for token in tokens]
        rows = map(sealed_pan, _get_all(self._client, self._table, keys))
        return {row.token: row for row in rows}

    def destroy(self, token: str) -> None:
        """Deletes the row."""
        with translated("dynamodb:DeleteItem"):
            self._client.delete_item(TableName=self._table, Key={"token": {"S": token}})


class DynamoDBFingerprintStore:
    """Tokens by fingerprint, to be read, claimed and destroyed."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def page(self, segment: int, segments: int, position: str | None) -> Page[Claim]:
        """One page of a parallel scan."""
        start = None if position is None else {"fingerprint": {"B": bytes.fromhex(position)}}
        response = _scan(self._client, self._table, segment, segments, start)
        last = response.get("LastEvaluatedKey")
        return _page(response, _claim, bytes(last["fingerprint"]["B"]).hex() if last else None)

    def held(self, fingerprints: Sequence[bytes]) -> Mapping[bytes, str]:
        """The tokens of those fingerprints that exist, read consistently."""
        keys = [{"fingerprint": {"B": each}} for each in fingerprints]
        found = map(_claim, _get_all(self._client, self._table, keys))
        return {claim.fingerprint: claim.token for claim in found}

    def claim(self, claims: Sequence[Claim]) -> Mapping[bytes, str]:
        """Inserts the claims; where one was there already, that one's token holds."""
        items = [
            {"fingerprint": {"B": claim.fingerprint}, "token": {"S": claim.token}}
            for claim in claims
        ]
        winners = {claim.fingerprint: claim.token for claim in claims}
        lost: list[bytes] = []
        for start in range(0, len(items), STATEMENTS_PER_CALL):
            some = items[start : start + STATEMENTS_PER_CALL]
            duplicates = insert_some(self._client, self._table, some)
            lost += [claims[start + at].fingerprint for at in duplicates]
        return {**winners, **self.held(lost)}

    def destroy(self, claim: Claim) -> None:
        """Deletes the fingerprint if it has that token."""
        with translated("dynamodb:DeleteItem"):
            try:
                self._client.delete_item(
                    TableName=self._table,
                    Key={"fingerprint": {"B": claim.fingerprint}},
                    ConditionExpression="#token = :token",
                    ExpressionAttributeNames={"#token": "token"},
                    ExpressionAttributeValues={":token": {"S": claim.token}},
                )
            except ClientError as error:
                if error_code(error) != _REFUSED:
                    raise


def _claim(item: Any) -> Claim:
    return Claim(bytes(item["fingerprint"]["B"]), item["token"]["S"])


def _page(
    response: Mapping[str, Any], parse: Callable[[Any], Item], next_position: str | None
) -> Page[Item]:
    return Page([parse(item) for item in response["Items"]], next_position)


def _scan(client: DynamoDBClient, table: str, segment: int, segments: int, start: Any) -> Any:
    request: Any = {
        "TableName": table,
        "Segment": segment,
        "TotalSegments": segments,
        "ConsistentRead": True,
    }
    if start:
        request["ExclusiveStartKey"] = start
    with translated("dynamodb:Scan"):
        return client.scan(**request)


def _get_all(client: DynamoDBClient, table: str, keys: Sequence[Any]) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(keys), KEYS_PER_CALL):
        found += _get_some(client, table, keys[start : start + KEYS_PER_CALL])
    return found


def _get_some(client: DynamoDBClient, table: str, keys: Sequence[Any]) -> list[Any]:
    pending: Any = list(keys)
    found: list[Any] = []
    for _ in pauses():
        request: Any = {table: {"Keys": pending, "ConsistentRead": True}}
        with translated("dynamodb:BatchGetItem"):
            response = client.batch_get_item(RequestItems=request)
        found += response["Responses"].get(table, [])
        unprocessed: Any = response.get("UnprocessedKeys", {})
        pending = unprocessed.get(table, {}).get("Keys")
        if not pending:
            return found
    raise TransientError("throttled", "dynamodb:BatchGetItem")
