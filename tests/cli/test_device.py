"""--device of the commands: the device of the backend, not stored with a run."""

import json

import pytest

from mindref.backend import NumpyBackend
from mindref.errors import BackendError
from tests.runs import RESULT, change_json, content, environment, options

BACKEND = f"{__name__}:Two"


class Two(NumpyBackend):
    """A backend with two devices that records which one it used."""

    name, used, there = "two", set(), ("cpu", "cuda")

    def __init__(self, device="nowhere"):
        self.device = device

    @property
    def device_name(self):
        return self.device

    def on(self, device):
        device = self.there[-1] if device == "auto" else device
        if device not in self.there:
            raise BackendError(f"backend two: no {device}")
        return Two(device)

    @property
    def ops(self):
        self.used.add(self.device)
        return super().ops


class One(Two):
    there = ("cpu",)


@pytest.fixture
def two_devices(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])  # of the processes of the bench
    monkeypatch.setattr(Two, "there", Two.there)
    Two.used.clear()
    return Two


def device_command(command, run):
    item = (run / "items.tsv").read_text(encoding="utf-8").splitlines()[1].split("\t")[0]
    changes = ["--history", item, "--index", "exact"] if command == "recall" else []
    return [command, run, *changes, "--json", "--backend", BACKEND]


@pytest.mark.rules("backend-R16")
@pytest.mark.parametrize("command", ["evaluate", "recall"])
def test_a_run_is_loaded_on_the_requested_device(cli, run, two_devices, command):
    for words, device in (("", "cpu"), ("--device cuda", "cuda"), ("--device auto", "cuda")):
        two_devices.used.clear()
        assert cli(*device_command(command, run), *words.split()).code == 0
        assert two_devices.used == {device}


@pytest.mark.rules("backend-R16")
def test_a_training_is_resumed_on_another_device(cli, shop, two_devices, tmp_path):
    run, alone = tmp_path / "run", tmp_path / "alone"
    arguments = ["train", "--data", shop, "--quiet", *options(backend=BACKEND)]
    assert cli(*arguments, "--out", alone, "--device", "cuda").code == 0
    assert two_devices.used == {"cuda"}
    assert "cuda" not in (alone / "config.json").read_text(encoding="utf-8"), "no setting"
    two_devices.used.clear()
    assert cli(*arguments, "--out", run).code == 0
    again = ("train", "--resume", run, "--backend", BACKEND)
    assert cli(*again, "--device", "cuda", "--quiet").code == 0
    assert two_devices.used == {"cpu", "cuda"}
    assert content(run, RESULT) == content(alone, RESULT)


@pytest.mark.parametrize("command", ["train", "resume", "evaluate", "recall"])
def test_an_unavailable_device_is_one_line_before_the_log_is_read(
    cli, run, two_devices, command, tmp_path, monkeypatch
):
    two_devices.there = ("cpu",)
    monkeypatch.setattr("mindref.run.source.Source.read", None)
    if command == "resume":
        with change_json(run / "config.json") as config:
            config["settings"]["backend"] = BACKEND
    arguments = {
        "train": ["train", "--out", tmp_path / "new", *options(backend=BACKEND)],
        "resume": ["train", "--resume", run, "--backend", BACKEND],
    }
    result = cli(*arguments.get(command, device_command(command, run)), "--device", "cuda")
    assert (result.code, result.out, result.err) == (2, "", "Error: backend two: no cuda\n")
    assert not (tmp_path / "new").exists()


def test_the_recommender_uses_the_device(run, two_devices, tmp_path):
    import mindref

    small = {"steps": 1, "batch": 8, "negatives": 8, "width": 4, "hidden": [4]}
    model = mindref.MIND(backend=BACKEND, **small)
    model.fit(users=60, device="cuda", run=tmp_path / "own")
    model.interests([["article-0001"]])
    assert two_devices.used == {"cuda"}
    mindref.load(tmp_path / "own", backend=BACKEND).interests([["article-0001"]])
    assert two_devices.used == {"cuda", "cpu"}


JUDGED = ("conform", "squash", "--profile", "smoke", "--backend", BACKEND)
TIMED = (
    "bench", "--backends", BACKEND, "--tasks", "step", "--rounds", 1, "--batch", 4,
    "--catalogue", 200, "--threads", 1,
)  # fmt: skip


@pytest.mark.rules("backend-R16")
@pytest.mark.parametrize(("asked", "device"), [("cpu", "cpu"), ("cuda", "cuda"), ("auto", "cuda")])
@pytest.mark.slow(every=3)
def test_conform_tests_on_the_requested_device(cli, two_devices, asked, device):
    report = json.loads(cli(*JUDGED, "--json", "--device", asked).out)
    assert two_devices.used == {device}
    assert report["backend"]["device"] == device
    assert f", device {device}" in cli(*JUDGED, "--device", asked).out


@pytest.mark.slow
def test_each_contender_is_timed_on_its_device(cli, two_devices):
    found = json.loads(cli(*TIMED, "--json", "--device", "auto").out)
    assert found["contenders"][BACKEND]["device"] == "cuda"
    assert found["settings"]["device"] == "auto"
    pair = cli(*TIMED, "--backends", f"numpy,{BACKEND}", "--device", "auto").out
    assert f"devices: numpy cpu, {BACKEND} cuda\n" in pair


@pytest.mark.parametrize("arguments", [JUDGED, TIMED])
def test_an_unavailable_device_is_rejected_by_conform_and_bench(cli, two_devices, arguments):
    one_device = [str(word).replace(":Two", ":One") for word in arguments]
    assert cli.error(*one_device, "--device", "cuda").rstrip().endswith("backend two: no cuda")
