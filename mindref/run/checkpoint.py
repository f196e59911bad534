"""A run directory: everything to serve a model, and to resume its training bit for bit. No pickle.

    config.json             settings, data, sizes; everything resolved
    model.safetensors       parameters and catalogue of the best epoch
    optimiser.safetensors   parameters and moments of the last epoch, its state in the header
    state.json              the same state, to be read by people
    items.tsv               external id, dense id, count, title
    metrics.jsonl           one line per epoch
    index/                  of recall, with its manifest

Every file says whether it is whole and whose it is (specs/security.md): config.json has a digest of
itself and of items.tsv, and files of arrays have one of the settings and the log.

Every file is written whole or not at all. The order matters: the state that names a new best epoch
is written before the model of that epoch, whose parameters the state holds as those of its last
step; so a kill between the two leaves the model before it, which names its own step, and resuming
writes the new one from the state. A run without a state is one that has not begun: with config.json
alone, resuming trains it from the first step.
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

from mindref.config import Config
from mindref.errors import RunError, say
from mindref.models.families import kind_of_params
from mindref.models.parameters import Catalogue, Tables, flatten, unflatten
from mindref.run import files, metadata
from mindref.run.atomic import write_bytes, write_json, write_text
from mindref.training import optimiser
from mindref.training.loop import Epoch, State

Numbers = npt.NDArray[Any]

FORMAT = 2  # of the run directory; 2: files name the run that they belong to
HEADER = "mindref"  # the key of our words in the header of a file of arrays
MODEL, STATE = "model.safetensors", "optimiser.safetensors"
FILES = (MODEL, STATE, "config.json", "state.json", "items.tsv", "metrics.jsonl")
STAGE = "stage"  # the word in config.json of a ranking stage, which recalls nothing


def save_arrays(path: Path, arrays: Mapping[str, Numbers], words: Mapping[str, Any]) -> None:
    """Write arrays as safetensors, contiguous ones only, since the library garbles all others.

    words: values for JSON, kept under one key of the header, as the library shuffles several.
    """
    from safetensors.numpy import save

    contiguous = {name: np.asarray(x, order="C") for name, x in arrays.items()}
    header = json.dumps({**words, "sha256": digest(contiguous, words)})
    write_bytes(path, save(contiguous, metadata={HEADER: header}))


def load_arrays(path: Path, run: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arrays and the words of a file of ours. Raises RunError naming the file.

    run: the digest of the run that it must belong to, if it must. Format, run and size are looked
    at before any memory is taken.
    """
    from safetensors import (  # security-R13: arrays, and nothing that runs
        SafetensorError,
        safe_open,
    )

    what, todo = "a file of mindref", anew(path.parent)
    try:
        files.check_room(path, files.check_file(path, what, todo), "arrays")
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {})[HEADER]
            if len(text) > files.LONGEST_JSON:  # security-R6
                raise ValueError(f"a header of {len(text):,} letters")
            words = json.loads(text)
            check_format(path, words["format"])
            if run is not None and words.get("run") != run:  # security-R2
                expected = f"a file of the run of {path.parent / 'config.json'}"
                raise RunError(say(str(path), expected, "one of another run", todo))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
        if words.pop("sha256") != digest(arrays, words):
            raise ValueError("numbers that were not written so")
    except FileNotFoundError:
        raise RunError(say(str(path), "a file", "none", todo)) from None
    except RecursionError:  # security-R8
        raise RunError(say(str(path), what, "a header that is nested too deeply", todo)) from None
    except (SafetensorError, OSError, LookupError, TypeError, ValueError) as error:
        got = f"{type(error).__name__}: {error}"
        raise RunError(say(str(path), what, got, todo)) from error
    return arrays, words


def digest(arrays: Mapping[str, Numbers], words: Mapping[str, Any]) -> str:
    """Return the sha256 of contiguous arrays, their names, types and shapes, and the words.

    Without it flipped bits, and arrays or words that changed places, would go unnoticed.
    """
    found = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
    for name in sorted(arrays):
        x = arrays[name]
        found.update(json.dumps([name, x.dtype.name, x.shape]).encode())
        found.update(x.data)
    return found.hexdigest()


def anew(run: Path) -> str:
    """Return what to do about a run whose arrays are lost: train it again in its place."""
    again = f"mindref train --resume {shlex.quote(str(run))} trains again from the first step"
    return f"without {STATE} in the folder, {again}"


def check_format(path: Path, found: object) -> None:
    """Raise RunError for what another version of mindref, or something else, wrote."""
    if found != FORMAT:  # security-R3
        todo = "use the mindref that wrote it, or train anew"
        raise RunError(say(str(path), f"format {FORMAT}", found, todo))


def save_model(
    run: Path,
    params: Tables,
    catalogue: Catalogue,
    step: int,
    model: str = "mind",
    identity: str = "",
) -> None:
    """Write the parameters that are served, their family, and the step that they are best at."""
    arrays: dict[str, Numbers] = {
        **flatten(params),
        "catalogue.rows": catalogue.rows,
        "catalogue.weights": catalogue.weights,
    }
    words = {"format": FORMAT, "run": identity, "step": step, "model": model}
    save_arrays(run / MODEL, arrays, words)


def load_model(run: Path) -> tuple[Any, Catalogue]:
    """Read the parameters that are served. Raises RunError for a damaged or foreign file."""
    params, catalogue, _ = load_best(run)
    return params, catalogue


def resumable(state: State) -> bool:
    """Return whether a missing model is no loss: none yet, or the state still holds it."""
    return state.best_step in (0, state.moments.step)


def load_best(
    run: Path, identity: str | None = None, model: str | None = None
) -> tuple[Any, Catalogue, int]:
    """Read what `save_model` wrote, its step with it.

    identity, model: of the run, if it must be its. Raises RunError for a damaged or foreign file.
    """
    path = run / MODEL
    if not path.exists() and (run / STATE).exists() and resumable(load_state(run, identity)[0]):
        todo = f"go on with: mindref train --resume {shlex.quote(str(run))}"
        got = "none, as the run was stopped before one was written"
        raise RunError(say(str(path), "a trained model", got, todo))
    arrays, words = load_arrays(path, identity)
    try:
        metadata.check_header(words, model)
        catalogue = Catalogue(arrays.pop("catalogue.rows"), arrays.pop("catalogue.weights"))
        return unflatten(arrays, kind_of(words)), catalogue, words["step"]
    except files.MALFORMED as error:  # security-R10
        got = f"no array {error}" if isinstance(error, KeyError) else f"{error!r}"
        raise RunError(say(str(path), "a model of mindref", got, anew(run))) from error


def kind_of(words: Mapping[str, Any]) -> type[Any]:
    """Return the type of the parameters in a file; those without a word of it are MIND's."""
    return kind_of_params(words.get("model", "mind"))  # model-R37


def save_state(
    run: Path, state: State, epochs: list[Epoch], model: str = "mind", identity: str = ""
) -> None:
    """Write all that resuming needs; the history of epochs travels in the same file."""
    arrays = {f"params.{name}": x for name, x in flatten(state.params).items()}
    arrays |= {f"first.{name}": x for name, x in state.moments.first.items()}
    arrays |= {f"second.{name}": x for name, x in state.moments.second.items()}
    history = [epoch._asdict() for epoch in epochs]
    words = {**words_of(state), "run": identity, "epochs": history, "model": model}
    save_arrays(run / STATE, arrays, words)
    write_copies(run, state, epochs)


def write_copies(run: Path, state: State, epochs: list[Epoch]) -> None:
    """Write what people read of a state; resuming writes it again, as a kill may come before it."""
    lines = [json.dumps(epoch._asdict()) + "\n" for epoch in epochs]
    write_text(run / "metrics.jsonl", "".join(lines))
    write_json(run / "state.json", words_of(state))


def words_of(state: State) -> dict[str, Any]:
    """Return what of a state is no array."""
    return {
        "format": FORMAT,
        "step": state.moments.step,
        "best_step": state.best_step,
        "best_value": state.best_value,
        "waited": state.waited,
        "losses": list(state.losses),
    }


def load_state(
    run: Path, identity: str | None = None, model: str | None = None
) -> tuple[State, list[Epoch]]:
    """Read what `save_state` wrote; as `load_best`."""
    path = run / STATE
    arrays, words = load_arrays(path, identity)
    try:
        metadata.check_header(words, model)
        epochs = [Epoch(**epoch) for epoch in words["epochs"]]
        parts: dict[str, dict[str, Any]] = {"params": {}, "first": {}, "second": {}}
        for name, x in arrays.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = x
        moments = optimiser.State(words["step"], parts["first"], parts["second"])
        state = State(
            unflatten(parts["params"], kind_of(words)),
            moments,
            words["best_step"],
            words["best_value"],
            words["waited"],
            (words["losses"][0], words["losses"][1]),
        )
    except files.MALFORMED as error:  # security-R10
        raise RunError(say(str(path), "a state of mindref", f"{error!r}", anew(run))) from error
    return state, epochs


def check_fits(run: Path, state: State, fresh: State) -> None:
    """Raise RunError unless a loaded state has the arrays that this run would begin with."""
    for here, there in zip(tables(state), tables(fresh), strict=True):
        found = {name: (x.shape, x.dtype.name) for name, x in here.items()}
        wanted = {name: (x.shape, x.dtype.name) for name, x in there.items()}
        if found != wanted:
            name = next(n for n in {**wanted, **found} if wanted.get(n) != found.get(n))
            where, got = f"{run / STATE}: {name}", found.get(name, "none")
            raise RunError(say(where, str(wanted.get(name, "none")), got, anew(run)))


def tables(state: State) -> tuple[Mapping[str, Numbers], ...]:
    """Return the arrays of a state: parameters, first and second moments."""
    return flatten(state.params), state.moments.first, state.moments.second


def identity(config: Config, known: Mapping[str, Any]) -> str:
    """Return the digest of what makes a run what it is: its settings and its log, read and split.

    Its files of arrays carry it, so that those of two runs cannot change places. The settings are
    those of the file, if `known` is of one: a later mindref knows more of them.
    """
    own = {name: known[name] for name in metadata.OWN if name in known}
    return files.digest({"settings": known.get("settings", config.own()), **own})  # security-R2


def save_config(run: Path, config: Config, known: Mapping[str, Any]) -> None:
    """Write the settings and what the data decided: source, protocol, features.

    The settings are those that `known` has, if it is of a file.
    """
    words = {"format": FORMAT, "settings": config.own(), **known}
    files.write_sealed(run / "config.json", words, files.FEWER)


def load_config(run: Path) -> tuple[Config, dict[str, Any]]:
    """Read the settings and the facts, the settings as they are written among them.

    Raises RunError for what is missing, damaged or too new, and for a folder that holds anything
    but files and folders of its own.
    """
    path, what = run / "config.json", "the configuration of a run"
    todo = "train anew in another folder"
    try:
        words = files.read_config(run, what, todo, check_format)
        if STAGE in words:  # din-R24
            named = f"name the run that it ranks for: {words['recall']['run']}"
            raise RunError(say(str(run), "a run that recalls", "a ranking stage", named))
        config = Config.restored(words["settings"])
        metadata.check(words)
    except FileNotFoundError:
        todo = "name the folder that mindref train made"
        raise RunError(say(str(run), "a run directory", "no config.json in it", todo)) from None
    except (OSError, *files.MALFORMED) as error:
        got = f"{type(error).__name__}: {error}"
        raise RunError(say(str(path), what, got, todo)) from error
    return config, words
