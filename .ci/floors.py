"""Print constraints with the lowest versions that setup.cfg accepts: pip install --constraint.

    python .ci/floors.py annoy conformance test:pandas

prints them for the requirements of mindref, of these extras, and of the library pandas of the extra
test. A requirement without a lowest version is an error.
"""

from __future__ import annotations

import re
import sys
from configparser import ConfigParser
from pathlib import Path

LINE = re.compile(r"([A-Za-z0-9._-]+)(?:>=|==)([0-9.]+)")


def lowest_versions(extras: list[str]) -> list[str]:
    """Return `name==version` for the requirements of mindref and of its extras."""
    setup = ConfigParser(interpolation=None)
    setup.read(Path(__file__).resolve().parent.parent / "setup.cfg", encoding="utf-8")
    lines = setup["options"]["install_requires"].splitlines()
    for name in extras:
        extra, _, library = name.partition(":")
        required = setup["options.extras_require"][extra].splitlines()
        chosen = [line for line in required if line.startswith(library)]
        if not any(chosen):
            raise SystemExit(f"setup.cfg: no requirement {name}")
        lines += chosen
    lines = [line.partition(";")[0].strip() for line in lines]
    matches = {line: LINE.match(line) for line in lines if line}
    without = [line for line, match in matches.items() if match is None]
    if without:
        raise SystemExit(f"setup.cfg: no lowest version: {', '.join(without)}")
    return [f"{match[1]}=={match[2]}" for match in matches.values() if match]


if __name__ == "__main__":
    print(*lowest_versions(sys.argv[1:]), sep="\n")
