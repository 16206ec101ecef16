"""The reader of IAM policies, which the template's checks rest on."""

import os

import pytest

from pipeline.aws.dynamodb_vault import KEY_RING_ID
from pipeline.keys import ChunkDataKey, fingerprint_data_key_id
from pipeline.testing import A_MOMENT, MemoryWorld
from tests.authorization import Request, holds, is_allowed
from tests.policies import covers_action, covers_resource, denies, grants, matches, principals
from tests.template import Template, load

TABLE = "arn:aws:dynamodb:eu-central-1:111122223333:table/vault"


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("kms:Decrypt", "kms:Decrypt"),
        ("kms:*", "kms:Decrypt"),
        ("kms:Dec*", "kms:Decrypt"),
        ("*", "kms:Decrypt"),
        ("kms:Decryp?", "kms:Decrypt"),
        ("kms:*crypt*", "kms:ReEncryptFrom"),
    ],
)
def test_a_wildcard_stands_for_anything(pattern: str, text: str) -> None:
    assert matches(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("kms:Encrypt", "kms:Decrypt"),
        ("kms:Dec", "kms:Decrypt"),
        ("kms:Decrypt?", "kms:Decrypt"),
        ("kms.Decrypt", "kms:Decrypt"),
        ("[a-z]*", "kms:Decrypt"),
    ],
)
def test_nothing_else_in_a_pattern_is_special(pattern: str, text: str) -> None:
    assert not matches(pattern, text)


def test_actions_are_compared_without_regard_to_case() -> None:
    assert covers_action({"Action": "KMS:decrypt"}, "kms:Decrypt")


def test_a_list_covers_what_any_of_it_covers() -> None:
    assert covers_action({"Action": ["s3:GetObject", "kms:Dec*"]}, "kms:Decrypt")
    assert covers_resource({"Resource": ["arn:aws:s3:::x", TABLE]}, TABLE)


def test_not_action_covers_the_rest() -> None:
    statement = {"NotAction": ["dynamodb:PartiQL*"]}
    assert covers_action(statement, "dynamodb:GetItem")
    assert not covers_action(statement, "dynamodb:PartiQLInsert")


def test_not_resource_covers_the_rest() -> None:
    assert covers_resource({"NotResource": "arn:aws:s3:::*"}, TABLE)
    assert not covers_resource({"NotResource": "arn:aws:dynamodb:*"}, TABLE)


def test_a_statement_without_actions_or_resources_covers_nothing() -> None:
    assert not covers_action({}, "kms:Decrypt")
    assert not covers_resource({}, TABLE)


def test_a_conditional_allow_grants() -> None:
    policy = [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Bool": {}}}]
    assert grants(policy, "dynamodb:GetItem", TABLE) is True


def test_a_denial_takes_no_grant_away_but_is_seen() -> None:
    deny = {"Effect": "Deny", "NotAction": "dynamodb:PartiQLInsert", "Resource": f"{TABLE}*"}
    policy = [{"Effect": "Allow", "Action": "*", "Resource": TABLE}, deny]
    assert grants(policy, "dynamodb:GetItem", TABLE)
    assert denies(policy, "dynamodb:GetItem", TABLE)
    assert not denies(policy, "dynamodb:PartiQLInsert", TABLE)


def test_a_conditional_denial_does_not_count() -> None:
    policy = [
        {
            "Effect": "Deny",
            "Action": "*",
            "Resource": "*",
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]
    assert not denies(policy, "dynamodb:GetItem", TABLE)


@pytest.mark.parametrize(
    "statement",
    [
        {"Principal": "*"},
        {"Principal": {"AWS": "*"}},
        {"Principal": {"AWS": ["*"]}},
        {"Principal": {"Service": "*"}},
        {"NotPrincipal": {"AWS": "arn:aws:iam::111122223333:root"}},
    ],
)
def test_everybody_has_many_spellings(statement: dict[str, object]) -> None:
    assert "*" in principals(statement)


@pytest.mark.parametrize(
    ("operator", "expected", "actual", "result"),
    [
        ("StringEquals", ["a", "b"], ["b"], True),
        ("StringEquals", ["a"], ["c"], False),
        ("StringEquals", ["a"], None, False),
        ("StringEqualsIfExists", ["a"], None, True),
        ("StringEqualsIfExists", ["a"], ["c"], False),
        ("StringNotEquals", ["a"], ["a"], False),
        ("StringNotEquals", ["a"], None, True),
        ("StringLike", ["layouts/*"], ["layouts/"], True),
        ("StringLikeIfExists", ["layouts/*"], ["incoming/"], False),
        ("ArnNotEquals", ["arn:a", "arn:b"], ["arn:b"], False),
        ("ArnNotEquals", ["arn:a", "arn:b"], ["arn:c"], True),
        ("Bool", ["false"], ["true"], False),
        ("Null", ["true"], None, True),
        ("Null", ["false"], None, False),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "b"], True),
        ("ForAllValues:StringEquals", ["a"], ["a", "b"], False),
        ("ForAllValues:StringLike", ["a*"], None, True),
        ("ForAnyValue:StringEquals", ["a"], ["a", "b"], True),
        ("ForAnyValue:StringEquals", ["a"], None, False),
    ],
)
def test_a_condition_holds_as_in_iam(
    operator: str, expected: list[str], actual: list[str] | None, result: bool
) -> None:
    assert holds(operator, expected, actual) is result


def test_an_operator_that_is_not_known_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="IpAddress"):
        holds("IpAddress", ["10.0.0.0/8"], ["10.0.0.1"])


def test_a_request_takes_the_roles_leave_and_the_keys_and_meets_no_denial() -> None:
    template = Template(load())
    key, through_s3 = template.arn("QuarantineKey"), ["s3.eu-central-1.amazonaws.com"]
    opening = Request("kms:Decrypt", key, {"kms:ViaService": through_s3})
    assert is_allowed(template, "KeeperRole", opening)
    assert not is_allowed(template, "KeeperRole", Request("kms:Decrypt", key))
    assert not is_allowed(template, "AuditorRole", opening)
    work = Request("sqs:SendMessage", template.arn("WorkQueue"))
    assert is_allowed(template, "KeeperRole", work)
    in_clear = Request(work.action, work.resource, {"aws:SecureTransport": ["false"]})
    assert not is_allowed(template, "KeeperRole", in_clear)


@pytest.mark.parametrize("role", ["WorkerRole", "TokenizeRole"])
def test_whoever_tokenizes_adds_the_data_keys_that_it_makes_and_none_of_the_other_kind(
    role: str,
) -> None:
    world = MemoryWorld(os.urandom)
    made: list[str] = []
    scope = {"job_id": "job_x", "scope": "default"}
    data_key = ChunkDataKey(
        world.keys, world.data_keys, lambda: A_MOMENT, os.urandom, data_key_ids=made, **scope
    )
    data_key.for_seals(1)
    template = Template(load())

    def may_add(*data_key_ids: str) -> bool:
        context = {"dynamodb:LeadingKeys": data_key_ids} if data_key_ids else {}
        table = template.arn("DataKeysTable")
        return is_allowed(template, role, Request("dynamodb:PartiQLInsert", table, context))

    assert may_add(*made)
    for forbidden in (KEY_RING_ID, fingerprint_data_key_id(1), "dk"):
        assert not may_add(forbidden)
        assert not may_add(*made, forbidden)
    assert not may_add()
