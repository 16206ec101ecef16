"""Messages of the work queue: what they ask for, and what is said of those that fail."""

from __future__ import annotations

import base64
import copy
import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.leaks import LeakScanner
from pipeline.core.messages import (
    DEAD_LETTER_KIND,
    MAX_ATTEMPTS,
    MAX_QUOTED_CHARACTERS,
    Failure,
    chunk_message,
    dead_letter_of_message,
    dead_letter_of_upload,
    parse_message,
    read_dead_letter,
    replayable_message,
    upload_message,
)
from pipeline.model import ChunkTask, Upload
from pipeline.testing import A_MOMENT
from tests.leaks import text_forms

BUCKET = "quarantine"
WHEN = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
FAILURE = Failure("missing_column", "not in the header: pan", 2, WHEN)
PAN = "4111111111111111"
UPLOAD = Upload(BUCKET, "incoming/acme/file.csv", "v1")

# As S3 sends it, but for the names.
EVENT: dict[str, Any] = {
    "Records": [
        {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": "us-east-1",
            "eventTime": "2026-11-23T12:30:00.000Z",
            "eventName": "ObjectCreated:Put",
            "userIdentity": {"principalId": "AWS:AROAEXAMPLE"},
            "requestParameters": {"sourceIPAddress": "192.0.2.1"},
            "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810"},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "intake",
                "bucket": {
                    "name": BUCKET,
                    "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                    "arn": f"arn:aws:s3:::{BUCKET}",
                },
                "object": {
                    "key": "incoming/acme/file.csv",
                    "size": 1024,
                    "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                    "versionId": "v1",
                    "sequencer": "0055AED6DCD90281E5",
                },
            },
        }
    ]
}
TEST_EVENT = {
    "Service": "Amazon S3",
    "Event": "s3:TestEvent",
    "Time": "2026-11-23T12:30:00.000Z",
    "Bucket": BUCKET,
    "RequestId": "5582815E1AEA5ADF",
    "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR",
}


def event(**changes: Any) -> dict[str, Any]:
    """The event, with changes to `eventName`, `eventSource`, `bucket`, `key` or `versionId`."""
    changed = copy.deepcopy(EVENT)
    record = changed["Records"][0]
    for name, value in changes.items():
        if name == "bucket":
            record["s3"]["bucket"]["name"] = value
        elif name in ("key", "versionId"):
            record["s3"]["object"][name] = value
        else:
            record[name] = value
    return changed


def parse(message: object) -> Any:
    return parse_message(json.dumps(message), BUCKET)


def test_a_created_object_is_an_upload() -> None:
    message = parse(EVENT)
    assert message.uploads == (UPLOAD,)
    assert (message.ignored, message.refused) == (0, "")


@pytest.mark.parametrize("name", ["Put", "Post", "Copy", "CompleteMultipartUpload"])
@pytest.mark.parametrize("prefix", ["", "s3:"])
def test_every_way_to_create_an_object_counts(prefix: str, name: str) -> None:
    assert parse(event(eventName=f"{prefix}ObjectCreated:{name}")).uploads == (UPLOAD,)


@pytest.mark.parametrize(
    "name",
    ["ObjectRemoved:Delete", "ObjectRemoved:DeleteMarkerCreated", "ObjectTagging:Put", "", "Put"]
    + ["LifecycleExpiration:Delete", "ObjectRestore:Completed", "xObjectCreated:Put"],
)
def test_other_events_ask_for_nothing(name: str) -> None:
    message = parse(event(eventName=name))
    assert (message.uploads, message.ignored, message.refused) == ((), 1, "")


@pytest.mark.parametrize(
    "key",
    ["incoming/", "incoming/acme/", "outgoing/x.csv", "incoming", "x", "", "rejects/j/a.gz"]
    + ["Incoming/x.csv", "/incoming/x.csv"],
)
def test_objects_outside_the_intake_ask_for_nothing(key: str) -> None:
    message = parse(event(key=key))
    assert (message.uploads, message.ignored, message.refused) == ((), 1, "")


def test_the_test_event_asks_for_nothing() -> None:
    message = parse(TEST_EVENT)
    assert (message.uploads, message.ignored, message.refused) == ((), 1, "")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bucket": "other"}, "foreign_bucket"),
        ({"bucket": ""}, "foreign_bucket"),
        ({"eventSource": "aws:sns"}, "unknown_sender"),
        ({"eventSource": "minio:s3"}, "unknown_sender"),
        ({"eventSource": None}, "malformed_message"),
        ({"eventName": 7}, "malformed_message"),
        ({"bucket": ["quarantine"]}, "malformed_message"),
        ({"key": None}, "malformed_message"),
        ({"key": 7}, "malformed_message"),
        ({"key": ["incoming/x"]}, "malformed_message"),
        ({"key": {"a": 1}}, "malformed_message"),
        ({"key": "incoming/\ud800.csv"}, "malformed_message"),
        ({"versionId": None}, "malformed_message"),
        ({"versionId": 7}, "malformed_message"),
        ({"versionId": "\udfff"}, "malformed_message"),
        ({"s3": None}, "malformed_message"),
        ({"s3": "x"}, "malformed_message"),
        ({"s3": []}, "malformed_message"),
        ({"s3": {"bucket": {}, "object": {}}}, "malformed_message"),
        ({"s3": {"bucket": {"name": BUCKET}, "object": "x"}}, "malformed_message"),
    ],
)
def test_a_message_that_cannot_be_followed_is_refused(changes: dict[str, Any], reason: str) -> None:
    message = parse(event(**changes))
    assert (message.uploads, message.ignored, message.refused) == ((), 0, reason)


@pytest.mark.parametrize(
    "body",
    ["", "x", "null", "[]", "7", '"x"', "{}", '{"Records": []}', '{"Records": {}}', "NaN"]
    + ['{"Records": 7}', '{"Records": true}', '{"Records": {"a": 1}}']
    + ['{"Records": [null]}', '{"Records": ["x"]}', '{"Records": [[]]}', '{"Records": "x"}']
    + ["[" * 100_000, "1" * 10_000, "{", "\x00", '{"Event": "s3:Other"}'],
)
def test_what_is_no_event_is_malformed(body: str) -> None:
    assert parse_message(body, BUCKET).refused == "malformed_message"


def test_a_message_without_a_version_is_of_an_unversioned_bucket() -> None:
    message = event()
    del message["Records"][0]["s3"]["object"]["versionId"]
    assert parse(message).uploads == (Upload(BUCKET, UPLOAD.key, "null"),)


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("incoming/acme/my+file.csv", "incoming/acme/my file.csv"),
        ("incoming/acme/my%20file.csv", "incoming/acme/my file.csv"),
        ("incoming/acme/a%2Bb.csv", "incoming/acme/a+b.csv"),
        ("incoming/acme/%C3%BC%F0%9F%98%80.csv", "incoming/acme/ü😀.csv"),
        ("incoming%2Facme%2Ffile.csv", "incoming/acme/file.csv"),
        ("incoming/100%25.csv", "incoming/100%.csv"),
        ("incoming/a%252Fb.csv", "incoming/a%2Fb.csv"),
        ("incoming/a%0Ab.csv", "incoming/a\nb.csv"),
    ],
)
def test_keys_are_decoded_once(encoded: str, key: str) -> None:
    assert parse(event(key=encoded)).uploads == (Upload(BUCKET, key, "v1"),)


def test_every_record_of_a_message_counts() -> None:
    records = [
        *event()["Records"],
        *event(eventName="ObjectRemoved:Delete")["Records"],
        *event(bucket="other")["Records"],
        *event(key="incoming/b.csv")["Records"],
        {},
    ]
    message = parse({"Records": records})
    assert message.uploads == (UPLOAD, Upload(BUCKET, "incoming/b.csv", "v1"))
    assert message.ignored == 1
    assert message.refused == "foreign_bucket"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([BUCKET, "aws:s3", "ObjectCreated:Put", "incoming/x", DEAD_LETTER_KIND]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Records", "Event", "eventSource", "eventName", "s3", "bucket", "name", "object"]
                + ["key", "versionId", "kind", "message"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300)
@given(st.text(max_size=50) | JSON.map(json.dumps) | st.text('[]{}":,01eE-+.\\u', max_size=30))
def test_any_body_is_understood_or_refused_and_has_a_letter(body: str) -> None:
    message = parse_message(body, BUCKET)
    assert message.uploads or message.ignored or message.refused
    letter = dead_letter_of_message(body, FAILURE)
    assert json.loads(json.dumps(letter)) == letter
    read = read_dead_letter(body, WHEN)
    replayed = replayable_message(read)
    assert replayed is None or isinstance(json.loads(replayed), dict)


@settings(max_examples=300)
@given(data=st.data(), value=JSON)
def test_an_event_with_anything_in_any_place_is_understood_or_refused(
    data: st.DataObject, value: Any
) -> None:
    changed = event()
    place: Any = changed
    while True:
        name = data.draw(st.sampled_from(sorted(place)) if isinstance(place, dict) else st.just(0))
        if isinstance(place[name], dict | list) and data.draw(st.booleans()):
            place = place[name]
            continue
        place[name] = value
        break
    message = parse(changed)
    assert message.uploads or message.ignored or message.refused
    for upload in message.uploads:
        letter = dead_letter_of_upload(upload, FAILURE)
        json.dumps(letter).encode()
    read_dead_letter(json.dumps(changed), WHEN)


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(
    lambda text: not text.endswith("/")
)


@settings(max_examples=200)
@given(key=KEYS, version_id=st.text("abcXYZ0-._", min_size=1, max_size=32))
def test_an_upload_survives_its_message_and_its_dead_letter(key: str, version_id: str) -> None:
    upload = Upload(BUCKET, f"incoming/{key}", version_id)
    assert parse(upload_message(upload)).uploads == (upload,)
    letter = read_dead_letter(json.dumps(dead_letter_of_upload(upload, FAILURE)), WHEN)
    replayed = replayable_message(letter)
    if replayed is not None:
        assert parse_message(replayed, BUCKET).uploads == (upload,)
        assert parse_message(replayed, BUCKET).uploads[0].job_id == upload.job_id


LETTER = dead_letter_of_upload(UPLOAD, FAILURE)


@settings(max_examples=300)
@given(
    changed=st.dictionaries(st.sampled_from([*LETTER, "more"]), JSON, max_size=4),
    left_out=st.sets(st.sampled_from(list(LETTER)), max_size=4),
)
def test_a_letter_of_another_version_is_read_like_one_of_this_version(
    changed: dict[str, Any], left_out: set[str]
) -> None:
    letter = {name: value for name, value in LETTER.items() if name not in left_out} | changed
    read = read_dead_letter(json.dumps(letter | {"kind": DEAD_LETTER_KIND}), WHEN)
    assert read.keys() >= LETTER.keys()
    assert isinstance(read["reason"], str)
    assert isinstance(read["attempts"], int)
    assert datetime.fromisoformat(read["failed_at"]) <= datetime.max.replace(tzinfo=UTC)
    assert isinstance(read["source"] or {}, dict)
    replayed = replayable_message(read)
    assert replayed is None or isinstance(json.loads(replayed), dict)


def test_a_letter_of_this_version_is_read_as_it_was_written() -> None:
    assert read_dead_letter(json.dumps(LETTER), WHEN) == LETTER


def test_an_ordinary_upload_can_be_replayed() -> None:
    letter = dead_letter_of_upload(UPLOAD, FAILURE)
    replayed = replayable_message(letter)
    assert replayed is not None
    assert parse_message(replayed, BUCKET).uploads == (UPLOAD,)
    assert letter["reason"] == "missing_column"
    assert letter["detail"] == "not in the header: pan"
    assert letter["attempts"] == 2
    assert letter["failed_at"] == "2026-11-23T12:30:00.000Z"
    assert letter["layout"] == "acme"
    assert letter["job_id"] == UPLOAD.job_id
    assert letter["source"] == {
        "uri": "s3://quarantine/incoming/acme/file.csv",
        "version_id": "v1",
    }


GROUPED = [
    PAN,
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "4111_1111_1111_1111",
    "4111.1111.1111.1111",
    "4111/1111/1111/1111",
    "4111\N{NO-BREAK SPACE}1111\N{NO-BREAK SPACE}1111\N{NO-BREAK SPACE}1111",
    "4111\N{EN DASH}1111\N{EN DASH}1111\N{EN DASH}1111",
]


@pytest.mark.parametrize("form", GROUPED)
def test_a_pan_in_the_key_is_not_in_the_letter_which_cannot_be_replayed(form: str) -> None:
    letter = dead_letter_of_upload(Upload(BUCKET, f"incoming/acme/{form}.csv", "v1"), FAILURE)
    assert replayable_message(letter) is None
    assert PAN not in re.sub(r"\W|_", "", json.dumps(letter, ensure_ascii=False))
    assert "1111" not in json.dumps(letter["source"])


def test_no_hash_without_a_key_gives_a_pan_away() -> None:
    """A job's id is a hash of the object's name, a digest one of the message: PANs can be tried."""
    upload = Upload(BUCKET, f"incoming/acme/{PAN}.csv", "v1")
    assert dead_letter_of_upload(upload, FAILURE)["job_id"] is None
    assert dead_letter_of_message(PAN, FAILURE)["message_sha256"] is None
    assert dead_letter_of_message("hello", FAILURE)["message_sha256"] is not None


def test_a_pan_in_a_version_or_a_detail_is_not_in_the_letter() -> None:
    failure = Failure("x", f"row 7 holds {PAN}", 1, WHEN)
    letter = dead_letter_of_upload(Upload(BUCKET, "incoming/a.csv", PAN), failure)
    assert PAN not in json.dumps(letter)
    assert letter["detail"] == "row 7 holds [PAN removed]"


@pytest.mark.parametrize("form", GROUPED)
@pytest.mark.parametrize(
    "spell",
    [
        lambda form: json.dumps({"note": form}),
        lambda form: json.dumps({"note": form}, ensure_ascii=False),
        lambda form: json.dumps(event(bucket="other", key=quote_plus(form))),
        lambda form: json.dumps(event(bucket="other", key=quote(form, safe=""))),
        lambda form: f"card {form} is lost",
        lambda form: f"\ud800 {form}",
    ],
    ids=["escaped", "plain", "form", "percent", "text", "broken"],
)
def test_a_body_with_a_pan_is_not_quoted(form: str, spell: Any) -> None:
    body = spell(form)
    letter = dead_letter_of_message(body, FAILURE)
    assert letter["message_text"] is None
    assert letter["message_characters"] == len(body)
    assert letter["message_sha256"] is None
    assert "1111" not in json.dumps(letter)


@pytest.mark.parametrize("form", text_forms(PAN))
@pytest.mark.parametrize("is_json", [False, True])
def test_a_body_with_a_pan_in_any_form_is_not_quoted(form: str, is_json: bool) -> None:
    planted = text_forms(PAN)[form]
    body = json.dumps({"card": planted}) if is_json else planted
    assert dead_letter_of_message(body, FAILURE)["message_text"] is None


def test_a_body_with_a_mistyped_pan_is_not_quoted() -> None:
    assert dead_letter_of_message(f"card {PAN[:-1]}2", FAILURE)["message_text"] is None


@pytest.mark.parametrize("form", ["base64 of nothing else", "percent", "no-break spaces"])
def test_a_pan_in_the_name_of_an_object_stays_out_of_its_letter(form: str) -> None:
    name = text_forms(PAN)[form]
    letter = dead_letter_of_upload(Upload(BUCKET, f"incoming/acme/{name}", "v1"), FAILURE)
    assert name not in json.dumps(letter, ensure_ascii=False)
    assert letter["message"] is None


def test_a_body_with_a_pan_in_digits_spelt_as_json_escapes_is_not_quoted() -> None:
    body = "".join(f"\\u{ord(digit):04X}" for digit in PAN)
    assert dead_letter_of_message(f'{{"a": "{body}"}}', FAILURE)["message_text"] is None


def test_a_number_of_json_that_is_a_pan_is_not_quoted() -> None:
    assert dead_letter_of_message(f'{{"a": {PAN}}}', FAILURE)["message_text"] is None


@pytest.mark.parametrize("message", [EVENT, TEST_EVENT], ids=["event", "test event"])
def test_what_s3_sends_is_quoted(message: dict[str, Any]) -> None:
    body = json.dumps(message)
    assert dead_letter_of_message(body, FAILURE)["message_text"] == body


def test_a_body_is_quoted_up_to_a_limit() -> None:
    body = "x" * MAX_QUOTED_CHARACTERS
    assert dead_letter_of_message(body, FAILURE)["message_text"] == body
    assert dead_letter_of_message(body + "x", FAILURE)["message_text"] is None


def test_a_letter_of_a_message_cannot_be_replayed() -> None:
    letter = dead_letter_of_message("x", FAILURE)
    assert replayable_message(letter) is None
    assert read_dead_letter(json.dumps(letter), WHEN) == letter


def test_a_message_that_the_queue_moved_by_itself_can_be_replayed() -> None:
    letter = read_dead_letter(json.dumps(EVENT), WHEN)
    assert letter["reason"] == "worker_died"
    assert letter["job_id"] == UPLOAD.job_id
    replayed = replayable_message(letter)
    assert replayed is not None
    assert parse_message(replayed, BUCKET).uploads == (UPLOAD,)


@pytest.mark.parametrize("body", ["x", "{}", json.dumps(TEST_EVENT), json.dumps(event(key=7))])
def test_a_strange_message_that_the_queue_moved_is_shown_as_it_is(body: str) -> None:
    letter = read_dead_letter(body, WHEN)
    assert letter["reason"] == "worker_died"
    assert (letter["message_text"], letter["attempts"]) == (body, 0)
    assert replayable_message(letter) is None


STRANGE_PARTS: dict[str, Any] = {
    "reason": PAN,
    "detail": f"card {PAN}",
    "layout": " ".join(PAN[at : at + 4] for at in range(0, 16, 4)),
    "message_text": base64.b64encode(PAN.encode()).decode(),
    "source": {"uri": f"s3://b/{PAN}", "version_id": "v"},
    "message": {"Records": [{"a": [PAN]}]},
    "whatever": {PAN: 1},
}


@pytest.mark.parametrize("name", STRANGE_PARTS)
def test_of_a_letter_that_somebody_else_sent_nothing_with_a_pan_is_shown(name: str) -> None:
    sent = {"kind": DEAD_LETTER_KIND, name: STRANGE_PARTS[name]}
    letter = read_dead_letter(json.dumps(sent), WHEN)
    assert name in letter
    assert not LeakScanner([PAN.encode()]).leaks_in(json.dumps(letter).encode())
    assert replayable_message(letter) is None


@pytest.mark.parametrize("name", ["reason", "detail", "layout", "whatever"])
def test_of_a_text_in_a_strangers_letter_all_but_the_pan_is_shown(name: str) -> None:
    encoded = base64.b64encode(PAN.encode()).decode()
    for said, shown in [(f"row 7: {PAN}!", "row 7: [PAN removed]!"), (encoded, "[PAN removed]")]:
        letter = read_dead_letter(json.dumps({"kind": DEAD_LETTER_KIND, name: said}), WHEN)
        assert letter[name] == shown


@pytest.mark.parametrize(
    "part",
    [
        {PAN: 1},
        {"a": {"b": {f"card {PAN}": 1}}},
        {"a": int(PAN)},
        {"a": [["x", [PAN]]]},
        {"a": None, "b": {"c": [1, {"d": PAN}]}},
        {"a": f"a{PAN}"},
        {"versionId": PAN},
        {"version_id": PAN},
        {"versionId": ["a", PAN]},
    ],
)
@pytest.mark.parametrize("name", ["message", "source", "whatever"])
def test_however_deep_a_pan_is_in_a_part_of_a_letter_nothing_of_that_part_is_shown(
    name: str, part: dict[str, Any]
) -> None:
    letter = read_dead_letter(json.dumps({"kind": DEAD_LETTER_KIND, name: part}), WHEN)
    assert letter[name] is None


@pytest.mark.parametrize("name", ["versionId", "version_id"])
def test_digits_and_letters_of_a_version_are_no_pan(name: str) -> None:
    part = {"Records": [{"key": "incoming/a.csv", name: f"a{PAN}"}]}
    letter = read_dead_letter(json.dumps({"kind": DEAD_LETTER_KIND, "message": part}), WHEN)
    assert letter["message"] == part


def test_a_letter_that_says_nothing_is_filled_in() -> None:
    letter = read_dead_letter(json.dumps({"kind": DEAD_LETTER_KIND}), WHEN)
    assert letter == {
        "kind": DEAD_LETTER_KIND,
        "reason": "unknown",
        "detail": "the letter does not say why",
        "attempts": 0,
        "failed_at": "2026-11-23T12:30:00.000Z",
        "pipeline_version": None,
        "job_id": None,
        "layout": None,
        "source": None,
        "message": None,
    }


@pytest.mark.parametrize(
    ("name", "said", "shown"),
    [
        ("attempts", 0, 0),
        ("attempts", MAX_ATTEMPTS, MAX_ATTEMPTS),
        ("attempts", MAX_ATTEMPTS + 1, 0),
        ("attempts", -1, 0),
        ("attempts", "3", 0),
        ("failed_at", "2026-11-22T01:02:03+00:00", "2026-11-22T01:02:03+00:00"),
        ("failed_at", "2026-11-22T01:02:03", "2026-11-23T12:30:00.000Z"),
        ("failed_at", "yesterday", "2026-11-23T12:30:00.000Z"),
        ("failed_at", 7, "2026-11-23T12:30:00.000Z"),
        ("reason", None, "unknown"),
        ("detail", ["x"], "the letter does not say why"),
        ("pipeline_version", 7, None),
        ("pipeline_version", "0.0.9", "0.0.9"),
        ("job_id", 7, None),
        ("layout", {"a": 1}, None),
        ("source", "s3://b/k", None),
        ("message", "x", None),
    ],
)
def test_what_a_letter_says_in_another_way_than_ours_is_left_out(
    name: str, said: object, shown: object
) -> None:
    letter = read_dead_letter(json.dumps({"kind": DEAD_LETTER_KIND, name: said}), WHEN)
    assert letter[name] == shown


def test_an_upload_whose_version_looks_like_a_card_by_chance_can_be_replayed() -> None:
    upload = Upload(BUCKET, "incoming/acme/a.csv", f"a{PAN}")
    letter = dead_letter_of_upload(upload, FAILURE)
    assert letter["source"]["version_id"] == upload.version_id
    assert parse_message(replayable_message(letter) or "", BUCKET).uploads == (upload,)


def test_a_bucket_whose_name_holds_a_pan_is_not_named() -> None:
    letter = dead_letter_of_upload(Upload(f"b-{PAN}", "incoming/acme/a.csv", "v1"), FAILURE)
    assert PAN not in json.dumps(letter)
    assert (letter["job_id"], letter["message"]) == (None, None)
    assert letter["source"]["version_id"] == "v1"


@pytest.mark.parametrize("digits", ["123456789012", "arn:aws:sns:us-east-1:111122223333:topic"])
def test_a_body_with_no_more_digits_than_an_account_number_is_quoted(digits: str) -> None:
    assert dead_letter_of_message(digits, FAILURE)["message_text"] == digits


def test_a_body_with_as_many_digits_as_the_shortest_card_that_is_looked_for_is_not_quoted() -> None:
    letter = dead_letter_of_message("1234567890123", FAILURE)
    assert (letter["message_text"], letter["message_sha256"]) == (None, None)
    assert letter["message_characters"] == 13


def test_a_message_about_two_objects_that_the_queue_moved_is_shown_and_not_replayed() -> None:
    body = json.dumps({"Records": [*EVENT["Records"], *event(key="incoming/b.csv")["Records"]]})
    letter = read_dead_letter(body, WHEN, deliveries=5)
    assert (letter["reason"], letter["attempts"]) == ("worker_died", 5)
    assert (letter["message_text"], letter["message"]) == (body, None)


@pytest.mark.parametrize("change", [{"chunk": -1}, {"upload": {}}, {"kind": "pantok.other"}])
def test_a_message_that_is_no_chunk_of_ours_is_shown_and_not_replayed(change: Any) -> None:
    body = json.dumps(chunk_message(ChunkTask(UPLOAD, 0)) | change)
    letter = read_dead_letter(body, WHEN)
    assert (letter["reason"], letter["message_text"]) == ("worker_died", body)
    assert (letter["job_id"], replayable_message(letter)) == (None, None)


def test_a_version_that_looks_like_a_card_by_chance_keeps_its_message() -> None:
    sound = json.loads(json.dumps(dead_letter_of_upload(UPLOAD, FAILURE)))
    sound["message"]["Records"][0]["s3"]["object"]["versionId"] = f"a{PAN}"
    assert read_dead_letter(json.dumps(sound), WHEN)["message"] == sound["message"]


def test_a_replayed_message_says_how_often_it_was_tried_and_so_does_the_next_letter() -> None:
    replayed = replayable_message(dead_letter_of_upload(UPLOAD, FAILURE))
    assert replayed is not None
    assert parse_message(replayed, BUCKET).earlier_attempts == 2
    assert parse(EVENT).earlier_attempts == 0
    assert read_dead_letter(replayed, WHEN, deliveries=5)["attempts"] == 7


@pytest.mark.parametrize("claim", [-1, 10**30, 1.5, "7", None, [], {}])
def test_attempts_that_cannot_be_counted_with_are_none(claim: object) -> None:
    assert parse(EVENT | {"attempts": claim}).earlier_attempts == 0


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "pantok.part", "version": 9},
        {"kind": "pantok.dead-letter", "message": EVENT},
        EVENT | {"kind": "pantok.something-to-come"},
    ],
)
def test_a_message_of_another_version_of_the_product_gets_a_reason(document: Any) -> None:
    assert parse(document).refused == "unknown_message_kind"
    assert not parse(document).uploads


@pytest.mark.parametrize("message", [None, "x", 7, [], True])
def test_a_letter_without_a_message_cannot_be_replayed(message: object) -> None:
    assert replayable_message({"message": message}) is None
    assert replayable_message({}) is None


TASK = ChunkTask(Upload("quarantine", "incoming/x/a b.csv", "v1"), 12)


def test_a_message_about_a_chunk_is_understood_as_it_was_meant() -> None:
    message = parse(chunk_message(TASK) | {"attempts": 7})
    assert message.chunks == (TASK,)
    assert message.earlier_attempts == 7


@pytest.mark.parametrize(
    "change",
    [
        {"chunk": -1},
        {"chunk": "1"},
        {"chunk": True},
        {"chunk": 10**7},
        {"upload": None},
        {"upload": {"bucket": "quarantine", "key": 5, "version_id": "v"}},
        {"upload": {"bucket": "quarantine", "key": "layouts/x.toml", "version_id": "v"}},
        {"upload": {"bucket": "quarantine", "key": "incoming/x/a.csv"}},
        {"upload": {"bucket": "quarantine", "key": "incoming/x/a.csv", "version_id": 7}},
        {"upload": {"bucket": "quarantine", "key": "incoming/x/a.csv", "version_id": "\ud800"}},
    ],
)
def test_a_message_about_a_chunk_that_cannot_be_is_malformed(change: Any) -> None:
    assert parse(chunk_message(TASK) | change).refused == "malformed_message"


def test_a_chunk_of_a_foreign_bucket_is_refused() -> None:
    task = ChunkTask(Upload("elsewhere", "incoming/x/a", "v"), 0)
    assert parse(chunk_message(task)).refused == "foreign_bucket"


def test_a_chunk_whose_worker_died_each_time_is_replayed_as_its_file() -> None:
    letter = read_dead_letter(json.dumps(chunk_message(TASK)), A_MOMENT, 5)
    assert (letter["reason"], letter["job_id"]) == ("worker_died", TASK.upload.job_id)
    assert letter["message"] == upload_message(TASK.upload)
