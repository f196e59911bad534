"""Hints to install something: from the metadata, and never an unpublished distribution."""

import re
import subprocess
from pathlib import Path
from unittest.mock import Mock

import pytest

from mindref.process import requirements

REPOSITORY = Path(__file__).parent.parent.parent
PIP = re.compile(r"pip3? install ([^`\n#]*)")
LOCAL = re.compile(r"^\.(/|\[|$)")
TEXTS = (".py", ".md", ".toml", ".yml", ".yaml", ".ipynb", ".cfg", ".tsv", "run")


def unpublished(text):
    """Return the arguments of `pip install` in a text that name a distribution of this repository.

    A path (`.`, `./backends/torch`) is allowed.
    """
    words = [word.strip("'\"(),;\\") for line in PIP.findall(text) for word in line.split()]
    names = [word for word in words if not LOCAL.match(word)]
    return [x for x in names if re.split(r"[\[<>=~!]", x)[0] in requirements.UNPUBLISHED]


def tracked_files():
    """Return the text files of the repository, as Git or a source distribution lists them."""
    done = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True)
    names = done.stdout.splitlines() if done.returncode == 0 else []
    paths = [REPOSITORY / name for name in names] or REPOSITORY.rglob("*")
    return [path for path in paths if path.name.endswith(TEXTS) and path.is_file()]


def test_no_file_names_an_unpublished_distribution_to_install():
    this_file = Path(__file__)
    bad = {
        str(path.relative_to(REPOSITORY)): names
        for path in tracked_files()
        if path != this_file
        if (names := unpublished(path.read_text(encoding="utf-8", errors="replace")))
    }
    assert bad == {}
    for text in (
        "pip install 'mindref[torch]'",
        "pip install mindref",
        "pip install . mindref-jax>=1",
    ):
        assert len(unpublished(text)) == 1
    assert unpublished("pip install . './backends/torch' -e '.[test]' 'torch>=2.9'") == []


def test_the_hint_of_an_extra_names_its_libraries():
    metadata = requirements.metadata.metadata("mindref")
    for extra in metadata.get_all("Provides-Extra") or ():
        command = requirements.install_extra(extra)
        assert unpublished(command) == []
        assert command.startswith("pip install ")
    assert re.fullmatch(r"pip install 'pyarrow>=[\d.]+'", requirements.install_extra("parquet"))


def test_commands_to_install_are_made_in_one_module():
    package = Path(requirements.__file__).parents[1]
    files = {path.relative_to(package).as_posix(): path for path in package.rglob("*.py")}
    texts = {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    assert [name for name, text in texts.items() if "pip install" in text] == [
        "process/requirements.py"
    ]


@pytest.mark.parametrize(
    ("marker", "applies"),
    [("", True), ('python_version < "3.1"', False), ("python_version<'4.0'", True)],
)
def test_a_requirement_of_another_python_is_left_out(marker, applies, monkeypatch):
    line = f'annoy-mm==1.17.3; {marker} and extra == "annoy"'.replace(";  and", ";")
    monkeypatch.setattr(requirements.metadata, "requires", lambda _: ["numpy>=1.26", line])
    assert list(map(str, requirements.read_requirements())) == ["numpy>=1.26"]
    assert len(requirements.read_requirements("annoy")) == applies
    command = requirements.install_extra("annoy")
    assert command.startswith("pip install 'annoy-mm==" if applies else "pip install annoy, which")


def test_the_hints_of_libraries_and_backends():
    command = requirements.install_libraries("numpy>=2.0", "scipy", upgrade=True)
    assert command == "pip install --upgrade 'numpy>=2.0' scipy"
    assert requirements.install_extra("hnsw", "other") == "pip install 'other[hnsw]'"
    assert requirements.compile_library("annoy", "annoy-mm") == (
        "pip uninstall annoy-mm annoy, then"
        " CXX=g++ pip install --no-cache-dir --no-binary annoy annoy"
    )
    expected = "in a checkout of mindref: pip install . './backends/torch'"
    assert requirements.install_backend("torch") == expected


def test_without_metadata_the_hint_names_the_checkout(monkeypatch):
    missing = Mock(side_effect=requirements.metadata.PackageNotFoundError)
    monkeypatch.setattr(requirements.metadata, "requires", missing)
    expected = "in a checkout of mindref: pip install '.[parquet]'"
    assert requirements.install_extra("parquet") == expected
