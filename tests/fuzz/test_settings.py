"""Any settings: they are valid, or an error names the invalid one."""

import dataclasses
import json
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mindref.cli.recall import parse_item_ids
from mindref.cli.settings import read_changes
from mindref.config import Config
from mindref.models.din_config import DinConfig
from mindref.presets import PRESETS
from mindref.recommender.evaluate_run import parse_metric
from tests.fuzz.damage import several
from tests.fuzz.outcome import outcome
from tests.fuzz.values import spoiled, values

NAMES = [field.name for field in dataclasses.fields(Config)]


def check_config(config):
    """Check what is no error: in range, and the same when it is written and read again."""
    if isinstance(config, Config):
        again = json.loads(json.dumps(config.family_settings(), allow_nan=False))
        assert Config.restored(again).family_settings() == config.family_settings()
        for field in dataclasses.fields(Config):
            value = getattr(config, field.name)
            assert type(value) is type(field.default)
            if "low" in field.metadata:
                assert field.metadata["low"] <= value <= field.metadata["high"]


@given(st.dictionaries(st.sampled_from([*NAMES, "colour", ""]), values(), max_size=3))
def test_any_changes_of_settings_are_valid_or_refused(changes):
    check_config(outcome(Config.of, "mind", changes))
    outcome(DinConfig.of, changes)


@given(st.data(), st.sampled_from(list(PRESETS)))
def test_settings_of_a_damaged_file_are_restored_or_refused(data, preset):
    original = Config.of(preset).family_settings()
    value_read = data.draw(spoiled(original))
    if isinstance(value_read, dict):  # others are refused by whoever reads the file
        check_config(outcome(Config.restored, value_read))


TOML = """
preset = "best"
width = 16
hidden = [32, 8]
power = inf
learning_rate = 1e-3  # a comment
metric = "ndcg@20"
backend = 'numpy'
last_relu = true
"""


def config_from_file(path):
    """Return the settings of a file, as a command without options reads them."""
    preset, changes = read_changes(None, path, {})
    return Config.of(preset or "mind", changes)


@given(several(), st.sampled_from([TOML, "", "width = 0x1f\n" * 2, "hidden = '8'\n[a]\nb = 1\n"]))
def test_a_damaged_file_of_settings_is_read_or_refused(damage, text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "settings.toml"
        path.write_bytes(damage(text.encode()))
        check_config(outcome(config_from_file, path))


@given(st.one_of(st.text(max_size=20), st.from_regex(r"(hit_rate|recall|mrr)@\d{1,5000}")))
def test_any_text_is_a_metric_or_refused(name):
    value_read = outcome(parse_metric, name)
    if isinstance(value_read, tuple):
        assert value_read[1] == int(name.partition("@")[2])


@given(st.one_of(st.text(max_size=20), st.sampled_from([",", '"', "a" * 200_000, "a," * 9000])))
def test_any_text_is_a_history_or_refused(text):
    value_read = outcome(parse_item_ids, "--history", text)
    if isinstance(value_read, list):
        assert all(value_read)
