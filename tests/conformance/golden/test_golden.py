"""The files of golden values: made again, read back, damaged, written anew."""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mindref.backend import OPERATORS
from mindref.conformance.bounds import Precision
from mindref.conformance.golden import golden
from mindref.conformance.golden.files import (
    GoldenCase,
    GoldenSheet,
    sheet_cases,
    sheet_from_json,
    sheet_from_safetensors,
    sheet_json,
    sheet_of,
    sheet_safetensors,
)
from mindref.conformance.runner.call import Call, is_float_array, named_arrays
from mindref.conformance.runner.context import call_arrays
from mindref.conformance.runner.reference import expected_answer
from mindref.errors import DataError
from tests.assertions import nonempty

FOLDER = Path(golden.__file__).parent
STEMS = (*OPERATORS, "loss", "interests", "training")
DOUBLE = Precision.of("float64")
EACH = pytest.mark.parametrize("stem", STEMS)


@pytest.fixture(scope="module")
def made_now():
    return {sheet.stem: sheet_cases(sheet) for sheet in golden.build_sheets()}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A copy of the installed files, to be damaged."""
    folder = tmp_path / "installed"
    shutil.copytree(FOLDER, folder)
    monkeypatch.setattr(golden, "resources", SimpleNamespace(files=lambda package: folder))
    golden.load_cases.cache_clear()
    yield folder
    golden.load_cases.cache_clear()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout without any files of answers; the process runs in it."""
    folder = tmp_path / golden.FOLDER
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return folder


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["golden", *words])
    golden.main()


def apart(allowed, frozen, now):
    """Return the parts that lie further apart than the running bound of float64 allows.

    Not bit for bit: `exp` and `log` are those of the platform, sums in the order of its BLAS.
    """
    return [n for n in now if allowed[n]._replace(value=now[n]).largest_error_ratio(frozen[n]) > 1]


@EACH
def test_the_current_answers_match_the_golden_values(stem, made_now):
    frozen = golden.load_cases(stem)
    assert list(frozen) == list(made_now[stem])
    for name, (call, answer) in made_now[stem].items():
        before, after = (named_arrays(call_arrays(c)) for c in (frozen[name].call, call))
        assert before.keys() == after.keys()
        assert all(before[n].tobytes() == after[n].tobytes() for n in after)
        assert frozen[name].answer.keys() == answer.keys()
        assert apart(expected_answer(call, DOUBLE), frozen[name].answer, answer) == []


@EACH
def test_a_wrong_golden_value_is_detected(stem):
    for call, answer in nonempty(golden.load_cases(stem).values()):
        allowed = expected_answer(call, DOUBLE)
        for part, x in answer.items():
            moved = x + 1 if x.dtype.kind == "i" else ~x if x.dtype.kind == "b" else x + 1e-9
            assert apart(allowed, {**answer, part: moved}, answer) == [part]


@EACH
def test_float32_bounds_are_narrower_than_a_changed_answer(stem):
    for call, answer in nonempty(golden.load_cases(stem).values()):
        for name, part in expected_answer(call, Precision.of("float32"), "worst").items():
            assert np.max(part.allowed, initial=0) < 0.01, name
            assert answer[name].size, name


@EACH
def test_golden_calls_are_exact_in_every_dtype(stem):
    for name, (call, _) in nonempty(golden.load_cases(stem).items()):
        floats = [x for x in named_arrays(call_arrays(call)).values() if is_float_array(x)]
        assert all((x.astype(np.float16) == x).all() for x in floats)
        assert [golden.case_name(call.to(t)) for t in ("float64", "float32")] == [name] * 2


@EACH
def test_json_and_safetensors_hold_the_same_numbers(stem):
    plain = sheet_from_json((FOLDER / f"{stem}.json").read_text(encoding="utf-8"))
    binary = sheet_from_safetensors(FOLDER / f"{stem}.safetensors")
    assert (plain.stem, plain.numbers) == (binary.stem, binary.numbers) == (stem, plain.numbers)
    assert plain.arrays.keys() == binary.arrays.keys()
    for name, x in plain.arrays.items():
        y = binary.arrays[name]
        assert (x.shape, x.dtype, x.tobytes()) == (y.shape, y.dtype, y.tobytes()), name


@pytest.mark.parametrize("power", [float("inf"), 0.5])
def test_an_infinite_power_is_written_and_read(power, tmp_path):
    call = Call("label_attention", {"interests": np.ones((1, 2, 0))}, {"power": power})
    sheet = sheet_of("label_attention", {"some": GoldenCase(call, {"out": np.array(-0.0)})})
    text = sheet_json(sheet)
    assert "Infinity" not in text
    (tmp_path / "some.safetensors").write_bytes(sheet_safetensors(sheet))
    for read in (sheet_from_json(text), sheet_from_safetensors(tmp_path / "some.safetensors")):
        again = sheet_cases(read)["some"]
        assert again.call.numbers == {"power": power}
        assert again.call.arrays["interests"].shape == (1, 2, 0)
        assert np.signbit(again.answer["out"])
        assert again.call.cotangent is None


def test_the_golden_calls_have_an_infinite_power_at_every_level():
    assert golden.load_cases("label_attention")["largest"].call.numbers["power"] == float("inf")
    assert golden.load_cases("loss")["default"].call.numbers["config"].power == float("inf")


def test_the_provenance_lists_every_file():
    provenance = json.loads((FOLDER / "PROVENANCE.json").read_text(encoding="utf-8"))
    files = {p.name for p in FOLDER.iterdir() if p.suffix in (".json", ".safetensors")}
    assert provenance["files"].keys() == files - {"PROVENANCE.json"}
    assert provenance["files"].keys() == {
        f"{s}.{kind}" for s in STEMS for kind in ("json", "safetensors")
    }
    for name, digest in provenance["files"].items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest, name
        assert golden.read_verified(name)
    assert provenance["made_by"] == golden.COMMAND
    assert all(provenance[k] for k in ("of", "date", "seed", "mindref", "spec", "numpy", "python"))


def test_the_files_stay_small():
    sizes = [p.stat().st_size for p in FOLDER.iterdir() if p.suffix in (".json", ".safetensors")]
    assert max(sizes) < 30_000
    assert sum(sizes) < 200_000


@pytest.mark.rules("conformance-R15")
@EACH
def test_a_changed_byte_raises_with_the_file_name(stem, installed):
    for name in (f"{stem}.json", f"{stem}.safetensors"):
        original = (installed / name).read_bytes()
        (installed / name).write_bytes(original[:-9] + bytes([original[-9] ^ 1]) + original[-8:])
        with pytest.raises(DataError, match=rf"{stem}\.\w+: expected sha256 \w+, got .*again"):
            golden.read_verified(name)
    with pytest.raises(DataError, match=rf"{stem}\.json: expected sha256"):
        golden.load_cases(stem)


@pytest.mark.rules("conformance-R15")
def test_a_missing_file_raises_with_its_name(installed):
    (installed / "routing.json").unlink()
    with pytest.raises(DataError, match=r"routing\.json: expected a file, got FileNotFoundError"):
        golden.load_cases("routing")
    (installed / "PROVENANCE.json").unlink()
    with pytest.raises(DataError, match=r"PROVENANCE\.json: expected a file, got FileNotFound"):
        golden.load_cases("softmax")


@pytest.mark.rules("conformance-R15")
@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": 3}'])
def test_a_damaged_list_of_hashes_raises_with_its_name(content, installed):
    (installed / "PROVENANCE.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"PROVENANCE\.json: expected the hashes of all files"):
        golden.load_cases("softmax")


@pytest.mark.rules("conformance-R15")
def test_an_unlisted_golden_file_raises(installed):
    (installed / "more.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"more\.json: expected sha256 in PROVENANCE"):
        golden.read_verified("more.json")


def test_writing_prints_the_change_of_each_array(checkout, monkeypatch, capsys):
    run(monkeypatch, "--write")
    first = capsys.readouterr().out.splitlines()
    assert all(line.endswith(": new") for line in first)
    assert {line.split()[0] for line in first} == set(STEMS)
    file = checkout / "squash.json"
    original = sheet_from_json(file.read_text(encoding="utf-8"))
    x = original.arrays["lengths/answer/out"]
    moved = np.where(x == x.max(), np.nextafter(np.nextafter(x, 0), 0), x)
    changed = {**original.arrays, "lengths/answer/out": moved, "lengths/answer/old": x}
    file.write_text(
        sheet_json(GoldenSheet(original.stem, original.numbers, changed)), encoding="utf-8"
    )
    before = {p.name: p.read_bytes() for p in checkout.iterdir()}
    run(monkeypatch, "--write")
    second = capsys.readouterr().out.splitlines()
    other = [line for line in second if not line.endswith((": 0 ULP", ": the same"))]
    assert other == ["squash lengths/answer/out: 2 ULP", "squash lengths/answer/old: gone"]
    assert len(second) == len(first) + 1
    after = {p.name: p.read_bytes() for p in checkout.iterdir()}
    assert [name for name in after if after[name] != before[name]] == ["squash.json"]
    assert json.loads(after["PROVENANCE.json"])["files"] == {
        name: hashlib.sha256(x).hexdigest() for name, x in after.items() if name[0] != "P"
    }


def test_differences_are_described():
    one, integers = np.array([1.0, 0.0]), np.array([1, 2])
    assert golden.describe_difference(None, one) == "new"
    assert golden.describe_difference(one, None) == "gone"
    assert golden.describe_difference(one, one[:1]) == "float64(2,) became float64(1,)"
    assert golden.describe_difference(integers, integers) == "the same"
    assert golden.describe_difference(integers, integers + 1) == "other numbers"
    assert golden.describe_difference(one, np.array([1 + 3 * 2.0**-52, 0.0])) == "3 ULP"
    assert golden.describe_difference(np.zeros(1), np.array([2.0**-60])) == f"{2.0**52:g} ULP"


@pytest.mark.parametrize("words", [(), ("--help",), ("--write", "more"), ("--write",)])
def test_invalid_arguments_or_another_folder_print_the_usage(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if words != ("--write",):  # which is valid in a checkout
        (tmp_path / golden.FOLDER).mkdir(parents=True)
    with pytest.raises(SystemExit, match="usage, in a checkout of mindref: python -m mindref"):
        run(monkeypatch, *words)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
