"""Grants: whom they cover, whom they do not, and what a document may not say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.grants import MAX_DOCUMENT_BYTES, NO_GRANTS, parse_grants, principal_of
from pipeline.errors import PermanentError

ACCOUNT = "arn:aws:iam::111122223333"
DESK = f"{ACCOUNT}:role/chargebacks"

DOCUMENT = f"""
[[grants]]
name = "chargebacks"
principals = ["{DESK}", "{ACCOUNT}:role/team-*"]
actions = ["detokenize", "describe"]
scopes = ["default"]
purposes = ["chargeback"]
per_minute = 60
per_day = 1000

[[grants]]
name = "fraud"
principals = ["{ACCOUNT}:user/desk/*"]
actions = ["detokenize"]
scopes = ["default"]
purposes = ["fraud-review"]
view = "full"
per_minute = 10
per_day = 100
"""


def test_nobody_may_do_anything_by_default() -> None:
    assert NO_GRANTS.covering(DESK, "describe") is None
    assert parse_grants(b"").covering(DESK, "detokenize", "chargeback") is None


def test_a_grant_covers_what_it_names() -> None:
    grants = parse_grants(DOCUMENT.encode())

    found = grants.covering(DESK, "detokenize", "chargeback")

    assert found is not None
    assert found.name == "chargebacks"
    assert grants.covering(f"{ACCOUNT}:role/team-red", "describe") is found
    fraud = grants.covering(f"{ACCOUNT}:user/desk/ann", "detokenize", "fraud-review", "full")
    assert fraud is not None
    assert grants.covering(f"{ACCOUNT}:user/desk/ann", "detokenize", "fraud-review") is fraud


@pytest.mark.parametrize(
    ("principal", "action", "purpose", "view"),
    [
        (DESK, "tokenize", "", "masked"),
        (DESK, "detokenize", "fraud-review", "masked"),
        (DESK, "detokenize", "", "masked"),
        (DESK, "detokenize", "chargeback", "full"),
        (f"{DESK}2", "detokenize", "chargeback", "masked"),
        (f"x{DESK}", "detokenize", "chargeback", "masked"),
        (f"{ACCOUNT}:user/chargebacks", "detokenize", "chargeback", "masked"),
        ("arn:aws:iam::444455556666:role/chargebacks", "detokenize", "chargeback", "masked"),
        (f"{ACCOUNT}:root", "detokenize", "chargeback", "masked"),
        (f"{ACCOUNT}:user/desk/ann/else", "detokenize", "fraud-review", "masked"),
        ("", "detokenize", "chargeback", "masked"),
    ],
)
def test_a_grant_covers_nothing_else(principal: str, action: str, purpose: str, view: str) -> None:
    grants = parse_grants(DOCUMENT.encode())
    assert grants.covering(principal, action, purpose, view) is None  # type: ignore[arg-type]


def test_all_sessions_of_a_role_are_one_principal() -> None:
    assumed = "arn:aws:sts::111122223333:assumed-role/chargebacks/ann@example.com"
    assert principal_of(assumed) == (DESK, "ann@example.com")
    assert principal_of(assumed + "/x") == (DESK, "ann@example.com/x")
    assert principal_of(f"{ACCOUNT}:user/desk/ann") == (f"{ACCOUNT}:user/desk/ann", "")
    assert principal_of("") == ("", "")


def broken(old: str, new: str) -> bytes:
    assert old in DOCUMENT
    return DOCUMENT.replace(old, new).encode()


@pytest.mark.parametrize(
    "document",
    [
        broken(f'"{DESK}"', '"*"'),
        broken(f'"{DESK}"', '"arn:aws:iam::*:role/chargebacks"'),
        broken(f'"{DESK}"', '"arn:aws:iam::111122223333:*"'),
        broken(f'"{DESK}"', f'"{ACCOUNT}:role/path/chargebacks"'),
        broken("scopes = ", "scope = "),
        broken('"chargeback"', '"Chargeback 17"'),
        broken('purposes = ["chargeback"]\n', ""),
        broken('purposes = ["chargeback"]', "purposes = []"),
        broken('"describe"', '"open"'),
        broken("per_minute = 60", "per_minute = 0"),
        broken("per_day = 1000\n", ""),
        broken('view = "full"', 'view = "half"'),
        broken('name = "fraud"', 'name = "chargebacks"'),
        broken("[[grants]]", "[grants]"),
        b'[[grants]]\nname = "x"\n',
        b"\xff",
        b"#" * (MAX_DOCUMENT_BYTES + 1),
    ],
)
def test_a_document_with_a_mistake_is_refused(document: bytes) -> None:
    with pytest.raises(PermanentError, match="invalid_grants"):
        parse_grants(document)


def test_a_full_view_belongs_to_detokenizing() -> None:
    document = DOCUMENT.replace('["detokenize"]', '["describe"]').encode()
    with pytest.raises(PermanentError, match="invalid_grants"):
        parse_grants(document)


BULK = f"""
[[grants]]
name = "migration"
principals = ["{DESK}"]
actions = ["bulk"]
scopes = ["default"]
purposes = ["migration"]
per_minute = 1000
per_day = 1000
rows_per_job = 1000000
"""


def test_a_grant_for_bulk_jobs_says_how_large_they_are() -> None:
    grants = parse_grants(BULK.encode())
    found = grants.covering(DESK, "bulk", "migration", "full")
    assert found is not None
    assert found.rows_per_job == 1_000_000
    assert grants.covering(DESK, "bulk", "chargeback", "full") is None
    assert grants.covering(DESK, "detokenize", "migration") is None
    for mistake in (
        BULK.replace("rows_per_job = 1000000\n", ""),
        BULK.replace("1000000", "1000001"),
        BULK.replace('"bulk"', '"describe"').replace('purposes = ["migration"]', ""),
        BULK + 'view = "full"\n',
    ):
        with pytest.raises(PermanentError, match="invalid_grants"):
            parse_grants(mistake.encode())


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_document_is_grants_or_a_reason(document: bytes) -> None:
    try:
        parse_grants(document)
    except PermanentError as error:
        assert error.code == "invalid_grants"


@given(st.text(max_size=60))
def test_whoever_is_not_named_is_not_covered(principal: str) -> None:
    grants = parse_grants(DOCUMENT.encode())
    found = grants.covering(principal, "detokenize", "chargeback")
    assert found is None or principal.startswith(ACCOUNT)


def test_canaries_are_tokens() -> None:
    token = "tok_" + "a" * 26
    assert parse_grants(f'canaries = ["{token}"]'.encode()).canaries == {token}


@pytest.mark.parametrize(
    "text", ["4111111111111111", "tok_b", "tok_" + "a" * 27, "x tok_" + "a" * 26]
)
def test_a_canary_that_is_no_token_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(PermanentError) as raised:
        parse_grants(f'canaries = ["{text}"]'.encode())
    assert raised.value.code == "invalid_grants"
    assert text not in raised.value.detail
