"""The vault, the fingerprints and the wrapped data keys in DynamoDB."""

from __future__ import annotations

import json
from binascii import b2a_base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from pipeline.aws.dynamodb_calls import DynamoDBCalls
from pipeline.aws.faults import translated
from pipeline.aws.partiql import MAX_ROUNDS, insert_all, insert_one, insert_statement
from pipeline.core.fingerprints import FINGERPRINT_BYTES
from pipeline.core.keyring import KeyRing, ring_from_json
from pipeline.errors import PermanentError, TransientError
from pipeline.model import Purpose, SealedPans, WrappedDataKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEYS_PER_CALL = 100  # DynamoDB's limit for BatchGetItem
_BASE64_CHARACTERS = FINGERPRINT_BYTES // 3 * 4
KEY_RING_ID = "fingerprint-ring"  # in the table of data keys, where the worker may read it

_VAULT_ATTRIBUTES = ("token", "ciphertext", "data_key_id", "created_at", "metadata")
_VAULT_ROW = (
    b'{"Statement":%b,"Parameters":[{"S":"%%b"},{"B":"%%b"},{"S":%b},{"S":%b},{"M":{'
    b'"last4":{"S":"%%b"},"scheme":{"S":"%%b"},%b%%b}}]}'
)


class DynamoDBVault:
    """Sealed PANs; all that this can do is to add."""

    def __init__(self, calls: DynamoDBCalls, table: str) -> None:
        self._calls = calls
        self._statement = insert_statement(table, _VAULT_ATTRIBUTES)

    async def insert_if_absent(self, sealed: SealedPans) -> None:
        """Inserts the rows. Tokens are random, so a duplicate is our own row, its reply lost."""
        await insert_all(self._calls, self.statements(sealed))

    def statements(self, sealed: SealedPans) -> list[bytes]:
        """JSON, put together from pieces: what rows have in common is written once."""
        metadata = {name: {"S": value} for name, value in sealed.common_metadata.items()}
        common = (
            *map(_json, (self._statement, sealed.data_key_id, sealed.created_at)),
            orjson.dumps(metadata)[1:-1],
        )
        form = _VAULT_ROW % tuple(part.replace(b"%", b"%%") for part in common)
        rows = zip(
            map(str.encode, sealed.tokens),
            [b2a_base64(each, newline=False) for each in sealed.ciphertexts],
            map(str.encode, sealed.last4s),
            map(str.encode, sealed.schemes),
            map(_customer_id, sealed.customer_ids),
            strict=True,
        )
        return [form % row for row in rows]


def _customer_id(customer_id: str | None) -> bytes:
    return b',"customer_id":{"S":%b}' % _json(customer_id) if customer_id else b""


def _base64_of_each(fingerprints: Sequence[bytes]) -> list[bytes]:
    """Base64 of each: their length is a multiple of three bytes, so all are encoded at once."""
    encoded = b2a_base64(b"".join(fingerprints), newline=False)
    return [
        encoded[at : at + _BASE64_CHARACTERS] for at in range(0, len(encoded), _BASE64_CHARACTERS)
    ]


class DynamoDBFingerprints:
    """Tokens by fingerprint."""

    def __init__(self, calls: DynamoDBCalls, table: str) -> None:
        self._calls = calls
        self._table = table
        self._statement = _json(insert_statement(table, ("fingerprint", "token")))

    async def look_up(self, fingerprints: Sequence[bytes]) -> Sequence[str | None]:
        """The known ones, read eventually consistent: a claim settles what this misses."""
        return await self._get(fingerprints, consistent=False)

    async def claim(self, fingerprints: Sequence[bytes], tokens: Sequence[str]) -> Sequence[str]:
        """Inserts the claims; where one was there already, that one's token holds."""
        form = b'{"Statement":%b,"Parameters":[{"B":"%%b"},{"S":"%%b"}]}' % self._statement
        pairs = zip(_base64_of_each(fingerprints), map(str.encode, tokens), strict=True)
        duplicates = await insert_all(self._calls, [form % pair for pair in pairs])
        if not duplicates:
            return tokens
        held = list(tokens)
        winners = await self._get([fingerprints[at] for at in duplicates], consistent=True)
        for at, winner in zip(duplicates, winners, strict=True):
            if winner is None:
                raise TransientError("claim_unresolved", "a claimed fingerprint cannot be read")
            held[at] = winner
        return held

    async def _get(
        self, fingerprints: Sequence[bytes], *, consistent: bool
    ) -> Sequence[str | None]:
        encoded = _base64_of_each(fingerprints)
        found: dict[str, str] = {}
        for start in range(0, len(encoded), KEYS_PER_CALL):
            await self._get_some(encoded[start : start + KEYS_PER_CALL], found, consistent)
        return [found.get(each.decode()) for each in encoded]

    async def _get_some(
        self, fingerprints: Sequence[bytes], found: dict[str, str], consistent: bool
    ) -> None:
        keys = b'{"fingerprint":{"B":"%b"}}' % b'"}},{"fingerprint":{"B":"'.join(fingerprints)
        for tries in range(1, MAX_ROUNDS + 1):
            response = await self._calls.call("BatchGetItem", self._request(keys, consistent))
            for item in response["Responses"].get(self._table, []):
                found[item["fingerprint"]["B"]] = item["token"]["S"]
            unprocessed = response.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys")
            if not unprocessed:
                return
            keys = orjson.dumps(unprocessed)[1:-1]
            await self._calls.pause(tries, TransientError("throttled", "dynamodb:BatchGetItem"))
        raise TransientError("throttled", "dynamodb:BatchGetItem")

    def _request(self, keys: bytes, consistent: bool) -> bytes:
        return (
            b'{"RequestItems":{%b:{"Keys":[%b],"ConsistentRead":%b,'
            b'"ProjectionExpression":"#f,#t",'
            b'"ExpressionAttributeNames":{"#f":"fingerprint","#t":"token"}}}}'
        ) % (_json(self._table), keys, b"true" if consistent else b"false")


def _json(text: str) -> bytes:
    return orjson.dumps(text)


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
        insert_one(self._client, self._table, item)

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
