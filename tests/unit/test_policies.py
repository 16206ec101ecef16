"""The reader of IAM policies, which the template's checks rest on."""

import pytest

from tests.policies import covers_action, covers_resource, denies, grants, matches, principals

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
