"""Many threads, forked and spawned processes get the same results as one thread."""

import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

import mindref
from mindref.data.log import Ragged
from mindref.recall import ItemFilter, build_index, open_index, retrieve_top_n
from tests.recall.annoy_trees import needs_annoy
from tests.recommender import queries
from tests.recommender.queries import QUESTIONS, at_once, of_known, serially
from tests.runs import REPOSITORY, python_output

# one history is empty, and a model without scores for it returns an empty list with a warning
pytestmark = pytest.mark.filterwarnings("ignore:1 of 1 requests have no known behaviour")

MODELS = ("mind", "mind_plus", "youtube_dnn", "maxmf")
FORK = "ignore:This process .* is multi-threaded:DeprecationWarning"


@pytest.fixture(params=MODELS)
def run(request, run_of):
    return run_of(model=request.param, steps=2, interests=4)


@pytest.fixture
def mind_run(run_of):
    return run_of(model="mind", steps=2, interests=4)


@pytest.mark.rules("recall-R41", "backend-R18")
@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.slow(every=3)
def test_many_threads_get_the_results_of_one(run, threads, monkeypatch):
    monkeypatch.setenv("MINDREF_THREADS", "1")
    expected = serially(mindref.load(run), QUESTIONS)
    assert len({str(x) for x in expected}) > len(QUESTIONS) // 2
    monkeypatch.setenv("MINDREF_THREADS", threads)
    assert at_once(mindref.load(run), QUESTIONS) == expected


@pytest.mark.rules("recall-R41")
@pytest.mark.parametrize("kind", ["exact", pytest.param("annoy", marks=needs_annoy), "faiss-ivf"])
@pytest.mark.slow(every=4)
def test_an_index_is_searched_by_many_at_once(kind, tmp_path, monkeypatch):
    if kind.startswith("faiss"):
        pytest.importorskip("faiss", reason="faiss is not installed: the extra `faiss`")
    rng = np.random.default_rng(5)
    items = rng.standard_normal((3000, 12)).astype(np.float32)
    interests = rng.standard_normal((300, 3, 12)).astype(np.float32)
    active = np.arange(3) < rng.integers(1, 4, 300)[:, None]
    seen = Ragged.of([rng.integers(0, 3000, n % 7).tolist() for n in range(300)])
    built = build_index(items, interests[:40, 0], directory=tmp_path, kind=kind, seed=1)
    parts = [slice(n, n + 75) for n in range(0, 300, 75)]

    def search(index, part):
        limits = ItemFilter(exclude=seen.take(np.arange(300)[part]))
        found = retrieve_top_n(index, interests[part], active[part], n=20, item_filter=limits)
        return [x.tobytes() for x in found]

    expected = [search(built, part) for part in parts]
    for threads in ("1", "3"):
        monkeypatch.setenv("MINDREF_THREADS", threads)
        for index in (built, open_index(tmp_path, items)):
            with ThreadPoolExecutor(8) as pool:
                found = list(pool.map(lambda n: search(index, parts[n % 4]), range(24)))  # noqa: B023
            assert found == expected * 6


@pytest.mark.rules("recall-R41", "backend-R22")
@pytest.mark.filterwarnings(FORK)
@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.slow(every=2, start=1)
def test_forked_processes_get_the_same_results(mind_run, threads, monkeypatch):
    """The parent has used it, with threads that stay behind; its lock is held as the fork comes."""
    monkeypatch.setenv("MINDREF_THREADS", threads)
    model = mindref.load(mind_run)
    expected = serially(model, QUESTIONS)
    monkeypatch.setitem(queries.known, "mind", model)
    held = model.served.backend.lock
    with ProcessPoolExecutor(2, mp_context=get_context("fork")) as pool:
        with held:  # another thread is at work with it
            asked = [pool.submit(of_known, "mind", QUESTIONS) for _ in range(4)]
        copied = pool.submit(serially, model, QUESTIONS)
        assert all(x.result(timeout=120) == expected for x in [*asked, copied])
    assert at_once(model, QUESTIONS, 3) == expected


@pytest.mark.rules("recall-R41")
@pytest.mark.parametrize("hash_seed", ["0", "1"])
@pytest.mark.slow
def test_a_spawned_process_gets_the_same_results(mind_run, hash_seed, monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", hash_seed)
    model = mindref.load(mind_run)
    expected = serially(model, QUESTIONS)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(at_once, model, QUESTIONS, 4).result(timeout=300) == expected


COLD = """
import pickle, sys
import mindref
from tests.recommender.queries import QUESTIONS, at_once
assert "numba" not in sys.modules
model = mindref.load(sys.argv[1])
found = at_once(model, QUESTIONS, 6)
import numba
assert not numba.config.CACHE_DIR, numba.config.CACHE_DIR
print(pickle.dumps(found).hex())
"""


@pytest.mark.rules("recall-R41")
@pytest.mark.slow
def test_the_first_requests_may_be_concurrent(mind_run):
    """Numba, kernels and backend are imported by whoever is first; others come in the middle."""
    output = python_output(COLD, mind_run, cwd=REPOSITORY, MINDREF_THREADS="2", NUMBA_CACHE_DIR="")
    expected = serially(mindref.load(mind_run), QUESTIONS)
    assert pickle.loads(bytes.fromhex(output)) == expected
