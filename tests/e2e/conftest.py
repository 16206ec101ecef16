"""A local stack with callers: grants are set once, since functions hold them for half a minute."""

from __future__ import annotations

import pytest

from pipeline.local import LocalStack
from tests.e2e.operator import Operator

ACCOUNT = "arn:aws:iam::000000000000"
ROLES = ("cashier", "investigator", "counted", "guesser", "stranger")
GRANTS = f"""
[[grants]]
name = "operator"
principals = ["{ACCOUNT}:root"]
actions = ["detokenize"]
scopes = ["default"]
purposes = ["chargeback"]
view = "full"
per_minute = 1000
per_day = 10000

[[grants]]
name = "cashier"
principals = ["{ACCOUNT}:role/cashier"]
actions = ["tokenize", "detokenize", "describe"]
scopes = ["default"]
purposes = ["customer-service"]
per_minute = 1000
per_day = 10000

[[grants]]
name = "investigator"
principals = ["{ACCOUNT}:role/invest*"]
actions = ["detokenize"]
scopes = ["default"]
purposes = ["fraud-review"]
view = "full"
per_minute = 1000
per_day = 10000

[[grants]]
name = "counted"
principals = ["{ACCOUNT}:role/counted", "{ACCOUNT}:role/guesser"]
actions = ["describe", "detokenize"]
scopes = ["default"]
purposes = ["customer-service"]
per_minute = 1000
per_day = 40

[[grants]]
name = "bulk"
principals = ["{ACCOUNT}:root"]
actions = ["bulk"]
scopes = ["default"]
purposes = ["migration"]
per_minute = 10000
per_day = 100000
rows_per_job = 1000
"""


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
