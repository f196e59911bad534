"""Replace code of the running process by the code of a mutant.

The functions of the package keep their identity, so every module that imported one runs the edited
code. A compiled function is compiled again if it depends on edited code.
"""

from __future__ import annotations

import ast
import gc
import sys
from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages
from types import CodeType, FunctionType, ModuleType

from numba.core.caching import NullCache
from numba.core.dispatcher import Dispatcher

from mindref import kernels
from mindref.conformance.mutants import anchors, loader
from mindref.conformance.mutants.loader import Mutant

# A module that is imported after the replacement would use, and write, cached machine code.
for module_info in walk_packages(kernels.__path__, f"{kernels.__name__}."):
    import_module(module_info.name)


def replace_code(mutant: Mutant) -> None:
    """Make all edits of `mutant` in this process. Raises ValueError where that is impossible."""
    changed: list[object] = []
    for file in dict.fromkeys(edit.file for edit in mutant.edits):
        edits = [edit for edit in mutant.edits if edit.file == file]
        module = import_module(f"mindref.{file[:-3].replace('/', '.')}".removesuffix(".__init__"))
        text = anchors.apply_edits(loader.source_text(file), edits)
        edited = ModuleType(module.__name__)
        edited.__dict__.update(__file__=module.__file__, __package__=module.__package__)
        exec(compile(text, str(module.__file__), "exec"), edited.__dict__)
        for scope, edit in ((edit.anchor.partition(": ")[0], edit) for edit in edits):
            if scope == "module":
                changed += replace_globals(module, edited, names_bound(edit.text))
            else:
                changed += replace_functions(module, edited, scope)
    forget_machine_code(changed)


def replace_functions(module: ModuleType, edited: ModuleType, scope: str) -> list[object]:
    """Replace the code of a function, such as "Model.step", of functions around and inside it."""
    changed: list[object] = []
    functions = functions_by_name(edited)
    for name, function in functions_by_name(module).items():
        if f"{name}.".startswith(f"{scope}.") or scope.startswith(f"{name}."):
            for old in function:
                new = functions[name][0]
                old.__code__, old.__defaults__ = new.__code__, new.__defaults__
                old.__kwdefaults__, old.__annotations__ = new.__kwdefaults__, new.__annotations__
                changed.append(old)
    if not changed:
        raise ValueError(f"{module.__name__}: no function {scope} can be replaced")
    return changed


def functions_by_name(module: ModuleType) -> dict[str, list[FunctionType]]:
    """Return the live functions of a module by qualified name, decorated functions included."""
    functions: dict[str, list[FunctionType]] = {}
    for x in gc.get_referrers(module.__dict__):
        if isinstance(x, FunctionType) and x.__globals__ is module.__dict__:
            functions.setdefault(code_name(x), []).append(x)
    return functions


def code_name(function: object) -> str:
    """Return the name of a function as anchors state it, such as "outer.inner"."""
    code = getattr(function, "__code__", None)
    return code.co_qualname.replace(".<locals>", "") if code else ""


def replace_globals(module: ModuleType, edited: ModuleType, names: set[str]) -> list[object]:
    """Replace global variables of a module, also where other modules imported them."""
    changed: list[object] = []
    for name in names:
        old, new = getattr(module, name, None), getattr(edited, name)
        for user in list(sys.modules.values()):
            if user is module or (old is not None and vars(user).get(name) is old):
                setattr(user, name, new)
        changed.append(new)
    return changed


def names_bound(text: str) -> set[str]:
    """Return the names that statements assign or define."""
    nodes = [node for node in ast.walk(ast.parse(text))]
    stored = (ast.Name, ast.FunctionDef, ast.ClassDef)
    return {
        getattr(node, "id", getattr(node, "name", ""))
        for node in nodes
        if isinstance(node, stored) and not isinstance(getattr(node, "ctx", None), ast.Load)
    }


def forget_machine_code(changed: list[object]) -> None:
    """Compile each function anew that uses a changed function or constant, also indirectly."""
    affected = {id(x) for x in changed}
    compiled = [x for x in gc.get_objects() if isinstance(x, Dispatcher)]
    waiting = True
    while waiting:
        waiting = False
        for function in compiled:
            uses = {id(function.py_func), *map(id, globals_used(function.py_func))}
            if id(function) not in affected and uses & affected:
                affected.add(id(function))
                function._cache = NullCache()
                function._reset_overloads()
                waiting = True


def globals_used(function: FunctionType) -> Iterator[object]:
    """Yield the global variables that a function names, and their attributes that it names."""
    names = set(names_in_code(function.__code__))
    for name in names & function.__globals__.keys():
        value = function.__globals__[name]
        yield value
        if isinstance(value, ModuleType):
            yield from (vars(value)[x] for x in names & vars(value).keys())


def names_in_code(code: CodeType) -> Iterator[str]:
    """Yield the names in the code of a function, and of functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in_code(constant)
