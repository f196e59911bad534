"""Files of arrays: safetensors with a verified header. No pickle.

Spec: specs/security.md. The header has the format version, the digest of the run, and the sha256 of
arrays and header.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mindref.errors import RunError, say
from mindref.run import files
from mindref.run.atomic import write_bytes

Numbers = npt.NDArray[np.generic]
FORMAT = 2  # of the run directory; 2: files name the run that they belong to
HEADER = "mindref"  # the key of mindref's values in a safetensors header
MODEL, STATE, LOG = "model.safetensors", "optimiser.safetensors", "log.safetensors"


def save_arrays(
    path: Path, arrays: Mapping[str, Numbers], header_values: Mapping[str, object]
) -> None:
    """Write arrays as safetensors. They are made contiguous: the library corrupts other arrays.

    header_values: JSON values. They are stored under one key, because the library reorders keys.
    """
    from safetensors.numpy import save

    contiguous = {name: np.asarray(x, order="C") for name, x in arrays.items()}
    header = json.dumps({**header_values, "sha256": arrays_digest(contiguous, header_values)})
    write_bytes(path, save(contiguous, metadata={HEADER: header}))


def load_arrays(
    path: Path, run: str | None = None
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Return the arrays and the header of a file. Raises RunError with the name of the file.

    run: digest of the run that the file must belong to, None for any. Format, run and size are
    checked before memory is allocated.
    """
    from safetensors import SafetensorError, safe_open  # security-R13: arrays, no code

    stored = files.StoredFile(path, "a file of mindref", retrain_hint(path.parent))
    try:
        with stored.explain_errors(missing="none"):
            stored.check_room()
            with path.open("rb"):  # safetensors names no reason, and calls the file missing
                pass
            with safe_open(path, framework="np") as file:
                text = (file.metadata() or {})[HEADER]
                if len(text) > files.LONGEST_JSON:  # security-R6
                    raise ValueError(f"a header of {len(text):,} characters")
                header_values = json.loads(text)
                check_format(path, header_values["format"])
                if run is not None and header_values.get("run") != run:  # security-R2
                    expected = f"a file of the run of {path.parent / 'config.json'}"
                    raise stored.error("one of another run", expected)
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
            if header_values.pop("sha256") != arrays_digest(arrays, header_values):
                raise ValueError("content with another sha256")
    except SafetensorError as error:
        raise stored.error(f"{type(error).__name__}: {error}") from error
    return arrays, header_values


def arrays_digest(arrays: Mapping[str, Numbers], header_values: Mapping[str, object]) -> str:
    """Return the sha256 of contiguous arrays, their names, dtypes and shapes, and the header.

    It detects flipped bits and exchanged arrays or values.
    """
    sha256 = hashlib.sha256(json.dumps(header_values, sort_keys=True).encode())
    for name in sorted(arrays):
        x = arrays[name]
        sha256.update(json.dumps([name, x.dtype.name, x.shape]).encode())
        sha256.update(x.data)
    return sha256.hexdigest()


def retrain_hint(run: Path) -> str:
    """Return the advice for a run with lost arrays: train it again in the same folder."""
    command = f"mindref train --resume {shlex.quote(str(run))}"
    return f"remove {STATE} from the folder, then train again from the first step: {command}"


def completion_hint(run: Path) -> str:
    """Return the command that completes a stopped run."""
    return f"mindref train --resume {shlex.quote(str(run))} makes it"


def check_format(path: Path, version: object) -> None:
    """Raise RunError for another format version."""
    if version != FORMAT:  # security-R3
        todo = "use the mindref that wrote it, or train anew"
        raise RunError(say(str(path), f"format {FORMAT}", version, todo))
