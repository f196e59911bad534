"""The manifest: a JSON file with every check, and the text of every rule that a check cites.

An installed suite has no specification pages, so reports quote rule texts from the manifest. The
manifest also lists the checks that must run. A test compares the manifest with the pages.

In a checkout, `python -m mindref.conformance.runner.manifest` writes the manifest.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from mindref.conformance.runner.check import ConformanceCheck, all_checks
from mindref.conformance.versions import SPEC, SUITE

RULE = re.compile(r"^- \*\*([a-z_]+-R\d+)\*\* \((must|should|optional feature)\) (.*)$", re.M)
FILE = "manifest.json"


@cache
def load_manifest() -> dict[str, Any]:
    """Return the content of manifest.json in this installation."""
    text = resources.files("mindref.conformance").joinpath(FILE).read_text(encoding="utf-8")
    manifest: dict[str, Any] = json.loads(text)
    return manifest


def rule_force(rule: str) -> str:
    """Return the force of a rule: "must", "should" or "optional feature"."""
    return str(load_manifest()["rules"][rule]["force"])


def rule_text(rule: str) -> str:
    """Return the text of a rule."""
    return str(load_manifest()["rules"][rule]["text"])


def build_manifest(specs: Path) -> dict[str, Any]:
    """Return a new manifest: all checks, and the rules they cite, from the pages in `specs`."""
    cited = {rule for check in all_checks() for rule in check.rules}
    rules = {}
    for page in sorted(specs.glob("*.md")):
        for label, force, text in RULE.findall(page.read_text(encoding="utf-8")):
            if label in cited:
                digest = hashlib.sha256(text.encode()).hexdigest()[:12]
                rules[label] = {"force": force, "text": text, "digest": digest}
    checks = {check.name: manifest_entry(check) for check in all_checks()}
    return {"spec": SPEC, "suite": SUITE, "rules": rules, "checks": checks}


def manifest_entry(check: ConformanceCheck) -> dict[str, Any]:
    """Return the manifest entry of `check`."""
    entry = {"rules": list(check.rules), "text": check.text, "level": check.level}
    return {**entry, "agreement": check.agreement}


def manifest_text(manifest: dict[str, Any]) -> str:
    """Return `manifest` as JSON text, with one rule or check on each line."""
    parts = []
    for name, value in manifest.items():
        text = json.dumps(value, ensure_ascii=False)
        if isinstance(value, dict):
            rows = {json.dumps(k): json.dumps(v, ensure_ascii=False) for k, v in value.items()}
            text = "{\n" + ",\n".join(f"  {k}: {v}" for k, v in rows.items()) + "\n }"
        parts.append(f" {json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    checkout = Path.cwd()
    if not (checkout / "specs" / "README.md").is_file():
        sys.exit("mindref.conformance.runner.manifest: expected a checkout of mindref with specs/")
    manifest_file = checkout / "mindref" / "conformance" / FILE
    manifest_file.write_text(manifest_text(build_manifest(checkout / "specs")), encoding="utf-8")
