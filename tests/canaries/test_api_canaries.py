"""Canaries go into the API from all sides, and are nowhere to be seen afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from pipeline.handlers import api_edge, edge
from pipeline.opening import Opening
from pipeline.testing import api_event
from pipeline.tokenize_api import Tokenizing
from tests.canaries.api import ATTACKS, CVV, ApiStage, api_stage, crash
from tests.canaries.stage import AMEX, VALID


@pytest.fixture
def scene() -> Iterator[ApiStage]:
    with api_stage() as found:
        yield found


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_canary_is_seen_that_came(
    scene: ApiStage, attack: str, record_property: pytest.RecordProperty
) -> None:
    events = list(ATTACKS[attack]())
    for event in events:
        scene.call(event)
    assert scene.leaks() == {}
    assert len(scene.answers) + len(scene.errors) == len(events)
    record_property("cases", len(events))


def test_no_canary_is_seen_when_the_functions_crash(scene: ApiStage) -> None:
    scene.patch(Tokenizing, "tokenize", crash)
    scene.patch(Opening, "open", crash)
    scene.patch(Opening, "describe", crash)
    document = {"tokens": ["tok_" + "a" * 26], "purpose": "chargeback"}
    events = [
        api_event("POST", "/tokenize", json.dumps({"items": [{"pan": VALID}]})),
        api_event("POST", "/detokenize", json.dumps(document)),
        api_event("GET", "/tokens/tok_" + "a" * 26),
    ]
    assert [scene.call(event)["statusCode"] for event in events] == [500, 500, 500]
    scene.patch(api_edge, "caller_of", crash)
    scene.call(events[0])
    assert scene.leaks() == {}


def test_a_card_is_tokenized_and_shown_masked_without_a_canary(scene: ApiStage) -> None:
    (token,) = scene.api.tokens_of(VALID)
    again = api_event("POST", "/tokenize", json.dumps({"items": [{"pan": VALID}, {"pan": AMEX}]}))
    masked = json.dumps({"tokens": [token], "purpose": "chargeback"})
    answers = [
        scene.call(event)
        for event in (
            again,
            api_event("POST", "/detokenize", masked),
            api_event("GET", f"/tokens/{token}"),
        )
    ]
    assert [each["statusCode"] for each in answers] == [200, 200, 200]
    assert all(VALID[-4:] in each["body"] for each in answers)
    assert scene.leaks() == {}


def test_the_whole_card_stands_in_the_answer_that_was_asked_for_and_nowhere_else(
    scene: ApiStage,
) -> None:
    (token,) = scene.api.tokens_of(VALID)
    asked = {"tokens": [token], "purpose": "chargeback", "view": "full"}
    scene.call(api_event("POST", "/detokenize", json.dumps(asked)))
    assert scene.leaks() == {"API: answers": 1}


def test_without_the_edge_a_canary_is_seen(scene: ApiStage) -> None:
    scene.patch(api_edge, "without_content", lambda error: edge.TransientError("x", repr(error)))
    scene.patch(edge, "install", lambda: None)
    scene.patch(Tokenizing, "tokenize", crash)
    scene.call(api_event("POST", "/tokenize", json.dumps({"items": [{"pan": VALID}]})))
    assert "API: the function's own log" in scene.leaks()


def test_sensitive_data_would_be_seen(scene: ApiStage) -> None:
    scene.answers.append(CVV)
    assert scene.leaks() == {"API: answers": 1}
