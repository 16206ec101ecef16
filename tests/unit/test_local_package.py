"""What the local stack deploys."""

import io
import os
import zipfile
from pathlib import Path

import pytest
import yaml

from pipeline.local.errors import LocalStackError
from pipeline.local.package import LOCAL_PARAMETERS, prepare, zip_package

TEMPLATE = """
Parameters:
  MaximumConcurrency: {Type: Number, Default: 10}
Globals:
  Function: {CodeUri: ../build/lambda}
Resources:
  Elsewhere: {Properties: {CodeUri: "s3://theirs/code.zip"}}
  Here:
    Properties:
      CodeUri: ../build/lambda
      Name: !Sub ${AWS::StackName}-worker
      Arn: !GetAtt Queue.Arn
      Since: 2012-10-17
      Switch: "true"
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    package = tmp_path / "pipeline"
    for name in ("__init__.py", "core/a.py", "layouts/b.toml", "cli/main.py", "local/up.py"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"")
    return package


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE)
    return path


def test_the_zip_holds_what_runs_in_a_function_and_nothing_else(package: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(zip_package(package))) as archive:
        assert archive.namelist() == [
            "pipeline/__init__.py",
            "pipeline/core/a.py",
            "pipeline/layouts/b.toml",
        ]


def test_the_same_files_give_the_same_zip(package: Path) -> None:
    before = zip_package(package)
    os.utime(package / "core" / "a.py", (0, 0))
    (package / "core" / "a.py").chmod(0o755)
    assert zip_package(package) == before


def test_every_local_code_uri_points_at_the_zip_and_nothing_else_changes(
    package: Path, template: Path
) -> None:
    deployable = prepare(template, package)
    rewritten = yaml.compose(deployable.template)
    expected = TEMPLATE.replace(
        "../build/lambda", f"s3://pantok-local-artifacts/{deployable.code_object}"
    )
    assert _plain(rewritten) == _plain(yaml.compose(expected))


def test_the_digest_changes_with_code_template_and_parameters(
    package: Path, template: Path
) -> None:
    digests = {prepare(template, package).digest, prepare(template, package).digest}
    assert len(digests) == 1
    digests.add(prepare(template, package, {"MaximumConcurrency": "7"}).digest)
    (package / "cli" / "main.py").write_text("changed = True")
    digests.add(prepare(template, package).digest)
    assert len(digests) == 2
    (package / "core" / "a.py").write_text("changed = True")
    digests.add(prepare(template, package).digest)
    template.write_text(TEMPLATE + "Outputs: {}\n")
    digests.add(prepare(template, package).digest)
    assert len(digests) == 4


def test_local_parameters_are_given_only_to_templates_that_declare_them(
    package: Path, template: Path
) -> None:
    assert prepare(template, package).parameters == LOCAL_PARAMETERS
    asked = prepare(template, package, {"MaximumConcurrency": "3"})
    assert asked.parameters == {"MaximumConcurrency": "3"}
    template.write_text("Resources: {}")
    assert prepare(template, package).parameters == {}


def test_a_template_that_is_no_mapping_is_refused(package: Path, template: Path) -> None:
    template.write_text("- a list")
    with pytest.raises(LocalStackError, match="not a YAML mapping"):
        prepare(template, package)


def _plain(node: yaml.Node) -> object:
    """A node as values with their tags, without styles and positions."""
    if isinstance(node, yaml.MappingNode):
        return {name.value: _plain(child) for name, child in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child) for child in node.value]
    return (node.tag, node.value)
