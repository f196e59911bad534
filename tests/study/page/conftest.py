"""The pages that the tests of the study page open, and their data."""

from pathlib import Path

import pytest

from mindref.study.case_study.numbers import make_case_study
from mindref.study.derived_views import derive_views
from mindref.study.exercises.exercise import find_exercise
from mindref.study.exercises.page_texts import describe_for_page
from mindref.study.exercises.workspace import Workspace
from mindref.study.models.study_model import SINGLE_INTEREST, open_built_in_model
from mindref.study.page import write_page
from mindref.study.page_users import make_page_users
from tests import browser as browser_module
from tests.study.page.page_pair import TITLES, make_page_pair, trace_to_dict
from tests.study.page.page_reader import Reader

browser = browser_module.browser


@pytest.fixture(scope="session")
def trace():
    return trace_to_dict(make_page_pair())


@pytest.fixture(scope="session")
def file(tmp_path_factory, trace):
    """The page of one user, without other views."""
    path = tmp_path_factory.mktemp("page") / "study.html"
    write_page([trace], path)
    return path


@pytest.fixture(scope="session")
def derived():
    """Everything beside the trace; the case study is of a user of the built-in model."""
    views = derive_views(make_page_pair(), TITLES)
    models = open_built_in_model(), open_built_in_model(SINGLE_INTEREST)
    study = make_case_study(*models, ["median"]).to_dict()
    views["case"] = study["users"][0] | {"notes": study["notes"]}
    views["exercises"] = [
        {"status": "started", **describe_for_page(find_exercise("squash"))},
        {"status": "open", **describe_for_page(find_exercise("mask"))},
    ]
    return views


@pytest.fixture(scope="session")
def rich(derived, trace, tmp_path_factory):
    path = tmp_path_factory.mktemp("rich") / "study.html"
    write_page([trace], path, derived=[derived])
    return path


@pytest.fixture(scope="session")
def default_users(tmp_path_factory):
    return make_page_users(None, None, (), Workspace(tmp_path_factory.mktemp("none")))


@pytest.fixture(scope="session")
def default_file(default_users, tmp_path_factory):
    """The file of `mindref study --html`."""
    path = tmp_path_factory.mktemp("default") / "study.html"
    write_page([x.trace for x in default_users], path, derived=[x.derived for x in default_users])
    return path


@pytest.fixture
def overview(opened, default_file):
    """The default file, at its first view."""
    reader = opened(default_file, viewport={"width": 1400, "height": 900}, reduced_motion="reduce")
    yield reader
    assert reader.errors == []
    assert set(reader.requests) == {default_file.as_uri()}


@pytest.fixture
def opened(browser, tmp_path):
    """Open a file, or a page of given traces, offline; all pages are closed after the test."""
    contexts = []

    def open_(source, place="", **settings):
        path = source if isinstance(source, Path) else tmp_path / "opened.html"
        if not isinstance(source, Path):
            write_page(source, path)
        context = browser.new_context(offline=True, **settings)
        contexts.append(context)
        return Reader(context.new_page(), path, place)

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture
def unscripted(browser):
    """A function that opens a file in a browser that runs no scripts, and returns its page."""
    context = browser.new_context(offline=True, java_script_enabled=False)

    def open_(path):
        page = context.new_page()
        page.goto(path.as_uri())
        return page

    yield open_
    context.close()


@pytest.fixture(scope="module")
def shared(browser, file):
    """The page, opened once for the tests of a module that only read; questions are off."""
    context = browser.new_context(offline=True)
    yield Reader(context.new_page(), file, "#ask=0")
    context.close()
