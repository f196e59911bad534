"""T4, T9, T10: pipes and files, an environment with NumPy alone, and the first screen."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mindref.cli import main
from mindref.study.terminal import plain, session
from tests.study.terminal.conftest import Said, Studied, Terminal

STUDY = [sys.executable, "-m", "mindref", "study"]


def run(*words: str, given: str = "", shell: str = "") -> subprocess.CompletedProcess[str]:
    command: Any = ["bash", "-c", shell, "-", *STUDY, *words] if shell else [*STUDY, *words]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=60)


def test_t4_a_pipe_gets_no_colours_and_no_prompt() -> None:
    done = run(given="n\ng routing[2].weights\nx w[1, 3]\nq\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert not [line for line in done.stdout.splitlines() if line.startswith(">")]
    assert "w[2][The Sheriff of Copper Creek, 3] = 0." in done.stdout
    assert "Three things to try next" in done.stdout


def test_t4_a_reader_that_leaves_is_no_error() -> None:
    done = run("--plain", shell='"$@" | head -1')
    assert done.returncode == 0
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_t4_no_commands_show_the_first_screen_and_end(said: Said) -> None:
    text = said()
    assert " 1/" in text
    assert "Three things to try next" in text


def test_t4_typing_into_a_pipe_shows_the_first_screen_alone(film_club: Studied) -> None:
    """`mindref study | less`: the keyboard belongs to the pager."""
    keyboard, out = Terminal("n\nn\n"), io.StringIO()
    session(*film_club, stdin=keyboard, stdout=out, columns=80)
    assert keyboard.tell() == 0
    assert " 1/" in out.getvalue()
    assert " 2/" not in out.getvalue()


def test_t4_at_a_terminal_there_is_a_prompt_until_the_end_of_the_input(
    film_club: Studied, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter(["n", "", "x"])
    prompts = []

    def read(prompt: str) -> str:
        prompts.append(prompt)
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", read)
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    session(*film_club, stdin=Terminal(), stdout=out, columns=80)
    assert prompts == ["> "] * 4
    text = out.getvalue()
    assert " 2/" in text
    assert " 3/" in text  # Enter alone is the next step
    assert text.rstrip().endswith(("write it yourself", "exercise embedding-vjp"))


def test_t4_plain_has_every_step_and_asks_nothing(film_club: Studied) -> None:
    out = Terminal()
    plain(*film_club, stdout=out, columns=80)
    text = out.getvalue()
    assert "\x1b" not in text
    for at, step in enumerate(film_club.trace.steps):
        assert f" {at + 1}/{len(film_club.trace.steps)}  {step.id}" in text
    assert "`all` to show" not in text
    assert "? predict" not in text


def test_t4_a_stream_without_the_signs_gets_others_of_no_greater_width(hostile: Studied) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    session(*hostile, commands=["g routing[2].weights", "q"], stdout=out, columns=80)
    text = raw.getvalue().decode("ascii")
    assert "?" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--at", "rooting[2].weights"], "closest: routing[2].weights"),
        (["--at", "ids", "--explain", "w[1][99, 2]"], "behaviour: expected a number from 1 to"),
        (["--variant", "softmax-over-behavior"], "closest: softmax-over-behaviours"),
    ],
)
def test_t2_an_unknown_name_ends_with_2_and_what_is_closest(
    words: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["study", *words])
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert error in err
    assert out == ""


ALONE = """
import builtins, sys
real = builtins.__import__
def only_numpy(name, *rest, **more):
    if name.split(".")[0] in {block!r}:
        raise ImportError(name)
    return real(name, *rest, **more)
builtins.__import__ = only_numpy
from mindref.study.terminal import session, plain
from mindref.study.trace import Trace
trace = Trace.from_json(open({path!r}, encoding="utf-8").read())
session(trace, commands={commands!r}, columns=80)
plain(trace, columns=100)
print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""
OTHERS = ("rich", "click", "scipy", "numba", "annoy", "safetensors", "hypothesis", "matplotlib")


def alone(path: Path, block: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    commands = [
        "n",
        "g routing[2].weights",
        "x w[3, 2]",
        "d",
        "?",
        "1",
        "g d_S",
        "x d_S[1, 2]",
        "q",
    ]
    code = ALONE.format(block=block, path=str(path), commands=commands, heavy=OTHERS)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def test_t9_numpy_alone_is_enough_and_gives_the_same(film_club: Studied, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    path.write_text(film_club.trace.to_json(), encoding="utf-8")
    bare, full = alone(path, OTHERS), alone(path, ())
    assert (bare.returncode, full.returncode) == (0, 0), bare.stderr
    assert bare.stdout == full.stdout
    assert bare.stdout.count("\n") > 1000
    assert bare.stderr.strip() == "[]"


def test_t9_a_trace_from_json_shows_the_same_screens(film_club: Studied, said: Said) -> None:
    from mindref.study.trace import Trace

    again = Trace.from_json(film_club.trace.to_json())
    commands = ("g routing[3].weights", "x w[3, 2]", "d", "q")
    assert said(*commands, on=Studied(again, film_club.given)) == said(*commands)


def test_t10_the_first_screen_waits_for_nothing_heavy() -> None:
    """What takes long to import is not needed for it (measured apart: about half a second)."""
    code = """
import json, sys
from mindref.cli import main
try:
    main(["study"])
except SystemExit:
    pass
print(json.dumps(sorted(name.split(".")[0] for name in sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], input="", capture_output=True, text=True)
    first, loaded = done.stdout.splitlines()[0], json.loads(done.stdout.splitlines()[-1])
    assert "model film club" in first
    assert not {"numba", "scipy", "annoy", "torch", "jax", "matplotlib"} & set(loaded)
