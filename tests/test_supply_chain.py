"""What CI installs: pinned with hashes in .ci/requirements.txt. What an SBOM must name."""

import importlib.util
import json
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
    """Return name -> version of a file of pinned requirements; each needs one or more sha256."""
    pins = {}
    for line in re.sub(r"\\\n", "", re.sub(r"^ *#.*\n", "", text, flags=re.M)).splitlines():
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


def test_the_command_at_the_top_names_the_extras_and_both_files():
    command = read(".ci/requirements.txt").splitlines()[1]
    options = ("--generate-hashes", "--extra annoy", "--extra test", "--python-version 3.11")
    assert all(each in command for each in options)
    assert command.endswith("setup.cfg .ci/requirements.in")


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
        ("numpy==2.4.6 \\\n    --hash=sha256:12\n", "another option"),
        (f"numpy==2.4.6 \\\n    --hash=md5:{'0' * 64}\n", "another option"),
        (f"numpy==2.4.6 --hash=sha256:{'0' * 64}\n" * 2, "twice"),
    ],
)
def test_a_pin_without_a_sha256_is_reported(text, message):
    with pytest.raises(AssertionError, match=message):
        read_pins(text)


@pytest.fixture(scope="module")
def sbom():
    """The module .ci/sbom.py."""
    spec = importlib.util.spec_from_file_location("sbom", REPOSITORY / ".ci" / "sbom.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def installed(tmp_path):
    """A folder with mindref, which requires a-b and, with an extra, d; a-b requires c."""
    for name, version, *requires in (
        ("mindref", "0.1.0", "a_b>=1", 'd; extra == "test"', 'e; python_version < "3"'),
        ("A.b", "1.5", "c[more]"),
        ("c", "2.0", 'f; extra == "more"', 'g; extra == "less"'),
        ("f", "3.0"),
    ):
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {each}" for each in requires]
        (folder / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_the_packages_that_an_sbom_must_name(sbom, installed):
    expected = {"mindref": "0.1.0", "a-b": "1.5", "c": "2.0", "f": "3.0"}
    assert sbom.required_versions(str(installed)) == expected
    (installed / "c-2.0.dist-info" / "METADATA").unlink()
    (installed / "c-2.0.dist-info").rmdir()
    with pytest.raises(SystemExit, match="is required and not installed"):
        sbom.required_versions(str(installed))


def test_an_sbom_that_lacks_a_package_or_has_another_is_rejected(sbom, installed, capsys):
    components = [
        {"name": "mindref", "version": "0.1.0"},
        {"name": "a_b", "version": "1.5"},
        {"name": "c", "version": "2.0"},
        {"name": "f", "version": "3.0"},
    ]

    def check(*components, form="CycloneDX"):
        path = installed / "mindref-0.1.0.cdx.json"
        document = {"bomFormat": form, "components": components}
        path.write_text(json.dumps(document), encoding="utf-8")
        sbom.main(str(path), str(installed))

    check(*components)
    assert "mindref and the 3 packages that it requires" in capsys.readouterr().out
    for index, component in enumerate(components):
        with pytest.raises(SystemExit, match="no such package"):
            check(*components[:index], *components[index + 1 :])
        with pytest.raises(SystemExit, match=r"expected version .*, the SBOM has 9"):
            check(*components[:index], component | {"version": "9"}, *components[index + 1 :])
    with pytest.raises(SystemExit, match="pip: not required by mindref"):
        check(*components, {"name": "pip", "version": "23.2.1"})
    with pytest.raises(SystemExit, match="not CycloneDX"):
        check(*components, form="SPDX")
