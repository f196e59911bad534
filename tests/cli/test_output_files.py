"""Result files must not replace inputs of the command or files of a run (faults-R15)."""

import shutil

import pytest

from mindref.errors import ConfigError
from mindref.recommender.serving.served_model import ServedModel
from mindref.run.user_files import check_output, is_run, run_inputs

RULE = pytest.mark.rules("faults-R15")


@pytest.fixture
def own_shop(shop, tmp_path):
    """A copy of the log and of the other files in its folder."""
    folder = shutil.copytree(shop.parent, tmp_path / "shop")
    return folder / shop.name


@pytest.fixture
def unloaded(monkeypatch, unread_log):
    """Loading a model fails the test."""
    monkeypatch.setattr(ServedModel, "load", lambda *_, **__: pytest.fail("the model was loaded"))


def file_bytes(*folders):
    return {x: x.read_bytes() for folder in folders for x in folder.rglob("*") if x.is_file()}


@RULE
@pytest.mark.parametrize(
    "command",
    [
        ("recall", "--all-users", "--output"),
        ("recall", "--user", "customer-0001", "--output"),
        ("evaluate", "--predictions"),
        ("study", "--html"),
        ("study", "--json"),
    ],
    ids=" ".join,
)
def test_no_result_replaces_the_log_or_a_file_of_a_run(cli, run, shop, command, tmp_path, unloaded):
    before = file_bytes(run, shop.parent)
    name, *options, option = command
    outputs = [shop, shop.with_suffix(".item"), run / "model.safetensors", run / "lists.tsv"]
    link = tmp_path / "link.tsv"
    link.symlink_to(shop)
    for output in [*outputs, link]:
        message = cli.error_line(name, run, *options, option, output)
        assert message.startswith(f"Error: {option}: expected a file that is not in use, got")
        place = f"the log of {run}; choose another file"
        if run in output.parents:
            place = f"inside the run directory {run}; choose a file outside the folder"
        assert message.endswith(f"{output}, {place}\n")
    assert file_bytes(run, shop.parent) == before


@RULE
@pytest.mark.parametrize(
    ("command", "owner"),
    [
        ("recall RUN --all-users --only LOG --output LOG", "the file of --only"),
        ("recall RUN --all-users --exclude LOG --output LOG", "the file of --exclude"),
        ("recall RUN --all-users --data LOG --output LOG", "the log of --data"),
        ("evaluate RUN --data LOG --items ITEMS --predictions ITEMS", "the file of --data"),
        ("conform --backend numpy --expectations TOML --output TOML", "the file of --expectations"),
    ],
)
def test_no_result_replaces_a_file_that_the_command_reads(
    cli, run, own_shop, tmp_path, unloaded, monkeypatch, command, owner
):
    monkeypatch.chdir(tmp_path)
    files = {
        "RUN": run, "LOG": own_shop, "ITEMS": own_shop.with_suffix(".item"),
        "TOML": tmp_path / "a.toml",
    }  # fmt: skip
    files["TOML"].write_text("")
    before = file_bytes(tmp_path)
    words = [files.get(word, word) for word in command.split()]
    assert f"{words[-1]}, {owner};" in cli.error_line(*words)
    assert file_bytes(tmp_path) == before


@RULE
def test_another_file_is_replaced_and_help_states_it(cli, run, tmp_path):
    output = tmp_path / "lists.tsv"
    output.write_text("old")
    cli.succeed("recall", run, "--all-users", "--top", 2, "--output", output)
    assert output.read_text().startswith("user\t")
    for command in ("recall", "evaluate", "study", "conform"):
        text = " ".join(cli.succeed(command, "--help").out.split())
        assert "An existing file is replaced, unless it is an input" in text


@RULE
def test_a_run_is_known_by_its_configuration_even_if_damaged(run, tmp_path):
    assert is_run(run)
    (run / "config.json").write_text("{")
    assert is_run(run), "items.tsv is there"
    (tmp_path / "config.json").write_text('{"name": "another program"}')
    assert not is_run(tmp_path)
    check_output("--output", tmp_path / "x", {})
    assert run_inputs("runs/1", {"source": {"place": "built-in", "options": {}}}) == {}
    assert run_inputs("runs/1", {}) == {}


@RULE
def test_the_files_in_the_folder_of_a_log_are_inputs(own_shop):
    folder = own_shop.parent
    for output in (own_shop, own_shop.with_suffix(".user")):
        with pytest.raises(ConfigError, match="the log; choose another"):
            check_output("--output", output, {"the log": folder})
    for content in ("lists\n", "other lists\n"):  # a second result replaces the first one
        check_output("--output", folder / "new.tsv", {"the log": folder})
        (folder / "new.tsv").write_text(content)
