"""The vault, the fingerprints and the wrapped data keys in DynamoDB."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.aws.faults import pauses, translated
from pipeline.aws.partiql import insert_all
from pipeline.core.keyring import KeyRing, ring_from_json
from pipeline.errors import PermanentError, TransientError
from pipeline.model import Claim, Purpose, SealedPan, WrappedDataKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEYS_PER_CALL = 100  # DynamoDB's limit for BatchGetItem
KEY_RING_ID = "fingerprint-ring"  # in the table of data keys, where the worker may read it


class DynamoDBVault:
    """Sealed PANs; all that this can do is to add."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def insert_if_absent(self, sealed: Sequence[SealedPan]) -> None:
        """Inserts the rows. Tokens are random, so a duplicate is our own row, its reply lost."""
        insert_all(self._client, self._table, [_vault_item(row) for row in sealed])


def _vault_item(row: SealedPan) -> dict[str, Any]:
    return {
        "token": {"S": row.token},
        "ciphertext": {"B": row.ciphertext},
        "data_key_id": {"S": row.data_key_id},
        "created_at": {"S": row.created_at},
        "metadata": {"M": {name: {"S": value} for name, value in row.metadata.items()}},
    }


class DynamoDBFingerprints:
    """Tokens by fingerprint."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def look_up(self, fingerprints: Sequence[bytes]) -> Mapping[bytes, str]:
        """The known ones, read eventually consistent: a claim settles what this misses."""
        return self._get(fingerprints, consistent=False)

    def claim(self, claims: Sequence[Claim]) -> Mapping[bytes, str]:
        """Inserts the claims; where one was there already, that one's token holds."""
        items = [
            {"fingerprint": {"B": claim.fingerprint}, "token": {"S": claim.token}}
            for claim in claims
        ]
        duplicates = insert_all(self._client, self._table, items)
        held = {claim.fingerprint: claim.token for claim in claims}
        if duplicates:
            lost = [claims[at].fingerprint for at in duplicates]
            winners = self._get(lost, consistent=True)
            if len(winners) != len(lost):
                raise TransientError("claim_unresolved", "a claimed fingerprint cannot be read")
            held.update(winners)
        return held

    def _get(self, fingerprints: Sequence[bytes], *, consistent: bool) -> dict[bytes, str]:
        found: dict[bytes, str] = {}
        for start in range(0, len(fingerprints), KEYS_PER_CALL):
            keys = fingerprints[start : start + KEYS_PER_CALL]
            found.update(self._get_some(keys, consistent=consistent))
        return found

    def _get_some(self, fingerprints: Sequence[bytes], *, consistent: bool) -> dict[bytes, str]:
        pending: Any = [{"fingerprint": {"B": fingerprint}} for fingerprint in fingerprints]
        found: dict[bytes, str] = {}
        for _ in pauses():
            request: Any = {
                self._table: {
                    "Keys": pending,
                    "ConsistentRead": consistent,
                    "ProjectionExpression": "#fingerprint, #token",
                    "ExpressionAttributeNames": {
                        "#fingerprint": "fingerprint",
                        "#token": "token",
                    },
                }
            }
            with translated("dynamodb:BatchGetItem"):
                response = self._client.batch_get_item(RequestItems=request)
            for item in response["Responses"].get(self._table, []):
                found[bytes(item["fingerprint"]["B"])] = item["token"]["S"]
            unprocessed = response.get("UnprocessedKeys", {}).get(self._table)
            if not unprocessed or not unprocessed["Keys"]:
                return found
            pending = unprocessed["Keys"]
        raise TransientError("throttled", "dynamodb:BatchGetItem")


class DynamoDBDataKeys:
    """Wrapped data keys by id."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def insert_if_absent(self, record: WrappedDataKey) -> None:
        """Stores the record; its id is random, so a duplicate is our own, its reply lost."""
        item = {
            "data_key_id": {"S": record.data_key_id},
            "wrapped_key": {"B": record.wrapped_key},
            "key_arn": {"S": record.key_arn},
            "purpose": {"S": record.purpose},
            "encryption_context": {
                "M": {name: {"S": value} for name, value in record.encryption_context.items()}
            },
            "created_at": {"S": record.created_at},
            "status": {"S": "active"},
        }
        insert_all(self._client, self._table, [item])

    def get(self, data_key_id: str) -> WrappedDataKey:
        """The record; raises `PermanentError` `data_key_missing`."""
        item = self._get(data_key_id)
        if item is None:
            raise PermanentError("data_key_missing", f"no data key {data_key_id}")
        return wrapped_data_key(item)

    def key_ring(self) -> KeyRing:
        """The key ring; a deployment that never changed it has the first version alone."""
        item = self._get(KEY_RING_ID)
        return KeyRing() if item is None else ring_from_json(json.loads(item["document"]["S"]))

    def _get(self, data_key_id: str) -> Any:
        with translated("dynamodb:GetItem"):
            response = self._client.get_item(
                TableName=self._table,
                Key={"data_key_id": {"S": data_key_id}},
                ConsistentRead=True,
            )
        return response.get("Item")


def wrapped_data_key(item: Any) -> WrappedDataKey:
    """The record that an item (DynamoDB JSON) of the table holds."""
    return WrappedDataKey(
        data_key_id=item["data_key_id"]["S"],
        wrapped_key=bytes(item["wrapped_key"]["B"]),
        key_arn=item["key_arn"]["S"],
        purpose=_purpose(item["purpose"]["S"]),
        encryption_context={
            name: value["S"] for name, value in item["encryption_context"]["M"].items()
        },
        created_at=item["created_at"]["S"],
    )


def _purpose(text: str) -> Purpose:
    return "fingerprint" if text == "fingerprint" else "vault"
