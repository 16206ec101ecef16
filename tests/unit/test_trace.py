"""A trace: what concerns a token or a job, in the order of time."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.trace import concerns, key_event, kms_request_ids, timeline

CONTEXT = {"purpose": "vault", "data_key_id": "dk_1", "job_id": "job_1"}
RECORD: dict[str, Any] = {
    "at": "2026-11-25T00:42:07.745Z",
    "request_id": "api-1",
    "action": "detokenize",
    "outcome": "answered",
    "reason": None,
    "principal": "arn:aws:iam::000000000000:role/clerk",
    "session": "ann",
    "grant": "desk",
    "purpose": "chargeback",
    "view": "full",
    "items": [{"token": "tok_1", "outcome": "opened", "kms_request_id": "kms-1"}],
}


def event(**changes: Any) -> dict[str, Any]:
    return {
        "eventTime": "2026-11-25T00:42:07Z",
        "eventName": "Decrypt",
        "userIdentity": {"arn": "arn:aws:sts::000000000000:assumed-role/detokenize/x"},
        "requestID": "kms-1",
        "requestParameters": {"encryptionContext": CONTEXT},
        **changes,
    }


@pytest.mark.parametrize(
    "name", ["encryptionContext", "EncryptionContext", "sourceEncryptionContext"]
)
def test_the_context_is_found_however_it_is_written(name: str) -> None:
    found = key_event(event(requestParameters={name: CONTEXT}))
    assert found.encryption_context == CONTEXT


def test_an_approval_has_its_context_among_its_constraints() -> None:
    parameters = {"constraints": {"encryptionContextEquals": CONTEXT}}
    assert key_event(event(requestParameters=parameters)).encryption_context == CONTEXT


@pytest.mark.parametrize("parameters", [None, {}, {"encryptionContext": None}, {"keyId": "x"}])
def test_an_event_without_a_context_concerns_nothing(parameters: Any) -> None:
    found = key_event(event(requestParameters=parameters, userIdentity=None))
    assert found.encryption_context == {}
    assert not concerns(found, {"dk_1", "job_1"}, {"other"})


def test_an_event_concerns_its_data_key_its_job_and_who_names_its_request() -> None:
    found = key_event(event())
    assert concerns(found, {"dk_1"}, ())
    assert concerns(found, {"job_1"}, ())
    assert concerns(found, (), kms_request_ids([RECORD]))
    assert not concerns(found, {"dk_2", "vault"}, {"kms-2"})


def test_both_stand_in_the_order_of_time_and_a_key_event_before_what_it_served() -> None:
    later = {**RECORD, "at": "2026-11-25T00:43:00.000Z", "outcome": "refused", "items": []}
    found = timeline([{**later, "reason": "not_granted"}, RECORD], [key_event(event())])

    assert [each.source for each in found] == ["CloudTrail", "audit log", "audit log"]
    assert found[0].what == "purpose vault, data_key_id dk_1, job_id job_1"
    assert found[1].what == (
        "answered: opened; grant desk; purpose chargeback; view full; session ann"
    )
    assert found[1].kms_request_ids == ("kms-1",)
    assert found[2].what.startswith("refused; reason not_granted")
