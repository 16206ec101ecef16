"""AWS's errors in our terms, and the pauses between our own tries."""

from __future__ import annotations

import pytest
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from pipeline.aws.faults import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    MAX_TRIES,
    pauses,
    translated,
)
from pipeline.errors import PermanentError, TransientError


def _paused() -> list[float]:
    waited: list[float] = []
    assert len(list(pauses(waited.append))) == MAX_TRIES
    return waited


def test_between_tries_there_are_pauses_that_may_grow_up_to_a_limit() -> None:
    for _ in range(200):
        waited = _paused()
        assert len(waited) == MAX_TRIES - 1
        for at, seconds in enumerate(waited):
            assert 0 <= seconds <= min(FIRST_PAUSE_SECONDS * 2**at, LONGEST_PAUSE_SECONDS)


def test_pauses_are_jittered_so_that_workers_do_not_come_back_together() -> None:
    assert len({tuple(_paused()) for _ in range(50)}) == 50


def test_all_pauses_together_leave_a_worker_its_time() -> None:
    assert sum(FIRST_PAUSE_SECONDS * 2**at for at in range(MAX_TRIES - 1)) < 20


def test_no_pause_follows_a_try_that_succeeds() -> None:
    waited: list[float] = []
    for _ in pauses(waited.append):
        break
    assert waited == []


def _client_error(code: str | None) -> ClientError:
    response = {"Error": {"Code": code, "Message": "secret"}} if code else {}
    return ClientError(response, "Operation")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        (_client_error("ThrottlingException"), "throttled", "s3:X"),
        (_client_error("SlowDown"), "throttled", "s3:X"),
        (_client_error("AccessDenied"), "access_denied", "s3:X"),
        (_client_error("403"), "access_denied", "s3:X"),
        (_client_error("KMSInvalidStateException"), "aws_error", "s3:X: KMSInvalidStateException"),
        (_client_error(None), "aws_error", "s3:X: unknown"),
        (
            EndpointConnectionError(endpoint_url="secret"),
            "aws_unreachable",
            "s3:X: EndpointConnectionError",
        ),
        (BotoCoreError(), "aws_unreachable", "s3:X: BotoCoreError"),
    ],
)
def test_an_error_of_the_sdk_becomes_a_code_and_an_operation(
    error: Exception, code: str, detail: str
) -> None:
    with pytest.raises(TransientError) as raised, translated("s3:X"):
        raise error
    assert (raised.value.code, raised.value.detail) == (code, detail)
    assert "secret" not in repr(raised.value) + str(raised.value)


def test_our_own_errors_pass_unchanged() -> None:
    ours = PermanentError("source_missing", "row 1")
    with pytest.raises(PermanentError) as raised, translated("s3:X"):
        raise ours
    assert raised.value is ours
