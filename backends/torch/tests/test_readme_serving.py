"""The serving example of the README returns the same items as mindref."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mindref
from mindref.recommender.export import export_run

README = Path(__file__).parents[1] / "README.md"
HISTORIES = [["article-0007", "article-0031"], ["article-0100"], ["unheard of"]]


def test_the_example_returns_the_items_of_mindref(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python serve\n(.*?)```", README.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    model = mindref.MIND(steps=20, batch=64, negatives=64, backend="numpy").fit(run="run")
    export_run(Path("run"), "onnx", Path("served"), users=50)
    names: dict[str, object] = {}
    exec(code, names)
    items_by_user = names["recommend"](HISTORIES, 10)
    for history, items in zip(HISTORIES[:2], items_by_user, strict=False):
        assert items == [x.item for x in model.recommend(history, n=10)]
    assert len(set(items_by_user[2])) == 10
