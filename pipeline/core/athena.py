"""A layout's output as a table for Athena: by statement, or as Glue takes it.

Amazon Athena user guide: "CREATE TABLE", "Partition projection", "Data types in Amazon Athena".
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import pyarrow as pa

from pipeline.core.layouts import Layout
from pipeline.core.output import output_schema

FIRST_DATE = "2025-01-01"  # no output is older than the product
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_]+")
_JOB = "job_[a-z2-7]{26}"


def table_statement(layout: Layout, bucket: str) -> str:
    """The statement that makes the table of a layout's Parquet, its days projected.

    A column whose name is not plain (`payment.card.number_token`) is left out, and said to be:
    statements take no such name, Glue's own interface does (`glue_table`).
    """
    columns = _columns(layout)
    plain = [f"  `{name}` {kind}" for name, kind in columns.items() if _PLAIN_NAME.fullmatch(name)]
    left_out = [f"-- not in it: {name}" for name in columns if not _PLAIN_NAME.fullmatch(name)]
    properties = [f"  '{name}' = '{value}'" for name, value in _properties(layout, bucket).items()]
    return "\n".join(
        [
            *left_out,
            f"CREATE EXTERNAL TABLE `{table_name(layout)}` (",
            ",\n".join(plain),
            ")",
            f"PARTITIONED BY (`{_day(layout)}` string)",
            "STORED AS PARQUET",
            f"LOCATION '{_location(layout, bucket)}'",
            "TBLPROPERTIES (",
            ",\n".join(properties),
            ")",
        ]
    )


def view_statement(layout: Layout) -> str:
    """The statement that makes the view of what committed jobs wrote, each row with its job.

    Columns whose names are not plain have plain ones here.
    """
    plain = [name for name in _columns(layout) if _PLAIN_NAME.fullmatch(name)]
    others = [name for name in _columns(layout) if not _PLAIN_NAME.fullmatch(name)]
    chosen = [_quoted(name) for name in (*plain, _day(layout))]
    for name in others:
        alias = _free(re.sub(r"[^a-z0-9_]", "_", name.lower()), {each.lower() for each in plain})
        chosen.append(f'{_quoted(name)} AS "{alias}"')
    job = _free("job_id", {name.lower() for name in plain})
    return "\n".join(
        [
            f'CREATE OR REPLACE VIEW "{table_name(layout)}_committed" AS',
            "SELECT * FROM (",
            f"  SELECT {', '.join(chosen)},",
            f'    regexp_extract("$path", \'{_JOB}\') AS "{job}"',
            f'  FROM "{table_name(layout)}")',
            # Every name in it is quoted or one of ours.
            f"WHERE \"{job}\" IN (SELECT job_id FROM receipts WHERE status = 'committed')",  # noqa: S608
        ]
    )


def glue_table(layout: Layout, bucket: str) -> dict[str, Any]:
    """The table as Glue's `TableInput`, with every column."""
    return {
        "Name": table_name(layout),
        "TableType": "EXTERNAL_TABLE",
        "PartitionKeys": [{"Name": _day(layout), "Type": "string"}],
        "Parameters": {"classification": "parquet", **_properties(layout, bucket)},
        "StorageDescriptor": {
            "Columns": [
                {"Name": name.lower(), "Type": kind} for name, kind in _columns(layout).items()
            ],
            "Location": _location(layout, bucket),
            "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
            "SerdeInfo": {
                "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde"
                ".ParquetHiveSerDe"
            },
        },
    }


def table_name(layout: Layout) -> str:
    """The layout's name, as Athena takes it."""
    return layout.name.replace("-", "_")


def athena_type(arrow_type: pa.DataType) -> str:
    """Athena's type for a column of an output."""
    if pa.types.is_decimal(arrow_type):
        return f"decimal({arrow_type.precision},{arrow_type.scale})"
    if pa.types.is_timestamp(arrow_type):
        return "timestamp"
    names = {pa.int64(): "bigint", pa.date32(): "date", pa.bool_(): "boolean"}
    return names.get(arrow_type, "string")


def _quoted(name: str) -> str:
    return '"' + name.lower().replace('"', '""') + '"'


def _columns(layout: Layout) -> dict[str, str]:
    schema = output_schema(tuple(layout.columns), layout)
    return {field.name: athena_type(field.type) for field in schema}


def _location(layout: Layout, bucket: str) -> str:
    return f"s3://{bucket}/data/layout={layout.name}/"


def _properties(layout: Layout, bucket: str) -> dict[str, str]:
    day = _day(layout)
    return {
        "projection.enabled": "true",
        f"projection.{day}.type": "date",
        f"projection.{day}.format": "yyyy-MM-dd",
        f"projection.{day}.range": f"{FIRST_DATE},NOW",
        "storage.location.template": f"{_location(layout, bucket)}date=${{{day}}}",
    }


def _day(layout: Layout) -> str:
    """The column of the day on which a file came: `file_date`, unless the layout has one."""
    return _free("file_date", {name.lower() for name in _columns(layout)})


def _free(name: str, taken: Collection[str]) -> str:
    return name if name not in taken else _free(f"{name}_", taken)
