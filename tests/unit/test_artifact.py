"""The Lambda package: locked, complete, without what does not belong to production."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import re
import shutil
import sys
import zipfile
from email.message import Message
from pathlib import Path

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from infra.artifact import __main__ as command
from infra.artifact.archive import write_zip
from infra.artifact.build import assemble, copy_pipeline, requirements_of
from infra.artifact.bytecode import compile_all
from infra.artifact.locked import locked_lines, needed_names, project_dependencies
from infra.artifact.sbom import bill_of_materials
from infra.artifact.sizes import BUDGET_BYTES, UNZIPPED_LIMIT_BYTES, is_over_budget, table
from infra.artifact.target import MACHINES, ROOT, Distribution, Target
from infra.artifact.trim import AWS_SERVICES, trim
from infra.artifact.wheels import licences_of

HERE = "{}.{}".format(*sys.version_info)
SIX = Distribution("six", "1.17.0", "ab" * 32, ("MIT License",), frozenset({"six.py"}))
BOTH = Distribution(
    "both", "2", "cd" * 32, ("Apache-2.0 OR BSD-3-Clause",), frozenset({"both", "both-2.dist-info"})
)


@pytest.fixture(params=sorted(MACHINES))
def target(request: pytest.FixtureRequest) -> Target:
    return Target(request.param)


@pytest.fixture(scope="module")
def pipeline_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    copy_pipeline(folder)
    return folder


# What is in it


def test_the_package_has_what_its_packages_need(target: Target) -> None:
    names = needed_names(project_dependencies(), target.markers)
    assert {"boto3", "botocore", "cffi", "cryptography", "pyarrow", "wrapt"} <= names


def test_the_package_has_no_tools(target: Target) -> None:
    names = needed_names(project_dependencies(), target.markers)
    assert not names & {"duckdb", "ministack", "moto", "mypy", "pip", "pytest", "typer"}


def test_every_line_has_one_version_and_hashes_and_no_marker(target: Target) -> None:
    lines = requirements_of(target)
    names = needed_names(project_dependencies(), target.markers)
    assert [line.partition("==")[0] for line in lines] == sorted(names)
    assert all(" --hash=sha256:" in line and ";" not in line for line in lines)


def test_of_two_locked_versions_lambdas_python_decides(target: Target) -> None:
    constraints = (
        "some-package==1 ; python_full_version < '3.12' \\\n    --hash=sha256:a\n"
        "some-package==2 ; python_full_version >= '3.12' \\\n    --hash=sha256:b \\\n"
        "    --hash=sha256:c\n"
    )
    [line] = locked_lines({"some-package"}, target.markers, constraints)  # type: ignore[arg-type]
    assert line.split() == ["some-package==2", "--hash=sha256:b", "--hash=sha256:c"]


def test_what_is_not_locked_is_not_installed(target: Target) -> None:
    with pytest.raises(SystemExit, match="no-such-package"):
        locked_lines({"no-such-package"}, target.markers, "")  # type: ignore[arg-type]


def test_the_package_is_for_the_python_that_the_template_names() -> None:
    runtimes = re.findall(r"Runtime: (\S+)", (ROOT / "infra" / "template.yaml").read_text())
    assert set(runtimes) == {f"python{Target('arm64').python_version}"}


def test_the_pipeline_comes_without_command_line_local_stack_and_test_data(
    pipeline_files: Path,
) -> None:
    names = {path.name for path in (pipeline_files / "pipeline").iterdir()}
    assert {"core", "handlers", "layouts_builtin"} <= names
    assert not names & {"__pycache__", "cli", "loadtest", "local", "samples", "testing"}
    assert list((pipeline_files / "pipeline" / "layouts_builtin").glob("*.toml"))


def test_of_the_pipeline_everything_is_there_that_something_there_imports(
    pipeline_files: Path,
) -> None:
    wanted = {name for file in pipeline_files.rglob("*.py") for name in _imported(file)}
    assert {name for name in wanted if not _is_module(pipeline_files, name)} == set()


def test_every_entry_point_of_the_template_is_there(pipeline_files: Path) -> None:
    handlers = re.findall(
        r"Handler: (\S+)\.handler", (ROOT / "infra" / "template.yaml").read_text()
    )
    assert len(handlers) >= 4
    assert all(_is_module(pipeline_files, name) for name in handlers)


def _imported(file: Path) -> set[str]:
    """The pipeline's modules that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline."):
            names.add(str(node.module))
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names if each.name.startswith("pipeline.")}
    return names


def _is_module(folder: Path, name: str) -> bool:
    path = folder / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


# What is left out


def test_trimming_keeps_what_parquet_is_linked_against(tmp_path: Path) -> None:
    kept = {
        "lib.cpython-312-x86_64-linux-gnu.so",
        "libarrow_python.so.2600",
        "libarrow_substrait.so.2600",
        "libarrow_acero.so.2600",
        "parquet/core.py",
    }
    dropped = {
        *("_flight.so", "libarrow_flight.so.2600", "tests/test_x.py", "include/arrow/api.h"),
        *("_s3fs.cpython-312-x86_64-linux-gnu.so", "libarrow_s3.so.2600"),
        *("libarrow_python.so", "libarrow_python.so.2600.1.0", "lib.pyi"),
    }
    _touch(tmp_path / "pyarrow", kept | dropped)
    trim(tmp_path)
    assert _names(tmp_path / "pyarrow") == kept


def test_trimming_keeps_licences_and_metadata_and_drops_what_an_installer_noted(
    tmp_path: Path,
) -> None:
    kept = {"six.py", "six-1.dist-info/METADATA", "six-1.dist-info/licenses/LICENSE"}
    _touch(tmp_path, kept | {"bin/tool", "six-1.dist-info/RECORD", "six-1.dist-info/INSTALLER"})
    trim(tmp_path)
    assert _names(tmp_path) == kept


def test_trimming_keeps_the_models_of_the_services_that_are_called(tmp_path: Path) -> None:
    kept = {f"botocore/data/{name}/service.json" for name in AWS_SERVICES}
    kept.add("botocore/data/endpoints.json")
    _touch(tmp_path, kept | {"botocore/data/ec2/service.json", "boto3/data/s3/resources.json"})
    trim(tmp_path)
    assert _names(tmp_path) == kept


def test_every_service_that_a_function_calls_has_its_model(pipeline_files: Path) -> None:
    code = "".join(path.read_text() for path in pipeline_files.rglob("*.py"))
    groups = re.findall(r'\.client\(\s*"(\w+)"|map\(session\.client, \(([^)]*)\)', code)
    called = {name for one, many in groups for name in [one, *re.findall(r'"(\w+)"', many)]} - {""}
    assert {"s3", "kms"} <= called <= AWS_SERVICES | {"cloudtrail"}


def _touch(folder: Path, names: set[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# The same every time


def test_two_builds_give_the_same_zip_and_the_same_bill_of_materials(tmp_path: Path) -> None:
    target = Target("x86_64", HERE)
    six = [line for line in requirements_of(target) if line.startswith("six==")]
    builds = [
        assemble(six, target, sys.executable, tmp_path / name) for name in ("first", "second")
    ]
    assert builds[0].zip_file.read_bytes() == builds[1].zip_file.read_bytes()
    assert builds[0].sbom_file.read_bytes() == builds[1].sbom_file.read_bytes()
    assert set(builds[0].sizes) == {"six", "pipeline"}
    with zipfile.ZipFile(builds[0].zip_file) as archive:
        assert {"six.py", "pipeline/handlers/work_queue.py"} <= set(archive.namelist())


def test_times_and_modes_of_files_do_not_reach_the_zip(tmp_path: Path) -> None:
    _touch(tmp_path / "package", {"b.py", "a/c.py"})
    before = write_zip(tmp_path / "package", tmp_path / "1.zip")
    os.utime(tmp_path / "package" / "b.py", (0, 0))
    (tmp_path / "package" / "b.py").chmod(0o755)
    assert write_zip(tmp_path / "package", tmp_path / "2.zip") == before


def test_bytecode_is_never_checked_against_its_source_and_names_lambdas_folder(
    tmp_path: Path,
) -> None:
    (tmp_path / "module.py").write_text("def place(): pass\n")
    compile_all(tmp_path, sys.executable)
    [compiled] = tmp_path.rglob("*.pyc")
    flags = int.from_bytes(compiled.read_bytes()[4:8], "little")
    assert flags == 0b01  # hash-based, unchecked: PEP 552
    assert b"/var/task/module.py" in compiled.read_bytes()


# The bill of materials


def test_the_bill_of_materials_holds_to_its_schema() -> None:
    bill = bill_of_materials([BOTH, SIX], Target("arm64"), "ef" * 32, "Python 3.12.1")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None


def test_the_bill_of_materials_says_what_is_in_the_zip() -> None:
    bill = json.loads(bill_of_materials([BOTH, SIX], Target("arm64"), "ef" * 32, "Python 3.12.1"))
    both, six = bill["components"]
    assert six["purl"] == "pkg:pypi/six@1.17.0"
    assert six["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert six["licenses"] == [{"license": {"name": "MIT License"}}]
    assert both["licenses"] == [{"expression": "Apache-2.0 OR BSD-3-Clause"}]
    assert bill["metadata"]["component"]["hashes"][0]["content"] == "ef" * 32
    assert bill["dependencies"][-1]["ref"] == "pkg:pypi/six@1.17.0"


def test_the_bill_of_materials_has_no_time_and_the_serial_number_of_its_zip() -> None:
    bills = [
        json.loads(bill_of_materials([SIX], Target("arm64"), digest * 32, ""))
        for digest in ("ab", "cd")
    ]
    assert all("timestamp" not in bill["metadata"] for bill in bills)
    assert bills[0]["serialNumber"] != bills[1]["serialNumber"]


@pytest.mark.parametrize(
    ("headers", "licences"),
    [
        ([("License-Expression", "MIT-0"), ("Classifier", "License :: Other")], ("MIT-0",)),
        ([("Classifier", "License :: OSI Approved :: MIT License")], ("MIT License",)),
        ([("Classifier", "License :: OSI Approved"), ("License", "BSD\nRedistri")], ("BSD",)),
        ([("Classifier", "Topic :: Security")], ()),
    ],
)
def test_licences_are_those_of_a_wheels_metadata(
    headers: list[tuple[str, str]], licences: tuple[str, ...]
) -> None:
    metadata = Message()
    for name, text in headers:
        metadata[name] = text
    assert licences_of(metadata) == licences


def test_every_distribution_of_the_package_names_its_licence(target: Target) -> None:
    names = needed_names(project_dependencies(["formats"]), target.markers)
    metadata = {name: importlib.metadata.metadata(name) for name in names}
    assert [name for name in names if not licences_of(metadata[name])] == []  # type: ignore[arg-type]


# How large it is


def test_a_fifth_of_lambdas_limit_is_kept_for_layers() -> None:
    assert (UNZIPPED_LIMIT_BYTES, BUDGET_BYTES) == (262_144_000, 209_715_200)
    assert not is_over_budget({"a": BUDGET_BYTES - 1, "b": 1})
    assert is_over_budget({"a": BUDGET_BYTES, "b": 1})


def test_a_package_over_the_budget_fails_the_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = command.Package(tmp_path, tmp_path, "", tmp_path, {"pyarrow": BUDGET_BYTES + 1})
    assert command.refusal(package) == 1
    assert "over its budget" in capsys.readouterr().err


def test_the_table_adds_up() -> None:
    lines = table({"pyarrow": 2_000, "six": 30}).splitlines()
    assert [line.split(maxsplit=1)[::-1] for line in lines] == [
        ["pyarrow", "2,000"],
        ["six", "30"],
        ["total", "2,030"],
        ["budget", "209,715,200"],
        ["limit of AWS Lambda", "262,144,000"],
    ]


def test_the_template_deploys_the_package_that_was_built_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "TEMPLATES_FOLDER", tmp_path / "lambda")
    for name in ("lambda-arm64", "lambda-x86_64"):
        (tmp_path / name).mkdir()
        command.point_template_at(tmp_path / name)
        assert (tmp_path / "lambda").resolve() == tmp_path / name
    (tmp_path / "lambda").unlink()
    shutil.copytree(tmp_path / "lambda-arm64", tmp_path / "lambda")
    with pytest.raises(SystemExit, match="remove it"):
        command.point_template_at(tmp_path / "lambda-arm64")


def test_the_templates_default_is_the_package_that_a_plain_build_points_at() -> None:
    text = (ROOT / "infra" / "template.yaml").read_text()
    architecture = yaml.safe_load(re.search(r"(?s)Architecture:\n.*?Default: (\S+)", text)[1])  # type: ignore[index]
    assert architecture == sorted(MACHINES)[0]
