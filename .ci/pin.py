"""Write .ci/requirements.txt: what README's commands and the linters install, with hashes.

    python3.11 .ci/pin.py              on Linux (x86-64); keep the pinned versions that still fit
    python3.11 .ci/pin.py --upgrade    the newest versions

pip chooses the files. Each package has one line with the hash of the file for this platform.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINNED = ROOT / ".ci" / "requirements.txt"
(NO_WHEEL,) = re.findall(r"^NO_WHEEL=([\w-]+)", (ROOT / ".ci" / "run").read_text(), re.M)


def pin(*words: str) -> None:
    """Resolve the requirements in a new environment without installing them."""
    with tempfile.TemporaryDirectory() as folder:
        python, constraints = Path(folder) / "venv" / "bin" / "python", Path(folder) / "pins.txt"
        lines = [] if words or not PINNED.exists() else PINNED.read_text().splitlines()
        constraints.write_text("\n".join(line.partition(" --hash")[0] for line in lines))
        subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        files = ["-r", ".ci/requirements.in", "-c", constraints, ".[annoy,test]"]
        only = ["--only-binary", ":all:", "--no-binary", NO_WHEEL, "--report", "-"]
        done = subprocess.run([*install, *only, *files], cwd=ROOT, check=True, capture_output=True)
    lines = ["# written by: python3.11 .ci/pin.py\n"]
    for row in json.loads(done.stdout)["install"]:
        if "archive_info" in row["download_info"]:  # not mindref, which is a folder
            name = re.sub("[-_.]+", "-", row["metadata"]["name"]).lower()
            digest = row["download_info"]["archive_info"]["hashes"]["sha256"]
            lines.append(f"{name}=={row['metadata']['version']} --hash=sha256:{digest}\n")
    PINNED.write_text("".join(sorted(lines)))


if __name__ == "__main__":
    pin(*sys.argv[1:])
