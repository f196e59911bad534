"""mindref train: settings from three places, checks before the work, what it prints."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mindref.run.source import Source
from tests.cli.conftest import Cli
from tests.runs import content, environment, kept_report, options


def settings(run: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((run / "config.json").read_text())["settings"]
    return found


def test_training_ends_with_a_table_and_what_to_do_next(
    cli: Cli, shop: Path, tmp_path: Path
) -> None:
    run = tmp_path / "my run"
    said = cli("train", "--data", shop, "--out", run, *options())
    assert said.code == 0
    for name in ("hit_rate@10", "ndcg@50", "coverage@20", "model", "popularity", "random"):
        assert name in said.out, name
    assert f"run: {run} (best at step " in said.out
    assert f"next: mindref recall '{run}' --user=customer-0001" in said.out
    progress = said.err.splitlines()
    assert progress[0].startswith("read 60 users, ")
    steps = [line for line in progress if line.startswith("step")]
    assert [line.split("  ")[0] for line in steps] == ["step 3/7", "step 6/7", "step 7/7"]
    for word in ("loss ", "examples/s", "validation hit_rate@10 "):
        assert word in steps[-1]  # kernels of the report may be compiled, and said, after it
    assert "-0%" not in said.out


@pytest.mark.rules("model-R38")
@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_fitted_at_once_shows_no_steps(
    cli: Cli, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr("mindref.cli.show.bar", lambda *given: pytest.fail("a bar is shown"))
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("mindref.cli.show.sys.stderr.isatty", lambda: terminal, raising=False)
        said = cli("train", "--data", shop, "--out", run, *options(model="popularity"))
    assert said.code == 0
    (line,) = (run / "metrics.jsonl").read_text().splitlines()
    value = json.loads(line)["value"]
    assert said.err.splitlines()[-1] == f"fitted  validation hit_rate@10 {value:.4f}"
    assert "step" not in said.err
    assert f"run: {run}\nnext: " in said.out


def test_the_help_says_which_families_alone_know_a_setting(cli: Cli) -> None:
    words = " ".join(cli("train", "--help").out.split())
    assert "--k1 X of bm25: how soon more users of an item count less [0 to 1000000.0; " in words
    assert "default 1.2; item_knn alone]" in words
    assert "or for each [default none; mind_plus and youtube_dnn alone]" in words
    assert "--last-relu / --no-last-relu rectify the last layer too [default off]" in words
    assert "--width N d, width of items and interests [1 to 4096; default 64]" in words


def test_json_is_alone_on_standard_output(cli: Cli, shop: Path, tmp_path: Path) -> None:
    said = cli("train", "--data", shop, "--out", tmp_path / "run", "--json", *options())
    assert said.code == 0
    found = json.loads(said.out)
    assert "step 7/7" in said.err
    report = kept_report(tmp_path / "run")
    assert found == {"run": str(tmp_path / "run"), **report}
    for name in ("model", "popularity", "random"):
        assert sorted(found["metrics"]["test"][name]["hit_rate@10"]) == ["high", "low", "value"]


def test_quiet_says_nothing_of_the_steps(cli: Cli, shop: Path, tmp_path: Path) -> None:
    said = cli("train", "--data", shop, "--out", tmp_path / "run", "--quiet", *options())
    assert "step" not in said.err
    assert "hit_rate@10" in said.out


def test_a_run_directory_has_everything(made: Path) -> None:
    assert sorted(path.name for path in made.iterdir()) == [
        "config.json", "items.tsv", "metrics.jsonl", "model.safetensors",
        "optimiser.safetensors", "report.json", "state.json",
    ]  # fmt: skip
    lines = [json.loads(line) for line in (made / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6, 7]


def test_options_go_before_the_file_and_the_file_before_the_preset(
    cli: Cli, shop: Path, tmp_path: Path
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('preset = "paper"\nwindow = 7\nsteps = 5\nhidden = [4, 3]\npower = inf\n')
    run = tmp_path / "run"
    words = ["--batch", "8", "--negatives", "8", "--width", "4", "--metric", "hit_rate@5"]
    said = cli(
        "train", "--data", shop, "--out", run, "--quiet", "--config", file, "--steps", 2, *words
    )
    assert said.code == 0, said.err
    found = settings(run)
    assert found["steps"] == 2, "the option"
    assert (found["window"], found["hidden"], found["power"]) == (7, [4, 3], "inf"), "the file"
    assert found["last_relu"] is True, "the preset of the file"
    assert found["learning_rate"] == 0.005, "the default"
    again = tmp_path / "again"
    cli("train", "--data", shop, "--out", again, "--quiet", "--config", file, "--preset", "default",
        "--no-last-relu", "--hidden", "6", "--steps", 1, *words)  # fmt: skip
    found = settings(again)
    assert (found["last_relu"], found["hidden"], found["window"]) == (False, [6], 7)
    assert found["routing_gradient"] == "last", "the preset of the options"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat = 0.1", "got learning_rat; did you mean learning_rate?"),
        ("steps = 0", "steps: expected 1 to 1000000000, got 0"),
        ("steps = 1.5", "steps: expected a whole number, got 1.5"),
        ('routing = "static"', "routing: expected dynamic or uniform, got 'static'"),
        ("last_relu = 1", "last_relu: expected true or false, got 1"),
        ("power = nan", "power: expected 0 to inf, got nan"),
        ("steps = ", "expected a TOML file, got"),
        ("[zzz]\nsteps = 3", "expected a known setting, got zzz; known: model, interests, "),
        ('preset = "mine"', "preset: expected default or paper or best or sparse, got mine"),
        ("preset = [1]", "preset: expected default or paper or best or sparse, got [1]"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(
    cli: Cli, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "settings.toml").write_text(text)
    said = cli("train", "--config", tmp_path / "settings.toml", "--out", tmp_path / "run")
    assert said.code == 2
    assert said.out == ""
    assert message in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--steps", "0"], "steps: expected 1 to 1000000000, got 0"),
        (["--hidden", "8,x"], "hidden: expected a list, or values separated by commas"),
        (["--interests", "65"], "interests: expected 1 to 64, got 65"),
        (["--metric", "auc@5"], "metric: expected hit_rate@N or"),
        (["--sampler", "in_batch", "--batch", "1"], "batch: expected at least 2 samples for the"),
        (["--backend", "abacus"], "backend: expected one of "),
        (["--backend", "json:loads"], "backend json:loads: expected the whole contract, got no"),
        (["--item-features", "colour"], "item_features: expected features of the data (shelf)"),
        (["--config", "nowhere.toml"], "--config nowhere.toml: expected a TOML file"),
        (["--data", "nowhere.csv"], "nowhere.csv: expected a file or a folder, got nothing there;"),
        (["--out", "/dev/null/run"], "--out: expected a place that can be written, got /dev/null"),
        (["--keep", "x"], "--keep: expected NAME=VALUE, got 'x'"),
    ],
)
def test_a_bad_value_is_one_line_before_anything_is_made(
    cli: Cli, shop: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    said = cli("train", "--data", shop, "--out", tmp_path / "run", *words)
    assert said.code == 2
    assert said.out == ""
    assert message in said.err
    assert said.err.splitlines()[-1].startswith("Error: ")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metric", "auc@5"], "metric: "),
        (["--backend", "abacus"], "backend: "),
        (["--out", "run"], "expected no run there, got one; choose another --out"),
    ],
)
def test_what_can_be_checked_without_the_log_is_checked_before_it_is_read(
    cli: Cli,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    message: str,
) -> None:
    monkeypatch.setattr(Source, "read", lambda self: pytest.fail("the log was read"))
    monkeypatch.chdir(run.parent)
    before = content(run)
    said = cli("train", "--data", "some.log", *words)
    assert said.code == 2
    assert message in said.err
    assert content(run) == before


@pytest.mark.rules("model-R39")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "wals", "--item-features", "shelf"], "model wals: item_features: expected"),
        (
            [
                "--model",
                "youtube_dnn",
                "--backend",
                "mindref.conformance.variants.trained:no_log_q",
            ],
            "expected the model mind, got the model youtube_dnn",
        ),
    ],
)
def test_what_a_family_cannot_do_is_said_before_the_log_is_read(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.setattr(Source, "read", lambda self: pytest.fail("the log was read"))
    said = cli("train", "--data", "some.log", "--out", tmp_path / "run", *words)
    assert said.code == 2
    assert message in said.err
    assert said.err.count("\n") == 1


def test_options_of_reading_need_a_log(cli: Cli, tmp_path: Path) -> None:
    said = cli("train", "--format", "movielens", "--out", tmp_path / "run")
    assert said.code == 2
    assert "--data: expected a log for the options of reading, got none, but format" in said.err


def test_damaged_lines_are_told(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    rows = [f"u{u},i{i},{i}" for u in range(8) for i in range(6)]
    log.write_text("user,item,time\n" + "\n".join([*rows[:9], "u1,i1", *rows[9:]]) + "\n")
    words = ["--out", tmp_path / "run", *options(metric="hit_rate@3", steps=1)]
    said = cli("train", "--data", log, *words)
    assert said.code == 2
    assert "--max-bad-lines N" in said.err
    assert re.search(r"log.csv, line 11: ", said.err)
    said = cli("train", "--data", log, "--max-bad-lines", 1, *words)
    assert said.code == 0
    assert re.search(r"^  damaged: .*log.csv, line 11: ", said.err, re.M)


@pytest.mark.parametrize(
    "backend",
    [
        "numpy",
        pytest.param("numba", marks=pytest.mark.slow),  # compiling 30 layers takes half a minute
    ],
)
def test_a_diverged_training_says_what_to_do(
    cli: Cli, shop: Path, tmp_path: Path, backend: str
) -> None:
    said = cli(
        "train", "--data", shop, "--out", tmp_path / "run",
        *options(learning_rate=100.0, hidden=[8] * 30, steps=40, evaluate_every=40),
        "--backend", backend,
    )  # fmt: skip
    assert said.code == 2
    assert "learning rate" in said.err or "--learning-rate" in said.err
    assert "Warning" not in said.err


def test_threads_are_set_before_numpy_is_imported(tmp_path: Path) -> None:
    script = (
        "import sys, os\n"
        "import mindref.cli.settings as settings\n"
        "from mindref.cli.train import command\n"
        "assert 'numpy' not in sys.modules\n"
        "settings.set_threads(3, 'numpy')\n"
        "print(os.environ['OPENBLAS_NUM_THREADS'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout == "3\n"


def test_what_is_no_setting_belongs_on_the_command_line(tmp_path: Path, cli: Cli) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('data = "log.csv"\n')
    said = cli("train", "--config", file)
    assert said.code == 2
    assert "expected settings alone, got data; give --data on the command line" in said.err


def test_no_terminal_obeys_the_id_of_a_user(cli: Cli, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    rows = [{"user": "\x1b[2J", "item": f"i{i}\x1b]0;x", "time": i} for i in range(9)]
    log.write_text("\n".join(map(json.dumps, rows)))
    said = cli("train", "--data", log, "--out", tmp_path / "run", "--steps=2", "--width=4")
    assert said.code == 0
    assert "\x1b" not in said.out + said.err
    assert said.out.endswith("run --all-users\n")
