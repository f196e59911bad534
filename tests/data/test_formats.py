"""The list of log formats: every entry has a reader, and the list is light to import."""

from dataclasses import fields
from importlib import import_module

import pytest

from mindref.data.formats import COLUMN_OPTIONS, FORMATS
from mindref.data.readers.columns import Columns


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_a_recogniser_and_a_reader(name):
    module = import_module(f"mindref.data.readers.{FORMATS[name].module}")
    for verb in ("is", "read"):
        assert callable(getattr(module, f"{verb}_{name.replace('-', '_')}"))


def test_every_format_is_documented():
    assert all(log_format.name == name and log_format.help for name, log_format in FORMATS.items())


def test_the_column_options_are_the_fields_of_columns():
    assert set(COLUMN_OPTIONS) == {field.name for field in fields(Columns)}
    assert all(set(one.without_effect) <= set(COLUMN_OPTIONS) for one in FORMATS.values())
