"""What callers had, in memory and in DynamoDB alike: nothing is lost, nothing is had twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto import mock_aws

from pipeline.access import AuditLog, Door, RefusedError, Request, Usages
from pipeline.aws.audit_log import CloudWatchAuditLog, LastRequestId, audit_lines
from pipeline.aws.dynamodb_access import DynamoDBGrants, DynamoDBUsages, DynamoDBVaultReader
from pipeline.aws.dynamodb_calls import DynamoDBCalls
from pipeline.aws.kms_keys import KMSKeys
from pipeline.aws.pump import Pump
from pipeline.aws.session import CountedSession
from pipeline.core.grants import Caller
from pipeline.core.limits import Usage, rolled, window_at
from pipeline.core.receipts import iso_time
from pipeline.errors import TransientError
from pipeline.model import SealedPan
from pipeline.testing import MemoryAuditLog, MemoryGrants, MemoryUsages

NOW = datetime(2026, 11, 25, 12, 0, 5, tzinfo=UTC)
WINDOW = window_at(NOW)
NEXT = window_at(NOW + timedelta(minutes=1))
LIMITS = (10, 15)
COUNTER = "reading|arn:aws:iam::000000000000:user/someone"


@pytest.fixture
def session() -> Iterator[CountedSession]:
    with mock_aws():
        yield CountedSession()


def table(session: CountedSession, name: str, key: str) -> Any:
    client = session.client("dynamodb")
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
    )
    return client


@pytest.fixture(params=["memory", "dynamodb"])
def usages(request: pytest.FixtureRequest, session: CountedSession) -> Usages:
    if request.param == "memory":
        return MemoryUsages()
    return DynamoDBUsages(table(session, "limits", "counter"), "limits")


def add(usages: Usages, count: int, window: Any = WINDOW, now: datetime = NOW) -> bool:
    return usages.add(COUNTER, Usage(window, count, count), LIMITS, iso_time(now))


def test_nothing_is_added_before_a_window_is_open(usages: Usages) -> None:
    assert not add(usages, 1)
    assert usages.get(COUNTER) is None


def test_tokens_are_added_up_to_the_limits_and_not_beyond(usages: Usages) -> None:
    usages.replace(COUNTER, None, Usage(WINDOW))
    assert add(usages, 9)
    assert not add(usages, 2)
    assert add(usages, 1)
    assert not add(usages, 1)
    assert usages.get(COUNTER) == Usage(WINDOW, 10, 10)


def test_a_day_is_counted_over_its_minutes(usages: Usages) -> None:
    usages.replace(COUNTER, None, Usage(WINDOW))
    add(usages, 10)
    seen = usages.get(COUNTER)
    assert seen is not None
    usages.replace(COUNTER, seen, rolled(seen, NEXT))
    assert not add(usages, 1)
    assert not add(usages, 6, NEXT)
    assert add(usages, 5, NEXT)
    assert usages.get(COUNTER) == Usage(NEXT, 5, 15)


def test_a_window_that_moved_on_since_is_not_replaced(usages: Usages) -> None:
    usages.replace(COUNTER, None, Usage(WINDOW))
    seen = usages.get(COUNTER)
    assert seen is not None
    add(usages, 3)

    usages.replace(COUNTER, seen, rolled(seen, NEXT))
    usages.replace(COUNTER, None, Usage(NEXT))

    assert usages.get(COUNTER) == Usage(WINDOW, 3, 3)


def test_a_lock_holds_until_its_time_and_outlives_its_window(usages: Usages) -> None:
    usages.replace(COUNTER, None, Usage(WINDOW))
    assert usages.note_unknown(COUNTER, 3) == Usage(WINDOW, 0, 0, 3, 3)
    until = NOW + timedelta(minutes=1)
    usages.lock(COUNTER, iso_time(until))
    assert not add(usages, 1)
    seen = usages.get(COUNTER)
    assert seen is not None
    usages.replace(COUNTER, seen, rolled(seen, NEXT))
    assert not add(usages, 1, NEXT)
    assert add(usages, 1, NEXT, until)
    assert usages.get(COUNTER) == Usage(NEXT, 1, 1, 0, 3, iso_time(until))


GRANTS = """
[[grants]]
name = "a"
principals = ["arn:aws:iam::000000000000:user/someone"]
actions = ["describe"]
scopes = ["default"]
per_minute = 10
per_day = 15
"""


def test_the_limit_holds_for_many_workers_together(usages: Usages) -> None:
    doors = [Door(MemoryGrants(GRANTS), usages, MemoryAuditLog(), lambda: NOW) for _ in range(4)]
    caller = Caller("arn:aws:iam::000000000000:user/someone", "", "", "")
    admitted = 0
    for number in range(40):
        try:
            doors[number % 4].admit(Request(caller, "describe", 1))
        except RefusedError as refusal:
            assert (refusal.code, refusal.retry_after_seconds) == ("limit_exceeded", 55)
        else:
            admitted += 1
    assert admitted == 10


class _Contended(MemoryUsages):
    """Another worker is always quicker."""

    def add(self, *_: object) -> bool:
        return False


def test_a_counter_that_cannot_be_had_is_no_free_pass() -> None:
    door = Door(MemoryGrants(GRANTS), _Contended(), MemoryAuditLog(), lambda: NOW)
    caller = Caller("arn:aws:iam::000000000000:user/someone", "", "", "")
    with pytest.raises(TransientError, match="limits_contended"):
        door.admit(Request(caller, "describe", 1))


def test_counters_expire_days_after_their_last_use(session: CountedSession) -> None:
    client = table(session, "limits", "counter")
    DynamoDBUsages(client, "limits").replace(COUNTER, None, Usage(WINDOW))
    (item,) = client.scan(TableName="limits")["Items"]
    assert int(item["expires_at"]["N"]) - NOW.timestamp() > timedelta(days=2).total_seconds()


# The grants document and the vault


def test_the_grants_document_is_what_was_written_last(session: CountedSession) -> None:
    grants = DynamoDBGrants(table(session, "grants", "name"), "grants")
    assert grants.read() == b""
    grants.write("# one", "now")
    grants.write(GRANTS, "later")
    assert grants.read().decode() == GRANTS


def test_the_vault_is_read_by_hundreds_and_says_what_is_not_there(
    session: CountedSession,
) -> None:
    client = table(session, "vault", "token")
    rows = [
        SealedPan(f"tok_{number:026d}", b"sealed", "dk_1", "now", {"last4": "1111"})
        for number in range(100)
    ]
    for row in rows[:-1]:
        client.put_item(TableName="vault", Item=_item(row))
    calls = DynamoDBCalls(client, session.credentials)
    reader = DynamoDBVaultReader(calls, Pump(calls.connect), "vault")
    assert reader.get([row.token for row in rows]) == {row.token: row for row in rows[:-1]}
    assert reader.get([]) == {}


def _item(row: SealedPan) -> dict[str, Any]:
    return {
        "token": {"S": row.token},
        "ciphertext": {"B": row.ciphertext},
        "data_key_id": {"S": row.data_key_id},
        "created_at": {"S": row.created_at},
        "metadata": {"M": {name: {"S": value} for name, value in row.metadata.items()}},
    }


# The audit log


def test_records_are_stored_in_a_stream_for_each_day(session: CountedSession) -> None:
    logs = session.client("logs")
    logs.create_log_group(logGroupName="audit")
    log: AuditLog = CloudWatchAuditLog(logs, "audit", "one")
    today = datetime.now(UTC)
    for line, at in (('{"a":1}', today - timedelta(days=1)), ('{"b":2}', today), ("{}", today)):
        log.write(line, at)

    streams = logs.describe_log_streams(logGroupName="audit")["logStreams"]
    assert sorted(each["logStreamName"] for each in streams) == sorted(
        f"{at:%Y/%m/%d}/one" for at in (today - timedelta(days=1), today)
    )
    found = audit_lines(logs, "audit", "b", today - timedelta(hours=1))
    assert list(found) == ['{"b":2}']


def test_a_record_that_is_not_stored_is_an_error(session: CountedSession) -> None:
    logs = session.client("logs")
    with pytest.raises(TransientError):
        CloudWatchAuditLog(logs, "missing", "one").write("{}", datetime.now(UTC))
    logs.create_log_group(logGroupName="audit")
    long_ago = datetime.now(UTC) - timedelta(days=15)  # CloudWatch takes 14 days
    with pytest.raises(TransientError, match="audit_rejected"):
        CloudWatchAuditLog(logs, "audit", "one").write("{}", long_ago)


def test_a_stream_that_is_gone_costs_one_answer_and_is_opened_anew(
    session: CountedSession,
) -> None:
    logs, now = session.client("logs"), datetime.now(UTC)
    logs.create_log_group(logGroupName="audit")
    log = CloudWatchAuditLog(logs, "audit", "one")
    log.write("{}", now)
    logs.delete_log_stream(logGroupName="audit", logStreamName=f"{now:%Y/%m/%d}/one")
    with pytest.raises(TransientError):
        log.write("{}", now)
    log.write("{}", now)


def test_the_id_of_the_latest_kms_request_is_known(session: CountedSession) -> None:
    kms = session.client("kms")
    keys = KMSKeys(kms, kms.create_key()["KeyMetadata"]["Arn"])
    latest = LastRequestId(kms, "Decrypt")
    context = {"purpose": "vault"}
    _, wrapped = keys.generate_data_key("dk_1", context, "now")
    assert latest() == ""
    seen: list[str] = []
    kms.meta.events.register(
        "after-call.kms.Decrypt",
        lambda parsed, **_: seen.append(parsed["ResponseMetadata"]["RequestId"]),
    )
    keys.unwrap(wrapped)
    assert [latest()] == seen
