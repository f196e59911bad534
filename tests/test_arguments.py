"""The arguments of public functions: types, extreme values and paths, before any work."""

from __future__ import annotations

import ast
import inspect
import math
from decimal import Decimal
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import mindref
from mindref import arguments
from mindref.arguments import Count, Natural, check_arguments
from mindref.backend import load_backend
from mindref.config import Config
from mindref.data.frames import from_arrays, from_dataframe
from mindref.data.readers import read_log
from mindref.data.readers.side_files import NO_FEATURES
from mindref.data.synthetic import make_synthetic_log
from mindref.errors import ConfigError, MindrefError, value_text
from mindref.recall import build_index, open_index
from mindref.recommender.evaluate_run import evaluate_run
from mindref.recommender.export import export_run, export_vectors
from tests.list_requests import recalled
from tests.runs import SMALL, write_shop

SETTINGS = {**SMALL, "steps": 2, "evaluate_every": 1, "backend": "numpy"}


class Unprintable:
    """An object whose text and whose iterator raise errors."""

    def __repr__(self):
        raise RuntimeError("no text")

    def __iter__(self):
        raise RuntimeError("no values")


WRONG = [
    None, True, np.True_, 0, -1, 1.0, 2.5, math.nan, math.inf, 10**12, 10**30, -(10**30), "3", "",
    "a\0b", "\ud800", "x" * 300, b"x", [3], [], {}, {3: 4}, (1,), object(), int, Decimal(1), 1j,
    np.float64(3), np.int64(2), np.array([1.5]), np.array(3), Path("a\0b"), Path("x" * 300),
    np.ma.masked, lambda: 1, range(3), {"a"}, np.datetime64("NaT"), np.timedelta64(1, "s"),
    Unprintable(), [np.array(3)], [np.timedelta64(1, "s")], Fraction(10**400, 3), "b/" * 3000,
]  # fmt: skip
"""Values of wrong types, and extreme values of right types. Some are right for some parameters."""


@cache
def log():
    return make_synthetic_log(users=60, items=120).log


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a log and a run."""
    folder = tmp_path_factory.mktemp("log")
    write_shop(folder)
    mindref.MIND(**SETTINGS).fit(folder / "shop.inter", run=folder / "run")
    return folder


@pytest.fixture
def calls(trained, tmp_path, monkeypatch):
    """Public name -> function, and arguments with which it works."""
    monkeypatch.chdir(tmp_path)
    model, run = mindref.load(trained / "run"), trained / "run"
    history, ids = list(model.served.items.ids[:3]), np.array(["a", "b", "a"])
    vectors = model.served.item_vectors
    frame = {"user": ids, "item": ids, "time": np.arange(3)}
    return {
        "MIND": (mindref.MIND, {"preset": "mind", "width": 8}),
        "Recommender": (mindref.Recommender, {"preset": None, "width": 8}),
        "fit": (mindref.MIND(**SETTINGS).fit, {
            "data": log(), "split": "leave_last_out", "run": None, "exclude_seen": True,
            "device": "cpu", "start_from": None, "callbacks": (),
            "items": None, "times": None,
        }),
        "fit of a file": (mindref.MIND(**SETTINGS).fit, {
            "data": trained / "shop.inter", "item_file": None, "max_bad_lines": 0,
            "format": "recbole", "keep_duplicates": True, "min_user_interactions": 1,
            "columns": None, "user": "user_id", "item_features": {},
            "keep": {}, "time_format": "auto", "separator": "|",
        }),
        "save": (model.save, {"run": tmp_path / "saved", "overwrite": False}),
        "evaluate": (model.evaluate, {
            "data": log(), "items": None, "times": None, "split": None, "which": "test",
            "exclude_seen": None, "list_lengths": (10,), "max_cases": 5,
        }),
        "with_log": (model.with_log, {"data": log(), "items": None, "times": None}),
        "interests": (model.interests, {"histories": [history]}),
        "recommend": (model.recommend, {
            "history": history, "n": 3, "user": None, "only": None, "exclude": None,
            "per_interest": None, "exclude_seen": None,
        }),
        "recommend_many": (model.recommend_many, {
            "users_or_histories": [history], "n": 3, "only": None, "exclude": None,
            "per_interest": 2, "exclude_seen": True, "index": "exact",
        }),
        "similar_items": (model.similar_items, {
            "item": history[0], "n": 3, "only": None, "exclude": None,
        }),
        "set_params": (model.set_params, {"preset": "mind", "width": 8, "hidden": [8]}),
        "MIND.load": (mindref.MIND.load, {"run": run, "device": "cpu", "backend": "numpy"}),
        "load": (mindref.load, {"run": run, "device": "cpu", "backend": "numpy"}),
        "Config.of": (Config.of, {"preset": "mind", "changes": {}, "base": {}}),
        "load_backend": (load_backend, {"name": "numpy", "device": "cpu"}),
        "read_log": (read_log, {
            "path": trained / "shop.inter", "format": "auto", "columns": None, "item_file": None,
            "user_file": None, "max_bad_lines": "auto", "keep_duplicates": False,
            "min_user_interactions": 1, "min_item_interactions": 1, "min_item_users": 1,
            "keep_unused_items": False, "features": NO_FEATURES,
        }),
        "from_arrays": (from_arrays, {
            "users": ids, "items": ids, "times": np.arange(3), "titles": {}, "item_features": {},
            "user_features": {}, "keep_duplicates": False, "min_user_interactions": 1,
            "min_item_interactions": 1, "min_item_users": 1, "keep_unused_items": False,
        }),
        "from_dataframe": (from_dataframe, {
            "frame": frame, "user": "user", "item": "item", "time": "time", "title": None,
            "item_features": (), "user_features": (), "keep_duplicates": False,
            "min_user_interactions": 1, "min_item_interactions": 1, "min_item_users": 1,
        }),
        "evaluate_run": (evaluate_run, {
            "run": run, "data": None, "reading": None, "protocol": None, "which": "test",
            "exclude_seen": None, "list_lengths": (10,), "max_cases": 5,
            "predictions": tmp_path / "lists.tsv", "backend": None, "device": "cpu",
        }),
        "recall_lists": (recalled, {
            "run": run, "users": None, "history": history, "data": None, "n": 3, "index": "exact",
            "only": None, "exclude": None, "per_interest": None, "exclude_seen": None,
            "backend": None, "device": "cpu", "reranker": None,
        }),
        "export_run": (export_run, {
            "run": run, "output": tmp_path / "out", "users": 3, "data": None,
        }),
        "export_vectors": (export_vectors, {
            "run": run, "output": tmp_path / "vectors", "all_users": False,
            "data": None,
        }),
        "build_index": (build_index, {
            "items": vectors, "queries": vectors[:5], "directory": tmp_path / "index",
            "kind": "exact", "seed": 0, "interests": 4,
        }),
        "open_index": (open_index, {"directory": tmp_path / "index", "items": vectors}),
    }  # fmt: skip


NAMES = (
    "MIND", "Recommender", "fit", "fit of a file", "save", "interests", "recommend",
    "recommend_many", "evaluate", "with_log", "similar_items", "set_params", "MIND.load", "load",
    "Config.of",
    "load_backend", "read_log", "from_arrays", "from_dataframe", "evaluate_run", "recall_lists",
    "export_run", "export_vectors", "build_index", "open_index",
)  # fmt: skip
RECALLED = "tests.list_requests.recalled"  # makes a ListRequest, whose fields are checked
SET_PARAMS = "mindref.recommender.Recommender.set_params"


def outcome(function, keywords):
    """Return "" if a call has a result or an error of mindref, else the error."""
    try:
        function(**keywords)
    except MindrefError as error:
        text = str(error)
        is_clear = any(words in text for words in (": expected", "did you mean", " needs "))
        return "" if is_clear else f"an unclear {error!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


@pytest.mark.rules("model-R64", "model-R65")
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name == "fit" else ()) for name in NAMES],
)
def test_a_wrong_argument_is_an_error_of_mindref_or_has_a_result(calls, name):
    function, right = calls[name]
    wrong = []
    for parameter in right:
        for value in WRONG:
            got = outcome(function, {**right, parameter: value})
            wrong += [f"{parameter}={value_text(value, quoted=True)}: {got}"] if got else []
    assert wrong == []


@pytest.mark.rules("model-R64")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: read_log("x", foo=1), r"^read_log\(\) got an unexpected .* 'foo'"),
        (lambda m: from_dataframe({}, keep_unused_items=True), r"got .* 'keep_unused_items'"),
        (lambda m: from_arrays(["u"]), r"^from_arrays\(\) missing a required"),
        (lambda m: read_log("x", min_item_users=0), "^read_log: min_item_users: expected an integ"),
        (lambda m: m.recommend(["a"], n=0), "recommend: n: expected an integer of at least 1"),
        (lambda m: m.fit(run=1), "fit: run: expected the path of a file or folder or None, got 1"),
        (lambda m: m.fit(exclude_seen=0), "fit: exclude_seen: expected True or False or None"),
        (lambda m: m.fit("x", keep_duplicates="no"), "keep_duplicates: expected True or False"),
        (lambda m: m.fit("x", max_bad_lines=3.7), "max_bad_lines: expected an integer or a text"),
        (lambda m: m.save("x" * 300), "save: run: expected the path of a file or folder, got"),
        (lambda m: m.load(3), "load: run: expected the path of a file or folder, got 3"),
        (lambda m: m.fit(3), "data: expected a path, a DataFrame"),
        (lambda m: m.fit("a\0b"), "data: expected the path of a file or folder"),
        (lambda m: m.fit(hooks=3), "data: expected a log for the reading options, got none, and h"),
        (lambda m: type(m)(preset=3), "MIND: preset: expected a text, got 3"),
    ],
)  # fmt: skip
def test_the_message_names_function_and_parameter(call, message):
    """Python's own error is a TypeError; fields of a typed dictionary are parameters too."""
    with pytest.raises((ConfigError, TypeError), match=message):
        call(mindref.MIND(**SETTINGS))


@pytest.mark.rules("model-R65")
@pytest.mark.parametrize("path", ["", "a\0b", "x" * 256, "b/" * 2048, "\ud800", b"x", 3])
def test_a_path_that_no_file_has_is_rejected(path):
    with pytest.raises(ConfigError, match="expected the path of a file or folder"):
        arguments.check_path_argument("here", path)
    assert arguments.is_path("x" * 255 + "/" + "é" * 127)
    assert arguments.is_path("b/" * 2047 + "b")


@pytest.mark.rules("model-R64")
def test_numbers_of_numpy_are_those_of_python():
    @check_arguments
    def call(n: Count, natural: Natural = 0, flag: bool = True, path: Path = Path()):
        return n, natural, flag, path

    got = call(np.int32(3), np.uint8(0), np.False_, "a")
    assert got == (3, 0, False, Path("a"))
    assert list(map(type, got[:3])) == [int, int, bool]
    for wrong in (0, True, 1.0, "1", None):
        with pytest.raises(ConfigError, match="call: n: expected an integer of at least 1"):
            call(wrong)


@pytest.mark.rules("model-R64")
def test_an_annotation_without_a_kind_is_an_error_at_definition():
    def call(x: complex):
        return x

    with pytest.raises(KeyError, match="complex"):
        check_arguments(call)


def checked_functions():
    """Return qualified name -> parameters, of all functions that check_arguments decorates."""
    package, functions = Path(mindref.__file__).parent, {}
    for path in package.rglob("*.py"):
        module = ".".join(["mindref", *path.relative_to(package).with_suffix("").parts])
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for owner in [tree, *(x for x in tree.body if isinstance(x, ast.ClassDef))]:
            prefix = f"{module.removesuffix('.__init__')}.{getattr(owner, 'name', '')}".rstrip(".")
            for node in owner.body:
                if "check_arguments" in map(ast.unparse, getattr(node, "decorator_list", ())):
                    names = {x.arg for x in (*node.args.args, *node.args.kwonlyargs)}
                    functions[f"{prefix}.{node.name}"] = names - {"self", "cls"}
    return functions


@pytest.mark.rules("model-R64")
def test_each_parameter_of_each_checked_function_has_a_call(calls):
    called = {}
    assert set(calls) == set(NAMES)
    for function, keywords in calls.values():
        function = inspect.unwrap(function.__init__ if inspect.isclass(function) else function)
        label = f"{function.__module__}.{function.__qualname__}"
        called.setdefault(label, set()).update(keywords)
    missing = {name: x - called.get(name, set()) for name, x in checked_functions().items()}
    assert {name: x for name, x in missing.items() if x} == {}
    assert called.keys() - checked_functions().keys() == {SET_PARAMS, RECALLED}


@pytest.mark.rules("model-R64")
def test_the_public_methods_are_checked():
    public = [name for name in vars(mindref.Recommender) if not name.startswith("_")]
    functions = {name: getattr(mindref.Recommender, name) for name in public}
    functions |= {"load": mindref.load, "__init__": mindref.Recommender.__init__}
    unchecked = {
        name
        for name, f in functions.items()
        if inspect.isroutine(f) and not hasattr(f, "__wrapped__")
    }
    # get_params has no argument to check; Config.of checks those of set_params
    assert unchecked == {"get_params", "set_params"}


@pytest.mark.rules("model-R65")
def test_no_run_is_left_that_cannot_be_opened(tmp_path, monkeypatch):
    """A fact that the checks of config.json reject ends the training before its first step."""
    from mindref.recommender.training.trainer import Trainer

    facts = Trainer.facts
    monkeypatch.setattr(Trainer, "facts", lambda self: {**facts(self), "exclude_seen": "no"})
    monkeypatch.setattr(Trainer, "train", lambda *_: pytest.fail("it trains"))
    with pytest.raises(MindrefError, match="exclude_seen"):
        mindref.MIND(**SETTINGS).fit(log(), run=tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()
