"""Imports follow the data; importing mindref or asking for help loads nothing heavy."""

import ast
from functools import cache
from pathlib import Path

import pytest

from mindref.cli import COMMANDS
from mindref.models.registry import BY_NAME
from tests.runs import python_output

PACKAGE = Path(__file__).parent.parent / "mindref"
REGISTRY = "models.registry"
LISTS = (REGISTRY, "data.protocols")
"""Modules of names. They import nothing, so that settings and presets can use the names."""

# what a layer may import, beside itself; in the order of the data flow
LAYERS = [
    {"errors"},
    {"arguments"},
    {"data.protocols"},
    {"presets", "settings"},
    {"models.registry"},
    {"config", "process"},
    {"shapes"},
    {"data"},
    {"ops"},
    {"backend"},
    {"models"},
    {"training"},
    {"kernels"},
    {"run"},
    {"recall"},
    {"evaluation"},
    {"recommender"},
    {"service"},
    {"bench"},
    {"doctor"},
    {"experiments"},
    {"conformance"},
    {"study"},
    {"cli"},
    {"__main__", "__init__"},
]
DEPTH = {name: depth for depth, names in enumerate(LAYERS) for name in names}
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))


def room(path):
    """Return the top-level module or folder of a file; for a module of LISTS, its dotted name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts) if ".".join(parts) in LISTS else parts[0]


def imported(path):
    """Return the rooms of mindref that a file imports, anywhere in it."""
    names = names_imported(path)
    lists = {name for name in LISTS if any(n.startswith(f"mindref.{name}") for n in names)}
    others = {
        n.split(".")[1] for n in names if not any(n.startswith(f"mindref.{x}") for x in LISTS)
    }
    return (others | lists) - {"__version__"}


@cache
def names_imported(path):
    """Return the dotted names of mindref that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {n for n in names if n.startswith("mindref.")}
    return found


def test_a_module_imports_only_from_layers_before_it():
    assert {room(path) for path in MODULES} == set(DEPTH), "each layer is named in LAYERS"
    upward = [
        f"{path.relative_to(PACKAGE)} imports {other}"
        for path in MODULES
        for other in sorted(imported(path) - {room(path)})
        if DEPTH[other] >= DEPTH[room(path)]
    ]
    assert upward == []


def test_data_and_recall_never_see_a_model():
    for path in MODULES:
        if room(path) in ("data", "recall", "evaluation"):
            assert not imported(path) & {"models", "ops", "backend", "training"}, path


def comparisons_of_families(tree):
    """Yield the lines that compare the name of a model family, or something called `model`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
        elif isinstance(node, ast.Match):
            operands = [node.subject, *(p.value for c in node.cases for p in ast.walk(c.pattern)
                                        if isinstance(p, ast.MatchValue))]  # fmt: skip
        else:
            continue
        if any(names_a_family(operand) for operand in operands):
            yield node.lineno


def names_a_family(operand):
    """Return whether an operand is a literal name of a family, or a variable `model`."""
    if isinstance(operand, ast.Tuple | ast.List | ast.Set):
        return any(names_a_family(element) for element in operand.elts)
    if isinstance(operand, ast.Constant):
        return operand.value in BY_NAME
    if isinstance(operand, ast.Subscript):
        return isinstance(operand.slice, ast.Constant) and operand.slice.value == "model"
    if isinstance(operand, ast.Call):
        keys = [x.value for x in operand.args[:1] if isinstance(x, ast.Constant)]
        return (
            isinstance(operand.func, ast.Attribute)
            and operand.func.attr == "get"
            and (keys == ["model"])
        )
    name = getattr(operand, "attr", getattr(operand, "id", ""))
    return name == "model"


def test_no_module_outside_models_compares_the_name_of_a_family():
    found = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in MODULES
        if room(path) not in ("models", REGISTRY)
        for line in comparisons_of_families(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        'if config.model == "maxmf": pass',
        "fused = self.config.model != other",
        'x = name in ("mind", "mind_plus")',
        'y = given["model"] == DIN',
        'z = words.get("model", "mind") != model',
        'match config.model:\n    case "din": pass',
    ],
)
def test_a_comparison_of_a_family_is_found(code):
    assert list(comparisons_of_families(ast.parse(code)))


def test_operators_see_no_configuration():
    for path in MODULES:
        if room(path) == "ops":
            assert imported(path) <= {"ops", "shapes", "errors"}, path


def test_only_the_top_n_search_imports_compiled_code():
    """A backend is found by its entry point; the top-n search imports kernels that see no model."""
    for path in MODULES:
        used = {n for n in names_imported(path) if n.startswith("mindref.kernels.")}
        if room(path) == "recall":
            assert used <= {"mindref.kernels.top_n"}, path
        elif room(path) not in ("kernels", "bench"):  # a benchmark measures the peak rate
            assert not used, path
    for name in ("top_n.py", "_jit.py"):
        allowed = {"kernels", "errors", "process", "shapes"}
        assert imported(PACKAGE / "kernels" / name) <= allowed, name


HEAVY = ("numba", "scipy", "annoy", "pyarrow", "torch", "jax", "hypothesis", "pytest")


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        ("import mindref", HEAVY),
        ("from mindref.cli import main; main(['--help'])", HEAVY),
        ("import mindref; mindref.MIND", ("pandas", "polars")),
        # threads are set before NumPy is imported
        (f"from mindref.cli import {', '.join(COMMANDS)}", ("numpy",)),
        # a broken NumPy or Numba may crash only a child process
        (
            "from mindref.doctor import examine; from mindref.cli import doctor, tables",
            ("numpy", "numba", "scipy", "annoy", "faiss"),
        ),
        ("import mindref.data.formats", ("numpy", "mindref.data.readers")),
    ],
)
def test_importing_or_helping_loads_nothing_heavy(code, modules):
    script = f"""
import sys
try:
    {code}
except SystemExit:
    pass
print([name for name in sys.modules if name.startswith({modules})])
"""
    assert python_output(script).splitlines()[-1] == "[]"
