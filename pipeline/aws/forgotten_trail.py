"""What was forgotten, kept in the table of jobs, whose entries about cards never expire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.aws.faults import translated
from pipeline.aws.partiql import insert_one
from pipeline.vault_care.forget import Forgotten

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ENTRY_PREFIX = "forgotten/"


class DynamoDBForgottenTrail:
    """Entries by token; they are added and read, never changed."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def note(self, forgotten: Forgotten) -> None:
        """The first entry of a token stands."""
        item = {
            "job_id": {"S": ENTRY_PREFIX + forgotten.token},
            "purpose": {"S": forgotten.purpose},
            "principal": {"S": forgotten.principal},
            "at": {"S": forgotten.at},
        }
        insert_one(self._client, self._table, item)

    def entry(self, token: str) -> Forgotten | None:
        """None if the token was not forgotten."""
        with translated("dynamodb:GetItem"):
            response = self._client.get_item(
                TableName=self._table,
                Key={"job_id": {"S": ENTRY_PREFIX + token}},
                ConsistentRead=True,
            )
        item: Any = response.get("Item")
        if item is None:
            return None
        return Forgotten(token, item["purpose"]["S"], item["principal"]["S"], item["at"]["S"])
