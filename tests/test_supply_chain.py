"""What CI installs: each package is pinned with a hash in .ci/requirements.txt."""

import re
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parent.parent
ENVIRONMENT = {"python_version": "3.11", "python_full_version": "3.11.0", "extra": ""} | {
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "os_name": "posix",
}
"""Where .ci/run installs the pinned files."""

HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def read(name):
    return (REPOSITORY / name).read_text(encoding="utf-8")


def read_pins(text):
    """Return name -> version of a file of pinned requirements; each line needs a sha256."""
    pins = {}
    for line in re.sub(r"^ *#.*\n", "", text, flags=re.M).splitlines():
        pinned, *hashes = line.split()
        name, version = re.fullmatch(r"([\w.-]+)==([\w.]+)", pinned).groups()
        assert hashes, f"{name} has no hash"
        assert all(HASH.fullmatch(each) for each in hashes), f"{name} has another option"
        assert canonicalize_name(name) not in pins, f"{name} is pinned twice"
        pins[canonicalize_name(name)] = version
    return pins


def requirements_of(setup, *extras):
    """Return the requirements of mindref with these extras, as setup.cfg states them."""
    metadata = ConfigParser(interpolation=None)
    metadata.read_string(setup)
    lines = metadata["options"]["install_requires"].splitlines()
    for extra in extras:
        lines += metadata["options.extras_require"][extra].splitlines()
    required = [Requirement(line) for line in lines if line]
    nested = {extra for each in required if each.name == "mindref" for extra in each.extras}
    if nested - set(extras):
        return requirements_of(setup, *extras, *sorted(nested - set(extras)))
    return [each for each in required if each.name != "mindref"]


def not_pinned(required, pins):
    """Return the requirements that no pinned version satisfies on Linux with Python 3.11."""
    applying = [x for x in required if x.marker is None or x.marker.evaluate(ENVIRONMENT)]
    versions = [pins.get(canonicalize_name(x.name)) for x in applying]
    pairs = zip(applying, versions, strict=True)
    return [str(x) for x, version in pairs if version is None or version not in x.specifier]


def build_requirements():
    """Return what builds mindref, and the plugin that tests install."""
    files = (read("pyproject.toml"), read("tests/plugin/pyproject.toml"))
    return [
        Requirement(x) for text in files for x in tomllib.loads(text)["build-system"]["requires"]
    ]


@pytest.fixture(scope="module")
def pins():
    return read_pins(read(".ci/requirements.txt"))


def test_the_packages_of_the_two_commands_are_pinned(pins):
    commands = re.findall(r"pip install .*?'\.\[(.*?)\]'", read("README.md"))[:2]
    assert commands == ["annoy", "test"]
    required = requirements_of(read("setup.cfg"), *commands)
    assert {"numpy", "annoy-mm", "hypothesis", "pytest-xdist"} <= {each.name for each in required}
    assert not_pinned(required, pins) == []


def test_the_packages_of_the_linters_are_pinned(pins):
    (typed,) = re.findall(r"^TYPED=\((.*)\)$", read(".ci/run"), re.M)
    assert not_pinned([Requirement(name) for name in typed.split()], pins) == []


def test_the_packages_of_isolated_builds_are_pinned(pins):
    assert build_requirements()
    assert not_pinned(build_requirements(), pins) == []


def test_the_further_requirements_are_pinned(pins):
    lines = [re.sub(r" *#.*", "", line) for line in read(".ci/requirements.in").splitlines()]
    assert not_pinned([Requirement(line) for line in lines if line], pins) == []


def test_the_package_that_is_built_from_source_is_pinned(pins):
    (name,) = re.findall(r"^NO_WHEEL=([\w-]+) ", read(".ci/run"), re.M)
    assert name in pins


def test_the_command_at_the_top_is_the_program_that_writes_the_file():
    assert read(".ci/requirements.txt").startswith("# written by: python3.11 .ci/pin.py\n")
    assert ".[annoy,test]" in read(".ci/pin.py")


@pytest.mark.parametrize(
    ("line", "lacking"),
    [
        ("numpy>=2", []),
        ("numpy>=3", ["numpy>=3"]),
        ("absent", ["absent"]),
        ('absent; python_version < "3.11"', []),
        ('absent; sys_platform == "linux"', ['absent; sys_platform == "linux"']),
    ],
)
def test_a_planted_requirement_is_reported(line, lacking):
    assert not_pinned([Requirement(line)], {"numpy": "2.4.6"}) == lacking


def test_nested_extras_are_read():
    setup = (
        "[options]\ninstall_requires =\n    a\n[options.extras_require]\n"
        "one =\n    b\n    mindref[two]\ntwo =\n    c>=2\nthree =\n    d\n"
    )
    assert sorted(each.name for each in requirements_of(setup, "one")) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("numpy==2.4.6\n", "no hash"),
        ("numpy==2.4.6 --hash=sha256:12\n", "another option"),
        (f"numpy==2.4.6 --hash=md5:{'0' * 64}\n", "another option"),
        (f"numpy==2.4.6 --hash=sha256:{'0' * 64}\n" * 2, "twice"),
    ],
)
def test_a_pin_without_a_sha256_is_reported(text, message):
    with pytest.raises(AssertionError, match=message):
        read_pins(text)
