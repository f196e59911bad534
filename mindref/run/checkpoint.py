"""The run directory: files to serve a model and to resume training bit for bit. No pickle.

    config.json             settings, data and sizes, resolved
    model.safetensors       parameters and catalogue of the best validation
    optimiser.safetensors   parameters and moments of the last checkpoint; state in the header
    state.json              the same state in readable form
    log.safetensors         the log, if it was data in memory
    items.tsv               external id, dense id, count, title
    metrics.jsonl           one line per validation
    index/                  the recall index, with its manifest

Every file can be verified (specs/security.md): config.json has a digest of itself and of items.tsv,
and files of arrays have a digest of the settings and the log.

Files are written atomically. The state of a new best validation is written before its model. The
state has the same parameters, so after a kill between the two writes, resuming writes
the model from the state. If a run directory has only config.json, resuming trains it from the
first step.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mindref.config import Config
from mindref.errors import RunError, say
from mindref.models.din_config import DinConfig
from mindref.models.family import family_of
from mindref.models.parameters import NO_TERMS, Catalogue, ScoreTerms, Tables, flatten, unflatten
from mindref.models.registry import is_reranker
from mindref.run import atomic, files, lock, metadata, report
from mindref.run.array_files import (
    FORMAT,
    LOG,
    MODEL,
    STATE,
    Numbers,
    check_format,
    load_arrays,
    retrain_hint,
    save_arrays,
)
from mindref.run.atomic import write_json, write_text
from mindref.run.stored_json import check_json
from mindref.shapes import Array
from mindref.training import optimiser
from mindref.training.loop import TrainingState, Validation

TERMS = "score_terms"
"""Array of a model file: the numbers of `ScoreTerms`."""

ANEW = "train anew in another folder"
CHOOSE_OUT = "choose another --out, or go on with --resume"
WRITTEN = (
    MODEL, STATE, LOG, "config.json", "state.json", "items.tsv", "metrics.jsonl", report.NAME,
)  # fmt: skip
"""Files of a training; the folder may also contain an export."""


def check_free(run: Path, todo: str = CHOOSE_OUT) -> None:
    """Raise RunError if the folder contains a run or other files, before expensive work.

    Files of a training that was killed before it wrote config.json are allowed.
    todo: advice if the folder contains a run.
    """
    if (run / "config.json").exists():
        raise RunError(say(str(run), "no run there", "one", todo))
    begun = {"items.tsv", LOG, lock.NAME}
    entries = [x.name for x in run.glob("*") if x.name not in begun and x.suffix != ".tmp"]
    if entries:
        got = f"other entries, such as {entries[0]!r}"
        raise RunError(say(str(run), "a new or empty folder", got, "choose another --out"))


def make_folder(run: Path) -> None:
    """Make the folder of a new run. Raises RunError if it contains a run."""
    check_free(run)
    with atomic.explain_errors(run):
        run.mkdir(parents=True, exist_ok=True)
        # temporary files of a training that was killed here
        atomic.remove_leftovers(run, "items.tsv", LOG, "config.json")


class StoredModel(NamedTuple):
    """The contents of a file of a model."""

    params: Any  # of its family
    catalogue: Catalogue
    step: int  # of the best validation
    terms: ScoreTerms


def read_terms(numbers: Array) -> ScoreTerms:
    """Return the terms of an array of a file. Raises InvalidValue or ValueError."""
    if numbers.shape != (len(NO_TERMS),) or numbers.dtype != np.float64:
        raise ValueError(f"{TERMS}: expected float64 ({len(NO_TERMS)},)")
    terms = ScoreTerms(*numbers.tolist())
    check_json(terms._asdict(), metadata.TermFacts, TERMS)
    return terms


def save_model(
    run: Path,
    params: Tables,
    catalogue: Catalogue,
    step: int,
    model: str = "mind",
    identity: str = "",
    terms: ScoreTerms = NO_TERMS,
) -> None:
    """Write the parameters that are served, the family, and the step of the best validation."""
    arrays: dict[str, Numbers] = {
        **flatten(params),
        "catalogue.rows": catalogue.rows,
        "catalogue.weights": catalogue.weights,
    }
    if terms != NO_TERMS:
        arrays[TERMS] = np.array(terms)
    words = {"format": FORMAT, "run": identity, "step": step, "model": model}
    save_arrays(run / MODEL, arrays, words)


def load_best(run: Path, identity: str | None = None, model: str | None = None) -> StoredModel:
    """Return the model that `save_model` wrote.

    identity, model: digest and family of the run, None for any. Raises RunError for a damaged file
    or a file of another run.
    """
    path = run / MODEL
    if not path.exists() and (run / STATE).exists():
        state, _ = load_state(run, identity)
        has_no_best = state.best_step == 0
        has_best_in_state = state.best_step == state.moments.step
        if has_no_best or has_best_in_state:
            todo = f"go on with: mindref train --resume {shlex.quote(str(run))}"
            got = "none, as the run was stopped before one was written"
            raise RunError(say(str(path), "a trained model", got, todo))
    arrays, words = load_arrays(path, identity)
    stored = files.StoredFile(path, "a model of mindref", retrain_hint(run))
    with stored.explain_errors():  # security-R10
        metadata.check_header(words, model)
        catalogue = Catalogue(arrays.pop("catalogue.rows"), arrays.pop("catalogue.weights"))
        terms = read_terms(arrays.pop(TERMS)) if TERMS in arrays else NO_TERMS
        return StoredModel(unflatten(arrays, params_type(words)), catalogue, words["step"], terms)


def params_type(words: Mapping[str, Any]) -> type[Any]:
    """Return the type of the parameters of a file; without a family name the family is MIND."""
    kind: type[Any] = family_of(words.get("model", "mind")).params  # model-R37
    return kind


def save_state(
    run: Path,
    state: TrainingState,
    validations: list[Validation],
    model: str = "mind",
    identity: str = "",
) -> None:
    """Write the state for resuming, with the list of validations."""
    arrays = {f"params.{name}": x for name, x in flatten(state.params).items()}
    arrays |= {f"first.{name}": x for name, x in state.moments.first.items()}
    arrays |= {f"second.{name}": x for name, x in state.moments.second.items()}
    history = [x._asdict() for x in validations]
    words = {**state_header(state), "run": identity, "validations": history, "model": model}
    save_arrays(run / STATE, arrays, words)
    write_copies(run, state, validations)


def write_copies(run: Path, state: TrainingState, validations: list[Validation]) -> None:
    """Write the readable copies of a state, state.json and metrics.jsonl."""
    lines = [json.dumps(x._asdict()) + "\n" for x in validations]
    write_text(run / "metrics.jsonl", "".join(lines))
    write_json(run / "state.json", state_header(state))


def state_header(state: TrainingState) -> dict[str, Any]:
    """Return the values of a state, without the arrays."""
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
) -> tuple[TrainingState, list[Validation]]:
    """Return the state and the validations that `save_state` wrote. Raises as `load_best`."""
    stored = files.StoredFile(run / STATE, "a state of mindref", retrain_hint(run))
    arrays, words = load_arrays(stored.path, identity)
    with stored.explain_errors():  # security-R10
        metadata.check_header(words, model)
        validations = [Validation(**x) for x in words["validations"]]
        parts: dict[str, dict[str, Any]] = {"params": {}, "first": {}, "second": {}}
        for name, x in arrays.items():
            part, _, array_name = name.partition(".")
            parts[part][array_name] = x
        moments = optimiser.State(words["step"], parts["first"], parts["second"])  # din-R23
        state = TrainingState(
            unflatten(parts["params"], params_type(words)),
            moments,
            words["best_step"],
            words["best_value"],
            words["waited"],
            (words["losses"][0], words["losses"][1]),
        )
    return state, validations


def check_fits(run: Path, state: TrainingState, fresh: TrainingState) -> None:
    """Raise RunError unless a loaded state has the shapes and dtypes of the initial state."""
    for tables, fresh_tables in zip(state_tables(state), state_tables(fresh), strict=True):
        for name in {**fresh_tables, **tables}:
            expected, got = array_kind(fresh_tables.get(name)), array_kind(tables.get(name))
            if got != expected:
                raise RunError(say(f"{run / STATE}: {name}", expected, got, retrain_hint(run)))


def array_kind(array: Numbers | None) -> str:
    """Return the shape and the dtype of an array as text, or none without an array."""
    return "none" if array is None else str((array.shape, array.dtype.name))


def state_tables(state: TrainingState) -> tuple[Mapping[str, Numbers], ...]:
    """Return the arrays of a state: parameters, first and second moments."""
    return flatten(state.params), state.moments.first, state.moments.second


def run_identity(config: Config | DinConfig, facts: Mapping[str, Any]) -> str:
    """Return the digest that identifies a run: settings, log and split.

    It is in the header of array files, so that files of two runs cannot be exchanged. The settings
    of `facts` are used if config.json was read, because a later version has more settings.
    """
    words = {name: facts[name] for name in metadata.IDENTITY_FACTS if name in facts}
    if "recall" in facts:  # a reranker run: the model of its recall run
        words["recall"] = facts["recall"]["model"]
    if "start_from" in facts:
        words["start_from"] = facts["start_from"]["model"]  # model-R59
    settings = facts.get("settings", config.family_settings())  # security-R2
    return files.json_digest({"settings": settings, **words})


def save_config(run: Path, config: Config | DinConfig, facts: Mapping[str, Any]) -> None:
    """Write settings and facts: source, protocol, features.

    If `facts` was read from config.json, its settings are written.
    """
    words = {"format": FORMAT, "settings": config.family_settings(), **facts}
    files.write_sealed(run / "config.json", words, files.FEWER)


def load_config(run: Path) -> tuple[Config, dict[str, Any]]:
    """Return settings and facts of a recall run; the facts include the settings as written.

    Raises RunError if the file is missing, damaged or too new, and for a DIN run. Also raises it
    for a folder with links that lead out of it, pipes or devices.
    """
    with explained_config(run, "the configuration of a run", "a run directory", "mindref train"):
        facts = read_config(run, "the configuration of a run", ANEW)
        if is_reranker(facts["settings"].get("model")):  # din-R24
            todo = f"name its recall run: {facts['recall']['run']}"
            raise RunError(say(str(run), "a recall run", "a DIN run", todo))
        config = Config.restored(facts["settings"])
        metadata.check_facts(facts)
    return config, facts


def load_din_config(run: Path) -> tuple[DinConfig, dict[str, Any]]:
    """Return settings and facts of a DIN run, as `load_config`."""
    description, command = "the configuration of a DIN run", "mindref train --model din"
    with explained_config(run, description, "a DIN run", command):
        facts = read_config(run, description, ANEW)
        if not is_reranker(facts["settings"].get("model")):
            todo = f"name the folder that {command} made"
            raise RunError(say(str(run), "a DIN run", "a recall run", todo))
        config = DinConfig.restored(facts["settings"])
        check_json(facts, metadata.DinFacts, partial=True)
    return config, facts


def read_config(run: Path, description: str, todo: str) -> dict[str, Any]:
    """Return the values of config.json, without the format, which is checked first.

    Raises RunError, FileNotFoundError if it is missing, and one of MALFORMED for other JSON.
    """
    files.check_folder(run)
    stored = files.StoredFile(run / "config.json", description, todo)
    values = stored.read_json()
    check_format(stored.path, values["format"])
    values = stored._replace(todo=f"put back the one that was written, or {todo}").unseal(values)
    del values["format"]
    return values


@contextmanager
def explained_config(run: Path, description: str, folder: str, command: str) -> Iterator[None]:
    """Convert errors of a missing or malformed config.json into a RunError."""
    try:
        with files.StoredFile(run / "config.json", description, ANEW).explain_errors():
            yield
    except FileNotFoundError:
        got, todo = "no config.json in it", f"name the folder that {command} made"
        if hidden := find_interrupted(run):  # faults-R14
            got = "none, because an overwrite was interrupted"
            todo = f"rename the complete run {hidden} to {files.real_path(run).name}"
        raise RunError(say(str(run), folder, got, todo)) from None


def find_interrupted(run: Path) -> Path | None:
    """Return the latest run that a killed overwrite of a missing folder left, None without one."""
    target = files.real_path(run)
    if target.exists():
        return None
    folders = [
        folder
        for folder in atomic.find_leftovers(target.parent, target.name)
        if all((folder / name).exists() for name in ("config.json", MODEL))
    ]
    return max(folders, key=lambda x: (x / "config.json").stat().st_mtime_ns, default=None)
