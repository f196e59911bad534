"""Several processes give the results of one process, in the same order."""

import json
import re
from concurrent.futures import Future
from xml.etree import ElementTree

import pytest

from mindref.cli import main
from mindref.conformance.report import json_report
from mindref.conformance.runner import processes, suite_run
from mindref.conformance.runner.processes import CheckPool, CheckProcess, page_tasks
from mindref.conformance.runner.suite_run import SuiteRun
from tests.conformance.small import QUICK, SMALL

PAGES = ("softmax", "squash", "relu_layer")


def all_pairs(words=PAGES):
    return list(SuiteRun("numpy", words, QUICK).planned())


@pytest.mark.rules("conformance-R23")
@pytest.mark.parametrize("size", [1, 2, processes.CHUNK])
@pytest.mark.parametrize("words", [("softmax",), PAGES, ("softmax", "model", "optimiser")])
def test_tasks_have_each_check_once_with_all_precisions(words, size, monkeypatch):
    monkeypatch.setattr(processes, "CHUNK", size)
    pairs = all_pairs(words)
    checks = {check.name: check for check, _ in pairs}
    for tasks in (page_tasks(pairs), page_tasks(pairs, in_order=True)):
        assert sorted(key for task in tasks for key in task) == sorted(
            (check.name, str(precision)) for check, precision in pairs
        )
        for task in tasks:
            assert len({(checks[name].page, checks[name].level) for name, _ in task}) == 1
            most = (
                min(size, processes.TRAINING_CHUNK) if checks[task[0][0]].level == "train" else size
            )
            assert 0 < len({name for name, _ in task}) <= most
            assert len(task) == 2 * len({name for name, _ in task}), "both precisions"
    levels = [checks[task[0][0]].level for task in page_tasks(pairs)]
    assert levels == sorted(levels, key=processes.SLOWEST_FIRST.index)
    in_order = [name for task in page_tasks(pairs, in_order=True) for name, _ in task[::2]]
    assert in_order == list(dict.fromkeys(check.name for check, _ in pairs))


class LastTaskFirst:
    """An executor without processes, whose tasks end in reverse order."""

    def __init__(self):
        self.tasks = []

    def submit(self, function, *arguments):
        task = Future()
        self.tasks.append((task, function, arguments))
        return task

    def finish(self):
        for task, function, arguments in reversed(self.tasks):
            task.set_result(function(*arguments))


@pytest.fixture
def reversed_pool(monkeypatch, tmp_path):
    """A CheckPool that runs its tasks in this process, the last one first."""
    executor = LastTaskFirst()
    as_completed = processes.as_completed

    def finish_first(tasks):
        executor.finish()
        executor.tasks.clear()
        return as_completed(list(tasks)[::-1])

    monkeypatch.setattr(processes, "as_completed", finish_first)
    pool = CheckPool([executor, executor, executor], tmp_path)
    monkeypatch.setattr(CheckProcess, "runner", None)
    monkeypatch.setattr(CheckProcess, "note", tmp_path / "note")
    return pool


@pytest.mark.rules("conformance-R23")
@pytest.mark.parametrize("in_order", [False, True])
def test_every_second_process_takes_tasks_from_the_end(in_order, monkeypatch, tmp_path):
    """Each task runs once. A process gets its next task when its last one has ended."""
    submitted, executors = [], [object(), object()]

    def submit(pool, process, items):
        submitted.append((process, items[0]))
        task = Future()
        task.set_result([items[0]])
        return task

    monkeypatch.setattr(CheckPool, "submit", submit)
    monkeypatch.setattr(processes, "as_completed", lambda running: iter([*running][-1:]))
    tasks = [["a"], ["b"], ["c"], ["d"], ["e"]]
    pool = CheckPool(executors, tmp_path)
    finished = list(pool.finished_tasks(tasks, in_order=in_order))
    assert sorted(finished) == [(i, task) for i, task in enumerate(tasks)]
    # the process of the task that was submitted last always ends first
    orders = {False: [(0, "a"), (1, "e"), (1, "d"), (1, "c"), (1, "b")]}
    orders[True] = [(0, "a"), (1, "b"), (1, "c"), (1, "d"), (1, "e")]
    assert submitted == orders[in_order]


def test_the_check_of_the_process_that_ended_is_named(tmp_path):
    for process, running in enumerate(("squash/a", "softmax/b", "")):
        (tmp_path / str(process)).write_text(running, encoding="utf-8")
    pool = CheckPool([], tmp_path)
    names = ("squash/a", "softmax/b", "no check", processes.START)
    for process, name in enumerate(names):
        assert f"got one that ended during {name}; run" in str(pool.process_ended(process))


def text_of(report):
    """Return the JSON report without seconds."""
    rows = json_report.suite_report_json(report)
    for row in rows["results"]:
        del row["seconds"]
    return json.dumps(rows)


@pytest.mark.rules("conformance-R23")
@pytest.mark.usefixtures("small_suite")
@pytest.mark.parametrize("backend", ["right", "wrong_gradient", "wrong_forward"])
@pytest.mark.parametrize("fail_fast", [False, True])
@pytest.mark.slow(every=5)
def test_the_order_of_arrival_changes_nothing(backend, fail_fast, reversed_pool, monkeypatch):
    alone = SuiteRun(f"{SMALL}:{backend}", settings=QUICK).report(fail_fast=fail_fast)
    run = SuiteRun(f"{SMALL}:{backend}", settings=QUICK)
    monkeypatch.setattr(CheckProcess, "load", run.reload)
    run.pool = reversed_pool
    assert text_of(run.run_and_report(lambda result: None, fail_fast=fail_fast)) == text_of(alone)


@pytest.mark.usefixtures("small_suite")
def test_a_run_of_few_checks_uses_one_process():
    assert SuiteRun(f"{SMALL}:right", settings=QUICK, processes=4).processes == 1


@pytest.mark.parametrize(
    ("cores", "device", "number"), [(1, "cpu", 1), (2, "cpu", 2), (64, "cpu", 4), (64, "cuda", 1)]
)
def test_the_default_is_the_number_of_cores_up_to_four(cores, device, number, monkeypatch):
    monkeypatch.setattr(processes, "usable_cores", lambda: cores)
    assert processes.default_processes(device) == number


@pytest.mark.slow
@pytest.mark.rules("conformance-R23")
@pytest.mark.parametrize("backend", ["right", "wrong_gradient"])
def test_two_spawned_processes_give_the_same_report(backend, monkeypatch, tmp_path):
    monkeypatch.setattr(suite_run, "MIN_RESULTS", 1)
    reports = []
    for number in (1, 2):
        run = SuiteRun(
            f"{SMALL}:{backend}", ("softmax",), QUICK, scripts=tmp_path, processes=number
        )
        assert run.processes == number
        reports.append(text_of(run.report()))
    assert reports[0] == reports[1]


ENDS = """
import os
from tests.conformance.independent.levels import IndependentBackend
from tests.conformance.independent.squash import Squash

class Ending(Squash):
    def forward(self, x, *, kind):
        if kind == "none":
            os._exit(7)
        return super().forward(x, kind=kind)

class Backend(IndependentBackend):
    name = "ending"
    operators = {"squash": Ending}
"""


@pytest.mark.slow
@pytest.mark.rules("conformance-R24")
def test_the_results_before_the_end_of_a_process_are_reported(monkeypatch, tmp_path, capsys):
    (tmp_path / "ends_in_a_call.py").write_text(ENDS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(suite_run, "MIN_RESULTS", 1)
    monkeypatch.setattr(processes, "CHUNK", 1)  # the first results arrive before the end
    command = ["conform", "--backend", "ends_in_a_call:Backend", "--profile", "smoke"]
    with pytest.raises(SystemExit) as ended:
        main([*command, "squash", "--processes", "2", "--junit", "report.xml"])
    assert ended.value.code == 2
    printed, errors = capsys.readouterr()
    assert "because of the end of a process that ran checks." in printed
    assert re.search(r"one that ended during .*\bsquash/\w*none", errors)
    assert "run such a check alone" in errors
    report = ElementTree.parse("report.xml").getroot()
    assert int(report.get("tests", "0")) > 0
