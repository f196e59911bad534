"""Read the catalogue of wrong implementations, and build any of them beside the reference.

A variant is an edit of source text. It is built by running edited copies of the reference's modules
that import one another, so that a broken squash is the one that routing uses. Nothing is entered
in `sys.modules`, and the reference itself is never touched.
"""

from __future__ import annotations

import builtins
import tomllib
from functools import cache
from importlib import resources
from types import CodeType, ModuleType, SimpleNamespace
from typing import Any, NamedTuple

from mindref.backend import OPERATORS
from mindref.conformance.judging.claims import LEVELS
from mindref.conformance.judging.composed import Composed

FILES = {  # module -> file, each after those that it imports
    "mindref.shapes": "shapes.py",
    "mindref.ops.votes": "ops/votes.py",
    "mindref.ops.embedding": "ops/embedding.py",
    "mindref.ops.softmax": "ops/softmax.py",
    "mindref.ops.squash": "ops/squash.py",
    "mindref.ops.routing": "ops/routing.py",
    "mindref.ops.relu_layer": "ops/relu_layer.py",
    "mindref.ops.label_attention": "ops/label_attention.py",
    "mindref.ops.sampled_softmax": "ops/sampled_softmax.py",
    "mindref.models.layers": "models/layers.py",
    "mindref.models.mind": "models/mind.py",
    "mindref.training.optimiser": "training/optimiser.py",
    "mindref.conformance.judging.composed": "conformance/judging/composed.py",
}
LEVEL_OF = {  # other files: "ops"
    "models/layers.py": "model",
    "models/mind.py": "model",
    "training/optimiser.py": "train",
    "conformance/judging/composed.py": "train",
}
LEVEL_OF_PAGE = {"model": "model", "optimiser": "train"}  # rules that show in no single operator


class Edit(NamedTuple):
    """One replacement in a file of the package; `old` stands in it exactly once."""

    file: str
    old: str
    new: str


class Variant(NamedTuple):
    """The reference with one mistake."""

    name: str
    breaks: str  # the one rule, such as "routing-R2"
    what: str  # completes "your result equals the reference with this mistake: ..."
    does: str  # what it does to a model; may be empty
    seen: str  # who does it in public code; may be empty
    edits: tuple[Edit, ...]

    @property
    def page(self) -> str:
        """Return the page of the rule that it breaks."""
        return self.breaks.partition("-")[0]

    @property
    def level(self) -> str:
        """Return the lowest level of the contract at which the mistake shows."""
        concerned = [LEVEL_OF.get(edit.file, "ops") for edit in self.edits]
        return max([*concerned, LEVEL_OF_PAGE.get(self.page, "ops")], key=list(LEVELS).index)


class Built(NamedTuple):
    """The modules of a variant, each in the place of the reference's."""

    ops: Any
    mind: ModuleType
    optimiser: ModuleType
    composed: ModuleType  # of them a backend


@cache
def catalogue() -> tuple[Variant, ...]:
    """Return every variant, by page in the order of the alphabet, then as written."""
    folder = resources.files("mindref.conformance.variants")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    texts = [file.read_text(encoding="utf-8") for file in files]
    return tuple(read(row) for text in texts for row in tomllib.loads(text)["variant"])


def read(row: dict[str, Any]) -> Variant:
    """Return a variant from its table in the catalogue; an edit may name a file of its own."""
    shared = {key: row[key] for key in ("file", "old", "new") if key in row}
    edits = tuple(Edit(**{**shared, **edit}) for edit in row.get("edits", [{}]))
    does, seen = row.get("does", ""), row.get("seen", "")
    return Variant(row["name"], row["breaks"], row["what"], does, seen, edits)


def build(variant: Variant | None = None) -> Built:
    """Return fresh modules with the variant's edits made; None: the reference, unedited.

    Two calls share nothing, so that a variant that keeps state starts anew. Raises ValueError for
    an edit whose `old` does not stand exactly once in its file.
    """
    edits = variant.edits if variant else ()
    made: dict[str, Any] = {}
    for name, file in FILES.items():
        made[name] = run(name, compiled(file, tuple(e for e in edits if e.file == file)), made)
    ops = namespace(made)
    alone = (
        "mindref.models.mind",
        "mindref.training.optimiser",
        "mindref.conformance.judging.composed",
    )
    return Built(ops, *(made[name] for name in alone))


def backend_of(variant: Variant | None = None, levels: tuple[str, ...] | None = None) -> Composed:
    """Return a variant as a backend that claims the levels up to its own, or those that are named.

    None is the reference itself, rebuilt, with all three levels.
    """
    order = tuple(LEVELS)
    own = order[: order.index(variant.level) + 1] if variant else order
    name = variant.name if variant else "unedited"
    *parts, composed = build(variant)
    backend: Composed = composed.Composed(
        *parts, name=name, levels=own if levels is None else levels
    )
    return backend


def namespace(made: dict[str, Any]) -> SimpleNamespace:
    """Return what stands for the package `mindref.ops`: the operators that have been made."""
    known = {stem: made.get(f"mindref.ops.{stem}") for stem in OPERATORS}
    return SimpleNamespace(**{stem: module for stem, module in known.items() if module})


def run(name: str, code: CodeType, made: dict[str, Any]) -> ModuleType:
    """Run a module's code; what it imports of the reference is what has been `made` before it."""

    def importing(wanted: str, *rest: Any) -> Any:
        names = rest[2] if len(rest) > 2 else None
        if wanted in made and names:  # from mindref.ops.votes import project
            return made[wanted]
        if wanted == "mindref.ops":  # from mindref.ops import squash; import mindref.ops as it
            return namespace(made) if names else SimpleNamespace(ops=namespace(made))
        return builtins.__import__(wanted, *rest)

    module = ModuleType(name)
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": importing}
    exec(code, module.__dict__)  # our own source, with our own edits
    return module


@cache
def compiled(file: str, edits: tuple[Edit, ...]) -> CodeType:
    """Return the code of a file of the package with edits made in their order."""
    text = edited(source(file), edits)
    return compile(text, f"<variant of mindref/{file}>" if edits else f"<mindref/{file}>", "exec")


@cache
def source(file: str) -> str:
    """Return the text of a file of the package."""
    return resources.files("mindref").joinpath(file).read_text(encoding="utf-8")


def edited(text: str, edits: tuple[Edit, ...]) -> str:
    """Return the text with each edit made; raise ValueError unless its `old` stands there once."""
    for file, old, new in edits:
        if text.count(old) != 1:
            raise ValueError(f"{file}: {old!r} stands {text.count(old)} times, not once")
        text = text.replace(old, new)
    return text
