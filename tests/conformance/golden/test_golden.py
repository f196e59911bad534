"""The files of frozen answers: made again, read back, damaged, written anew."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mindref.backend import OPERATORS
from mindref.conformance.bounds import Precision
from mindref.conformance.golden import golden
from mindref.conformance.golden.files import (
    Case,
    Sheet,
    as_json,
    as_safetensors,
    cases_of,
    from_json,
    from_safetensors,
    sheet_of,
)
from mindref.conformance.judging.call import Call, is_float, leaves
from mindref.conformance.judging.compare import ratio
from mindref.conformance.judging.judge import everything
from mindref.conformance.judging.reference import Expected, expected
from mindref.errors import DataError

FOLDER = Path(golden.__file__).parent
STEMS = (*OPERATORS, "loss", "interests", "training")
DOUBLE = Precision.of("float64")
EACH = pytest.mark.parametrize("stem", STEMS)


@pytest.fixture(scope="module")
def made_now() -> dict[str, dict[str, Case]]:
    return {sheet.stem: cases_of(sheet) for sheet in golden.made()}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the installed files, to be damaged."""
    folder = tmp_path / "installed"
    shutil.copytree(FOLDER, folder)
    monkeypatch.setattr(golden, "resources", SimpleNamespace(files=lambda package: folder))
    golden.load.cache_clear()
    yield folder
    golden.load.cache_clear()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout without any files of answers; the process runs in it."""
    folder = tmp_path / golden.FOLDER
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["golden", *words])
    golden.main()


def apart(allowed: dict[str, Expected], frozen: golden.Answer, now: golden.Answer) -> list[str]:
    """Return the parts that lie further apart than the running bound of float64 allows.

    Not bit for bit: `exp` and `log` are those of the platform, sums in the order of its BLAS.
    """
    return [n for n in now if ratio(frozen[n], allowed[n]._replace(value=now[n])) > 1]


@EACH
def test_what_is_made_now_agrees_with_what_is_frozen(
    stem: str, made_now: dict[str, dict[str, Case]]
) -> None:
    frozen = golden.load(stem)
    assert list(frozen) == list(made_now[stem])
    for name, (call, answer) in made_now[stem].items():
        before, after = leaves(everything(frozen[name].call)), leaves(everything(call))
        assert before.keys() == after.keys()
        assert all(before[n].tobytes() == after[n].tobytes() for n in after)
        assert frozen[name].answer.keys() == answer.keys()
        assert apart(expected(call, DOUBLE), frozen[name].answer, answer) == []


@EACH
def test_a_frozen_number_that_is_off_would_be_seen(stem: str) -> None:
    for call, answer in golden.load(stem).values():
        allowed = expected(call, DOUBLE)
        for part, x in answer.items():
            moved = x + 1 if x.dtype.kind == "i" else ~x if x.dtype.kind == "b" else x + 1e-9
            assert apart(allowed, {**answer, part: moved}, answer) == [part]


@EACH
def test_float32_suffices_to_tell_the_answers_from_others(stem: str) -> None:
    for call, answer in golden.load(stem).values():
        for name, part in expected(call, Precision.of("float32"), "worst").items():
            assert np.max(part.allowed, initial=0) < 0.01, name
            assert answer[name].size, name


@EACH
def test_every_float_type_holds_the_calls_exactly_and_finds_their_answers(stem: str) -> None:
    for name, (call, _) in golden.load(stem).items():
        floats = [x for x in leaves(everything(call)).values() if is_float(x)]
        assert all((x.astype(np.float16) == x).all() for x in floats)
        assert [golden.name_of(call.to(t)) for t in ("float64", "float32")] == [name] * 2


@EACH
def test_json_and_safetensors_hold_the_same_numbers(stem: str) -> None:
    plain = from_json((FOLDER / f"{stem}.json").read_text(encoding="utf-8"))
    binary = from_safetensors(FOLDER / f"{stem}.safetensors")
    assert (plain.stem, plain.numbers) == (binary.stem, binary.numbers) == (stem, plain.numbers)
    assert plain.arrays.keys() == binary.arrays.keys()
    for name, x in plain.arrays.items():
        y = binary.arrays[name]
        assert (x.shape, x.dtype, x.tobytes()) == (y.shape, y.dtype, y.tobytes()), name


@pytest.mark.parametrize("power", [float("inf"), 0.5])
def test_a_power_comes_back_infinite_or_not(power: float, tmp_path: Path) -> None:
    call = Call("label_attention", {"interests": np.ones((1, 2, 0))}, {"power": power})
    sheet = sheet_of("label_attention", {"some": Case(call, {"out": np.array(-0.0)})})
    text = as_json(sheet)
    assert "Infinity" not in text
    (tmp_path / "some.safetensors").write_bytes(as_safetensors(sheet))
    for read in (from_json(text), from_safetensors(tmp_path / "some.safetensors")):
        again = cases_of(read)["some"]
        assert again.call.numbers == {"power": power}
        assert again.call.arrays["interests"].shape == (1, 2, 0)
        assert np.signbit(again.answer["out"])
        assert again.call.cotangent is None


def test_the_frozen_calls_have_an_infinite_power_at_every_level() -> None:
    assert golden.load("label_attention")["largest"].call.numbers["power"] == float("inf")
    assert golden.load("loss")["default"].call.numbers["config"].power == float("inf")


def test_the_list_of_hashes_names_every_file_and_says_where_they_come_from() -> None:
    known = json.loads((FOLDER / "PROVENANCE.json").read_text(encoding="utf-8"))
    files = {p.name for p in FOLDER.iterdir() if p.suffix in (".json", ".safetensors")}
    assert known["files"].keys() == files - {"PROVENANCE.json"}
    assert known["files"].keys() == {
        f"{s}.{kind}" for s in STEMS for kind in ("json", "safetensors")
    }
    for name, wanted in known["files"].items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == wanted, name
        assert golden.checked(name)
    assert known["made_by"] == golden.COMMAND
    assert all(known[k] for k in ("of", "date", "seed", "mindref", "spec", "numpy", "python"))


def test_the_files_stay_small() -> None:
    sizes = [p.stat().st_size for p in FOLDER.iterdir() if p.suffix in (".json", ".safetensors")]
    assert max(sizes) < 30_000
    assert sum(sizes) < 200_000


@pytest.mark.rules("conformance-R15")
@EACH
def test_a_changed_digit_is_an_error_that_names_the_file(stem: str, installed: Path) -> None:
    for name in (f"{stem}.json", f"{stem}.safetensors"):
        whole = (installed / name).read_bytes()
        (installed / name).write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
        with pytest.raises(DataError, match=rf"{stem}\.\w+: expected sha256 \w+, got .*anew"):
            golden.checked(name)
    with pytest.raises(DataError, match=rf"{stem}\.json: expected sha256"):
        golden.load(stem)


@pytest.mark.rules("conformance-R15")
def test_numbers_that_read_well_are_refused_if_they_are_not_those_that_were_made(
    installed: Path,
) -> None:
    text = (installed / "squash.json").read_text(encoding="utf-8")
    (installed / "squash.json").write_text(text.replace("24.0", "25.0"), encoding="utf-8")
    assert from_json((installed / "squash.json").read_text(encoding="utf-8")) is not None
    with pytest.raises(DataError, match=r"squash\.json: expected sha256"):
        golden.load("squash")


@pytest.mark.rules("conformance-R15")
def test_a_missing_file_is_an_error_that_names_it(installed: Path) -> None:
    (installed / "routing.json").unlink()
    with pytest.raises(DataError, match=r"routing\.json: expected a file, got FileNotFoundError"):
        golden.load("routing")
    (installed / "PROVENANCE.json").unlink()
    with pytest.raises(DataError, match=r"PROVENANCE\.json: expected a file, got FileNotFound"):
        golden.load("softmax")


@pytest.mark.rules("conformance-R15")
@pytest.mark.parametrize("content", ["", "[]", "{}", '{"files": 3}'])
def test_a_damaged_list_of_hashes_is_an_error_that_names_it(content: str, installed: Path) -> None:
    (installed / "PROVENANCE.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"PROVENANCE\.json: expected the hashes of all files"):
        golden.load("softmax")


@pytest.mark.rules("conformance-R15")
def test_a_file_that_the_list_does_not_know_is_refused(installed: Path) -> None:
    (installed / "more.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"more\.json: expected sha256 in PROVENANCE"):
        golden.checked("more.json")


def test_writing_says_how_far_each_array_is_from_what_it_was(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "--write")
    first = capsys.readouterr().out.splitlines()
    assert all(line.endswith(": new") for line in first)
    assert {line.split()[0] for line in first} == set(STEMS)
    file = checkout / "squash.json"
    whole = from_json(file.read_text(encoding="utf-8"))
    x = whole.arrays["lengths/answer/out"]
    moved = np.where(x == x.max(), np.nextafter(np.nextafter(x, 0), 0), x)
    changed = {**whole.arrays, "lengths/answer/out": moved, "lengths/answer/old": x}
    file.write_text(as_json(Sheet(whole.stem, whole.numbers, changed)), encoding="utf-8")
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


def test_a_difference_in_words() -> None:
    one, whole = np.array([1.0, 0.0]), np.array([1, 2])
    assert golden.difference(None, one) == "new"
    assert golden.difference(one, None) == "gone"
    assert golden.difference(one, one[:1]) == "float64(2,) became float64(1,)"
    assert golden.difference(whole, whole) == "the same"
    assert golden.difference(whole, whole + 1) == "other numbers"
    assert golden.difference(one, np.array([1 + 3 * 2.0**-52, 0.0])) == "3 ULP"
    assert golden.difference(np.zeros(1), np.array([2.0**-60])) == f"{2.0**52:g} ULP"


@pytest.mark.parametrize("words", [(), ("--help",), ("--write", "more")])
def test_anything_else_gets_the_usage(
    words: tuple[str, ...], checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="usage, in a checkout of mindref: python -m mindref"):
        run(monkeypatch, *words)
    assert list(checkout.iterdir()) == []


def test_outside_a_checkout_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="usage, in a checkout of mindref"):
        run(monkeypatch, "--write")
    assert list(tmp_path.iterdir()) == []
