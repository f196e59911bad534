"""Settings: presets, ranges, types, names, JSON."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.config import Config
from mindref.errors import ConfigError
from mindref.models.registry import families_using
from mindref.presets import PRESETS
from tests import spec_pages
from tests.assertions import raises_exactly, raises_with

HUGE = "that cannot be printed"
A_LIST = "a list, or values separated by commas"
WIDTHS = "hidden: expected at most 64 widths from 1 to 65,536"
DEFAULT = Config.of("mind")
FIELDS = {field.name: field for field in dataclasses.fields(Config)}


def value_of(cell):
    word = cell.split(",")[0]
    names = {"true": True, "false": False, "infinity": math.inf}
    return names.get(word, float(word) if word.replace(".", "", 1).isdigit() else word)


@pytest.mark.rules("model-R23", "model-R24")
def test_the_presets_mind_and_paper_equal_the_columns_of_the_spec():
    table = spec_pages.text("model").split("| setting | `paper` | `mind` |")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in table.splitlines()[2:]]
    default, paper = DEFAULT.to_dict(), Config.of("paper").to_dict()
    assert {name: default[name] for name, _, _ in rows} == {x[0]: value_of(x[2]) for x in rows}
    changed = {name: value for name, value in paper.items() if value != default[name]}
    assert changed == {x[0]: value_of(x[1]) for x in rows}
    sizes = f"have our defaults, {paper['interests']} and {paper['width']}."
    assert sizes in spec_pages.text("model"), "the paper has other values"
    assert Config() == DEFAULT
    assert (DEFAULT.sampler, DEFAULT.alpha) == ("unigram", 0.75)


@pytest.mark.rules("model-R25", "model-R26")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"interests": 0}, "interests: expected 1 to 64, got 0"),
        ({"width": 4097}, "width: expected 1 to 4096, got 4097"),
        ({"iterations": 0}, "iterations: expected 1 to 100, got 0"),
        ({"sigma": -0.5}, "sigma: expected 0 to 1000000.0, got -0.5"),
        ({"power": -1.0}, "power: expected 0 to inf, got -1.0"),
        ({"power": math.nan}, "power: expected 0 to inf, got nan"),
        ({"temperature": 0.0}, "temperature: expected 1e-06 to 1000000.0, got 0.0"),
        ({"hidden": [64, 0]}, f"{WIDTHS}, got 64,0"),
        ({"hidden": [65_537]}, f"{WIDTHS}, got 65537"),
        ({"hidden": [10**5000]}, f"{WIDTHS}, got int {HUGE}"),
        ({"hidden": [1] * 65}, f"{WIDTHS}, got {','.join('1' * 65)}"),
        ({"steps": 10**5000}, f"steps: expected 1 to 1000000000, got int {HUGE}"),
        ({"squash": "sqaush"}, "squash: expected squash or unit or none, got 'sqaush'"),
        ({"routing": "random"}, "routing: expected dynamic or uniform, got 'random'"),
        ({"beta2": 1}, "beta2: expected 0 to 0.9999999, got 1.0"),
        (
            {"sampler": "in_batch", "batch": 1},
            "batch: expected at least 2 examples for the sampler in_batch, got 1",
        ),
        ({"interests": 2.5}, "interests: expected an integer, got 2.5"),
        ({"interests": math.inf}, "interests: expected an integer, got inf"),
        ({"interests": math.nan}, "interests: expected an integer, got nan"),
        ({"interests": "four"}, "interests: expected an integer, got 'four'"),
        ({"interests": True}, "interests: expected an integer, got True"),
        ({"interests": np.True_}, f"interests: expected an integer, got {np.True_!r}"),
        ({"hidden": [np.True_]}, f"hidden: expected {A_LIST}, got {[np.True_]}"),
        ({"interests": None}, "interests: expected an integer, got None"),
        ({"power": True}, "power: expected a number, got True"),
        ({"power": np.True_}, f"power: expected a number, got {np.True_!r}"),
        ({"power": "hard"}, "power: expected a number, got 'hard'"),
        ({"last_relu": 1}, "last_relu: expected true or false, got 1"),
        ({"last_relu": "yes"}, "last_relu: expected true or false, got 'yes'"),
        ({"hidden": {"64": 1}}, f"hidden: expected {A_LIST}, got {{'64': 1}}"),
        ({"width": [10**5000]}, f"width: expected an integer, got list {HUGE}"),
        ({"hidden": 64}, f"hidden: expected {A_LIST}, got 64"),
        ({"hidden": [2.5]}, f"hidden: expected {A_LIST}, got [2.5]"),
        ({"item_features": [3]}, f"item_features: expected {A_LIST}, got [3]"),
        ({"metric": 5}, "metric: expected a text, got 5"),
        ({"sampler": 5}, "sampler: expected a text, got 5"),
    ],
)
def test_an_invalid_value_is_named_with_the_values_that_are_accepted(changes, message):
    """A value of another type is never rounded."""
    with raises_exactly(ConfigError, message):
        Config.of("mind", changes)


@pytest.mark.rules("model-R25")
@pytest.mark.parametrize("name", [n for n, f in FIELDS.items() if "low" in f.metadata])
def test_ranges_include_both_ends_and_nothing_beyond(name):
    low, high = FIELDS[name].metadata["low"], FIELDS[name].metadata["high"]
    model = {"model": next(iter(families_using(name)), "mind")}
    for end in (low, high):
        assert getattr(Config.of("mind", {name: end, **model}), name) == end
    for beyond in (low - 1, high + 1 if high < math.inf else math.nan):
        with pytest.raises(ConfigError, match=name):
            Config.of("mind", {name: beyond, **model})


@pytest.mark.rules("model-R26")
@pytest.mark.parametrize(
    ("name", "given_value", "value"),
    [
        ("interests", "3", 3),
        ("interests", 3.0, 3),
        ("seed", 2**63 - 1, 2**63 - 1),
        ("seed", str(2**63 - 1), 2**63 - 1),
        ("power", "inf", math.inf),
        ("power", 2, 2.0),
        ("last_relu", np.True_, True),
        ("normalise", np.False_, False),
        ("hidden", "256, 128", (256, 128)),
        ("hidden", "256", (256,)),
        ("hidden", "", ()),
        ("hidden", [32, 16], (32, 16)),
        ("item_features", "genre,year", ("genre", "year")),
        ("item_features", ["genre"], ("genre",)),
    ],
)
def test_texts_and_lists_are_converted(name, given_value, value):
    got = getattr(Config.of("mind", {name: given_value}), name)
    assert got == value
    assert type(got) is type(value)
    assert getattr(Config(**{name: given_value}), name) == value, "made without a preset"


@pytest.mark.rules("model-R27")
def test_an_unknown_setting_is_rejected_with_a_suggestion():
    message = "configuration: expected a known setting, got intrests; did you mean interests?"
    with raises_exactly(ConfigError, message):
        Config.of("mind", {"intrests": 3})
    with raises_with(ConfigError, "known: model, interests, width, window"):
        Config.of("mind", {"xyzzy": 3})
    with raises_with(ConfigError, "preset: expected mind or paper or recommended, got papers"):
        Config.of("papers")


@pytest.mark.rules("model-R28")
@given(
    preset=st.sampled_from(sorted(PRESETS)),
    power=st.just(math.inf) | st.floats(0, 1e6),
    hidden=st.lists(st.integers(1, 500), max_size=3),
    seed=st.integers(0, 2**63 - 1),
)
def test_settings_survive_json(preset, power, hidden, seed):
    config = Config.of(preset, {"power": power, "hidden": hidden, "seed": seed})
    written = json.dumps(config.to_dict(), allow_nan=False)
    assert Config.restored(json.loads(written)) == config


def test_settings_are_frozen_and_documented():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEFAULT.width = 3  # the point of the test
    assert all(field.metadata["text"] for field in FIELDS.values())
    assert len({DEFAULT, Config()}) == 1, "equal settings have equal hashes"


@pytest.mark.rules("model-R36")
def test_settings_of_other_families_in_a_file_are_ignored():
    """Their defaults may have changed since the file was written."""
    arguments = {**Config.of("mind", {"interests": 2}).to_dict(), "contexts": 3, "b": 0.9}
    assert Config.restored(arguments) == Config.of("mind", {"interests": 2})
    stored = Config.restored(arguments).family_settings()
    assert Config.restored(stored) == Config.restored(arguments)
    assert not {"contexts", "b"} & set(stored)
    plus = Config.restored({**arguments, "model": "mind_plus"})
    assert (plus.contexts, plus.b) == (3, DEFAULT.b)
    with pytest.raises(ConfigError, match="contexts"):
        Config.restored({**arguments, "model": "mind_plus", "contexts": -1})
