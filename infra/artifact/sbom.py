"""The package's bill of materials, in CycloneDX.

It is as reproducible as the package: no time, and a serial number that follows from the zip.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from infra.artifact.target import Distribution, Target
from pipeline import __version__


def bill_of_materials(
    distributions: Sequence[Distribution], target: Target, zip_sha256: str, compiled_by: str
) -> str:
    """The CycloneDX 1.6 document, as JSON, of a zip with these distributions.

    `compiled_by` says which Python made the bytecode. Hashes of distributions are those of their
    wheels, as constraints.txt has them; the package holds less than the wheels.
    """
    product = _product(target, zip_sha256, compiled_by)
    components = [_component(each) for each in distributions]
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"sha256:{zip_sha256}"),
        metadata=BomMetaData(component=product),
        components=components,
    )
    bom.register_dependency(product, components)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    del document["metadata"]["timestamp"]
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _product(target: Target, zip_sha256: str, compiled_by: str) -> Component:
    facts = {
        "pantok:architecture": target.architecture,
        "pantok:bytecode": compiled_by,
        "pantok:python": target.python_version,
    }
    return Component(
        type=ComponentType.APPLICATION,
        name="pantok",
        version=__version__,
        bom_ref="pantok",
        licenses=[LicenseFactory().make_from_string("Apache-2.0")],
        hashes=[_sha256(zip_sha256)],
        properties=[Property(name=name, value=value) for name, value in facts.items()],
    )


def _component(distribution: Distribution) -> Component:
    purl = PackageURL("pypi", None, distribution.name, distribution.version)
    return Component(
        type=ComponentType.LIBRARY,
        name=distribution.name,
        version=distribution.version,
        purl=purl,
        bom_ref=purl.to_string(),
        licenses=[LicenseFactory().make_from_string(each) for each in distribution.licences],
        hashes=[_sha256(distribution.wheel_sha256)],
    )


def _sha256(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)
