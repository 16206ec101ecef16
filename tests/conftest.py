"""Fixtures that more than one suite needs."""

from __future__ import annotations

import functools
import gc
import json
import os
from collections.abc import Iterator
from pathlib import Path

import moto.kms.models
import pytest
import typer.testing
from hypothesis import HealthCheck, settings

from pipeline.local import LocalStack, down, up
from tests.promises import LAST_RUN, cases_of

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"

settings.register_profile(
    "pantok", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.load_profile("pantok")

# The command is made of its functions' signatures: that takes longer than most of its runs.
typer.testing._get_command = functools.cache(typer.testing._get_command)

# Moto makes a pair of RSA keys for each KMS key, symmetric ones too, which never use it.
moto.kms.models.generate_private_key = functools.cache(moto.kms.models.generate_private_key)

# Nothing in these tests may reach a real account, whatever the caller's environment says.
for name in [name for name in os.environ if name.startswith(("AWS_", "PANTOK_"))]:
    del os.environ[name]
os.environ |= {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


def pytest_collection_finish(session: pytest.Session) -> None:
    """What is loaded by now stays: looking through it for garbage takes a tenth of all the time."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Libraries find fault with what is not collected at the end."""
    gc.unfreeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if "shared_data" in getattr(item, "fixturenames", ()):
        item.user_properties.append(("needs", "third-party files"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Notes how many cases each test ran, for the README's table; complete in a complete run."""
    cases = cases_of(terminalreporter.stats.get("passed", []))
    LAST_RUN.parent.mkdir(exist_ok=True)
    LAST_RUN.write_text(json.dumps(cases, indent=0))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Third-party files to try the product on; they are not part of the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the third-party files are not here")
    return SHARED_DATA


@pytest.fixture(scope="session")
def sample_data() -> Path:
    return ROOT / "sample_data"


@pytest.fixture(scope="session")
def local_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The real template on the local engine, for this test process alone."""
    state_dir = tmp_path_factory.mktemp("stack")
    stack = up(state_dir, report=lambda _: None)
    yield stack
    down(state_dir, report=lambda _: None, keep_data=False)
