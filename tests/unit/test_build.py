"""The Lambda package: locked, complete, without what does not belong to production."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "infra" / "build.py"


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=["aarch64", "x86_64"])
def platform(build: ModuleType, request: pytest.FixtureRequest) -> Any:
    return build.markers_on_lambda(request.param)


def test_the_package_has_what_its_packages_need(build: ModuleType, platform: Any) -> None:
    names = build.needed_names(build.project_dependencies(), platform)
    assert {"boto3", "botocore", "cffi", "cryptography", "pyarrow", "wrapt"} <= names


def test_the_package_has_no_tools(build: ModuleType, platform: Any) -> None:
    names = build.needed_names(build.project_dependencies(), platform)
    assert not names & {"duckdb", "ministack", "moto", "mypy", "pip", "pytest", "typer"}


def test_every_line_has_one_version_and_hashes_and_no_marker(
    build: ModuleType, platform: Any
) -> None:
    names = build.needed_names(build.project_dependencies(), platform)
    lines = build.locked_lines(names, platform)
    assert [line.partition("==")[0] for line in lines] == sorted(names)
    assert all(" --hash=sha256:" in line and ";" not in line for line in lines)


def test_of_two_locked_versions_lambdas_python_decides(
    build: ModuleType, platform: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "ROOT", tmp_path)
    (tmp_path / "constraints.txt").write_text(
        "some-package==1 ; python_full_version < '3.12' \\\n    --hash=sha256:a\n"
        "some-package==2 ; python_full_version >= '3.12' \\\n    --hash=sha256:b \\\n"
        "    --hash=sha256:c\n"
    )
    [line] = build.locked_lines({"some-package"}, platform)
    assert line.split() == ["some-package==2", "--hash=sha256:b", "--hash=sha256:c"]


def test_what_is_not_locked_is_not_installed(build: ModuleType, platform: Any) -> None:
    with pytest.raises(SystemExit, match="no-such-package"):
        build.locked_lines({"no-such-package"}, platform)


def test_pruning_keeps_what_parquet_is_linked_against(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "TARGET", tmp_path)
    kept = {"lib.so", "libarrow_substrait.so.2600", "libarrow_acero.so.2600", "parquet/core.py"}
    dropped = {"_flight.so", "libarrow_flight.so.2600", "tests/test_x.py", "include/arrow/api.h"}
    for name in kept | dropped:
        path = tmp_path / "pyarrow" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    build.prune()
    left = {path for path in (tmp_path / "pyarrow").rglob("*") if path.is_file()}
    assert {path.relative_to(tmp_path / "pyarrow").as_posix() for path in left} == kept


def test_the_pipeline_comes_without_command_line_local_stack_and_test_data(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "TARGET", tmp_path)
    build.copy_pipeline()
    names = {path.name for path in (tmp_path / "pipeline").iterdir()}
    assert {"core", "handlers", "layouts_builtin"} <= names
    assert not names & {"__pycache__", "cli", "loadtest", "local", "samples", "testing.py"}
    assert list((tmp_path / "pipeline" / "layouts_builtin").glob("*.toml"))


@pytest.mark.parametrize(("over", "exit_code"), [(0, 0), (1, 1)])
def test_a_package_over_the_limit_is_refused(
    over: int,
    exit_code: int,
    build: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(build, "TARGET", tmp_path)
    with (tmp_path / "big").open("wb") as file:
        file.truncate(build.UNZIPPED_LIMIT_BYTES + over)
    assert build.report() == exit_code
    printed = capsys.readouterr()
    assert f"{262_144_000 + over:,}  total" in printed.out
    assert bool(printed.err) is bool(exit_code)
