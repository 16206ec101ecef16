"""SQL over the tokenized Parquet."""

from __future__ import annotations

from typing import Annotated, Any

import duckdb
import pyarrow as pa
import pyarrow.dataset
import pyarrow.fs
import typer

from pipeline.aws.faults import translated
from pipeline.cli.output import JsonFlag, StackOption, examples, print_json, say, table
from pipeline.cli.session import Deployment, deployment
from pipeline.errors import PermanentError

SHOWN_ROWS = 100
_CONFINED: dict[str, Any] = {
    "enable_external_access": "false",
    "temp_directory": "",  # DuckDB would let statements read and write there
    "lock_configuration": "true",
}

EXAMPLES = examples(
    'pantok query "SELECT layout, count(*) FROM tokenized GROUP BY layout"',
    'pantok query --layout card-present "SELECT card_number_token, sum(amount)',
    '    FROM tokenized GROUP BY 1 ORDER BY 2 DESC LIMIT 5"',
)


def query(
    sql: Annotated[str, typer.Argument(help="DuckDB SQL; the view is called `tokenized`.")],
    layout: Annotated[str | None, typer.Option(help="Only the files of this layout.")] = None,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Runs SQL over the tokenized Parquet of committed jobs, and over nothing else."""
    result = run_query(deployment(stack), sql, layout)
    if as_json:
        print_json(result.to_pylist())
        return
    shown = result.slice(0, SHOWN_ROWS)
    table("", result.column_names, [tuple(row.values()) for row in shown.to_pylist()])
    if result.num_rows > SHOWN_ROWS:
        say(f"{SHOWN_ROWS} of {result.num_rows:,} rows are shown; --json gives all.")


def run_query(target: Deployment, sql: str, layout: str | None = None) -> pa.Table:
    """The result of the query; columns `layout` and `date` come from the files' places.

    Raises `PermanentError`: `nothing_tokenized`, `layouts_differ`, `invalid_query`.
    """
    return answer(sql, _dataset(target, layout))


def answer(sql: str, tokenized: pyarrow.dataset.Dataset) -> pa.Table:
    """The result of the query, which sees nothing but the view: no file, no network, no variable.

    Files of this machine may hold PANs, and a query is often somebody else's text. Raises
    `PermanentError` `invalid_query`.
    """
    try:
        with duckdb.connect(":memory:", config=_CONFINED) as connection:
            connection.register("tokenized", tokenized)
            result = connection.sql(sql)
            if result is None:
                raise PermanentError("invalid_query", "it holds no statement")
            return result.to_arrow_table()
    except duckdb.Error as error:
        raise PermanentError("invalid_query", str(error)) from None


def _dataset(target: Deployment, layout: str | None) -> pyarrow.dataset.Dataset:
    paths = committed_parts(target, layout)
    if not paths:
        raise PermanentError("nothing_tokenized", "no committed job has an output to query")
    filesystem = parquet_filesystem(target)
    parts = [
        pyarrow.dataset.dataset(
            path,
            filesystem=filesystem,
            format="parquet",
            partitioning=pyarrow.dataset.partitioning(
                pa.schema([("layout", pa.string()), ("date", pa.string())]), flavor="hive"
            ),
        )
        for path in paths
    ]
    try:
        schema = pa.unify_schemas([part.schema for part in parts], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        raise PermanentError(
            "layouts_differ", "columns of one name have different types: give --layout"
        ) from None
    return pyarrow.dataset.dataset([part.replace_schema(schema) for part in parts])


def committed_parts(target: Deployment, layout: str | None) -> list[str]:
    """The parts of jobs that have a receipt: without one, a file is not there for a consumer."""
    bucket = target.outputs["TokenizedBucket"]
    jobs = {
        key.removeprefix("receipts/").removesuffix(".json")
        for key in _keys(target, bucket, "receipts/")
    }
    prefix = f"data/layout={layout}/" if layout else "data/"
    return [f"{bucket}/{key}" for key in _keys(target, bucket, prefix) if key.split("/")[3] in jobs]


def _keys(target: Deployment, bucket: str, prefix: str) -> list[str]:
    with translated("s3:ListObjectsV2"):
        pages = target.client("s3").get_paginator("list_objects_v2")
        return [
            item["Key"]
            for page in pages.paginate(Bucket=bucket, Prefix=prefix)
            for item in page.get("Contents", [])
        ]


def parquet_filesystem(target: Deployment) -> pyarrow.fs.S3FileSystem:
    """Where pyarrow reads the tokenized bucket."""
    credentials = target.session.get_credentials()
    frozen = credentials.get_frozen_credentials() if credentials else None
    endpoint_url = target.client("s3").meta.endpoint_url
    options: dict[str, Any] = {}
    if endpoint_url.startswith("http://"):  # the local stack; AWS's endpoint is found by region
        options = {"endpoint_override": endpoint_url.removeprefix("http://"), "scheme": "http"}
    return pyarrow.fs.S3FileSystem(
        access_key=frozen.access_key if frozen else None,
        secret_key=frozen.secret_key if frozen else None,
        session_token=frozen.token if frozen else None,
        region=target.session.region_name,
        **options,
    )
