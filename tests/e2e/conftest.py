"""A local stack with callers: grants are set once, since functions hold them for half a minute."""

from __future__ import annotations

import pytest

from pipeline.local import LocalStack
from tests.e2e.operator import Operator
from tests.grants import grant

ACCOUNT = "arn:aws:iam::000000000000"
ROLES = ("cashier", "investigator", "counted", "guesser", "stranger")
READING = ["detokenize"]
GRANTS = "\n".join(
    (
        grant("operator", [f"{ACCOUNT}:root"], READING, ["chargeback"], view="full"),
        grant(
            "cashier",
            [f"{ACCOUNT}:role/cashier"],
            ["tokenize", "detokenize", "describe"],
            ["customer-service"],
        ),
        grant("investigator", [f"{ACCOUNT}:role/invest*"], READING, ["fraud-review"], view="full"),
        grant(
            "counted",
            [f"{ACCOUNT}:role/counted", f"{ACCOUNT}:role/guesser"],
            ["describe", "detokenize"],
            ["customer-service"],
            per_day=40,
        ),
        grant(
            "bulk",
            [f"{ACCOUNT}:root"],
            ["bulk"],
            ["migration"],
            per_minute=10_000,
            per_day=100_000,
            rows_per_job=1000,
        ),
    )
)


@pytest.fixture(scope="session")
def granted_operator(local_stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    operator = Operator(local_stack)
    document = tmp_path_factory.mktemp("grants") / "grants.toml"
    document.write_text(GRANTS)
    assert operator.pantok("grants", "set", str(document)).returncode == 0
    iam = local_stack.client("iam")
    for role in ROLES:
        iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}")
    return operator
