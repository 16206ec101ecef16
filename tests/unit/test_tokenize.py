"""The line as a whole, in memory: what a file's rows become."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Mapping
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.detokenize import detokenize
from pipeline.errors import PermanentError
from pipeline.job import Worker, run_job
from pipeline.keys import FingerprintKey
from pipeline.model import SealedPan
from pipeline.readers import framing, registry
from pipeline.readers.delimited import read_delimited
from pipeline.samples.cards import synthetic_pans
from pipeline.testing import MemoryLayouts, MemoryWorld

PANS = synthetic_pans(300, seed=11)
FAILS_LUHN = "4111111111111112"


class Bench:
    """A worker in a world of memory."""

    def __init__(self, *layouts: str) -> None:
        self.world = MemoryWorld(os.urandom, MemoryLayouts(*layouts))
        ports = self.world.ports()
        key = FingerprintKey(ports.key_service, ports.data_key_records, ports.clock)
        self.worker = Worker(ports, key.fingerprinter, memory_gb=1.0)

    def run(self, body: str | bytes, folder: str = "x") -> Mapping[str, Any]:
        content = body.encode() if isinstance(body, str) else body
        upload = self.world.quarantine.put(f"incoming/{folder}/file.csv", content)
        return run_job(upload, self.worker, lambda: 900.0)

    def table(self, receipt: Mapping[str, Any]) -> pa.Table:
        parts = [self.world.tokenized.objects[each["uri"]] for each in receipt["outputs"]]
        return pa.concat_tables([pq.read_table(io.BytesIO(part)) for part in parts])

    def opened(self, tokens: list[str]) -> list[str]:
        pans = detokenize(tokens, self, self.world.data_keys, self.world.keys)
        return [pan.decode() for pan in pans.digits]

    def get(self, tokens: Any) -> Mapping[str, SealedPan]:
        return self.world.vault.rows

    def rejects(self, receipt: Mapping[str, Any]) -> list[dict[str, Any]]:
        body = gzip.decompress(self.world.quarantine.rejects[receipt["rejects_uris"][0]])
        columns, *lines = [json.loads(line) for line in body.splitlines()]
        assert set(columns) == {"columns"}
        return lines


def layout(*columns: str, options: str = "", name: str = "x", role: str = "") -> str:
    parts = [f'name = "{name}"', '[columns.card]\nrole = "pan"', *columns]
    return "\n".join([*parts, f"[options]\n{options}" if options else "", role])


NOTE = '[columns.note]\nrole = "keep"'
TEXT = '[columns.note]\nrole = "text"'
ONE_TIME = '[options]\ntoken_mode = "one_time"'


@pytest.mark.parametrize("options", ["", '[options]\ncustomer_id = "id"', ONE_TIME])
def test_a_file_of_nothing_but_texts_is_tokenized_as_well(options: str) -> None:
    bench = Bench(f'name = "x"\n[columns.id]\nrole = "keep"\n{TEXT}\n{options}')
    body = "id,note\n1,card {} and {}\n2,nothing\n3,again {}\n".format(*PANS[:2], PANS[0])
    table = bench.table(bench.run(body))
    first, nothing, again = table["note"].to_pylist()
    assert bench.opened([first.split()[1], first.split()[3]]) == PANS[:2]
    assert nothing == "nothing"
    assert bench.opened([again.split()[1]]) == PANS[:1]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.READERS, "delimited", partial(read_delimited, block_bytes=2048))
    assert framing.BLOCK_BYTES > 2048


def rows(*notes: tuple[int, str]) -> str:
    by_row = dict(notes)
    lines = [f"{pan},{by_row.get(at, '')}" for at, pan in enumerate(PANS, start=1)]
    return "card,note\n" + "\n".join(lines) + "\n"


def test_rows_keep_their_order_and_every_token_opens_to_its_pan() -> None:
    bench = Bench(layout(NOTE))
    table = bench.table(bench.run(rows()))
    assert bench.opened(table["card_token"].to_pylist()) == PANS
    assert table["card_last4"].to_pylist() == [pan[-4:] for pan in PANS]


def test_small_blocks_give_the_same_file_as_large_ones(small_blocks: None) -> None:
    bench = Bench(layout(NOTE))
    receipt = bench.run(rows())
    assert receipt["rows_read"] == len(PANS)
    assert bench.opened(bench.table(receipt)["card_token"].to_pylist()) == PANS
    assert (receipt["tokens_new"], receipt["pans_distinct"]) == (len(PANS), len(PANS))
    assert len(receipt["data_key_ids"]) == 1


def test_a_pan_of_the_same_batch_in_a_kept_cell_rejects_its_row() -> None:
    bench = Bench(layout(NOTE))
    body = f"card,note\n{PANS[0]},see {FAILS_LUHN}\n{FAILS_LUHN},fine\n"
    receipt = bench.run(body)
    assert receipt["rejected_rows"] == {"guard_hit": [1]}
    assert receipt["rows_read"] == receipt["rows_written"] + receipt["rows_rejected"] == 2


def test_a_pan_of_a_later_batch_in_a_kept_cell_rejects_its_row(small_blocks: None) -> None:
    bench = Bench(layout(NOTE))
    body = rows((2, f"ref {FAILS_LUHN}")) + f"{FAILS_LUHN},\n"
    receipt = bench.run(body)
    assert receipt["rejected_rows"] == {"guard_hit": [2]}
    assert FAILS_LUHN not in "".join(filter(None, bench.table(receipt)["note"].to_pylist()))
    assert (receipt["tokens_new"], receipt["pans_distinct"]) == (301, 301)
    assert len(bench.world.vault.rows) == 301


def test_a_pan_of_an_earlier_batch_in_a_kept_cell_rejects_its_row(small_blocks: None) -> None:
    bench = Bench(layout(NOTE))
    body = (
        rows().replace("card,note\n", f"card,note\n{FAILS_LUHN},\n") + f"{PANS[0]},{FAILS_LUHN}\n"
    )
    assert bench.run(body)["rejected_rows"] == {"guard_hit": [302]}


def test_a_pan_of_a_rejected_row_is_a_pan_of_the_file_too() -> None:
    bench = Bench(layout(NOTE, '[columns.n]\nrole = "keep"\ntype = "integer"'))
    body = f"card,note,n\n{FAILS_LUHN},,not a number\n{PANS[0]},{FAILS_LUHN},1\n"
    receipt = bench.run(body)
    assert receipt["rejects_by_reason"] == {"guard_hit": 1, "invalid_integer": 1}


def test_redaction_marks_the_cell_and_keeps_the_row() -> None:
    bench = Bench(layout(NOTE, options='guard_action = "redact"'))
    receipt = bench.run(f"card,note\n{PANS[0]},see {PANS[0]} again\n")
    assert bench.table(receipt)["note"].to_pylist() == ["see [PAN removed] again"]
    assert receipt["guard"]["hits"] == 1


def test_a_number_cannot_be_redacted_so_its_row_is_rejected() -> None:
    number = '[columns.n]\nrole = "keep"\ntype = "integer"'
    bench = Bench(layout(number, options='guard_action = "redact"'))
    receipt = bench.run(f"card,n\n{PANS[0]},4111111111111111\n{PANS[1]},5\n")
    assert receipt["rejected_rows"] == {"guard_hit": [1]}


@pytest.mark.parametrize("column", [TEXT, NOTE])
def test_pans_in_text_become_their_tokens(column: str) -> None:
    options = 'guard_action = "tokenize"' if column is NOTE else ""
    bench = Bench(layout(column, options=options))
    spoken = " ".join((PANS[1][:4], PANS[1][4:]))
    receipt = bench.run(f"card,note\n{PANS[0]},from {PANS[0]} to {spoken}.\n")
    table = bench.table(receipt)
    first, second = (word.strip(".") for word in table["note"][0].as_py().split() if "tok" in word)
    assert bench.opened([first, second]) == [PANS[0], PANS[1]]
    assert first == table["card_token"][0].as_py()


def test_a_reference_in_text_stays_and_its_row_too() -> None:
    bench = Bench(layout(TEXT))
    receipt = bench.run(f"card,note\n{PANS[0]},order {PANS[1]} has shipped\n")
    assert bench.table(receipt)["note"].to_pylist() == [f"order {PANS[1]} has shipped"]
    assert len(bench.world.vault.rows) == receipt["pans_distinct"] == 1


def test_a_pan_that_one_text_shows_to_be_one_is_one_in_every_cell() -> None:
    bench = Bench(layout(TEXT, '[columns.n]\nrole = "keep"\nguard = "exact"'))
    body = (
        f"card,note,n\n{PANS[0]},order {PANS[1]} shipped,1\n"
        f"{PANS[2]},card {PANS[1]},2\n{PANS[3]},,{PANS[1]}\n"
    )
    receipt = bench.run(body)
    assert receipt["rejected_rows"] == {"guard_hit": [3]}
    first, second = bench.table(receipt)["note"].to_pylist()
    token = second.removeprefix("card ")
    assert first == f"order {token} shipped"
    assert bench.opened([token]) == [PANS[1]]


def test_a_late_pan_behind_a_label_in_text_becomes_its_token(small_blocks: None) -> None:
    bench = Bench(layout(TEXT))
    body = rows((2, f"ref {FAILS_LUHN}"), (3, f"order {PANS[299]}")) + f"{FAILS_LUHN},\n"
    receipt = bench.run(body)
    table = bench.table(receipt)
    assert receipt["rows_rejected"] == 0
    notes = table["note"].to_pylist()
    assert notes[1] == f"ref {table['card_token'][300].as_py()}"
    assert notes[2] == f"order {table['card_token'][299].as_py()}"


def test_a_track_in_text_is_removed_and_in_a_kept_cell_rejects_its_row() -> None:
    track = f";{PANS[0]}=25121010000000000?"
    for column, notes, rejected in ((TEXT, ["got [removed]"], {}), (NOTE, [], {"track_data": [1]})):
        bench = Bench(layout(column))
        receipt = bench.run(f"card,note\n{PANS[0]},got {track}\n{PANS[1]},\n")
        assert receipt["rejected_rows"] == rejected
        assert bench.table(receipt)["note"].drop_null().to_pylist() == notes
        for reject in bench.rejects(receipt) if rejected else []:
            assert "=2512" not in reject["record"]


def test_the_first_sight_of_a_card_names_its_customer_for_good() -> None:
    bench = Bench(layout(options='customer_id = "customer"'))
    bench.run(f"card,customer\n{PANS[0]},anna\n{PANS[0]},bob\n{PANS[1]},\n")
    bench.run(f"card,customer\n{PANS[0]},carol\n{PANS[1]},dora\n")
    metadata = [row.metadata for row in bench.world.vault.rows.values()]
    assert [each.get("customer_id") for each in metadata] == ["anna", None]


def test_a_pan_as_customer_id_never_reaches_the_vault_in_clear() -> None:
    bench = Bench(layout(options='customer_id = "customer"'))
    receipt = bench.run(f"card,customer\n{PANS[0]},{PANS[0]}\n{PANS[1]},ok\n")
    assert receipt["rejected_rows"] == {"guard_hit": [1]}
    assert PANS[0] not in str([row.metadata for row in bench.world.vault.rows.values()])


def test_one_time_tokens_differ_for_each_row() -> None:
    bench = Bench(layout(options='token_mode = "one_time"'))
    body = f"card\n{PANS[0]}\n{PANS[0]}\n"
    tokens = bench.table(bench.run(body))["card_token"].to_pylist()
    tokens += bench.table(bench.run(body))["card_token"].to_pylist()
    assert len(set(tokens)) == 4
    assert bench.opened(tokens) == [PANS[0]] * 4
    assert bench.world.fingerprints.tokens == {}


def test_scopes_have_tokens_of_their_own() -> None:
    bench = Bench(layout(), 'name = "y"\nscope = "other"\n[columns.card]\nrole = "pan"')
    one = bench.table(bench.run(f"card\n{PANS[0]}\n"))["card_token"].to_pylist()
    two = bench.table(bench.run(f"card\n{PANS[0]}\n", "y"))["card_token"].to_pylist()
    assert one != two


def test_two_pan_columns_share_the_token_of_a_card() -> None:
    bench = Bench(layout('[columns.previous]\nrole = "pan"\nempty = "keep"'))
    body = f"card,previous\n{PANS[0]},\n{PANS[1]},{PANS[0]}\n"
    table = bench.table(bench.run(body))
    assert table["previous_token"].to_pylist() == [None, table["card_token"][0].as_py()]


def test_rejects_hold_the_row_and_its_reason_for_repair() -> None:
    bench = Bench(layout(NOTE))
    receipt = bench.run(f"card,note\n4111********1111,a\n{PANS[0]},b\n{PANS[1]},c,d\n")
    assert bench.rejects(receipt) == [
        {"row": 1, "reason": "pan_masked", "column": "card", "record": "4111********1111,a"},
        {"row": 3, "reason": "wrong_field_count", "column": None, "record": f"{PANS[1]},c,d"},
    ]


def test_sensitive_authentication_data_is_not_kept_even_in_rejects() -> None:
    bench = Bench(layout(NOTE))
    track = f";{PANS[0]}=25121011234567890?"
    receipt = bench.run(f"card,cvv,note\nbad,123,\nbad,456,{track}\nbad,789\n")
    body = json.dumps(bench.rejects(receipt))
    assert [each["record"] for each in bench.rejects(receipt)] == ["bad,,", "bad,,[removed]", ""]
    assert not {"123", "456", "789", "2512101"} & set(body.replace(",", '"').split('"'))


def test_a_file_of_rejects_only_has_a_receipt_and_no_output() -> None:
    bench = Bench(layout(NOTE))
    receipt = bench.run("card,note\n,a\n,b\n")
    assert (receipt["status"], receipt["outputs"]) == ("committed", [])
    assert receipt["rejects_by_reason"] == {"pan_empty": 2}
    assert bench.world.keys.generated == 0


def test_a_refused_file_leaves_a_receipt_that_says_why_and_nothing_else() -> None:
    bench = Bench(layout(NOTE))
    with pytest.raises(PermanentError) as refusal:
        bench.run(f"card,other\n{PANS[0]},1\n")
    assert refusal.value.code == "missing_column"
    (receipt,) = bench.world.tokenized.receipts.values()
    assert (receipt["status"], receipt["reason"]) == ("failed", "missing_column")
    assert bench.world.tokenized.objects == {}
    assert bench.world.vault.rows == {}


def test_a_key_with_a_card_number_goes_into_no_receipt() -> None:
    bench = Bench(layout(NOTE))
    upload = bench.world.quarantine.put(f"incoming/x/{PANS[0]}.csv", b"card,note\n")
    with pytest.raises(PermanentError) as refusal:
        run_job(upload, bench.worker, lambda: 900.0)
    assert refusal.value.code == "pan_in_object_key"
    assert PANS[0] not in str(refusal.value)
    assert bench.world.tokenized.receipts == {}
    assert bench.world.ledger.jobs == {}


def test_without_a_layout_only_tokens_and_last4_come_out() -> None:
    bench = Bench()
    upload = bench.world.quarantine.put("incoming/day.csv", rows().encode())
    receipt = run_job(upload, bench.worker, lambda: 900.0)
    assert bench.table(receipt).column_names == ["card_token", "card_last4"]
    assert receipt["columns"]["dropped"] == ["note"]


@pytest.mark.parametrize("name", [PANS[0], FAILS_LUHN, "4111.1111.1111.1111", "4111-1111 11111111"])
def test_a_header_that_holds_a_long_number_is_refused_and_not_repeated(name: str) -> None:
    bench = Bench(layout(NOTE))
    with pytest.raises(PermanentError) as refusal:
        bench.run(f"card,note,{name}\n{PANS[0]},a,b\n")
    assert refusal.value.code == "header_looks_like_data"
    assert name not in json.dumps(list(bench.world.tokenized.receipts.values()))
