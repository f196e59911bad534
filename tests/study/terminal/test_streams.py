"""Pipes and files, an environment with only NumPy, and the first screen."""

import io
import json
import subprocess
import sys

import pytest

from mindref.cli import main
from mindref.study.terminal import print_all_steps, run_session
from mindref.study.terminal.text import replace_unencodable
from mindref.study.trace import Trace
from tests.study.terminal.conftest import Terminal, TracedUser

STUDY = [sys.executable, "-m", "mindref", "study"]


def run_study(*words, typed="", shell=""):
    command = ["bash", "-c", shell, "-", *STUDY, *words] if shell else [*STUDY, *words]
    return subprocess.run(command, input=typed, capture_output=True, text=True, timeout=60)


def test_a_pipe_receives_no_colours_and_no_prompt():
    done = run_study(typed="n\ng routing[2].weights\nx w[1, 3]\nq\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert not [line for line in done.stdout.splitlines() if line.startswith(">")]
    assert "w[2][The Sheriff of Copper Creek, 3] = 0." in done.stdout
    assert "Three things to try next" in done.stdout


def test_a_closed_pipe_is_no_error():
    done = run_study("--plain", shell='"$@" | head -1')
    assert done.returncode == 0
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_a_terminal_input_with_a_piped_output_prints_only_the_first_screen(film_club, run_commands):
    """`mindref study | less`: the pager reads the keyboard."""
    keyboard, out = Terminal("n\nn\n"), io.StringIO()
    run_session(*film_club, stdin=keyboard, stdout=out, columns=80)
    assert keyboard.tell() == 0
    assert out.getvalue() == run_commands()
    assert " 1/" in out.getvalue()
    assert "Three things to try next" in out.getvalue()
    assert " 2/" not in out.getvalue()


def test_a_terminal_shows_a_prompt_until_the_end_of_the_input(film_club, monkeypatch):
    typed = iter(["n", "", "x"])
    prompts = []

    def read(prompt):
        prompts.append(prompt)
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", read)
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    run_session(*film_club, stdin=Terminal(), stdout=out, columns=80)
    assert prompts == ["> "] * 4
    text = out.getvalue()
    assert " 2/" in text
    assert " 3/" in text  # Enter without text is the next step
    assert text.rstrip().endswith(("write this step yourself", "exercise embedding-vjp"))


def test_plain_prints_every_step_without_questions(film_club):
    out = Terminal()
    print_all_steps(*film_club, stdout=out, columns=80)
    text = out.getvalue()
    assert "\x1b" not in text
    for index, step in enumerate(film_club.trace.steps):
        assert f" {index + 1}/{len(film_club.trace.steps)}  {step.id}" in text
    assert "`all` to show" not in text
    assert "? predict" not in text


def test_an_ascii_stream_receives_question_marks_of_the_same_width(hostile):
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    stdin = io.StringIO("g routing[2].weights\nq\n")
    run_session(*hostile, stdin=stdin, stdout=out, columns=80)
    text = raw.getvalue().decode("ascii")
    assert "?" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--at", "rooting[2].weights"], "closest: routing[2].weights"),
        (["--at", "ids", "--explain", "w[1][99, 2]"], "film: expected a number from 1 to"),
        (["--explain", "nothing[1]"], "cell: expected a cell such as"),
        (["--variant", "softmax-over-behavior"], "closest: softmax-over-behaviours"),
    ],
)
def test_an_unknown_name_exits_with_2_and_suggests_the_closest(words, error, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["study", *words])
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert error in err
    assert out == ""


NUMPY_ONLY = """
import builtins, io, sys
real = builtins.__import__
def only_numpy(name, *arguments, **options):
    if name.split(".")[0] in {block!r}:
        raise ImportError(name)
    return real(name, *arguments, **options)
builtins.__import__ = only_numpy
from mindref.study.terminal import print_all_steps, run_session
from mindref.study.trace import Trace
trace = Trace.from_json(open({path!r}, encoding="utf-8").read())
run_session(trace, stdin=io.StringIO({commands!r}), columns=80)
print_all_steps(trace, columns=100)
print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""
OTHERS = ("rich", "click", "scipy", "numba", "annoy", "safetensors", "hypothesis", "matplotlib")


def run_with_numpy_only(path, block):
    commands = ["n", "g routing[2].weights", "x w[3, 2]", "d", "?", "1", "g d_S", "x d_S[1, 2]"]
    commands = "".join(f"{command}\n" for command in commands)
    code = NUMPY_ONLY.format(block=block, path=str(path), commands=commands, heavy=OTHERS)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def test_numpy_is_the_only_dependency_of_the_stepper(film_club, tmp_path):
    path = tmp_path / "trace.json"
    path.write_text(film_club.trace.to_json(), encoding="utf-8")
    bare, full = run_with_numpy_only(path, OTHERS), run_with_numpy_only(path, ())
    assert (bare.returncode, full.returncode) == (0, 0), bare.stderr
    assert bare.stdout == full.stdout
    assert bare.stdout.count("\n") > 1000
    assert bare.stderr.strip() == "[]"


def test_a_trace_read_from_json_prints_the_same_screens(film_club, run_commands):
    restored = TracedUser(Trace.from_json(film_club.trace.to_json()), film_club.inputs)
    commands = ("g routing[3].weights", "x w[3, 2]", "d", "q")
    assert run_commands(*commands, user=restored) == run_commands(*commands)


def test_the_first_screen_imports_no_heavy_package():
    """A measurement outside the tests shows about half a second for the first screen."""
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


def test_a_minus_sign_is_a_hyphen_outside_the_encoding():
    assert replace_unencodable("−0.25 ▓", "ascii") == "-0.25 ?"
    assert replace_unencodable("−0.25", "utf-8") == "−0.25"
