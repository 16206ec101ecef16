"""Which names mean sensitive authentication data."""

from __future__ import annotations

import pytest

from pipeline.core.sensitive import is_sensitive_name, without_track_data

SENSITIVE = [
    "cvv",
    "CVV",
    "cvv2",
    "CVV2",
    "Cvv_2",
    "cvc",
    "CVC2",
    "cvc_2",
    "cid",
    "CID",
    "cav2",
    "csc",
    "cvn",
    "cvd",
    "iCVV",
    "cvx2",
    "cvv_code",
    "cvv2_value",
    "cvv_number",
    "cvv_no",
    "cvv2_num",
    "cvv_data",
    "card_cvv",
    "credit_card_cvv",
    "cc_cvv",
    "debit_card_cvc",
    "amex_cid",
    "raw_cvv",
    "card_security_code",
    "CardSecurityCode",
    "security_code",
    "security-code",
    "card_verification_value",
    "card_verification_value_2",
    "card_verification_code",
    "verification_value",
    "verification_code",
    "card_verification_number",
    "encrypted_cvv",
    "encrypted_cvv2",
    "ccv",
    "CCV2",
    "track",
    "track1",
    "track2",
    "track3",
    "track_1",
    "track_2_data",
    "track_1_data",
    "TRACK2DATA",
    "trackdata",
    "track_data",
    "full_track",
    "full_track_data",
    "full_track_2",
    "track_two",
    "track_one_data",
    "track2_equivalent_data",
    "track_2_equivalent",
    "magstripe",
    "magstripe_data",
    "magnetic_stripe_data",
    "card_track2",
    "raw_track2",
    "pin",
    "PIN",
    "Pin",
    "pin_block",
    "PINBLOCK",
    "pin-block",
    "encrypted_pin",
    "encrypted_pin_block",
    "pin_data",
    "pin_offset",
    "pin_verification_value",
    "pvv",
    "epb",
    "card_pin",
    "debit_pin",
    "cardholder_pin",
    "atm_pin",
    "pin_number",
    "pin_no",
    "de35",
    "de45",
    "de52",
    "DE_52",
    "DE-35",
    "DE035",
    "tag_57",
    "emv_tag_56",
    "Tag9F6B",
]

HARMLESS = [
    "cvv_result",
    "cvv_result_code",
    "cvv2_response",
    "cvv_match",
    "cvv_present",
    "cvv_check",
    "cvv2_indicator",
    "cvc_result",
    "csc_result",
    "cid_result",
    "pin_entry_mode",
    "pin_entry_capability",
    "pin_verified",
    "pin_try_counter",
    "pin_present",
    "pin_length",
    "tracking_number",
    "track_id",
    "tracking",
    "track_and_trace",
    "tracked",
    "spin",
    "pinned",
    "pinning",
    "pink",
    "opinion",
    "shipping",
    "acid",
    "cidr",
    "placid",
    "candid",
    "lucid",
    "account_id",
    "card_number",
    "pan",
    "card_no",
    "card_id",
    "customer_id",
    "merchant_id",
    "expiry",
    "expiry_date",
    "exp_date",
    "service_code",
    "auth_code",
    "authorization_code",
    "security_level",
    "security_question",
    "code",
    "value",
    "verification_result",
    "verification_status",
    "card_verification_result",
    "verification_method",
    "de2",
    "de3",
    "de37",
    "de4",
    "de350",
    "tag_5",
    "tag_570",
    "pin_code",
    "pin_notes",
    "pin_north",
    "pin_capture_code",
    "mcc",
    "amount",
    "currency",
    "note",
    "reference",
    "description",
]


@pytest.mark.parametrize("name", SENSITIVE)
def test_a_name_of_sensitive_data_is_known(name: str) -> None:
    assert is_sensitive_name(name)
    assert is_sensitive_name(name.upper())
    assert is_sensitive_name(f" {name.lower()} ")


@pytest.mark.parametrize("name", HARMLESS)
def test_a_name_of_something_else_is_harmless(name: str) -> None:
    assert not is_sensitive_name(name)
    assert not is_sensitive_name(name.upper())


def test_a_name_of_no_letters_is_harmless() -> None:
    assert not is_sensitive_name("")
    assert not is_sensitive_name("__")
    assert not is_sensitive_name("номер карты")


def test_removing_track_data_takes_time_in_proportion_to_the_record() -> None:
    for piece in (
        b"B",
        b"%B",
        b";",
        b"1",
        b"1" * 19,
        b"B411111111111^",
        b"411111111111=2512",
        b"^",
    ):
        record = piece * (200_000 // len(piece))
        assert len(without_track_data(record)) <= len(record)


def test_a_record_is_otherwise_left_as_it_is() -> None:
    record = b'1,"a ""b"" c",\xff\x00,4111111111111111,12/25\r'
    assert without_track_data(record) == record
