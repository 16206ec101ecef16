"""SQL of `pantok query`: it sees the tokenized Parquet, and nothing else of where it runs."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from pipeline.cli.query import answer
from pipeline.errors import PermanentError

PAN = "4111111111111111"
TOKENIZED = pyarrow.dataset.dataset(pa.table({"card_token": ["tok_a", "tok_b"], "amount": [1, 2]}))


def test_the_view_is_queried() -> None:
    found = answer("SELECT card_token FROM tokenized WHERE amount > 1", TOKENIZED)
    assert found.to_pylist() == [{"card_token": "tok_b"}]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("cards.csv", "cards.json", "cards.txt"):
        (tmp_path / name).write_text(f'{{"card": "{PAN}"}}\n')
    pq.write_table(pa.table({"card": [PAN]}), tmp_path / "cards.parquet")
    return tmp_path


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('{files}/cards.csv')",
        "SELECT * FROM '{files}/cards.csv'",
        "SELECT * FROM '{files}/cards.parquet'",
        "SELECT * FROM read_json('{files}/cards.json')",
        "SELECT * FROM read_text('{files}/cards.txt')",
        "SELECT * FROM read_blob('{files}/cards.txt')",
        "SELECT * FROM glob('{files}/*')",
        "COPY tokenized TO '{files}/new.csv'",
        "ATTACH '{files}/new.db' AS other",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SELECT * FROM sql",
    ],
)
def test_a_query_reads_and_writes_no_file_of_this_machine(sql: str, files: Path) -> None:
    before = sorted(files.iterdir())
    with pytest.raises(PermanentError, match="invalid_query") as refused:
        answer(sql.format(files=files), TOKENIZED)
    assert PAN not in str(refused.value)
    assert sorted(files.iterdir()) == before


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM '.tmp/cards.csv'", "COPY tokenized TO '.tmp/new.csv'"]
)
def test_nor_a_file_in_the_folder_where_duckdb_would_keep_what_memory_cannot_hold(
    sql: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (files / ".tmp").mkdir()
    (files / "cards.csv").rename(files / ".tmp" / "cards.csv")
    monkeypatch.chdir(files)
    with pytest.raises(PermanentError, match="invalid_query"):
        answer(sql, TOKENIZED)
    assert len(list((files / ".tmp").iterdir())) == 1


@pytest.mark.parametrize("sql", ["", ";", "-- a remark"])
def test_sql_without_a_statement_is_no_query(sql: str) -> None:
    with pytest.raises(PermanentError, match="invalid_query: it holds no statement"):
        answer(sql, TOKENIZED)


def test_what_a_query_makes_is_gone_with_it() -> None:
    answer("CREATE TABLE t AS SELECT * FROM tokenized; SELECT * FROM t", TOKENIZED)
    with pytest.raises(PermanentError, match="invalid_query"):
        answer("SELECT * FROM t", TOKENIZED)
