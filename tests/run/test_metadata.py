"""Facts of a DIN run that are no texts are errors."""

import pytest

from mindref.run.metadata import check_din_facts

FACTS = {"recall": {"run": "/run", "model": "0a"}, "log": "1b", "items": "2c"}


@pytest.mark.parametrize(
    "change",
    [
        {"recall": {"run": 1, "model": "0a"}},
        {"recall": {"run": "/run", "model": None}},
        {"log": 1},
        {"items": []},
    ],
)
def test_din_facts_must_be_texts(change):
    check_din_facts(FACTS)
    with pytest.raises(ValueError, match="recall run, log and items that are no texts"):
        check_din_facts({**FACTS, **change})
