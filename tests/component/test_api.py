"""The API in process: what callers get, what they do not, and what is recorded before either."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.leaks import LeakScanner
from pipeline.core.limits import MAX_UNKNOWN_PER_MINUTE
from pipeline.errors import PermanentError, TransientError
from pipeline.handlers.api_document import openapi_document
from pipeline.handlers.api_models import MAX_ITEMS
from pipeline.samples.cards import synthetic_pans
from pipeline.testing import api_event
from tests.api import CLERK, GRANTS, KMS_REQUEST, SOMEONE, STRANGER, Answer, Api

VISA, MASTERCARD, AMEX = "4485733190264178", "5555555555554444", "378734493671000"
UNKNOWN = "tok_" + "a" * 26
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


@pytest.fixture
def api() -> Api:
    return Api()


def errors(answer: Answer) -> list[str | None]:
    return [(each["error"] or {}).get("code") for each in answer.document["results"]]


# Tokenizing


def test_a_card_has_one_token_however_often_and_however_it_is_written(api: Api) -> None:
    first = api.tokenize(VISA, MASTERCARD, f"{VISA[:4]} {VISA[4:8]}-{VISA[8:]}")
    again = api.tokenize(VISA)

    tokens = [each["token"] for each in first.document["results"]]
    assert first.status == again.status == 200
    assert tokens[0] == tokens[2] == again.document["results"][0]["token"]
    assert tokens[0] != tokens[1]
    assert len(api.world.vault.rows) == 2
    assert first.document["results"][1] == {
        "token": tokens[1],
        "last4": "4444",
        "scheme": "mastercard",
        "passes_luhn": True,
        "error": None,
    }


def test_a_token_is_durable_before_it_is_answered(api: Api) -> None:
    (token,) = api.tokens_of(VISA)
    row = api.world.vault.rows[token]
    assert row.data_key_id in api.world.data_keys.records
    assert token in api.world.fingerprints.tokens.values()


def test_one_bad_card_does_not_fail_its_neighbours(api: Api) -> None:
    answer = api.tokenize(VISA, "4111", "5.54563E+15", "4111********1111", "", "card", MASTERCARD)

    assert answer.status == 200
    assert errors(answer) == [
        None,
        "pan_too_short",
        "pan_scientific_notation",
        "pan_masked",
        "pan_empty",
        "pan_not_digits",
        None,
    ]


def test_a_token_instead_of_a_card_is_told_so(api: Api) -> None:
    (token,) = [each["token"] for each in api.tokenize(VISA).document["results"]]
    assert errors(api.tokenize(token, VISA)) == ["pan_is_token", None]


def test_nothing_but_bad_cards_is_an_answer_too(api: Api) -> None:
    assert errors(api.tokenize("card")) == ["pan_not_digits"]


def test_scopes_keep_their_tokens_apart(api: Api) -> None:
    here, there = api.tokenize(VISA), api.tokenize(VISA, scope="europe")
    assert here.document["results"][0]["token"] != there.document["results"][0]["token"]


def test_a_customer_id_is_kept_and_may_not_hold_a_card_number(api: Api) -> None:
    items = [
        {"pan": VISA, "customer_id": "c-17"},
        {"pan": MASTERCARD, "customer_id": f"card {AMEX}"},
        {"pan": AMEX, "customer_id": None},
    ]
    answer = api.call("POST", "/tokenize", {"items": items})

    assert errors(answer) == [None, "guard_hit", None]
    kept = [row.metadata.get("customer_id") for row in api.world.vault.rows.values()]
    assert kept == ["c-17", None]


def test_data_keys_are_shared_by_requests_and_renewed_with_age(api: Api) -> None:
    pans = synthetic_pans(4, seed=5)
    api.tokenize(pans[0])
    api.tokenize(pans[1])
    assert api.world.keys.generated == 1
    api.wait(minutes=16)
    api.tokenize(pans[2])
    assert api.world.keys.generated == 2


# Detokenizing


def test_a_card_number_is_masked_unless_the_whole_is_asked_for(api: Api) -> None:
    tokens = api.tokens_of(VISA, AMEX)

    masked, full = api.detokenize(tokens), api.detokenize(tokens, view="full")

    assert [each["pan"] for each in masked.document["results"]] == [
        "************4178",
        "************1000",
    ]
    assert [each["pan"] for each in full.document["results"]] == [VISA, AMEX]


def test_nothing_is_unwrapped_for_a_masked_view(api: Api) -> None:
    tokens = api.tokens_of(VISA)
    api.world.data_keys.records.clear()
    assert errors(api.detokenize(tokens)) == [None]
    assert errors(api.detokenize(tokens, view="full")) == ["data_key_missing"]


def test_one_bad_token_does_not_fail_its_neighbours(api: Api) -> None:
    good, broken, elsewhere = [*api.tokens_of(VISA, AMEX), _token_in(api, "europe")]
    row = api.world.vault.rows[broken]
    api.world.vault.rows[broken] = replace(row, ciphertext=row.ciphertext[:-1] + b"x")

    answer = api.detokenize([UNKNOWN, broken, VISA, good, good, elsewhere], view="full")

    assert errors(answer) == ["unknown_token", "seal_broken", "not_a_token", None, None, None]
    assert [each["token"] for each in answer.document["results"]] == [
        *(UNKNOWN, broken, None, good, good, elsewhere)
    ]


def test_a_token_of_another_scope_stays_closed(api: Api) -> None:
    elsewhere = _token_in(api, "europe")
    answer = api.detokenize([elsewhere], by=CLERK)
    assert errors(answer) == ["scope_not_granted"]
    assert answer.document["results"][0]["pan"] is None


def _token_in(api: Api, scope: str) -> str:
    token: str = api.tokenize(MASTERCARD, scope=scope).document["results"][0]["token"]
    return token


def test_a_data_key_is_unwrapped_once_and_again_when_it_has_grown_old(api: Api) -> None:
    tokens = api.tokens_of(VISA, AMEX)
    api.detokenize(tokens, view="full")
    records = dict(api.world.data_keys.records)
    api.world.data_keys.records.clear()
    assert errors(api.detokenize(tokens, view="full")) == [None, None]
    api.wait(minutes=6)
    assert errors(api.detokenize(tokens, view="full")) == ["data_key_missing"] * 2
    api.world.data_keys.records.update(records)
    assert errors(api.detokenize(tokens, view="full")) == [None, None]


def test_a_token_is_described_without_being_opened(api: Api) -> None:
    (token,) = api.tokens_of(VISA)
    api.world.data_keys.records.clear()

    answer = api.call("GET", f"/tokens/{token}")

    assert answer.document == {
        "token": token,
        "last4": "4178",
        "scheme": "visa",
        "created_at": "2026-11-23T12:00:00.000Z",
    }
    assert api.call("GET", f"/tokens/{UNKNOWN}").status == 404
    assert api.call("GET", f"/tokens/{VISA}").status == 404
    elsewhere = _token_in(api, "europe")
    assert api.call("GET", f"/tokens/{elsewhere}", by=CLERK).status == 404


# Who may


@pytest.mark.parametrize("by", [STRANGER, "", None, f"{SOMEONE}x"])
def test_whom_no_grant_names_gets_nothing(api: Api, by: str | None) -> None:
    (token,) = api.tokens_of(VISA)
    for method, path, document in (
        ("POST", "/detokenize", {"tokens": [token], "purpose": "chargeback"}),
        ("POST", "/tokenize", {"items": [{"pan": AMEX}]}),
        ("GET", f"/tokens/{token}", None),
    ):
        answer = api.call(method, path, document, by=by)
        assert answer.status == 403
        assert answer.document["code"] == ("not_granted" if by else "caller_unknown")
    assert len(api.world.vault.rows) == 1


def test_without_a_document_nobody_gets_anything() -> None:
    api = Api(grants="")
    assert api.tokenize(VISA).document["code"] == "not_granted"
    assert api.world.vault.rows == {}


@pytest.mark.parametrize(
    ("purpose", "view"), [("fraud-review", "masked"), ("chargeback", "full"), ("else", "masked")]
)
def test_a_grant_gives_what_it_says_and_no_more(api: Api, purpose: str, view: str) -> None:
    (token,) = api.tokens_of(VISA)
    assert api.detokenize([token], by=CLERK).status == 200
    assert api.detokenize([token], by=CLERK, purpose=purpose, view=view).status == 403
    assert api.tokenize(AMEX, by=CLERK).status == 403


def test_a_scope_that_is_not_granted_gets_no_token(api: Api) -> None:
    assert api.tokenize(VISA, scope="asia").document["code"] == "not_granted"


def test_a_withdrawn_grant_ends_within_half_a_minute(api: Api) -> None:
    (token,) = api.tokens_of(VISA)
    api.grants.document = ""
    api.wait(seconds=31)
    assert api.detokenize([token]).status == 403


def test_grants_that_cannot_be_read_let_nobody_in(api: Api) -> None:
    api.grants.document = "[["
    answer = api.tokenize(VISA)
    assert (answer.status, answer.document["code"]) == (500, "unexpected")
    assert api.world.vault.rows == {}


# How much


def test_a_limit_holds_for_a_minute_and_for_a_day(api: Api) -> None:
    (token,) = api.tokens_of(VISA)
    assert api.detokenize([token] * 5, by=CLERK).status == 200

    over = api.detokenize([token], by=CLERK)
    assert (over.status, over.document["code"]) == (429, "limit_exceeded")
    assert int(over.headers["Retry-After"]) == over.document["retry_after_seconds"] == 60

    api.wait(minutes=1)
    assert api.detokenize([token] * 3, by=CLERK).status == 200
    api.wait(minutes=1)
    assert api.detokenize([token], by=CLERK).status == 429
    api.wait(days=1)
    assert api.detokenize([token], by=CLERK).status == 200


def test_another_session_is_no_second_chance(api: Api) -> None:
    (token,) = api.tokens_of(VISA)
    api.detokenize([token] * 5, by=CLERK)
    assert api.detokenize([token], by=CLERK.replace("monday", "tuesday")).status == 429


def test_another_way_of_asking_is_no_second_chance(api: Api) -> None:
    (token,) = api.tokens_of(VISA)
    api.detokenize([token] * 5, by=CLERK)
    assert api.call("GET", f"/tokens/{token}", by=CLERK).status == 429


def test_a_refused_request_uses_nothing_up(api: Api) -> None:
    (token,) = api.tokens_of(VISA)
    assert api.detokenize([token] * 6, by=CLERK).status == 429
    assert api.detokenize([token] * 5, by=CLERK).status == 200


def test_a_worker_whose_clock_is_late_does_not_turn_the_window_back(api: Api) -> None:
    (token,) = api.tokens_of(VISA)
    api.wait(seconds=60)
    api.detokenize([token] * 5, by=CLERK)
    api.wait(seconds=-30)
    assert api.detokenize([token], by=CLERK).status == 429


def test_a_burst_of_unknown_tokens_locks_the_caller_and_nobody_else(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    good = api.tokens_of(VISA)
    guesses = [f"tok_{'a' * 24}{first}{second}" for first in "abcde" for second in "abcd"]
    assert len(guesses) == MAX_UNKNOWN_PER_MINUTE

    assert api.detokenize([*good, *guesses[1:]], view="full").status == 200
    locked = api.detokenize([*good, guesses[0]], view="full")

    assert (locked.status, locked.document["code"]) == (423, "caller_locked")
    assert VISA not in locked.raw["body"]
    assert api.detokenize(good).status == 423
    assert api.call("GET", f"/tokens/{good[0]}").status == 423
    assert api.tokenize(VISA).status == 200
    assert api.detokenize(good, by=CLERK).status == 200
    api.wait(minutes=61)
    assert api.detokenize(good).status == 200


# What is recorded


CANARY = "tok_" + "k" * 26


def test_whoever_asks_for_a_canary_is_recorded_as_such_whatever_is_answered() -> None:
    api = Api(f'canaries = ["{CANARY}"]\n{GRANTS}')
    (token,) = api.tokens_of(VISA)

    api.detokenize([token])
    assert [each["canary"] for each in api.audit.records] == [False]
    api.detokenize([token, CANARY])
    api.call("GET", f"/tokens/{CANARY}")
    refused = api.detokenize([CANARY], purpose="curiosity")

    assert refused.status == 403
    assert [each["canary"] for each in api.audit.records[1:]] == [True, True, True]


def test_a_canary_that_opens_is_answered_like_any_other_token() -> None:
    api = Api()
    (token,) = api.tokens_of(VISA)
    before = api.detokenize([token], view="full").document
    api.grants.document = f'canaries = ["{token}"]\n{GRANTS}'
    api.wait(minutes=1)

    assert api.detokenize([token], view="full").document == before
    assert api.tokenize(VISA).document["results"][0]["token"] == token
    assert [each["canary"] for each in api.audit.records] == [False, True, True]


def test_every_access_is_recorded_with_all_but_the_card_number(api: Api) -> None:
    (token,) = api.tokens_of(VISA)

    answer = api.detokenize([token, UNKNOWN, VISA], view="full")

    (record,) = api.audit.records
    row = api.world.vault.rows[token]
    assert record == {
        "record": "access",
        "version": 1,
        "at": "2026-11-23T12:00:00.000Z",
        "request_id": answer.headers["X-Request-Id"],
        "action": "detokenize",
        "outcome": "answered",
        "reason": None,
        "principal": SOMEONE,
        "session": "",
        "source_ip": "192.0.2.7",
        "canary": False,
        "grant": "everything",
        "purpose": "chargeback",
        "view": "full",
        "scope": None,
        "job_id": None,
        "items": [
            {
                "token": token,
                "outcome": "opened",
                "data_key_id": row.data_key_id,
                "kms_request_id": KMS_REQUEST,
            },
            {"token": UNKNOWN, "outcome": "unknown_token"},
            {"token": None, "outcome": "not_a_token"},
        ],
    }


def test_what_is_refused_is_recorded_too(api: Api) -> None:
    (token,) = api.tokens_of(VISA)
    api.detokenize([token], by=STRANGER)
    api.detokenize([token] * 6, by=CLERK)
    api.call("GET", f"/tokens/{UNKNOWN}")

    found = [(each["reason"], each["principal"], each["grant"]) for each in api.audit.records]
    assert found == [
        ("not_granted", STRANGER, None),
        ("limit_exceeded", "arn:aws:iam::000000000000:role/clerk", "desk"),
        ("unknown_token", SOMEONE, "everything"),
    ]
    assert [each["items"][0]["token"] for each in api.audit.records] == [token, token, UNKNOWN]


def test_without_a_record_there_is_no_answer(api: Api) -> None:
    (token,) = api.tokens_of(VISA)
    api.audit.is_down = True
    for answer in (
        api.detokenize([token], view="full"),
        api.detokenize([token]),
        api.call("GET", f"/tokens/{token}"),
        api.tokenize(VISA),
        api.detokenize([token], by=STRANGER),
    ):
        assert (answer.status, answer.document["code"]) == (503, "try_again")
        assert answer.headers["Retry-After"] == "2"
        assert token not in answer.raw["body"]
        assert "4178" not in answer.raw["body"]


def test_a_session_named_like_a_card_is_not_recorded_as_one(api: Api) -> None:
    (token,) = api.tokens_of(VISA)
    api.detokenize([token], by=CLERK.replace("monday", VISA))
    assert VISA not in "".join(api.audit.lines)
    assert api.audit.records[0]["principal"] == "arn:aws:iam::000000000000:role/clerk"


# What a request may look like


ONE_CARD: dict[str, Any] = {"items": [{"pan": VISA}]}


@pytest.mark.parametrize(
    ("body", "places"),
    [
        (None, None),
        ("", None),
        ("{", None),
        ("[]", None),
        (f'"{VISA}"', None),
        ("{}", ["items"]),
        (json.dumps({"items": []}), ["items"]),
        (json.dumps({"items": [{"pan": VISA}] * (MAX_ITEMS + 1)}), ["items"]),
        (json.dumps({"items": [{"pan": int(VISA)}]}), ["items[0].pan"]),
        (json.dumps({"items": [{"pan": VISA, "cvv": "123"}]}), ["items[0].?"]),
        (json.dumps({"items": [{"pan": VISA, VISA: "123"}]}), ["items[0].?"]),
        (json.dumps({**ONE_CARD, VISA: 1}), ["?"]),
        (json.dumps({**ONE_CARD, "scope": VISA + "X"}), ["scope"]),
        (json.dumps({"items": [{"pan": VISA * 20}]}), ["items[0].pan"]),
        ('{"items": [{"pan": "\\ud800"}]}', ["items[0].pan"]),
    ],
)
def test_a_request_that_is_not_as_documented_is_told_where_and_not_what(
    api: Api, body: str | None, places: list[str] | None
) -> None:
    answer = api.send(api_event("POST", "/tokenize", body))

    assert (answer.status, answer.document["code"]) == (422, "invalid_request")
    assert answer.headers["Content-Type"] == "application/problem+json"
    if places is not None:
        assert [each["place"] for each in answer.document["mistakes"]] == places
    assert VISA not in json.dumps(answer.raw)
    assert api.world.vault.rows == {}


def test_a_hundred_items_are_taken(api: Api) -> None:
    pans = synthetic_pans(MAX_ITEMS, seed=8)
    tokens = api.tokens_of(*pans)
    opened = api.detokenize(tokens, view="full")
    assert [each["pan"] for each in opened.document["results"]] == pans
    assert api.detokenize([*tokens, tokens[0]]).status == 422


@pytest.mark.parametrize("purpose", ["", "charge back", "Chargeback", VISA, "x" * 49, "a\n"])
def test_a_purpose_is_a_word(api: Api, purpose: str) -> None:
    assert api.detokenize([UNKNOWN], purpose=purpose).status == 422


def test_a_body_that_is_too_large_is_not_read(api: Api) -> None:
    answer = api.send(api_event("POST", "/tokenize", "x" * (256 * 1024 + 1)))
    assert (answer.status, answer.document["code"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("DELETE", "/tokenize"), ("POST", f"/tokens/{VISA}"), ("GET", f"/{VISA}")],
)
def test_there_is_nothing_else(api: Api, method: str, path: str) -> None:
    answer = api.call(method, path)
    assert (answer.status, answer.document["code"]) == (404, "no_such_route")
    assert VISA not in json.dumps(answer.raw)


def test_every_answer_forbids_caching(api: Api) -> None:
    (token,) = api.tokens_of(VISA)
    answers = [
        api.detokenize([token], view="full"),
        api.detokenize([token], by=STRANGER),
        api.call("GET", f"/tokens/{token}"),
        api.call("GET", "/nothing"),
        api.send(api_event("POST", "/tokenize", "{")),
        api.send(api_event("POST", "/tokenize", "x" * (256 * 1024 + 1))),
        api.send({}),
    ]
    assert {answer.headers["Cache-Control"] for answer in answers} == {"no-store"}


@pytest.mark.parametrize(
    "event",
    [
        {"httpMethod": "POST", "path": "/tokenize"},
        {**api_event("POST", "/tokenize", "{}"), "requestContext": None},
        {**api_event("POST", "/tokenize", "{}"), "headers": None, "multiValueHeaders": None},
        {**api_event("POST", "/tokenize", "=%="), "isBase64Encoded": True},
        {**api_event("POST", "/tokenize", "gA=="), "isBase64Encoded": True},
        api_event("POST", "/tokenize", "{}", headers={"content-type": "text/plain"}),
        api_event("POST", "/tokenize", f"pan={VISA}", headers={"content-type": "x-www-form"}),
    ],
)
def test_whatever_is_sent_an_answer_of_ours_comes_back(api: Api, event: dict[str, Any]) -> None:
    answer = api.send(event)
    assert 400 <= answer.status < 500
    assert set(answer.document) >= {"type", "title", "status", "code", "request_id"}
    assert VISA not in json.dumps(answer.raw)


@pytest.mark.parametrize("event", [{}, {**api_event("POST", "/tokenize", "{}"), "body": 17}])
def test_what_api_gateway_never_sends_is_answered_too(api: Api, event: dict[str, Any]) -> None:
    answer = api.send(event)
    assert (answer.status, answer.document["code"]) == (500, "unexpected")


# What is not said


class _Broken:
    """A vault that fails with the worst of texts."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def get(self, tokens: object) -> Any:
        raise self.error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError(f"card {VISA}"), 500),
        (KeyError(VISA), 500),
        (PermanentError("broken", VISA), 500),
        (TransientError("throttled", "dynamodb:BatchGetItem"), 503),
    ],
)
def test_an_error_inside_says_nothing_outside(
    api: Api, error: Exception, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    (token,) = api.tokens_of(VISA)
    api.opening._vault = _Broken(error)  # type: ignore[assignment]

    answer = api.detokenize([token], view="full")

    assert answer.status == status
    assert VISA not in json.dumps(answer.raw)
    assert "RuntimeError" not in json.dumps(answer.raw)
    printed = capfd.readouterr()
    assert "Traceback" not in printed.out + printed.err


def test_no_card_number_is_logged_recorded_or_repeated(
    api: Api, capfd: pytest.CaptureFixture[str]
) -> None:
    pans = [VISA, MASTERCARD, AMEX]
    scanner = LeakScanner([pan.encode() for pan in pans])
    (token,) = api.tokens_of(VISA)
    answers = [api.detokenize([token, pan]) for pan in pans]
    for pan in pans:
        answers += [
            api.tokenize(pan, f"{pan}x", pan[:8]),
            api.tokenize(pan, scope=pan),
            api.call("POST", "/tokenize", {"items": [{"pan": pan, "customer_id": pan}]}),
            api.call("POST", "/tokenize", {pan: pan}),
            api.call("POST", f"/{pan}", {pan: pan}),
            api.call("GET", f"/tokens/{pan}"),
            api.detokenize([pan], purpose=pan),
            api.detokenize([pan], view=pan),
            api.detokenize([pan], by=f"arn:aws:sts::000000000000:assumed-role/{pan}/{pan}"),
            api.send(api_event("POST", "/tokenize", pan, headers={"content-type": pan, pan: pan})),
        ]
    printed = capfd.readouterr()
    said = [json.dumps(answer.raw) for answer in answers] + api.audit.lines
    for text in [*said, printed.out, printed.err]:
        assert scanner.leaks_in(text.encode()) == []


# The document


def test_the_document_is_that_of_the_code() -> None:
    assert DOCUMENT.read_text() == openapi_document() + "\n"


def test_the_grants_of_these_tests_name_what_the_api_does() -> None:
    assert set(json.loads(openapi_document())["paths"]) == {
        "/tokenize",
        "/detokenize",
        "/tokens/{token}",
        "/bulk-jobs",
        "/bulk-jobs/slices",
        "/bulk-jobs/end",
    }
    assert "tokenize" in GRANTS
