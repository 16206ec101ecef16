"""The API on the local stack: signed calls, grants, limits, the record, and the command line."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest

from pipeline.aws.api_client import ApiClient
from pipeline.core.leaks import LeakScanner
from pipeline.local import function_logs
from pipeline.local.session import REGION, LoopbackSession
from pipeline.samples.cards import synthetic_pans
from tests.e2e.conftest import ACCOUNT
from tests.e2e.operator import Operator

pytestmark = pytest.mark.e2e

PANS = synthetic_pans(40, seed=611)
UNKNOWN = [f"tok_{'a' * 24}{first}{second}" for first in "abcde" for second in "abcd"]
As = Callable[..., ApiClient]


@pytest.fixture(scope="module")
def acting(granted_operator: Operator) -> As:
    """Calls of somebody who took on a role."""

    def client(role: str, session_name: str = "monday") -> ApiClient:
        assumed = granted_operator.stack.client("sts").assume_role(
            RoleArn=f"{ACCOUNT}:role/{role}", RoleSessionName=session_name
        )["Credentials"]
        session = boto3.Session(
            aws_access_key_id=assumed["AccessKeyId"],
            aws_secret_access_key=assumed["SecretAccessKey"],
            aws_session_token=assumed["SessionToken"],
            region_name=REGION,
            botocore_session=LoopbackSession(granted_operator.stack.endpoint_url),
        )
        return ApiClient(session, granted_operator.stack.outputs["ApiUrl"])

    return client


def _tokenize(client: ApiClient, *pans: str) -> list[str]:
    document = {"items": [{"pan": pan} for pan in pans]}
    return [each["token"] for each in client.call("POST", "/tokenize", document)["results"]]


def _records(operator: Operator) -> list[dict[str, Any]]:
    group = operator.stack.outputs["AuditLogGroup"]
    return [json.loads(line) for line in function_logs(operator.stack, group)]


def test_cards_come_back_whole_for_whom_that_is_granted(acting: As) -> None:
    tokens = _tokenize(acting("cashier"), *PANS[:3])

    whole = acting("investigator").detokenize(tokens, "fraud-review", "full")
    masked = acting("cashier").detokenize(tokens, "customer-service")

    assert [each["pan"] for each in whole] == PANS[:3]
    assert [each["pan"] for each in masked] == ["*" * 12 + pan[-4:] for pan in PANS[:3]]
    described = acting("cashier").call("GET", f"/tokens/{tokens[0]}")
    assert (described["token"], described["last4"]) == (tokens[0], PANS[0][-4:])


def test_a_card_of_a_file_has_the_same_token_through_the_api(
    granted_operator: Operator, acting: As, tmp_path: Path
) -> None:
    file = tmp_path / "cards.csv"
    file.write_text("card\n" + "\n".join(PANS[3:6]) + "\n")
    receipt = granted_operator.tokenize(file, None)
    of_file = granted_operator.output(receipt)["card_token"].to_pylist()

    assert _tokenize(acting("cashier"), *PANS[3:6]) == of_file
    opened = acting("investigator").detokenize(of_file, "fraud-review", "full")
    assert [each["pan"] for each in opened] == PANS[3:6]


def test_a_call_that_is_not_signed_reaches_nothing(granted_operator: Operator) -> None:
    before = len(_records(granted_operator))
    for path in ("/tokenize", "/detokenize"):
        request = urllib.request.Request(  # noqa: S310 - the local stack
            granted_operator.stack.outputs["ApiUrl"] + path,
            data=json.dumps({"items": [{"pan": PANS[0]}]}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(request)  # noqa: S310 - the local stack
        assert raised.value.code == 403
    assert len(_records(granted_operator)) == before


def test_whom_no_grant_names_gets_nothing_and_is_recorded(
    granted_operator: Operator, acting: As
) -> None:
    (token,) = _tokenize(acting("cashier"), PANS[0])
    stranger = acting("stranger", "nobody")
    for method, path, document in (
        ("POST", "/tokenize", {"items": [{"pan": PANS[1]}]}),
        ("POST", "/detokenize", {"tokens": [token], "purpose": "fraud-review"}),
        ("GET", f"/tokens/{token}", None),
    ):
        status, answer = stranger.send(method, path, document)
        assert (status, answer["code"]) == (403, "not_granted")
    refused = [each for each in _records(granted_operator) if each["session"] == "nobody"]
    assert [each["action"] for each in refused] == ["tokenize", "detokenize", "describe"]
    assert {each["principal"] for each in refused} == {f"{ACCOUNT}:role/stranger"}


def test_a_grant_gives_its_purposes_and_its_view_alone(acting: As) -> None:
    tokens = _tokenize(acting("cashier"), PANS[0])
    for role, purpose, view in (
        ("cashier", "customer-service", "full"),
        ("cashier", "fraud-review", "masked"),
        ("investigator", "customer-service", "full"),
    ):
        document = {"tokens": tokens, "purpose": purpose, "view": view}
        assert acting(role).send("POST", "/detokenize", document)[0] == 403


def test_a_limit_holds_for_all_workers_together(acting: As) -> None:
    (token,) = _tokenize(acting("cashier"), PANS[0])
    clients = [acting("counted", f"session-{number}") for number in range(4)]

    def describe(number: int) -> int:
        document = {"tokens": [token] * 4, "purpose": "customer-service"}
        return clients[number % 4].send("POST", "/detokenize", document)[0]

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(describe, range(16)))

    assert statuses.count(200) == 10
    assert statuses.count(429) == 6


def test_a_burst_of_guesses_locks_until_somebody_unlocks(
    granted_operator: Operator, acting: As
) -> None:
    (token,) = _tokenize(acting("cashier"), PANS[0])
    document = {"tokens": UNKNOWN, "purpose": "customer-service"}

    status, answer = acting("guesser").send("POST", "/detokenize", document)

    assert (status, answer["code"]) == (423, "caller_locked")
    assert acting("guesser", "tuesday").send("GET", f"/tokens/{token}")[0] == 423
    group = granted_operator.stack.outputs["DetokenizeLogGroup"]
    metrics = [
        line for line in function_logs(granted_operator.stack, group) if "CallersLocked" in line
    ]
    assert len(metrics) == 2
    assert granted_operator.pantok("grants", "unlock", f"{ACCOUNT}:role/guesser").returncode == 0
    assert acting("guesser").send("GET", f"/tokens/{token}")[0] == 200


def test_a_trace_shows_the_record_beside_the_key_events(
    granted_operator: Operator, acting: As
) -> None:
    (token,) = _tokenize(acting("cashier"), PANS[10])
    acting("investigator", "ann").detokenize([token], "fraud-review", "full")

    found = granted_operator.pantok_json("trace", token)

    recorded = [each for each in found if each["source"] == "audit log"]
    assert [each["event"] for each in recorded] == ["tokenize", "detokenize"]
    assert "purpose fraud-review" in recorded[1]["what"]
    assert "session ann" in recorded[1]["what"]
    events = {each["request_id"]: each["event"] for each in found if each["source"] == "CloudTrail"}
    (kms_request,) = recorded[1]["kms_request_ids"]
    assert events[kms_request] == "Decrypt"
    assert "GenerateDataKey" in events.values()


def test_a_trace_of_a_job_shows_its_keys_and_who_opened_what_they_seal(
    granted_operator: Operator, acting: As, tmp_path: Path
) -> None:
    file = tmp_path / "cards.csv"
    file.write_text("card\n" + "\n".join(PANS[20:23]) + "\n")
    receipt = granted_operator.tokenize(file, None)
    token = granted_operator.output(receipt)["card_token"].to_pylist()[0]
    acting("investigator").detokenize([token], "fraud-review", "full")

    found = granted_operator.pantok_json("trace", receipt["job_id"])

    assert [each["event"] for each in found] == ["GenerateDataKey", "Decrypt", "detokenize"]
    assert receipt["job_id"] in found[0]["what"]
    assert granted_operator.pantok("trace", "nothing").stderr.strip().startswith("not_traceable")


def test_the_command_line_masks_unless_asked_for_the_whole(
    granted_operator: Operator, acting: As
) -> None:
    tokens = _tokenize(acting("cashier"), *PANS[30:32])

    masked = granted_operator.pantok_json("detokenize", *tokens, "--purpose", "chargeback")
    whole = granted_operator.pantok_json("detokenize", *tokens, "--purpose", "chargeback", "--full")

    assert [each["pan"] for each in masked] == ["*" * 12 + pan[-4:] for pan in PANS[30:32]]
    assert [each["pan"] for each in whole] == PANS[30:32]
    refused = granted_operator.pantok("detokenize", *tokens, "--purpose", "curiosity")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("not_granted")
    unsent = granted_operator.pantok("detokenize", PANS[30], "--purpose", "chargeback")
    assert unsent.returncode == 2
    assert PANS[30] not in unsent.stdout + unsent.stderr


def test_no_card_number_is_in_the_record_or_in_a_log(
    granted_operator: Operator, acting: As
) -> None:
    client = acting("cashier", PANS[33])
    client.send("POST", "/tokenize", {"items": [{"pan": pan} for pan in PANS[33:36]]})
    client.send("POST", "/tokenize", {PANS[34]: PANS[35]})
    client.send("POST", "/detokenize", {"tokens": PANS[33:36], "purpose": "customer-service"})
    client.send("GET", f"/tokens/{PANS[33]}")

    scanner = LeakScanner([pan.encode() for pan in PANS])
    for group in ("AuditLogGroup", "TokenizeLogGroup", "DetokenizeLogGroup"):
        text = "\n".join(
            function_logs(granted_operator.stack, granted_operator.stack.outputs[group])
        )
        assert text
        assert [leak for leak in scanner.leaks_in(text.encode()) if leak.is_known] == []
