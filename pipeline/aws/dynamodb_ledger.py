"""The ledger in DynamoDB: one item for each job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from pipeline.aws.ledger_items import KEYS_PER_CALL, LedgerItems
from pipeline.core.receipts import iso_time
from pipeline.errors import TransientError
from pipeline.model import Decision, FanOut, JobState

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT_FOR = timedelta(days=400)  # PCI DSS v4.0.1, 10.5.1 asks for twelve months of audit history

_UNDECIDED = "attribute_not_exists(#decision)"
_STARTED_AND_UNDECIDED = f"attribute_exists(job_id) AND {_UNDECIDED}"
_CLAIM = "SET #owner = :job, #expires_at = :expires_at"
_FAILED = f"#status = :failed AND {_UNDECIDED}"
_PROGRESS = ("job_id", "status", "attempts", "rows_read", "updated_at", "reason", "trouble")


class DynamoDBLedger:
    """Progress, counts and reason codes of jobs; a decision, once made, stays."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._items = LedgerItems(client, table)

    def start(self, job_id: str, facts: Mapping[str, str], started_at: datetime) -> JobState:
        """Notes another attempt, unless the job is decided, and says how the job stands."""
        item = self._items.update(
            job_id,
            "SET #status = :status, #uri = :uri, #layout = :layout, #started_at = :now, "
            "#updated_at = :now, #expires_at = :expires_at, #rows_read = :zero "
            "ADD #attempts :one REMOVE #reason, #detail",
            {
                ":status": {"S": "running"},
                ":uri": {"S": facts["uri"]},
                ":layout": {"S": facts["layout"]},
                ":now": {"S": iso_time(started_at)},
                ":expires_at": _expiry(started_at),
                ":zero": {"N": "0"},
                ":one": {"N": "1"},
            },
            _UNDECIDED,
        )
        return _state(item if item is not None else self._items.get(job_id))

    def progress(self, job_id: str, rows_read: int) -> None:
        """Notes how many rows the running attempt has read."""
        self._items.update(
            job_id,
            "SET #rows_read = :rows_read, #updated_at = :now",
            {":rows_read": {"N": str(rows_read)}, ":now": _now()},
            _STARTED_AND_UNDECIDED,
        )

    def note_trouble(self, job_id: str, code: str) -> None:
        """Notes why an attempt stopped that will be repeated."""
        self._items.update(
            job_id,
            "SET #trouble = :code, #status = :status, #updated_at = :now",
            {":code": {"S": code}, ":status": {"S": "waiting"}, ":now": _now()},
            _STARTED_AND_UNDECIDED,
        )

    def recorded_chunk(self, job_id: str, name: str) -> Mapping[str, Any] | None:
        """What was recorded of the job's chunk of that name; None if nothing yet."""
        item = self._items.get(_chunk_id(job_id, name))
        return orjson.loads(item["chunk"]["S"]) if item else None

    def record_chunk(
        self, job_id: str, name: str, document: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The first record of a chunk stands; after a lost reply, that is our own.

        The job's own item only says that there are some: a hint, without which a chunk is worked
        off once more, to find the record that stands.
        """
        self._items.update(
            _chunk_id(job_id, name),
            "SET #chunk = :chunk, #expires_at = :expires_at",
            {
                ":chunk": {"S": orjson.dumps(document).decode()},
                ":expires_at": _expiry(datetime.now(UTC)),
            },
            "attribute_not_exists(#chunk)",
        )
        self._items.update(
            job_id,
            "SET #has_chunks = :yes, #updated_at = :now",
            {":yes": {"BOOL": True}, ":now": _now()},
            _STARTED_AND_UNDECIDED,
        )
        stands = self.recorded_chunk(job_id, name)
        if stands is None:
            raise TransientError("chunk_unresolved", "the ledger does not show the chunk")
        return stands

    def fan_out(self, job_id: str) -> FanOut:
        """How far the chunks of a job are that its file was parted into."""
        return _fan_out(self._items.get(job_id))

    def finish_plan(self, job_id: str, chunks: int, source_sha256: str | None) -> FanOut:
        """The first plan stands; after a lost reply, that is our own."""
        values = {":planned": {"N": str(chunks)}, ":now": _now()}
        expression = "SET #planned = :planned, #updated_at = :now"
        if source_sha256 is not None:
            values[":sha256"] = {"S": source_sha256}
            expression += ", #sha256 = :sha256"
        unplanned = f"{_STARTED_AND_UNDECIDED} AND attribute_not_exists(#planned)"
        item = self._items.update(job_id, expression, values, unplanned)
        return _fan_out(item if item is not None else self._items.get(job_id))

    def finish_chunk(self, job_id: str, ordinal: int) -> FanOut:
        """A set holds each ordinal once, however often a reply is lost."""
        item = self._items.update(
            job_id,
            "ADD #done :ordinal SET #updated_at = :now",
            {":ordinal": {"NS": [str(ordinal)]}, ":now": _now()},
            _STARTED_AND_UNDECIDED,
        )
        return _fan_out(item if item is not None else self._items.get(job_id))

    def claim(self, name: str, job_id: str) -> str:
        """The job that what is named so belongs to: the first that claims it and does not fail.

        It is taken from a failed job only as long as that one is undecided: `decide` looks at the
        owner in the same transaction, so one of two jobs gets through at most.
        """
        values = {":job": {"S": job_id}, ":expires_at": _expiry(datetime.now(UTC))}
        unclaimed = "attribute_not_exists(#owner) OR #owner = :job"
        if self._items.update(name, _CLAIM, values, unclaimed) is not None:
            return job_id
        owner = self.owner(name) or ""
        values = {**values, ":earlier": {"S": owner}}
        self._items.transact(
            {"Update": self._items.request(name, _CLAIM, values, "#owner = :earlier")},
            {"ConditionCheck": self._items.check(owner, _FAILED, {":failed": {"S": "failed"}})},
        )
        return self.owner(name) or ""

    def owner(self, name: str) -> str | None:
        """The job that what is named so belongs to; None if nobody claimed it."""
        item = self._items.get(name)
        return str(item["owner"]["S"]) if item else None

    def decide(self, job_id: str, decision: Decision, held: Sequence[str] = ()) -> Decision:
        """The first decision stands; after a lost reply, that is our own."""
        request = self._items.request(
            job_id,
            "SET #decision = :decision, #status = :status, #rows_read = :rows_read, "
            "#updated_at = :now",
            {
                ":decision": {"S": orjson.dumps(_as_json(decision)).decode()},
                ":status": {"S": "publishing"},
                ":rows_read": {"N": str(decision.receipt["rows_read"])},
                ":now": _now(),
            },
            _STARTED_AND_UNDECIDED,
        )
        checks = [
            self._items.check(name, "#owner = :job", {":job": {"S": job_id}}) for name in held
        ]
        has_decided = self._items.transact(
            {"Update": request}, *({"ConditionCheck": check} for check in checks)
        )
        standing = _state(self._items.get(job_id)).decision
        if standing is None:
            reason = "decision_unresolved" if has_decided or not held else "claim_lost"
            raise TransientError(reason, "the ledger does not show the decision")
        return standing

    def commit(self, job_id: str) -> None:
        """Notes that the decision has been carried out."""
        self._items.update(
            job_id,
            "SET #status = :status, #updated_at = :now REMOVE #trouble",
            {":status": {"S": "committed"}, ":now": _now()},
            "attribute_exists(#decision)",
        )

    def fail(self, job_id: str, reason: str, detail: str) -> Decision | None:
        """Notes a failure, unless the job is decided: then the decision is returned."""
        item = self._items.update(
            job_id,
            "SET #status = :status, #has_failed = :yes, #reason = :reason, #detail = :detail, "
            "#updated_at = :now",
            {
                ":status": {"S": "failed"},
                ":yes": {"BOOL": True},
                ":reason": {"S": reason},
                ":detail": {"S": detail},
                ":now": _now(),
            },
            _STARTED_AND_UNDECIDED,
        )
        return None if item is not None else _state(self._items.get(job_id)).decision

    def get(self, job_id: str) -> dict[str, Any] | None:
        """What the ledger says of a job, without its decision; None for an unknown job."""
        item = self._items.get(job_id)
        return _plain(item) if item else None

    def get_all(self, job_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        """What the ledger says of those jobs that it knows, in no order."""
        for start in range(0, len(job_ids), KEYS_PER_CALL):
            some = job_ids[start : start + KEYS_PER_CALL]
            yield from map(_plain, self._items.get_some(some, _PROGRESS))

    def jobs(self) -> Iterator[dict[str, Any]]:
        """All jobs, in no order."""
        return (_plain(item) for item in self._items.all() if "attempts" in item)


def _chunk_id(job_id: str, name: str) -> str:
    return f"{job_id}/{name}"


def _expiry(moment: datetime) -> dict[str, str]:
    return {"N": str(int((moment + KEPT_FOR).timestamp()))}


def _now() -> dict[str, str]:
    return {"S": iso_time(datetime.now(UTC))}


def _as_json(decision: Decision) -> dict[str, Any]:
    return {
        "attempt_id": decision.attempt_id,
        "receipt": decision.receipt,
        "parts": [list(pair) for pair in decision.parts],
    }


def _state(item: Mapping[str, Any]) -> JobState:
    attempts = int(item.get("attempts", {}).get("N", "0"))
    if "decision" not in item:
        return JobState(attempts, has_chunks="has_chunks" in item)
    return JobState(attempts, _decision(item), item["status"]["S"] == "committed")


def _decision(item: Mapping[str, Any]) -> Decision | None:
    if "decision" not in item:
        return None
    document = orjson.loads(item["decision"]["S"])
    return Decision(
        document["attempt_id"],
        document["receipt"],
        tuple((staged, published) for staged, published in document["parts"]),
    )


def _fan_out(item: Mapping[str, Any]) -> FanOut:
    return FanOut(
        planned=int(item["planned"]["N"]) if "planned" in item else None,
        done=frozenset(map(int, item.get("done", {}).get("NS", ()))),
        source_sha256=item.get("sha256", {}).get("S"),
        is_failed=item.get("status", {}).get("S") == "failed",
        has_failed="has_failed" in item,
        decision=_decision(item),
    )


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    if "done" in item:
        plain["chunks_done"] = len(item["done"]["NS"])
    for name, value in item.items():
        if name not in ("decision", "done", "has_chunks", "has_failed", "sha256"):
            plain[name] = int(value["N"]) if "N" in value else value.get("S")
    return plain
