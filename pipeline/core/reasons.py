"""What the codes mean that rows, files, messages and requests fail with, and what to do then.

docs/reasons.md is made from this, and a test holds it against the codes that the code gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """`means` goes on from "the row" (the file, …); `remedy` says what to do, "" for nothing."""

    means: str
    remedy: str


OF_ROWS: Mapping[str, Reason] = {
    "customer_id_too_long": Reason("has a customer id of more than 256 bytes", "shorten it"),
    "dangling_escape": Reason("ends in an escape character", "mend the record"),
    "duplicate_name": Reason("is a JSON object that has a name twice", "mend the record"),
    "guard_hit": Reason(
        "has a PAN in a cell that is kept",
        "mend the cell; or change `guard_action`, or drop the column",
    ),
    "invalid_bcd": Reason("has packed digits that are none", "check position and length"),
    "invalid_binary": Reason("has a binary number of another length", "check position and length"),
    "invalid_boolean": Reason("has a kept cell that is no boolean", "mend it, or keep it as text"),
    "invalid_date": Reason("has a kept cell that is no such date", "mend it, or set `format`"),
    "invalid_decimal": Reason(
        "has a kept cell that is no such decimal", "mend it, or widen the type"
    ),
    "invalid_encoding": Reason(
        "has bytes in a named column that are not in the stated encoding",
        "set `encoding`, or mend the record",
    ),
    "invalid_integer": Reason("has a kept cell that is no integer", "mend it, or keep it as text"),
    "invalid_packed": Reason(
        "has a packed decimal that is none", "check position, length and scale"
    ),
    "invalid_timestamp": Reason(
        "has a kept cell that is no such timestamp", "mend it, or set `format`"
    ),
    "invalid_zoned": Reason("has a zoned decimal that is none", "check position and length"),
    "malformed_chip_data": Reason("has chip data (DE 55) that cannot be taken apart", "ask sender"),
    "malformed_json": Reason("is no JSON", "mend the record"),
    "malformed_message": Reason("is no ISO 8583 message", "ask the sender"),
    "malformed_private_data": Reason("has private data that cannot be taken apart", "ask sender"),
    "nested_too_deep": Reason("is JSON that is nested too deep", "ask the sender"),
    "not_an_object": Reason("is JSON, but no object", "mend the record"),
    "orphan_component": Reason("is a Visa component record without its transaction", "ask sender"),
    "pan_decimal_point": Reason(
        "has a decimal number for a PAN, whose last digits may be lost", "get the number as text"
    ),
    "pan_empty": Reason("has no PAN", 'fill it in; or set `empty = "keep"`'),
    "pan_luhn": Reason("has a PAN that fails its check digit", "mend it, or do not require it"),
    "pan_masked": Reason("has a masked PAN", "get the number; its digits are gone"),
    "pan_no_match": Reason("has a cell that `extract` does not describe", "mend `extract`"),
    "pan_not_digits": Reason("has something else for a PAN", "mend the cell"),
    "pan_number": Reason("has a number for a PAN", "set `digits`"),
    "pan_number_inexact": Reason("has a number for a PAN that lost digits", "get it as text"),
    "pan_scientific_notation": Reason(
        "has a PAN that went through a spreadsheet", "get the number; its digits are gone"
    ),
    "pan_too_long": Reason("has more than 19 digits for a PAN", "mend the cell; or set `extract`"),
    "pan_too_short": Reason("has fewer than 12 digits for a PAN", "mend the cell"),
    "pan_track_data": Reason("has track data for a PAN", "have the sender stop: PCI DSS 3.3.1"),
    "pan_within_text": Reason("has a number among other characters for a PAN", "set `extract`"),
    "pan_wrong_length": Reason("has more digits than `digits` says", "mend the cell or `digits`"),
    "repeated_component": Reason("is a Visa transaction with a component twice", "ask the sender"),
    "track_data": Reason(
        "has full track data in a kept text or customer id", "have the sender stop: PCI DSS 3.3.1"
    ),
    "unbalanced_quote": Reason("opens a quote that does not close", "mend the record; or `quote`"),
    "unknown_element": Reason("is a message with an element that ISO 8583 has not", "ask sender"),
    "unknown_record_type": Reason("begins like no record type of the layout", "name the type"),
    "wrong_field_count": Reason("has more or fewer fields than columns", "mend the record"),
    "wrong_record_length": Reason("is a record of the wrong length", "check the layout's lengths"),
}

OF_FILES: Mapping[str, Reason] = {
    "already_repaired": Reason(
        "repairs a job of which another repair went through", "export what that one left"
    ),
    "cannot_decrypt": Reason("is damaged, or encrypted for somebody else", "upload it again"),
    "corrupt_archive": Reason("is an archive that is damaged or cut short", "upload it again"),
    "data_after_end": Reason("goes on behind its end", "upload its parts one by one"),
    "decryption_key_missing": Reason(
        "is encrypted, and its layout names no key, or one that is not there", "name it, replay"
    ),
    "decryption_key_unusable": Reason(
        "has a layout with a key that is none, or is locked", "mend the key, replay"
    ),
    "duplicate_column": Reason("has a column twice that its layout names", "ask the sender"),
    "duplicate_content": Reason("has the content of another one", "nothing: it was tokenized"),
    "empty_file": Reason("holds nothing", "upload it again if it should"),
    "encoding_mismatch": Reason("is in another encoding than its layout says", "set `encoding`"),
    "encrypted_archive": Reason("is an archive with a password", "use PGP, or upload its content"),
    "expands_too_far": Reason("unpacks to more than is allowed", "upload it unpacked, or in parts"),
    "header_looks_like_data": Reason("has a header with a long number in it", "set `header`"),
    "invalid_encoding": Reason("is not in the encoding that its layout says", "set `encoding`"),
    "invalid_layout": Reason(
        "has a layout, or rules for folders, with mistakes", "`pantok layouts check`, add, replay"
    ),
    "malformed_file": Reason("is damaged, or no file of its format", "upload it again"),
    "malformed_json": Reason("is no JSON from some place on", "upload it again"),
    "malformed_record": Reason("has a record that stops its reader", "mend it, upload it again"),
    "malformed_repair": Reason("is a repair with a line that is no row", "mend it, replay it"),
    "members_differ": Reason("is an archive of files with other columns", "upload them apart"),
    "missing_column": Reason("lacks a column that its layout names", "mend the layout, replay"),
    "nested_too_deep": Reason("is packed more than three times", "upload what is in it"),
    "no_pan_column": Reason("came without a layout and shows no PANs", "upload it to a layout"),
    "no_rows": Reason("has no records", "nothing, unless there should be some"),
    "not_an_array": Reason("has no array where `format.path` leads", "mend the layout, replay"),
    "not_delimited_text": Reason("came without a layout and is no text", "upload it to a layout"),
    "not_repairable": Reason("repairs a job that left no rows to this layout", "see the job's id"),
    "pan_column_is_inexact": Reason("has floats for PANs", "have the sender write text"),
    "pan_column_is_numeric": Reason("has numbers for PANs", "set `digits`, replay"),
    "pan_in_object_key": Reason(
        "has a PAN in its name", "upload it under another; see docs/runbook-pan-found.md"
    ),
    "preamble_without_end": Reason("ends before its preamble does", "mend the layout, replay"),
    "reader_not_installed": Reason(
        "takes a library that the package has not", "`make package EXTRA=formats`, deploy, replay"
    ),
    "record_too_long": Reason("has a record of more than 4 MiB", "check delimiter and quote"),
    "records_after_trailer": Reason("goes on behind its trailer", "upload its parts one by one"),
    "repair_too_large": Reason("is a repair of more than 64 MB", "repair it in parts, one by one"),
    "scope_closed": Reason("is of a scope that is closed", "open the scope, or change the layout"),
    "several_sheets": Reason("is a workbook with several filled sheets", "set `format.sheet`"),
    "source_missing": Reason("was deleted before it was read", "upload it again"),
    "too_large_for_memory": Reason("cannot be read piece by piece", "upload it in parts"),
    "too_large_to_decrypt": Reason("is encrypted and has more than 128 MiB", "send it in parts"),
    "too_many_columns": Reason("has more than 10,000 columns", "check the delimiter"),
    "trailer_mismatch": Reason("does not add up to its control totals", "ask for a whole file"),
    "trailer_missing": Reason("ends without its trailer: cut short", "ask for a whole file"),
    "truncated_file": Reason("breaks off within a record", "ask for a whole file"),
    "unbalanced_quote": Reason("opens a quote that never closes", "check `quote`, replay"),
    "unknown_chunk": Reason("has a message for a chunk that nobody planned", "replay it"),
    "unknown_layout": Reason("asks for a layout that is not there", "add the layout, replay"),
    "unknown_row": Reason("is a repair of a row that was not rejected", "drop the line"),
    "unknown_sheet": Reason("is a workbook without that sheet", "mend the layout, replay"),
    "unsupported_format": Reason("is of another format than its layout says", "mend the layout"),
}

OF_MESSAGES: Mapping[str, Reason] = {
    "foreign_bucket": Reason("is about another bucket", "find out who sends to the queue"),
    "malformed_message": Reason("is no S3 event and none of ours", "find out who sends it"),
    "unknown_message_kind": Reason(
        "is of a kind that this version does not know", "deploy one version for all workers"
    ),
    "unknown_sender": Reason("is an event, but not of S3", "find out who sends to the queue"),
    "worker_died": Reason(
        "killed its worker each time, without a word",
        "look for the function's log: time, memory; replay",
    ),
}

PASSING: Mapping[str, Reason] = {
    "access_denied": Reason("met a denial", "repair the right that `detail` names, replay"),
    "aws_error": Reason("met an error of AWS that `detail` names", "replay once it is over"),
    "aws_unreachable": Reason("could not reach AWS", "replay once it is over"),
    "chunk_unresolved": Reason("did not find in the ledger what it wrote", "replay"),
    "claim_lost": Reason("lost its claim to another job while it decided", "replay"),
    "claim_unresolved": Reason("could not read a fingerprint that is claimed", "replay"),
    "decision_unresolved": Reason("did not find its decision in the ledger", "replay"),
    "fingerprint_key_changed": Reason("saw the fingerprint key change", "upload the file again"),
    "key_ring_changed": Reason("saw the key ring change", "replay"),
    "no_credentials": Reason("had no AWS credentials", "look at the function's role"),
    "out_of_time": Reason(
        "could neither finish nor be parted in one invocation", "upload it in parts"
    ),
    "proxy_not_supported": Reason(
        "was to reach DynamoDB through a proxy", "name its endpoint in `NO_PROXY`, replay"
    ),
    "receipt_contended": Reason("met others who wrote the same receipt", "replay"),
    "throttled": Reason("was throttled by what `detail` names", "docs/sizing.md; replay"),
    "unexpected": Reason(
        "met an error of a kind and at a place that `detail` names", "report it; replay"
    ),
}

# Faults of the deployment: whatever comes fails with them.
OF_DEPLOYMENTS: Mapping[str, Reason] = {
    "data_key_broken": Reason(
        "found a wrapped key that KMS does not take", "docs/runbook-key-compromise.md"
    ),
    "data_key_missing": Reason("found no wrapped key of that id", "docs/runbook-restore.md"),
    "invalid_fingerprint_key": Reason("found a fingerprint key of another length", "restore it"),
    "invalid_key_ring": Reason("found a key ring without a version", "docs/runbook-restore.md"),
    "malformed_event": Reason("was invoked with what is no SQS event", "find out by whom"),
    "missing_settings": Reason("misses settings of its environment", "deploy the template"),
    "response_url_without_tls": Reason("was to answer CloudFormation without TLS", "report it"),
}

OF_ITEMS: Mapping[str, Reason] = {
    "data_key_broken": Reason("has a data key that was changed", "docs/runbook-key-compromise.md"),
    "data_key_missing": Reason("has no data key: shredded, or lost", "docs/runbook-restore.md"),
    "not_a_token": Reason("has not the form of a token", "send tokens"),
    "pan_is_token": Reason("is a token already", "send card numbers"),
    "scope_not_granted": Reason("is of a scope that the grant does not name", "ask for a grant"),
    "seal_broken": Reason("was changed or moved in the vault", "docs/runbook-key-compromise.md"),
    "unknown_token": Reason("is not in the vault", "check it: many of these lock the caller"),
}

OF_COMMANDS: Mapping[str, Reason] = {
    "data_key_broken": Reason("met a wrapped key that was changed", "runbook-key-compromise.md"),
    "data_keys_lost": Reason("counted fewer data keys than before", "docs/runbook-restore.md"),
    "encrypted": Reason("cannot look into an encrypted file", "inspect what is in it"),
    "file_exists": Reason("does not overwrite a file", "name another"),
    "format_not_recognised": Reason("cannot tell the format", "write the layout by hand"),
    "invalid_grants": Reason("found mistakes in the grants", "mend what it names"),
    "invalid_private_key": Reason("cannot read the private key", "X25519 in PEM"),
    "invalid_public_key": Reason("cannot read the public key", "X25519 in PEM"),
    "invalid_query": Reason("was given SQL that DuckDB does not take", "mend it"),
    "layouts_differ": Reason("cannot put these layouts side by side", "give `--layout`"),
    "no_credentials": Reason("found no AWS credentials", "log in"),
    "no_progress_folder": Reason("cannot write where progress is noted", "give `--progress`"),
    "no_receipt": Reason("found no receipt of the job", "`pantok jobs`"),
    "no_sample_data": Reason("found no sample data", "run it in the repository"),
    "no_stack": Reason("found no deployment", "`pantok local up`, or `--stack`"),
    "no_succession": Reason("was asked for a step of a succession that did not begin", "keys.md"),
    "no_such_file": Reason("found no such file", ""),
    "no_such_letter": Reason("found no such dead letter", "`pantok dlq list`"),
    "no_tokens": Reason("found no token in the file", ""),
    "not_a_bulk_job": Reason("was given what is no job's document", "name the `.job.json`"),
    "not_a_token": Reason("was given what has not the form of a token", "it may be a card number"),
    "not_reindexed": Reason("needs the re-indexing first", "`pantok keys fingerprint reindex`"),
    "not_replayable": Reason("has a letter without its message", "upload the file again"),
    "not_traceable": Reason("was given neither token nor job", ""),
    "nothing_to_repair": Reason("found no rejected row", ""),
    "nothing_tokenized": Reason("found no committed job with output", "`pantok jobs`"),
    "other_job": Reason("was given a result of another job", "name the right one"),
    "replay_failed": Reason("failed in the demo", "report it"),
    "result_broken": Reason("cannot unseal", "another key, job or slice, or it was changed"),
    "rows_unreadable": Reason("met rows that do not open", "`pantok vault audit`"),
    "scope_closed": Reason("was asked to close a scope that is closed", ""),
    "scope_not_closed": Reason("was asked to shred a scope that is open", "close it first"),
    "scope_shredded": Reason("was asked to open a scope that is shredded", "it stays closed"),
    "stack_not_found": Reason("found no such stack", "check name, region and rights"),
    "still_running": Reason("waited in vain", "`pantok jobs --watch`"),
    "succession_under_way": Reason("has to wait for the fingerprint key", "docs/keys.md"),
    "too_early": Reason("has to wait", "until the time that it names"),
    "unknown_layout": Reason("found no such layout", "`pantok layouts list`"),
    "unknown_token": Reason("found no such token", ""),
    "versions_used_up": Reason("has used 255 versions of the fingerprint key", "report it"),
}


def of_letter(code: str) -> Reason | None:
    """What a dead letter's reason means; None for one of another version."""
    for reasons in (OF_FILES, OF_MESSAGES, PASSING, OF_DEPLOYMENTS):
        if code in reasons:
            return reasons[code]
    return None
