"""The writer of towers that needs no framework, as a package would offer it to other processes."""

from pathlib import Path

from tests.numpy_exporter import Writer

made = Writer()
require, write, open_file = made.require, made.write, made.open_file


def offer(folder: Path) -> Path:
    """Make a folder that offers it to whoever has that on PYTHONPATH; return the folder."""
    about = folder / "offered-0.dist-info"
    about.mkdir(parents=True)
    words = f"[mindref.exporters]\nonnx = {__name__}\n"
    (about / "entry_points.txt").write_text(words, encoding="utf-8")
    (about / "METADATA").write_text("Name: offered\nVersion: 0\n", encoding="utf-8")
    return folder
