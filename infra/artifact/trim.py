"""Drops what no function of the stack ever loads."""

from __future__ import annotations

import shutil
from pathlib import Path

# What the functions call. Outside of Lambda the tracer makes a client of X-Ray as it is imported.
AWS_SERVICES = frozenset({"dynamodb", "kms", "logs", "s3", "secretsmanager", "sqs", "xray"})

# Console scripts and types. What an installer notes of its work would be wrong after this.
LEFT_OUT = (
    *("bin", "*-stubs", "**/*.pyi", "**/py.typed", "**/__pycache__"),
    *("*.dist-info/direct_url.json", "*.dist-info/INSTALLER"),
    *("*.dist-info/RECORD", "*.dist-info/REQUESTED"),
)
# Headers, tests, the Flight network service and filesystems of clouds. Substrait, dataset and
# acero look as idle, but the libraries that read and write Parquet are linked against them.
LEFT_OUT_OF_PYARROW = (
    *("*.pxd", "*.pxi", "*.pyx", "include", "includes", "src"),
    *("_pyarrow_cpp_tests*", "conftest.py", "tests"),
    "*flight*",
    *("_azurefs*", "_gcsfs*", "_hdfs*", "_s3fs*", "libarrow_s3.so*"),
    # Wheels have no symbolic links: these two are copies of what is linked against, `….so.2600`.
    *("libarrow_python*.so", "libarrow_python*.so.*.*.*"),
)
# Models of services for `boto3.resource`, which nothing here uses.
LEFT_OUT_OF_BOTO3 = ("data", "examples")


def trim(folder: Path) -> None:
    """Takes out of a folder of installed wheels what is left out of the package."""
    _drop(folder, LEFT_OUT)
    _drop(folder / "pyarrow", tuple(f"**/{pattern}" for pattern in LEFT_OUT_OF_PYARROW))
    _drop(folder / "boto3", LEFT_OUT_OF_BOTO3)
    for service in sorted((folder / "botocore" / "data").glob("*/")):
        if service.name not in AWS_SERVICES:
            shutil.rmtree(service)


def _drop(folder: Path, patterns: tuple[str, ...]) -> None:
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
