"""The scanner that the end-to-end tests rely on finds what it has to find."""

from __future__ import annotations

import pytest

from tests.leaks import LeakScanner, planted_forms

PAN = "4111111111111111"
OTHER = "378282246310005"


@pytest.mark.parametrize("form", planted_forms(PAN))
def test_a_planted_pan_is_found_in_this_form(form: str) -> None:
    assert LeakScanner([OTHER, PAN]).leaks_in(planted_forms(PAN)[form])


@pytest.mark.parametrize("form", planted_forms(PAN))
def test_what_is_found_is_reported_without_the_pan(form: str) -> None:
    leaks = LeakScanner([PAN]).leaks_in(planted_forms(PAN)[form])
    assert PAN not in str(leaks)


@pytest.mark.parametrize("form", planted_forms(PAN))
def test_another_pan_is_no_leak(form: str) -> None:
    assert not LeakScanner([OTHER]).leaks_in(planted_forms(PAN)[form])


def test_tokens_and_last4_are_no_leak() -> None:
    content = b'{"token": "tok_f52jhzrikflpf3q74jjzl5mylk", "last4": "1111", "rows": 1000}'
    assert not LeakScanner([PAN]).leaks_in(content)
