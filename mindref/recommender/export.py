"""Export for serving: the user tower as a file, and the matrix of items that its interests search.

    user_tower.onnx     or user_tower.pt2: histories to interests and which are active
    items.safetensors   `items`, the vectors of all items (N, D), float32
    items.tsv           external id, dense id, count, title; the dense id is the row of the matrix
    export.json         what is in the files, their sha256, and how an item is scored

A framework writes the tower: a plugin does, such as the package mindref-torch.
The file is run and compared with the reference before the folder gets its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import mindref
from mindref.errors import STRANGE, BackendError, MindrefError, RunError, say
from mindref.models.families import only_mind
from mindref.models.serving import item_matrix
from mindref.models.tower import UserTower, float32, keyed, user_tower
from mindref.recommender.exported import Verdict, judge, sample
from mindref.recommender.served import Served
from mindref.run import atomic, checkpoint, files, lock
from mindref.run import items as catalogue
from mindref.run.files import file_digest

KINDS = ("onnx", "torch")
FORMAT = 1  # of export.json; raised when a reader of the old one would be wrong about a new one
MANIFEST, ITEMS, IDS = "export.json", "items.safetensors", "items.tsv"
GROUP = "mindref.exporters"
"""Entry points, one a kind: modules with `require`, `write` and `open_file`."""

INSTALL = {
    "onnx": "in a checkout of mindref: pip install './backends/torch[export]'",
    "torch": "in a checkout of mindref: pip install ./backends/torch 'torch>=2.9'",
}


class Disagreement(MindrefError):
    """A file that does not answer as the reference does; nothing of it is kept."""

    def __init__(self, verdict: Verdict) -> None:
        expected = f"a difference of at most {verdict.allowed:.1e} from the reference"
        got = f"{verdict.difference:.1e}, and {verdict.active_differ} interests too many or too few"
        super().__init__(say("the exported file", expected, got, "nothing was kept of it"))
        self.verdict = verdict


def export(
    run: Path, kind: str, output: Path, *, users: int = 1000, data: Path | None = None
) -> dict[str, Any]:
    """Write the model of a run for serving into a new folder; return what export.json holds.

    The file is compared with the reference on `users` users of the log, which lies at `data` if it
    has moved; on drawn histories where it cannot be read. Warnings for the user are under
    `warnings`, beside what export.json holds. Raises BackendError without the framework, RunError
    for a damaged run and a folder in use, Disagreement for a file that answers otherwise.
    """
    writer, versions = writer_of(kind)
    only_mind(checkpoint.load_config(run)[0], f"export {run}")
    served = Served.load(run)
    if data is not None:
        served.source = served.source.moved(data)
    with atomic.explained(output):
        output.parent.mkdir(parents=True, exist_ok=True)
    with lock.making(output) as said, atomic.folder(output) as folder:
        model = keyed(served.model)
        parts = user_tower(model, len(served.vocabulary.values))
        words = {"format": checkpoint.FORMAT, "step": served.step}
        checkpoint.save_arrays(folder / ITEMS, {"items": float32(item_matrix(model))}, words)
        ids, counts, titles = served.items
        catalogue.write(folder / IDS, ids, counts, titles)
        with writing(kind):
            written = writer.write(kind, parts, folder)
            opened = writer.open_file(kind, folder / written["file"])
        asked = sample(served, users)
        with writing(kind):
            verdict = judge(opened, model, asked)
        if not verdict.agrees:
            raise Disagreement(verdict)
        facts = {
            "format": FORMAT,
            "kind": kind,
            "tower": {**written, **signature(parts)},
            **about_items(parts),
            **about_run(run, served),
            "checked": verdict._asdict(),
            "versions": {"mindref": mindref.__version__, **versions},
            "files": listed(folder),
        }
        facts = files.write_sealed(folder / MANIFEST, facts, files.FEWER)
    return {**facts, "warnings": [*filter(None, [said]), *about_logits(served), *asked.warnings]}


def writer_of(kind: str) -> tuple[Any, dict[str, str]]:
    """Return the module that writes towers, and the versions of what it needs for this kind."""
    found = {entry.name: entry for entry in metadata.entry_points(group=GROUP)}
    try:
        if kind not in found:
            raise ImportError(f"no package offers {kind!r} as an entry point of {GROUP}")
        writer = found[kind].load()
        return writer, writer.require(kind)
    except ImportError as error:
        needed = "mindref-torch with its extra `export`" if kind == "onnx" else "mindref-torch"
        got = f"{type(error).__name__}: {error}"
        raise BackendError(say(f"--to {kind}", needed, got, INSTALL[kind])) from error


@contextmanager
def writing(kind: str) -> Iterator[None]:
    """Turn whatever a framework raises into a BackendError."""
    try:
        yield
    except (MindrefError, MemoryError):
        raise
    except STRANGE as error:
        if isinstance(error, OSError) and error.errno in atomic.FULL:
            raise OSError(error.errno, error.strerror) from error  # faults-R1: of the folder
        got = " ".join(f"{type(error).__name__}: {error}".split())
        todo = f"another version may do; {INSTALL[kind]}"
        raise BackendError(say(f"--to {kind}", "a file that runs", got, todo)) from error


def signature(parts: UserTower) -> dict[str, Any]:
    """Return what goes into a tower and what comes out of it; sizes by name may be any, 0 too."""
    config = parts.config
    inputs = [about("items", "int64", "batch", "length"), about("mask", "bool", "batch", "length")]
    if parts.features:
        inputs.append(about("profile", "int64", "batch", parts.features))
    interests, width = config.interests, parts.items.shape[1]
    return {
        "inputs": inputs,
        "outputs": [
            about("interests", "float32", "batch", interests, width),
            about("active", "bool", "batch", interests),
        ],
        "order": "oldest first",
        "window": config.window,  # the tower itself leaves out what is older
        "logits": "keyed",
        "logits_seed": config.seed,
        "logits_sigma": config.sigma,
    }


def about(name: str, dtype: str, *shape: int | str) -> dict[str, Any]:
    """Return the entry of one input or output."""
    return {"name": name, "type": dtype, "shape": list(shape)}


def about_items(parts: UserTower) -> dict[str, Any]:
    """Return how the matrix of items is laid out, and how it is searched."""
    count, width = parts.items.shape
    return {
        "items": {"file": ITEMS, "array": "items", "shape": [count, width], "ids": IDS},
        "score": {
            "product": "inner",
            "interests": parts.config.score,  # max or sum, over the active ones
            "normalised": parts.config.normalise,  # interests and items have length one already
        },
    }


def about_run(run: Path, served: Served) -> dict[str, Any]:
    """Return where a model is from; no name of a folder, as files travel."""
    vocabulary = served.vocabulary
    features = [
        {"name": name, "unknown": start, "values": list(vocabulary.values[name])}
        for name, start in vocabulary.starts.items()
    ]
    return {
        "user_features": features,  # the row of values[i] is unknown + 1 + i
        "run": {
            "step": served.step,
            "model_sha256": file_digest(run / checkpoint.MODEL),
            "log_sha256": served.facts["log"],
        },
        "settings": served.model.config.to_dict(),
    }


def about_logits(served: Served) -> list[str]:
    """Return what must be said where the run serves by other initial logits than a file can."""
    if served.model.config.logits != "per_call":
        return []
    return ["the run draws initial logits anew for every request; the file has the keyed ones"]


def verify(folder: Path) -> dict[str, Any]:
    """Return what export.json says, after every file has been compared with it.

    Raises RunError naming the file that is damaged, missing, or not listed.
    """
    path, what, todo = folder / MANIFEST, "the manifest of an exported folder", "export it again"
    files.check_folder(folder)
    try:
        words = files.read_json(path, what, todo)
        if words["format"] != FORMAT:  # security-R3
            raise RunError(say(f"{path}: format", str(FORMAT), repr(words["format"]), todo))
        facts = files.unsealed(path, words, what, todo)
        known = {Path(name).name: x for name, x in facts["files"].items()}  # never outside
        for name in sorted({x.name for x in folder.iterdir()} - {MANIFEST, lock.NAME, *known}):
            expected = f"a file that {MANIFEST} lists"  # security-R15
            raise RunError(say(str(folder / name), expected, "another", todo))
        for name, x in known.items():  # security-R15
            files.check_bytes(folder / name, x["sha256"], x["bytes"], "an exported file", todo)
    except FileNotFoundError:
        raise RunError(say(str(path), what, "no file", todo)) from None
    except files.MALFORMED as error:
        raise RunError(say(str(path), what, f"{error!r}", todo)) from error
    return facts


def listed(folder: Path) -> dict[str, dict[str, Any]]:
    """Return size and sha256 of every file of a folder."""
    return {
        path.name: {"bytes": path.stat().st_size, "sha256": file_digest(path)}
        for path in sorted(folder.iterdir())
    }
