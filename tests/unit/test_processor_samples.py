"""The samples of card processors' formats, end to end: every token opens to the card it is for."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks import readers_binary
from pipeline.job import run_job
from pipeline.readers.registry import READERS
from pipeline.samples.cards import synthetic_pans
from pipeline.samples.files import SAMPLE_SEED
from pipeline.samples.transactions import transaction_blocks
from tests.unit.test_tokenize import Bench

ROOT = Path(__file__).parents[2]
SAMPLES = {
    "visa_ctf.txt": ("visa-ctf", "account_number"),
    "visa_itf.bin": ("visa-itf", "account_number"),
    "mastercard_ipm.bin": ("mastercard-ipm", "DE2"),
    "mastercard_ipm_ebcdic.bin": ("mastercard-ipm-ebcdic", "DE2"),
    "mastercard_ipm_ebcdic_blocked.bin": ("mastercard-ipm-ebcdic-blocked", "DE2"),
    "amex_grrcn.txt": ("amex-grrcn-fixed", "card_number"),
    "nacha_shr.txt": ("nacha-shr", "card_number"),
    "nacha_shr_unbroken.bin": ("nacha-shr", "card_number"),
    "mainframe_ebcdic.bin": ("mainframe-ebcdic", "card_number"),
}
PANS = [pan for block in transaction_blocks(60, 40, SAMPLE_SEED) for pan in block.pans]
CARDS = synthetic_pans(40, SAMPLE_SEED)
IPM = [name for name in SAMPLES if name.startswith("mastercard")]


def sample(name: str) -> bytes:
    return (ROOT / "sample_data" / name).read_bytes()


def bench_of(name: str) -> Bench:
    layout = SAMPLES[name][0]
    return Bench((ROOT / "pipeline/layouts_builtin" / f"{layout}.toml").read_text())


@pytest.mark.parametrize("name", SAMPLES)
def test_every_token_of_a_sample_opens_to_its_pan(name: str) -> None:
    layout, column = SAMPLES[name]
    bench = bench_of(name)
    receipt = bench.run(sample(name), layout)
    table = bench.table(receipt)
    assert bench.opened(table[f"{column}_token"].to_pylist()) == PANS
    assert table[f"{column}_last4"].to_pylist() == [pan[-4:] for pan in PANS]
    assert (receipt["rows_read"], receipt["rows_written"], receipt["rows_rejected"]) == (60, 60, 0)
    assert receipt["source"]["sha256"] == hashlib.sha256(sample(name)).hexdigest()


@pytest.mark.parametrize("name", SAMPLES)
def test_no_card_number_is_left_anywhere_in_the_output_of_a_sample(name: str) -> None:
    bench = bench_of(name)
    receipt = bench.run(sample(name), SAMPLES[name][0])
    for output in receipt["outputs"]:
        table = pq.read_table(io.BytesIO(bench.world.tokenized.objects[output["uri"]]))
        cells = "\n".join(map(str, table.to_pylist()))
        assert [pan for pan in CARDS if pan in cells] == []


def test_second_cards_of_a_mainframe_record_are_tokenized_beside_the_first() -> None:
    bench = bench_of("mainframe_ebcdic.bin")
    table = bench.table(bench.run(sample("mainframe_ebcdic.bin"), "mainframe-ebcdic"))
    tokens = table["to_card_number_token"].to_pylist()
    assert [at for at, token in enumerate(tokens) if token] == [0, 10, 20, 30, 40, 50]
    expected = [CARDS[at * 7 % 40] for at in range(0, 60, 10)]
    assert bench.opened([token for token in tokens if token]) == expected


@pytest.mark.parametrize("name", IPM)
def test_card_numbers_in_private_data_and_text_elements_become_their_tokens(name: str) -> None:
    bench = bench_of(name)
    table = bench.table(bench.run(sample(name), SAMPLES[name][0]))
    tokens = table["DE2_token"].to_pylist()
    texts, private = table["DE72"].to_pylist(), table["DE48"].to_pylist()
    named = [at for at, text in enumerate(texts) if text]
    assert named == [3, 43]
    assert all(tokens[at] in texts[at] for at in named)
    assert all(tokens[at] in private[at] for at in (9, 49))


def test_card_numbers_in_further_component_records_become_their_tokens() -> None:
    bench = bench_of("visa_ctf.txt")
    table = bench.table(bench.run(sample("visa_ctf.txt"), "visa-ctf"))
    tokens, texts = table["account_number_token"].to_pylist(), table["tcr1"].to_pylist()
    assert all(f"CARD {tokens[at]} BY HAND" in texts[at] for at in (7, 27, 47))


def test_ctf_and_itf_give_the_same_rows() -> None:
    rows = []
    for name in ("visa_ctf.txt", "visa_itf.bin"):
        bench = bench_of(name)
        table = bench.table(bench.run(sample(name), SAMPLES[name][0]))
        text = re.sub(r"tok_[a-z2-7]{26}", "token", str(table.to_pylist()))
        rows.append(text)
    assert rows[0] == rows[1]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_in_many_parts_gives_the_same_rows(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, column = SAMPLES[name]
    kind = "ipm" if name in IPM else "ctf" if name.startswith("visa") else "fixed"
    reader = READERS[kind]

    def in_small_blocks(*arguments: object) -> object:
        return reader(*arguments, block_bytes=2048)  # type: ignore[call-arg, arg-type]

    monkeypatch.setitem(READERS, kind, in_small_blocks)  # type: ignore[arg-type]
    bench = bench_of(name)
    upload = bench.world.quarantine.put(f"incoming/{layout}/file", sample(name))
    receipt = None
    while not isinstance(receipt, dict):  # each time, there is time for one block more
        receipt = run_job(upload, bench.worker, lambda: 0.0)
    assert bench.opened(bench.table(receipt)[f"{column}_token"].to_pylist()) == PANS
    assert len(bench.world.ledger.chunks) > 1


def test_the_benchmark_reads_every_row_of_every_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers_binary, "ROWS", 40)
    monkeypatch.setattr(readers_binary, "CARDS", 20)
    assert {layout.name for _, _, layout in readers_binary.cases()} <= {
        layout for layout, _ in SAMPLES.values()
    }
    for _, make, layout in readers_binary.cases():
        rows_per_second, _ = readers_binary.measure(make(), layout)
        assert rows_per_second > 0
