"""A run directory: everything to serve a model, and to resume its training bit for bit. No pickle.

    config.json             settings, data, sizes; everything resolved
    model.safetensors       parameters and catalogue of the best epoch
    optimiser.safetensors   parameters and moments of the last epoch, its state in the header
    state.json              the same state, to be read by people
    items.tsv               external id, dense id, count, title
    metrics.jsonl           one line per epoch
    index/                  of recall, with its manifest

Every file is written whole or not at all. The order matters: the model of a new best epoch is
written before the state that names it, so a kill between the two is mended by running that epoch
again, which gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mindref import optimiser
from mindref.atomic import write_bytes, write_json, write_text
from mindref.config import Config
from mindref.errors import MindrefError, RunError, say
from mindref.models.parameters import Catalogue, Params, flatten, unflatten
from mindref.train import Epoch, State

Numbers = npt.NDArray[Any]

FORMAT = 1  # of the run directory; raised when an older mindref could not read a newer run


def save_arrays(path: Path, arrays: Mapping[str, Numbers], header: dict[str, str]) -> None:
    """Write arrays as safetensors, contiguous ones only, since the library garbles all others."""
    from safetensors.numpy import save

    contiguous = {name: np.ascontiguousarray(x) for name, x in arrays.items()}
    write_bytes(path, save(contiguous, metadata=header))


def load_arrays(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the arrays and the header of a safetensors file. Raises RunError naming the file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118  # not a mapping
    except FileNotFoundError:
        raise RunError(say(str(path), "a file", "none", "is this a run directory?")) from None
    except (SafetensorError, OSError) as error:
        todo = "the file is damaged: resume or repeat the training"
        raise RunError(say(str(path), "a safetensors file", error, todo)) from error


def save_model(run: Path, params: Params, catalogue: Catalogue) -> None:
    """Write the parameters that are served."""
    arrays: dict[str, Numbers] = {
        **flatten(params),
        "catalogue.rows": catalogue.rows,
        "catalogue.weights": catalogue.weights,
    }
    save_arrays(run / "model.safetensors", arrays, {"format": str(FORMAT)})


def load_model(run: Path) -> tuple[Params, Catalogue]:
    """Read the parameters that are served."""
    arrays, _ = load_arrays(run / "model.safetensors")
    try:
        catalogue = Catalogue(arrays.pop("catalogue.rows"), arrays.pop("catalogue.weights"))
        return unflatten(arrays), catalogue
    except KeyError as error:
        what = f"no array {error}"
        raise RunError(say(str(run / "model.safetensors"), "a model of mindref", what)) from error


def save_state(run: Path, state: State, epochs: list[Epoch]) -> None:
    """Write all that resuming needs; the history of epochs travels in the same file."""
    arrays = {f"params.{name}": x for name, x in flatten(state.params).items()}
    arrays |= {f"first.{name}": x for name, x in state.moments.first.items()}
    arrays |= {f"second.{name}": x for name, x in state.moments.second.items()}
    words = {
        "format": FORMAT,
        "step": state.moments.step,
        "best_step": state.best_step,
        "best_value": state.best_value,
        "waited": state.waited,
        "losses": list(state.losses),
    }
    header = {"state": json.dumps(words), "epochs": json.dumps([e._asdict() for e in epochs])}
    lines = [json.dumps(epoch._asdict()) + "\n" for epoch in epochs]
    write_text(run / "metrics.jsonl", "".join(lines))
    save_arrays(run / "optimiser.safetensors", arrays, header)
    write_json(run / "state.json", words)


def load_state(run: Path) -> tuple[State, list[Epoch]]:
    """Read what `save_state` wrote. Raises RunError for a damaged or foreign file."""
    path = run / "optimiser.safetensors"
    arrays, header = load_arrays(path)
    try:
        words = json.loads(header["state"])
        epochs = [Epoch(**epoch) for epoch in json.loads(header["epochs"])]
        parts: dict[str, dict[str, Any]] = {"params": {}, "first": {}, "second": {}}
        for name, x in arrays.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = x
        moments = optimiser.State(words["step"], parts["first"], parts["second"])
        state = State(
            unflatten(parts["params"]),
            moments,
            words["best_step"],
            words["best_value"],
            words["waited"],
            (words["losses"][0], words["losses"][1]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(say(str(path), "a state of mindref", f"{error!r}")) from error
    return state, epochs


def save_config(run: Path, config: Config, facts: Mapping[str, Any]) -> None:
    """Write the settings and what the data decided: source, protocol, features, in `facts`."""
    write_json(run / "config.json", {"format": FORMAT, "settings": config.to_dict(), **facts})


def load_config(run: Path) -> tuple[Config, dict[str, Any]]:
    """Read the settings and the facts. Raises RunError for what is missing, damaged or too new."""
    path = run / "config.json"
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
        found, settings = words.pop("format"), words.pop("settings")
    except FileNotFoundError:
        raise RunError(say(str(run), "a run directory", "no config.json in it")) from None
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise RunError(say(str(path), "the configuration of a run", f"{error!r}")) from error
    if found != FORMAT:
        raise RunError(say(str(path), f"format {FORMAT}", found, "use the mindref that wrote it"))
    try:
        return Config.of("default", settings), words
    except MindrefError as error:
        raise RunError(f"{path}: {error}") from error
