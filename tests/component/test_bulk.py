"""Bulk jobs in process: nothing is opened but what somebody approved, for whoever asked for it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from moto import mock_aws

from pipeline.aws.kms_approvals import KMSApprovals, approve
from pipeline.aws.session import CountedSession
from pipeline.core.bulk import BulkJob, HashTree, bulk_job, leaf_of, slices_of
from pipeline.core.result_seal import open_result
from pipeline.samples.cards import synthetic_pans
from tests.api import CLERK, STRANGER, Answer, Api

PANS = synthetic_pans(250, seed=99)
PRIVATE_KEY = X25519PrivateKey.generate()
PUBLIC_KEY = base64.b64encode(PRIVATE_KEY.public_key().public_bytes_raw()).decode()


@dataclass
class Desk:
    """Somebody with a file of tokens."""

    api: Api
    tokens: list[str]

    @property
    def slices(self) -> list[Any]:
        return list(slices_of(self.tokens))

    @property
    def tree(self) -> HashTree:
        return HashTree([leaf_of(each) for each in self.slices])

    def ask(self, **changes: Any) -> Answer:
        asked = {
            "purpose": "chargeback",
            "rows": len(self.tokens),
            "tokens_root": self.tree.root.hex(),
            "public_key": PUBLIC_KEY,
        }
        by = changes.pop("by", "arn:aws:iam::000000000000:user/someone")
        return self.api.call("POST", "/bulk-jobs", {**asked, **changes}, by=by)

    def approved(self) -> dict[str, Any]:
        document: dict[str, Any] = self.ask().document
        self.api.approvals.approve(bulk_job(document["job"]), self.api.now)
        return document

    def open(self, document: dict[str, Any], at: int, **changes: Any) -> Answer:
        asked = {
            "document": document,
            "number": at,
            "tokens": self.slices[at],
            "proof": [each.hex() for each in self.tree.proof(at)],
        }
        by = changes.pop("by", "arn:aws:iam::000000000000:user/someone")
        return self.api.call("POST", "/bulk-jobs/slices", {**asked, **changes}, by=by)

    def unsealed(self, document: dict[str, Any], number: int) -> list[dict[str, Any]]:
        sealed = base64.b64decode(self.open(document, number).document["sealed"])
        content = open_result(sealed, PRIVATE_KEY, document["job"]["job_id"], number)
        return [json.loads(line) for line in content.decode().splitlines()]


@pytest.fixture
def desk() -> Desk:
    api = Api()
    tokens = [token for some in slices_of(PANS) for token in api.tokens_of(*some)]
    return Desk(api, tokens)


def test_an_approved_file_is_opened_for_whoever_asked(desk: Desk) -> None:
    document = desk.approved()

    rows = [row for number in range(3) for row in desk.unsealed(document, number)]

    assert [row["token"] for row in rows] == desk.tokens
    assert [row["pan"] for row in rows] == PANS


def test_card_numbers_go_out_sealed_alone(desk: Desk) -> None:
    answer = desk.open(desk.approved(), 0)
    assert set(answer.document) == {"sealed", "opened", "errors"}
    assert (answer.document["opened"], answer.document["errors"]) == (100, 0)
    assert not any(pan in answer.raw["body"] for pan in PANS)
    assert not any(pan in line for line in desk.api.audit.lines for pan in PANS)


def test_without_an_approval_nothing_is_opened(desk: Desk) -> None:
    document = desk.ask().document
    answer = desk.open(document, 0)
    assert (answer.status, answer.document["code"]) == (403, "not_approved")
    assert desk.api.audit.records[-1]["reason"] == "not_approved"
    assert desk.api.audit.records[-1]["job_id"] == document["job"]["job_id"]


@pytest.mark.parametrize(
    "change",
    [
        {"rows": "251"},
        {"reason": "fraud-review"},
        {"public_key": base64.b64encode(b"k" * 32).decode()},
        {"created_at": "2026-11-23T12:00:01.000Z"},
        {"job_id": "bulk_" + "a" * 26},
    ],
)
def test_an_approval_is_of_one_job_as_it_stands(desk: Desk, change: dict[str, str]) -> None:
    document = desk.approved()
    assert desk.open(document, 0).status == 200
    forged = {**document, "job": {**document["job"], **change}}
    assert desk.open(forged, 0).status == 403


def test_the_key_of_another_job_proves_nothing(desk: Desk) -> None:
    one, other = desk.approved(), desk.approved()
    forged = {**one, "wrapped_key": other["wrapped_key"]}
    assert desk.open(forged, 0).document["code"] == "not_approved"


def test_a_slice_that_is_refused_is_recorded_with_its_tokens_and_canaries(desk: Desk) -> None:
    canary = desk.tokens[3]
    desk.api.grants.document = f'canaries = ["{canary}"]\n{desk.api.grants.document}'
    desk.api.wait(minutes=1)
    assert desk.open(desk.ask().document, 0).status == 403
    record = desk.api.audit.records[-1]
    assert (record["reason"], record["canary"]) == ("not_approved", True)
    assert [item["token"] for item in record["items"]] == desk.slices[0]


def test_tokens_that_are_not_in_the_file_stay_closed(desk: Desk) -> None:
    document = desk.approved()
    (more,) = desk.api.tokens_of("4111111111111111")
    swapped = [more, *desk.slices[0][1:]]
    for changes in (
        {"tokens": swapped},
        {"tokens": [more]},
        {"number": 1},
        {"number": 3},
        {"proof": []},
        {"proof": ["00" * 32, "00" * 32]},
    ):
        answer = desk.open(document, 0, **changes)
        assert (answer.status, answer.document["code"]) == (403, "not_of_this_job")


@pytest.mark.parametrize("rows", [1, 99])
def test_an_approval_of_few_rows_opens_no_more_than_those(desk: Desk, rows: int) -> None:
    """The root does not tell how many tokens a slice has, and who approves goes by the rows."""
    desk.tokens = desk.tokens[:100]
    document = desk.ask(rows=rows).document
    desk.api.approvals.approve(bulk_job(document["job"]), desk.api.now)
    answer = desk.open(document, 0)
    assert (answer.status, answer.document["code"]) == (403, "not_of_this_job")


@pytest.mark.parametrize("by", [CLERK, STRANGER, ""])
def test_nobody_else_opens_or_ends_a_job(desk: Desk, by: str) -> None:
    document = desk.approved()
    assert desk.open(document, 0, by=by).document["code"] == "not_requester"
    ended = desk.api.call("POST", "/bulk-jobs/end", {"document": document}, by=by)
    assert ended.document["code"] == "not_requester"
    assert desk.open(document, 0).status == 200


def test_an_approval_ends_with_the_job(desk: Desk) -> None:
    document = desk.approved()
    assert desk.open(document, 0).status == 200

    ended = desk.api.call("POST", "/bulk-jobs/end", {"document": document})

    assert ended.document == {"job_id": document["job"]["job_id"]}
    assert desk.api.approvals.approvals == {}
    assert desk.open(document, 1).document["code"] == "not_approved"


def test_an_approval_that_is_listed_after_its_end_is_ended_once(desk: Desk) -> None:
    """KMS lists a retired grant for a while; waiting for it to go would outlast the function."""
    document = desk.approved()
    desk.api.approvals.lists_retired = True
    ended = desk.api.call("POST", "/bulk-jobs/end", {"document": document})
    assert ended.status == 200
    assert desk.open(document, 0).document["code"] == "not_approved"


def test_an_approval_ends_after_an_hour(desk: Desk) -> None:
    document = desk.approved()
    desk.api.wait(minutes=59)
    assert desk.open(document, 0).status == 200
    desk.api.wait(minutes=2)
    assert desk.open(document, 0).document["code"] == "not_approved"


def test_an_approval_that_is_withdrawn_ends_within_half_a_minute(desk: Desk) -> None:
    document = desk.approved()
    assert desk.open(document, 0).status == 200
    desk.api.approvals.approvals.clear()
    desk.api.wait(seconds=31)
    assert desk.open(document, 1).document["code"] == "not_approved"


def test_a_job_is_as_large_as_its_grant_lets_it_be(desk: Desk) -> None:
    assert desk.ask(rows=500).status == 200
    refused = desk.ask(rows=501)
    assert (refused.status, refused.document["code"]) == (403, "job_too_large")
    assert desk.ask(purpose="fraud-review").document["code"] == "not_granted"
    assert desk.ask(by=CLERK).document["code"] == "not_granted"


def test_a_key_that_nothing_can_be_sealed_to_makes_no_job(desk: Desk) -> None:
    answer = desk.ask(public_key=base64.b64encode(bytes(32)).decode())
    assert (answer.status, answer.document["code"]) == (422, "invalid_public_key")


def test_a_slice_is_recorded_token_by_token_with_its_job(desk: Desk) -> None:
    document = desk.approved()
    desk.open(document, 2)
    record = desk.api.audit.records[-1]
    assert (record["action"], record["purpose"], record["view"]) == ("bulk", "chargeback", "full")
    assert record["job_id"] == document["job"]["job_id"]
    assert [item["token"] for item in record["items"]] == desk.slices[2]


def test_without_a_record_no_slice_is_answered(desk: Desk) -> None:
    document = desk.approved()
    desk.api.audit.is_down = True
    assert desk.open(document, 0).status == 503


# KMS


JOB = BulkJob(
    "bulk_" + "a" * 26, "arn:aws:iam::000000000000:role/x", "chargeback", "3", "00" * 32, "k", "now"
)
ROLE = "arn:aws:iam::000000000000:role/detokenize"


@pytest.fixture
def kms() -> Iterator[Any]:
    def date(parsed: dict[str, Any], **_: object) -> None:  # moto leaves it out
        for grant in parsed["Grants"]:
            grant.setdefault("CreationDate", datetime.now(UTC))

    with mock_aws():
        client = CountedSession().client("kms")
        client.meta.events.register("after-call.kms.ListGrants", date)
        yield client


def test_an_approval_is_a_grant_for_exactly_one_jobs_context(kms: Any) -> None:
    key = kms.create_key()["KeyMetadata"]["Arn"]
    approvals = KMSApprovals(kms, key)
    wrapped = approvals.describe(JOB)
    assert not approvals.find(JOB)

    grant_id = approve(kms, key, ROLE, JOB)

    (grant,) = kms.list_grants(KeyId=key)["Grants"]
    assert grant["Operations"] == ["Decrypt"]
    assert grant["GranteePrincipal"] == grant["RetiringPrincipal"] == ROLE
    assert grant["Constraints"] == {"EncryptionContextEquals": JOB.encryption_context}
    (found,) = approvals.find(JOB)
    assert found.grant_id == grant_id
    assert abs(datetime.now(UTC) - found.made_at) < timedelta(minutes=5)
    assert not approvals.find(replace(JOB, rows="4"))
    assert approvals.proves(JOB, wrapped)
    assert not approvals.proves(replace(JOB, rows="4"), wrapped)
    approvals.end(found)
    approvals.end(found)
    assert not approvals.find(JOB)


def test_a_wider_grant_is_no_approval(kms: Any) -> None:
    key = kms.create_key()["KeyMetadata"]["Arn"]
    for operations, constraints in (
        (["Decrypt"], {"EncryptionContextSubset": JOB.encryption_context}),
        (["Decrypt", "Encrypt"], {"EncryptionContextEquals": JOB.encryption_context}),
        (["Decrypt"], {"EncryptionContextEquals": {"purpose": "bulk"}}),
    ):
        kms.create_grant(
            KeyId=key, GranteePrincipal=ROLE, Operations=operations, Constraints=constraints
        )
    assert not KMSApprovals(kms, key).find(JOB)


def test_a_denial_of_kms_is_no_approval(kms: Any) -> None:
    key = kms.create_key()["KeyMetadata"]["Arn"]
    approvals = KMSApprovals(kms, key)
    wrapped = approvals.describe(JOB)

    def deny(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "Decrypt")

    kms.meta.events.register("before-call.kms.Decrypt", deny)
    assert not approvals.proves(JOB, wrapped)
