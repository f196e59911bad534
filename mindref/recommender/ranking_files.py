"""The files of a ranking stage in its run directory: the model, the state, the report.

Spec: specs/din.md; specs/security.md, security-R1, R2, R10.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mindref.errors import RunError, say
from mindref.models import din
from mindref.models.din_config import DinConfig
from mindref.models.parameters import Catalogue, Sizes, flatten, unflatten
from mindref.recommender.ranker import Ranker, State
from mindref.recommender.ranking_config import check_belongs, identity, load_config
from mindref.recommender.run import REPORT
from mindref.run import checkpoint, files, report, validate
from mindref.run.checkpoint import FORMAT, MODEL, STATE
from mindref.run.metadata import check_header, is_count, is_number
from mindref.training import optimiser


def report_of(run: Path) -> dict[str, Any]:
    """Return the report of a stage that has one, its folder in it. Raises RunError."""
    path, whose = run / REPORT, identity(*load_config(run))
    try:
        words = report.load(run, whose, again(run))
        check_report(words)
        return {"run": str(run), **words}
    except (OSError, *files.MALFORMED) as error:
        got = "none: it was stopped" if not path.exists() else f"{type(error).__name__}: {error}"
        raise RunError(say(str(path), "the report of a ranking stage", got, again(run))) from error


def check_report(words: Mapping[str, Any]) -> None:
    """Raise ValueError, TypeError or KeyError unless these are the words of `judge`."""
    numbers = [words["candidates"]]
    for part in () if words["all"] is None else ("all", "within"):
        rows = words[part]
        if not is_count(rows["cases"]) or rows["cases"] < 1:
            raise ValueError("no cases")
        for metric in rows["before"]:
            estimates = [rows[order][metric] for order in ("before", "after", "gain")]
            numbers += [x[name] for x in estimates for name in ("value", "low", "high")]
    if not all(is_number(x) for x in numbers):
        raise ValueError("words where numbers should be")


def again(run: Path) -> str:
    """Return what to do about a stage that lacks something."""
    return f"mindref train --resume {shlex.quote(str(run))} makes it"


def save_model(run: Path, made: Ranker, step: int, whose: str) -> None:
    """Write the parameters that rank."""
    rows = {"catalogue.rows": made.catalogue.rows, "catalogue.weights": made.catalogue.weights}
    words = {"format": FORMAT, "run": whose, "step": step, "model": "din"}
    checkpoint.save_arrays(run / MODEL, {**flatten(made.params), **rows}, words)


def load_ranker(run: Path, recall_run: Path) -> Ranker:
    """Return the ranking stage in `run`, to rank what `recall_run` recalls.

    Raises RunError for one that is damaged, not trained to its end, or of another recall run.
    """
    config, facts = load_config(run)
    check_belongs(run, facts, recall_run)
    if not (run / MODEL).exists():
        got = "none: it was stopped"
        raise RunError(say(str(run / MODEL), "a trained model", got, again(run)))
    arrays, words = checkpoint.load_arrays(run / MODEL, identity(config, facts))
    try:
        check_header(words, "din")
        catalogue = Catalogue(arrays.pop("catalogue.rows"), arrays.pop("catalogue.weights"))
        params = unflatten(arrays, din.Params)
        check_sound(params, catalogue, config, checkpoint.load_config(recall_run)[1]["sizes"])
        return Ranker(params, catalogue, config)
    except files.MALFORMED as error:  # security-R10
        what = f"no array {error}" if isinstance(error, KeyError) else str(error)
        got, todo = what, checkpoint.anew(run)
        raise RunError(say(str(run / MODEL), "a model of din", got, todo)) from error


def check_sound(params: din.Params, catalogue: Catalogue, config: DinConfig, known: Any) -> None:
    """Raise ValueError unless a stage fits its settings and the sizes of its recall run."""
    sizes = Sizes(**known)
    if len(catalogue.rows) != sizes.items:
        raise ValueError(f"{len(catalogue.rows)} items, not {sizes.items}")
    validate.check_catalogue(catalogue, len(params.items), config.dtype)  # security-R10
    validate.check_trained(params, din, config, sizes)


def load_state(run: Path, fresh: State, whose: str) -> State:
    """Return the state that was saved. Raises RunError unless it has the arrays of a fresh one."""
    arrays, words = checkpoint.load_arrays(run / STATE, whose)
    try:
        check_header(words, "din")
        step = words["step"]
    except files.MALFORMED as error:  # security-R10
        got, todo = f"{error!r}", checkpoint.anew(run)
        raise RunError(say(str(run / STATE), "a state of din", got, todo)) from error
    parts: dict[str, dict[str, Any]] = {"params": {}, "first": {}, "second": {}}
    wanted = {name: (x.shape, x.dtype) for name, x in flatten(fresh.params).items()}
    for name, x in arrays.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = x
    for part, some in parts.items():
        if {name: (x.shape, x.dtype) for name, x in some.items()} != wanted:
            where, todo = f"{run / STATE}: {part}", checkpoint.anew(run)
            raise RunError(say(where, "the arrays of this stage", "others", todo))
    moments = optimiser.State(step, parts["first"], parts["second"])  # din-R23
    return State(unflatten(parts["params"], din.Params), moments)
