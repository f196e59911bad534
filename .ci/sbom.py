"""Check that an SBOM names mindref and every package that its wheel requires, with versions.

    python .ci/sbom.py mindref-0.1.0.cdx.json SITE_PACKAGES

SITE_PACKAGES is the folder into which the wheel was installed. The packages that mindref requires
without an extra, and in turn the packages that these require, must be in the SBOM with the
installed versions. A further package in the SBOM is an error too. Needs the package `packaging`.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def required_versions(folder: str) -> dict[str, str]:
    """Return name -> version of mindref and of all packages that it requires."""
    installed = {canonicalize_name(each.name): each for each in distributions(path=[folder])}
    versions: dict[str, str] = {}
    pending = [Requirement("mindref")]
    read = set()
    while pending:
        requirement = pending.pop()
        name = canonicalize_name(requirement.name)
        if name not in installed:
            raise SystemExit(f"{folder}: {requirement} is required and not installed")
        versions[name] = installed[name].version
        extras = {"", *requirement.extras}
        for line in installed[name].requires or ():
            further = Requirement(line)
            marker = further.marker
            applies = marker is None or any(marker.evaluate({"extra": x}) for x in extras)
            if applies and line not in read:
                read.add(line)
                pending.append(further)
    return versions


def differences(sbom: str, versions: dict[str, str]) -> list[str]:
    """Return a line for each missing package, wrong version and unnecessary package of an SBOM."""
    document = json.loads(sbom)
    if document.get("bomFormat") != "CycloneDX":
        return ["the format is not CycloneDX"]
    components = document.get("components", ())
    listed = {canonicalize_name(each["name"]): each.get("version") for each in components}
    lacking = [
        f"{name}: expected version {version}, the SBOM has {listed.get(name, 'no such package')}"
        for name, version in versions.items()
        if listed.get(name) != version
    ]
    return lacking + [f"{name}: not required by mindref" for name in listed.keys() - versions]


def remove_local_references(sbom: str) -> str:
    """Return the text of an SBOM without references to files of this machine."""
    document = json.loads(sbom)
    for component in document.get("components", ()):
        references = component.pop("externalReferences", ())
        kept = [x for x in references if not x["url"].startswith("file:")]
        component |= {"externalReferences": kept} if kept else {}
    return json.dumps(document, indent=2) + "\n"


def main(path: str, folder: str) -> None:
    """Complete an SBOM and print its number of packages; exit with the differences if any."""
    versions = required_versions(folder)
    sbom = remove_local_references(Path(path).read_text(encoding="utf-8"))
    Path(path).write_text(sbom, encoding="utf-8")
    problems = differences(sbom, versions)
    if problems:
        raise SystemExit("\n".join(f"{path}: {problem}" for problem in sorted(problems)))
    print(f"{Path(path).name}: mindref and the {len(versions) - 1} packages that it requires")


if __name__ == "__main__":
    main(*sys.argv[1:])
