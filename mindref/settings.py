"""Declaration, conversion and range checks of settings.

`mindref.config.Config` and `mindref.models.din_config.DinConfig` are frozen dataclasses whose
fields are declared with the functions of this module.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import field
from functools import partial
from typing import Any, TypeVar

from mindref.arguments import is_flag
from mindref.errors import FOREIGN_ERRORS, ConfigError, say, value_text

Value = TypeVar("Value")
Number = TypeVar("Number", int, float)


def number_setting(default: Number, low: float, high: float, text: str) -> Number:
    """Declare a numeric setting with values in [low, high]."""
    return field(default=default, metadata={"low": low, "high": high, "text": text})


def choice_setting(default: str, options: tuple[str, ...], text: str) -> str:
    """Declare a setting with one of several named values."""
    return field(default=default, metadata={"options": options, "text": text})


def free_setting(default: Value, text: str) -> Value:
    """Declare a setting without a range; only its type is checked."""
    return field(default=default, metadata={"text": text})


LAYER_SETTINGS = ("hidden", "attention_hidden")
MAX_LAYERS, MAX_LAYER_WIDTH = 64, 65_536
MAX_STEPS = 1_000_000_000


def coerce_fields(settings: Any) -> Iterator[tuple[dataclasses.Field[Any], Any]]:
    """Yield each setting of a frozen dataclass and its value, converted to its type and checked."""
    for setting in dataclasses.fields(settings):
        value = convert_value(setting, getattr(settings, setting.name))
        object.__setattr__(settings, setting.name, value)  # frozen, but still in __post_init__
        check_range(setting, value)
        yield setting, value


def check_names(kind: type[Any], names: Iterable[str], location: str, expected: str) -> None:
    """Raise ConfigError for a name that is no setting of this dataclass."""
    setting_names = [setting.name for setting in dataclasses.fields(kind)]
    for name in names:
        if name not in setting_names:  # model-R27
            near = difflib.get_close_matches(str(name), setting_names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(setting_names)}"
            raise ConfigError(say(location, expected, name, hint))


def convert_value(setting: dataclasses.Field[Any], value: object) -> Any:
    """Return value in the type of the setting's default, from TOML, JSON or the command line."""
    convert, expected = CONVERSIONS[str(setting.type)]
    try:
        return convert(value)
    except FOREIGN_ERRORS as error:  # model-R26; a type may raise any error
        raise ConfigError(say(setting.name, expected, value_text(value, quoted=True))) from error


def is_positive(value: Any) -> bool:
    """Return whether a setting is a number above 0; false for an invalid value."""
    try:
        return to_float(value) > 0
    except (TypeError, ValueError, OverflowError):  # the check of all settings reports it
        return False


def implied_settings(settings: Mapping[str, object]) -> dict[str, Any]:
    """Return the settings that given settings set to other values.

    `steps` sets `epochs` to 0; `epochs` alone removes the limit of steps. `dropout` turns
    `dropout_by_density` off.
    """
    implied: dict[str, Any] = {}
    if "steps" in settings:  # model-R46
        implied["epochs"] = 0
    elif is_positive(settings.get("epochs", 0)):  # model-R48
        implied["steps"] = MAX_STEPS
    if "dropout" in settings:  # mind_plus-R24
        implied["dropout_by_density"] = False
    return implied


COMPUTED = {"epochs": "steps", "dropout_by_density": "dropout"}
"""Setting that computes a number from the log -> setting that is the number."""


def check_exclusive(settings: object, names: Container[str]) -> None:
    """Raise ConfigError if a number is given, and also a setting that computes it.

    settings: all settings after conversion; names: the settings that were given.
    """
    for computed, name in COMPUTED.items():
        if name in names and computed in names and getattr(settings, computed):  # model-R68
            got = f"{name} = {getattr(settings, name)}"
            raise ConfigError(say(computed, f"no {name} with it", got, "give one of the two"))


def override(settings: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, Any]:
    """Return settings with changes, and with the settings that the changes imply."""
    return {**settings, **implied_settings(changes), **changes}


def split_list(value: Any) -> Iterable[object]:
    """Return the parts of a comma-separated text; a list is unchanged, a mapping is rejected."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, Mapping):
        raise TypeError
    return value


def unchanged(kind: type, value: object) -> object:
    """Return a value of this type. Raises TypeError for other values."""
    if not isinstance(value, kind):
        raise TypeError
    return value


def to_integer(value: Any) -> int:
    """Return an exact integer: 3 for 3.0 and "3". A fraction or a bool raises ValueError."""
    integer = int(value)
    if is_flag(value) or not (isinstance(value, str) or integer == value):
        raise ValueError
    return integer


def to_float(value: Any) -> float:
    """Return a float, which may be infinite; a bool raises TypeError."""
    if is_flag(value):
        raise TypeError
    return float(value)


def to_flag(value: Any) -> bool:
    """Return a bool of Python for a bool of Python or NumPy. Other values raise TypeError."""
    if not is_flag(value):
        raise TypeError
    return bool(value)


LIST = "a list, or values separated by commas"
CONVERSIONS: dict[str, tuple[Callable[[Any], object], str]] = {
    "bool": (to_flag, "true or false"),
    "int": (to_integer, "an integer"),
    "float": (to_float, "a number"),
    "str": (partial(unchanged, str), "a text"),
    "tuple[int, ...]": (lambda value: tuple(map(to_integer, split_list(value))), LIST),
    "tuple[str, ...]": (lambda value: tuple(unchanged(str, x) for x in split_list(value)), LIST),
}
"""Type of a setting -> conversion, and the description of the values in errors."""


def check_range(setting: dataclasses.Field[Any], value: Any) -> None:
    """Raise ConfigError unless the value is in the range of its setting."""
    meta = setting.metadata
    if "options" in meta and value not in meta["options"]:  # model-R25
        raise ConfigError(say(setting.name, " or ".join(meta["options"]), repr(value)))
    if "low" in meta and not meta["low"] <= value <= meta["high"]:  # model-R25; false for NaN
        raise ConfigError(say(setting.name, f"{meta['low']} to {meta['high']}", value))
    if setting.name in LAYER_SETTINGS and not (
        len(value) <= MAX_LAYERS and all(1 <= width <= MAX_LAYER_WIDTH for width in value)
    ):
        expected = f"at most {MAX_LAYERS} widths from 1 to {MAX_LAYER_WIDTH:,}"
        raise ConfigError(say(setting.name, expected, ",".join(map(value_text, value))))
