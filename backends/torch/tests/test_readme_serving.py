"""The example of the README serves an exported run, and finds what mindref itself finds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mindref
from mindref.recommender.export import export

README = Path(__file__).parents[1] / "README.md"
HISTORIES = [["article-0007", "article-0031"], ["article-0100"], ["unheard of"]]


def test_the_example_finds_the_items_that_mindref_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python serve\n(.*?)```", README.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    model = mindref.MIND(steps=20, batch=64, negatives=64, backend="numpy").fit(run="run")
    export(Path("run"), "onnx", Path("served"), users=50)
    made: dict[str, object] = {}
    exec(code, made)
    found = made["recommend"](HISTORIES, 10)
    for history, items in zip(HISTORIES[:2], found, strict=False):
        assert items == [x.item for x in model.recommend(history, n=10)]
    assert len(set(found[2])) == 10
