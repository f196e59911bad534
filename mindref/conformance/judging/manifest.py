"""What ships with the suite: every rule with its text, and every check with its rules.

Made by `python -m mindref.conformance.judging.manifest` in a checkout and compared by a test, so
that an installed suite, which has no pages, can quote them and knows what it must have run.
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

from mindref.conformance.judging.check import Check, all_checks
from mindref.conformance.versions import SPEC, SUITE

RULE = re.compile(r"^- \*\*([a-z_]+-R\d+)\*\* \((must|should|may)\) (.*)$", re.M)
FILE = "manifest.json"


@cache
def shipped() -> dict[str, Any]:
    """Return the manifest of this installation."""
    text = resources.files("mindref.conformance").joinpath(FILE).read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def force(rule: str) -> str:
    """Return how binding a rule is: must, should or may."""
    return str(shipped()["rules"][rule]["force"])


def words(rule: str) -> str:
    """Return the sentence of a rule."""
    return str(shipped()["rules"][rule]["text"])


def made(specs: Path) -> dict[str, Any]:
    """Return the manifest of the pages in this folder and the checks of this package."""
    rules = {}
    for page in sorted(specs.glob("*.md")):
        for label, how, text in RULE.findall(page.read_text(encoding="utf-8")):
            digest = hashlib.sha256(text.encode()).hexdigest()[:12]
            rules[label] = {"force": how, "text": text, "digest": digest}
    checks = {c.name: row(c) for c in all_checks()}
    return {"spec": SPEC, "suite": SUITE, "rules": rules, "checks": checks}


def row(check: Check) -> dict[str, Any]:
    """Return what the manifest says of a check: enough to know in which precisions it must run."""
    said = {"rules": list(check.rules), "text": check.text}
    return {**said, "level": check.level, "agreement": check.agreement}


def write(checkout: Path) -> None:
    """Write the manifest of a checkout into its package."""
    text = json.dumps(made(checkout / "specs"), indent=1, ensure_ascii=False)
    target = checkout / "mindref" / "conformance" / FILE
    target.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    here = Path.cwd()
    if not (here / "specs" / "README.md").is_file():
        sys.exit("run this in a checkout of mindref: it reads the pages of specs/")
    write(here)
