"""The long description of the package index: README.md without links that are dead there."""

import importlib.util
import re
from configparser import ConfigParser
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
ADDRESS = "https://code.example/owner/mindref"


@pytest.fixture(scope="module")
def build_backend():
    """The build backend, without its effect at import."""
    path = REPOSITORY / ".ci" / "build_backend.py"
    source = path.read_text(encoding="utf-8").rpartition("\nwrite_long_description()\n")[0]
    spec = importlib.util.spec_from_loader("build_backend", loader=None)
    module = importlib.util.module_from_spec(spec)
    module.__file__ = str(path)
    source = re.sub(r"^from setuptools.build_meta import .*$", "", source, flags=re.M)
    exec(compile(source, str(path), "exec"), vars(module))
    return module


def relative_links(text):
    """Return the targets of links that are no addresses."""
    return re.findall(r"\]\((?!https?:|#)([^)]*)\)", text)


def test_without_a_known_address_the_text_of_a_link_remains(build_backend):
    assert relative_links(README)
    text = build_backend.long_description(README, "")
    assert relative_links(text) == []
    assert "security (`specs/security.md`)" in text
    assert "![" not in text
    assert "[specs/" not in text
    assert "[arXiv 1904.08030](https://arxiv.org/abs/1904.08030)" in text


def test_with_an_address_every_link_leads_to_a_file_of_the_version(build_backend):
    metadata = ConfigParser(interpolation=None)
    metadata.read_string(f"[metadata]\nproject_urls =\n    Source = {ADDRESS}/\n")
    address = build_backend.source_address(metadata)
    assert re.fullmatch(rf"{ADDRESS}/blob/v\d+\.\d+\.\d+", address)
    text = build_backend.long_description(README, address)
    assert relative_links(text) == []
    assert f"({address}/specs/data.md)" in text
    assert f"]({address}/specs/pictures/routing_iterations.svg?raw=true)" in text


def test_floors_come_from_setup_cfg():
    path = REPOSITORY / ".ci" / "floors.py"
    spec = importlib.util.spec_from_file_location("floors", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    lines = module.lowest_versions(["annoy", "conformance"])
    assert all(re.fullmatch(r"[\w.-]+==[\d.]+", line) for line in lines)
    assert {line.partition("==")[0] for line in lines} >= {"numpy", "scipy", "hypothesis"}
    with pytest.raises(SystemExit, match="no lowest version: mindref"):
        module.lowest_versions(["test:mindref"])
