"""What gets deployed: the pipeline's code as one zip, and the template that points at it."""

import hashlib
import importlib
import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pipeline
from pipeline.local.errors import NOT_INSTALLED, LocalStackError

PACKAGE = Path(pipeline.__file__).resolve().parent
TEMPLATE = PACKAGE.parent / "infra" / "template.yaml"
# Here as on AWS: the command line, the local stack and whatever makes test data are no part of a
# system in production (PCI DSS 6.5.6).
NOT_DEPLOYED = frozenset(
    {"__pycache__", "cli", "drafting", "inspection.py", "loadtest", "local", "samples"}
    | {"testing", "vault_care"}
    | {"forgotten_trail.py", "key_care.py", "key_events.py", "vault_care.py"}
)
# For the template's parameters of these names: a laptop has fewer processors than AWS.
LOCAL_PARAMETERS = {"MaximumConcurrency": str(max(2, min(10, os.cpu_count() or 2)))}
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
FILE_MODE = 0o644 << 16
ARTIFACT_BUCKET = "pantok-local-artifacts"
CODE_PROPERTY = "CodeUri"


@dataclass(frozen=True, slots=True)
class DeployedPackage:
    """Code and template, ready to deploy; `digest` changes when any of it does."""

    code_zip: bytes = field(repr=False)
    code_object: str
    template: str = field(repr=False)
    parameters: Mapping[str, str]

    @property
    def digest(self) -> str:
        """A fingerprint of all that is deployed."""
        given = json.dumps(dict(self.parameters), sort_keys=True)
        return hashlib.sha256(f"{self.template}\0{given}".encode()).hexdigest()

    @property
    def template_object(self) -> str:
        """The template's key in the artifact bucket."""
        return f"template/{self.digest}.yaml"


def prepare(
    template: Path = TEMPLATE, package: Path = PACKAGE, parameters: Mapping[str, str] | None = None
) -> DeployedPackage:
    """Zip a package and point every function of a template at the zip.

    `parameters` of the template come before those of `LOCAL_PARAMETERS`.
    Raises LocalStackError if the template is absent or is not YAML.
    """
    root = _parse(_read(template))
    code_zip = zip_package(package)
    code_object = f"code/{hashlib.sha256(code_zip).hexdigest()}.zip"
    _point_functions_at(root, f"s3://{ARTIFACT_BUCKET}/{code_object}")
    return DeployedPackage(
        code_zip=code_zip,
        code_object=code_object,
        template=str(_yaml().serialize(root)),
        parameters={**_local_parameters(root), **(parameters or {})},
    )


def zip_package(package: Path) -> bytes:
    """Zip a package under its own name; the same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in deployed_files(package):
            name = (Path(package.name) / path.relative_to(package)).as_posix()
            entry = zipfile.ZipInfo(name, ZIP_EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = FILE_MODE
            archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()


def deployed_files(package: Path) -> Iterator[Path]:
    """The files of a package that run in a function, in an order that does not change."""
    for path in sorted(package.rglob("*")):
        inside = path.relative_to(package).parts
        if path.is_file() and NOT_DEPLOYED.isdisjoint(inside) and path.suffix != ".pyc":
            yield path


def _read(template: Path) -> str:
    try:
        return template.read_text()
    except FileNotFoundError as error:
        raise LocalStackError(
            f"there is no template at {template}: the local stack deploys the one of a checkout,"
            " so install pantok from its repository (pip install -e '.[local]')"
        ) from error


def _yaml() -> Any:
    """Import PyYAML only here: whoever merely looks for a running stack need not have it."""
    try:
        return importlib.import_module("yaml")
    except ModuleNotFoundError as error:
        raise LocalStackError(NOT_INSTALLED) from error


def _parse(template: str) -> Any:
    """Parse into nodes, which keep the short forms (`!Ref`) and every scalar as written."""
    yaml = _yaml()
    try:
        root = yaml.compose(template, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise LocalStackError(f"the template is not YAML: {error}") from error
    if root is None or root.id != "mapping":
        raise LocalStackError("the template is not a YAML mapping")
    return root


def _point_functions_at(root: Any, code_uri: str) -> None:
    for node in _local_code_nodes(root):
        node.value = code_uri
        node.style = "'"


def _local_parameters(root: Any) -> dict[str, str]:
    declared = {
        name.value
        for section, parameters in root.value
        if section.value == "Parameters"
        for name, _ in parameters.value
    }
    return {name: value for name, value in LOCAL_PARAMETERS.items() if name in declared}


def _local_code_nodes(node: Any) -> Iterator[Any]:
    if node.id == "sequence":
        for child in node.value:
            yield from _local_code_nodes(child)
    if node.id == "mapping":
        for name, child in node.value:
            if name.value == CODE_PROPERTY and _is_local(child):
                yield child
            yield from _local_code_nodes(child)


def _is_local(node: Any) -> bool:
    return node.id == "scalar" and not str(node.value).startswith("s3://")
