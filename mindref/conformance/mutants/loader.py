"""Read the mutants from the .toml files, and build the modules of a mutant.

A mutant is a wrong implementation: the package with edited statements (anchors.py).
`build_mutant` edits copies of the reference's modules. The copies import each other, so a copy of
routing uses the edited squash. The reference and `sys.modules` do not change.
"""

from __future__ import annotations

import builtins
import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from types import CodeType, MappingProxyType, ModuleType, SimpleNamespace
from typing import Any, NamedTuple

from mindref.backend import OPERATORS
from mindref.conformance.mutants import anchors
from mindref.conformance.mutants.anchors import Edit
from mindref.conformance.runner.claims import LEVELS
from mindref.conformance.runner.composed_backend import ComposedBackend
from mindref.ops import FURTHER

OPERATOR_NAMES = (*OPERATORS, *FURTHER)
MIND_PLUS = ("ages", "__init__")

MODULES = (
    "shapes",
    "ops.votes",
    *(f"ops.{stem}" for stem in OPERATOR_NAMES),
    "models.layers",
    "models.mind",
    *(f"models.mind_plus.{stem}" for stem in MIND_PLUS),
    "training.optimiser",
    "conformance.runner.scoring",
    "conformance.runner.composed_backend",
)
FILES = {
    f"mindref.{name}".removesuffix(".__init__"): f"{name.replace('.', '/')}.py" for name in MODULES
}
"""Module name -> file. A module comes after all modules that it imports."""

SCOPES = ("suite", "tests", "study")
"""The possible uses of a mutant; __init__.py explains them."""

LEVEL_OF = {  # edited file -> level of the mutant; other files: "ops"
    "models/layers.py": "model",
    "models/mind.py": "model",
    **{f"models/mind_plus/{stem}.py": "model" for stem in MIND_PLUS},
    "training/optimiser.py": "train",
    "conformance/runner/scoring.py": "serve",
    "conformance/runner/composed_backend.py": "train",
}
LEVEL_OF_PAGE = {  # page of the rule -> level
    "model": "model",
    "mind_plus": "model",
    "pooled_softmax": "model",
    "optimiser": "train",
}


class Mutant(NamedTuple):
    """A wrong implementation: the package with one mistake."""

    name: str
    rule: str  # the rule that the mutant breaks, such as "routing-R2"
    scope: tuple[str, ...]  # of SCOPES
    description: str  # the mistake, such as "beta1 and beta2 are swapped"
    does: str  # the effect of the mistake on a model; may be empty
    seen: str  # public code that has the mistake; may be empty
    edits: tuple[Edit, ...]
    tests: str = ""  # folder or file of the tests that must fail on the mutant; empty: all

    @property
    def page(self) -> str:
        """Return the page of the rule, such as "routing"."""
        return self.rule.partition("-")[0]

    @property
    def level(self) -> str:
        """Return the lowest level of a backend with this mistake, such as "ops"."""
        concerned = [LEVEL_OF.get(edit.file, "ops") for edit in self.edits]
        return max([*concerned, LEVEL_OF_PAGE.get(self.page, "ops")], key=list(LEVELS).index)


class BuiltModules(NamedTuple):
    """The modules of a mutant: edited copies of modules of the reference."""

    ops: Any
    mind: ModuleType
    optimiser: ModuleType
    mind_plus: ModuleType
    scoring: ModuleType
    composed: ModuleType  # makes a backend from the modules above


@cache
def suite_mutants() -> tuple[Mutant, ...]:
    """Return all mutants of scope "suite", sorted by page and grouped by rule."""
    return tuple(mutant for mutant in shipped_mutants() if "suite" in mutant.scope)


@cache
def shipped_mutants() -> tuple[Mutant, ...]:
    """Return all mutants in the package, of every scope."""
    return mutants_in_folder(resources.files("mindref.conformance.mutants"), scope="suite")


def mutants_in_folder(folder: Traversable, *, scope: str) -> tuple[Mutant, ...]:
    """Return the mutants in the .toml files of `folder`; `scope` is the default scope."""
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name)
    return tuple(
        mutant for file in files for mutant in read_mutants(file.read_text(encoding="utf-8"), scope)
    )


def read_mutants(text: str, scope: str) -> list[Mutant]:
    """Return the mutants of the text of a .toml file; `scope` is the default scope."""
    return [
        read_mutant(rule, sentence, row, scope)
        for rule, rows in tomllib.loads(text).items()
        for sentence, row in rows.items()
    ]


def read_mutant(rule: str, sentence: str, row: dict[str, Any], scope: str) -> Mutant:
    """Return the mutant of the TOML table `[rule."sentence"]`, whose content is `row`."""
    words = re.findall(r"[a-z0-9]+", sentence.lower())
    return Mutant(
        name=row.get("name") or "-".join([rule.partition("-")[0].replace("_", "-"), *words]),
        rule=rule,
        scope=tuple(row.get("scope", [scope])),
        description=sentence,
        does=row.get("does", ""),
        seen=row.get("seen", ""),
        edits=anchors.read_edits(row),
        tests=row.get("tests", ""),
    )


def build_mutant(
    mutant: Mutant | None = None,
    probes: tuple[Edit, ...] = (),
    names: Mapping[str, Any] = MappingProxyType({}),
) -> BuiltModules:
    """Return copies of the reference's modules with the edits of `mutant` (None: no edits).

    `probes` are edits that insert code, and `names` are global variables that this code may use.
    A probe within a statement that the mutant replaces is left out. Two calls of `build_mutant`
    share no state. Raises ValueError unless each edit matches exactly one statement.
    """
    edits = mutant.edits if mutant else ()
    modules: dict[str, Any] = {}
    for name, file in FILES.items():
        file_edits, added = (tuple(e for e in es if e.file == file) for es in (edits, probes))
        modules[name] = run_module(name, compile_edited(file, file_edits, added), modules, names)
    ops = operators_namespace(modules)
    models = ("models.mind", "training.optimiser", "models.mind_plus")
    runner = ("conformance.runner.scoring", "conformance.runner.composed_backend")
    whole_modules = (*models, *runner)
    return BuiltModules(ops, *(modules[f"mindref.{name}"] for name in whole_modules))


def backend_of(
    mutant: Mutant | None = None, levels: tuple[str, ...] | None = None
) -> ComposedBackend:
    """Return `mutant` as a backend, or the unedited reference if `mutant` is None.

    The backend claims `levels`. The default is the levels up to `mutant.level`, or all levels.
    """
    order = tuple(LEVELS)
    claimed = order[: order.index(mutant.level) + 1] if mutant else order
    name = mutant.name if mutant else "unedited"
    *parts, composed = build_mutant(mutant)
    claimed = claimed if levels is None else levels
    backend: ComposedBackend = composed.ComposedBackend(*parts, name=name, levels=claimed)
    return backend


def operators_namespace(modules: dict[str, Any]) -> SimpleNamespace:
    """Return the operators in `modules` as a namespace that replaces `mindref.ops`."""
    operators = {stem: modules.get(f"mindref.ops.{stem}") for stem in OPERATOR_NAMES}
    return SimpleNamespace(**{stem: module for stem, module in operators.items() if module})


def run_module(
    name: str,
    code: CodeType,
    modules: dict[str, Any],
    names: Mapping[str, Any] = MappingProxyType({}),
) -> ModuleType:
    """Run `code` and return the new module. Its imports use `modules`, not the reference."""

    def import_module(
        imported: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        names = fromlist or ()
        if imported in modules and names:  # such as: from mindref.ops.votes import project_votes
            return modules[imported]
        if imported == "mindref.ops" and not names:  # import mindref.ops as ops
            return SimpleNamespace(ops=operators_namespace(modules))
        module = builtins.__import__(imported, globals, locals, names, level)
        copies = {x: modules[f"{imported}.{x}"] for x in names if f"{imported}.{x}" in modules}
        if not copies:
            return module
        # such as: from mindref.models import mind, parameters
        return SimpleNamespace(**{x: copies.get(x) or getattr(module, x) for x in names})

    module = ModuleType(name)
    module.__dict__.update(names)
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": import_module}
    exec(code, module.__dict__)  # safe: source and edits are our own
    return module


@cache
def compile_edited(file: str, edits: tuple[Edit, ...], probes: tuple[Edit, ...] = ()) -> CodeType:
    """Apply `edits` and `probes` to `file`, and return the compiled code."""
    text = source_text(file)
    text = anchors.apply_edits(text, [*edits, *anchors.probes_outside(text, edits, probes)])
    return compile(text, f"<mutant of mindref/{file}>" if edits else f"<mindref/{file}>", "exec")


@cache
def source_text(file: str) -> str:
    """Return the text of `file`, a path relative to the package `mindref`."""
    return resources.files("mindref").joinpath(file).read_text(encoding="utf-8")
