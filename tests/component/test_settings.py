"""Settings: the environment, read once."""

from __future__ import annotations

import dataclasses

import pytest

from pipeline.errors import PermanentError
from pipeline.settings import Settings

REQUIRED = [field.name for field in dataclasses.fields(Settings) if field.name != "max_receives"]
ENVIRONMENT = {f"PANTOK_{name.upper()}": f"the {name}" for name in REQUIRED}


def test_every_field_is_an_environment_variable() -> None:
    settings = Settings.from_environment({**ENVIRONMENT, "PATH": "/bin", "PANTOK_STACK": "x"})
    assert {name: getattr(settings, name) for name in REQUIRED} == {
        name: f"the {name}" for name in REQUIRED
    }
    assert settings.max_receives == "5"


def test_the_queues_limit_can_be_set() -> None:
    settings = Settings.from_environment({**ENVIRONMENT, "PANTOK_MAX_RECEIVES": "9"})
    assert settings.max_receives == "9"


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_a_setting_that_is_missing_is_named(name: str) -> None:
    environment = {each: value for each, value in ENVIRONMENT.items() if each != name}
    with pytest.raises(PermanentError) as raised:
        Settings.from_environment(environment)
    assert (raised.value.code, raised.value.detail) == ("missing_settings", name)


def test_all_that_is_missing_is_named_at_once_and_no_value_is_shown() -> None:
    environment = {"PANTOK_VAULT_TABLE": "secret"}
    with pytest.raises(PermanentError) as raised:
        Settings.from_environment(environment)
    assert set(raised.value.detail.split(", ")) == set(ENVIRONMENT) - set(environment)
    assert "secret" not in str(raised.value)
