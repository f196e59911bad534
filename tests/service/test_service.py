"""The service answers as the Python interface, alone and under load, and rejects with JSON."""

import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import mindref
from mindref.errors import ConfigError, RunError
from mindref.service import app, server
from mindref.service.answers import HistoryAnswers
from mindref.service.requests import MAX_BODY, RecommendRequest
from tests.runs import trained
from tests.service.conftest import FakeAnswers, started_service

HEAD = "POST /recommend HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


@pytest.fixture(scope="module")
def answers(small_run):
    return HistoryAnswers.load(small_run, "exact", None, "cpu", [])


@pytest.fixture(scope="module")
def service(answers):
    with started_service(answers) as client:
        yield client


@pytest.fixture(scope="module")
def model(small_run):
    return mindref.load(small_run)


def draw_histories(model, count):
    """Return histories of one to twelve items of the catalogue."""
    ids, rng = list(model.served.dense), np.random.default_rng(0)
    return [list(rng.choice(ids, size)) for size in rng.integers(1, 13, count)]


def rows_of(columns, user):
    """Return the list of a request in the columns of `recommend_many`, as the service states it."""
    values = zip(*(column[columns.user == user].tolist() for column in columns), strict=True)
    return [dict(zip(columns._fields[1:], row[1:], strict=True)) for row in values]


@pytest.mark.rules("serving-R9")
@pytest.mark.parametrize(
    "options",
    [{}, {"n": 25}, {"per_interest": 2}, {"exclude_seen": False}, {"lists": True}],
    ids=str,
)
def test_the_answer_is_that_of_recommend_many(options, service, model):
    histories, options = draw_histories(model, 12), dict(options)
    if options.pop("lists", False):
        ids = list(model.served.dense)
        options |= {"only": ids[:40], "exclude": ids[10:20]}
    status, batch = service.post({"histories": histories, **options})
    assert status == 200
    columns = model.recommend_many(histories, **options)
    assert [answer["items"] for answer in batch["lists"]] == [
        rows_of(columns, user) for user in range(len(histories))
    ]
    active = model.interests(histories).active.sum(axis=1)
    assert [answer["interests"] for answer in batch["lists"]] == active.tolist()
    for history in histories[:3]:
        status, single = service.post({"history": history, **options})
        expected = rows_of(model.recommend_many([history], **options), 0)
        assert (status, single["items"], single["unknown"]) == (200, expected, [])


@pytest.mark.rules("serving-R9")
@pytest.mark.parametrize("logits", ["keyed", "per_call"])
def test_requests_at_once_have_the_bytes_of_one_alone(logits, service, model, tmp_path):
    if logits == "per_call":
        run = trained(tmp_path / "run", logits=logits)
        loaded = HistoryAnswers.load(run, "exact", None, "cpu", [])
        with started_service(loaded, threads=4) as client:
            compare_concurrent(client, model)
    else:
        compare_concurrent(service, model)


def compare_concurrent(client, model):
    bodies = [json.dumps({"history": x, "n": 7}).encode() for x in draw_histories(model, 40)]

    def answer(body):
        return client.request("POST", "/recommend", body, content_type="application/json")[2]

    alone = [answer(body) for body in bodies]
    assert len(set(alone)) > 30
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(answer, bodies)) == alone


def test_an_empty_list_of_an_empty_history_has_a_reason(tmp_path):
    loaded = HistoryAnswers.load(trained(tmp_path / "run", model="maxmf"), "exact", None, "cpu", [])
    answer = loaded(RecommendRequest([[]], is_batch=False))
    assert answer["items"] == []
    assert answer["warnings"][0].startswith("1 of 1 requests have no known behaviour")


def test_unknown_items_are_listed_for_each_history(service, model):
    known = next(iter(model.served.dense))
    histories = [[known, "x"], ["lone \ud800", "y"], []]
    status, batch = service.post({"histories": histories, "exclude": ["z", known]})
    assert status == 200
    assert [answer["unknown"] for answer in batch["lists"]] == [["x"], ["lone \ud800", "y"], []]
    assert batch["warnings"] == [
        "exclude: 1 of 2 item ids are not in the catalogue or untrained: 'z'"
    ]
    assert all(known not in [item["item"] for item in answer["items"]] for answer in batch["lists"])


@pytest.mark.rules("serving-R10")
def test_a_request_without_any_known_item(service):
    status, answer = service.post({"history": ["x", "y"]})
    assert (status, answer) == (
        422, {"error": "history: expected an item of the catalogue, got 'x', 'y'"},
    )  # fmt: skip
    status, answer = service.post({"history": [], "only": ["x"]})
    assert status == 422
    assert "only: expected at least one item id of the catalogue" in answer["error"]


@pytest.mark.rules("serving-R10", "serving-R16")
@pytest.mark.parametrize(
    ("method", "path", "content_type", "status"),
    [
        ("GET", "/recommend", "application/json", 405),
        ("POST", "/health", "application/json", 405),
        ("GET", "/", "application/json", 404),
        ("GET", "/recommend/x", "application/json", 404),
        ("POST", "/recommend", "text/plain", 415),
        ("POST", "/recommend", "application/x-www-form-urlencoded", 415),
        ("POST", "/recommend", "", 415),
        ("POST", "/recommend", "application/json; charset=utf-8", 422),
        ("POST", "/recommend", "Application/JSON", 422),
    ],
)
def test_the_status_of_another_request(method, path, content_type, status, service):
    got, headers, body = service.request(method, path, b"{}", content_type=content_type)
    assert (got, headers["content-type"]) == (status, "application/json")
    assert list(json.loads(body)) == ["error"]
    assert b"Traceback" not in body
    if status == 405:
        assert headers["allow"]


@pytest.mark.rules("serving-R10")
def test_an_unexpected_error_is_logged_and_not_sent():
    def fail(request):
        raise RuntimeError("a secret\nof the process")

    with started_service(FakeAnswers(fail)) as client:
        status, answer = client.post({"history": []})
        assert (status, list(answer)) == (500, ["error"])
        assert "secret" not in answer["error"]
        assert client.lines == ["/recommend: RuntimeError: a secret of the process"]
        assert client.get("/health")[0] == 200


@pytest.mark.rules("serving-R11")
def test_a_body_above_the_limit_is_not_read_to_its_end(service):
    body = b'{"history": []}'.ljust(MAX_BODY)
    assert service.post(body)[0] == 200
    status, answer = service.post(body + b" ")
    assert status == 413
    assert answer["error"].startswith("body: expected at most 1,048,576 bytes, got 1048577 bytes")
    for headers in (f"content-length: {10**12}", "transfer-encoding: chunked"):
        with socket.create_connection(("127.0.0.1", service.port), timeout=30) as stream:
            stream.sendall(f"{HEAD}{headers}\r\n\r\n".encode())
            if "chunked" in headers:  # without an end
                stream.sendall(f"{MAX_BODY + 1:x}\r\n".encode() + bytes(MAX_BODY + 1))
            assert stream.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.rules("serving-R11")
def test_a_body_that_does_not_arrive_is_rejected(service, monkeypatch):
    monkeypatch.setattr(app, "READ_SECONDS", 0.05)
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as stream:
        stream.sendall(f"{HEAD}content-length: 100\r\n\r\n{{".encode())
        assert stream.recv(100).startswith(b"HTTP/1.1 408 ")


@pytest.mark.rules("serving-R12")
def test_the_port_accepts_connections_after_the_run_is_loaded(small_run, monkeypatch):
    load, seen = HistoryAnswers.load, []
    bind, ports = server.bind_socket, []

    def bind_and_note(host, port):
        listener = bind(host, port)
        ports.append(listener.getsockname()[1])
        return listener

    def load_and_connect(*arguments):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", ports[0]), timeout=5)
        seen.append(True)
        return load(*arguments)

    monkeypatch.setattr(server, "bind_socket", bind_and_note)
    monkeypatch.setattr(server.HistoryAnswers, "load", load_and_connect)
    with server.load_service(
        small_run, host="127.0.0.1", port=0, kind="exact", log=pytest.fail
    ) as loaded:
        socket.create_connection(("127.0.0.1", ports[0]), timeout=5).close()
        assert loaded.answers.facts()["model"] == "mind"
    assert seen == [True]


@pytest.mark.rules("serving-R12")
def test_a_port_in_use_is_an_error_before_the_run_is_read(tmp_path):
    with server.bind_socket("127.0.0.1", 0) as listener:
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"--port {port}: expected a free address, got Addr"):
            open_service(tmp_path / "none", port=port)
    with pytest.raises(ConfigError, match=r"--host no\.such\.host\.invalid"):
        open_service(tmp_path / "none", host="no.such.host.invalid")
    with pytest.raises(RunError, match="expected a run directory"):
        open_service(tmp_path / "none")
    with pytest.raises(ConfigError, match="--index"):
        open_service(tmp_path / "none", kind="nothing")


def open_service(run, host="127.0.0.1", port=0, kind="exact", lines=None):
    log = pytest.fail if lines is None else lines.append
    with server.load_service(run, host=host, port=port, kind=kind, log=log) as loaded:
        return server.url_of(loaded.listener)


@pytest.mark.rules("serving-R16")
def test_another_address_than_this_machine_is_a_warning(small_run):
    lines = []
    assert open_service(small_run, host="0.0.0.0", lines=lines).startswith("http://0.0.0.0:")
    text = "the service has no authentication and no encryption: use it in a private network"
    assert lines == [f"--host 0.0.0.0: {text}"]
    open_service(small_run)  # 127.0.0.1: no line


@pytest.mark.rules("serving-R13")
def test_a_stop_finishes_requests_and_closes_idle_connections():
    begun, proceed = threading.Event(), threading.Event()

    def wait(request):
        begun.set()
        assert proceed.wait(20)
        return {"done": True}

    with started_service(FakeAnswers(wait)) as client, ThreadPoolExecutor(1) as pool:
        idle = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
        idle.request("GET", "/health")
        idle.getresponse().read()
        answer = pool.submit(client.post, {"history": []})
        assert begun.wait(20)
        client.stop.set()
        wait_until_refused(client.port)
        threading.Event().wait(0.4)  # the service waits as well, for the request
        assert not answer.done()
        proceed.set()
        assert answer.result(20) == (200, {"done": True})
        assert idle.sock.recv(1) == b""
        idle.close()


def wait_until_refused(port):
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            return
        threading.Event().wait(0.02)
    pytest.fail("the service accepts connections after the stop")


@pytest.mark.rules("serving-R14")
def test_threads_and_waiting_requests_are_limited(monkeypatch):
    monkeypatch.setattr(app, "WAITING", 2)
    lock, proceed, running = threading.Lock(), threading.Event(), [0, 0]

    def wait(request):
        with lock:
            running[0] += 1
            running[1] = max(running)
        assert proceed.wait(20)
        with lock:
            running[0] -= 1
        return {}

    with started_service(FakeAnswers(wait), threads=2) as client, ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(client.post, {"history": []}) for _ in range(6)]
        for _ in range(500):
            text = client.get("/metrics")[1]
            if "mindref_requests_pending 6.0" in text:
                break
            threading.Event().wait(0.02)
        assert "mindref_requests_pending 6.0" in text, text
        status, headers, body = client.request(
            "POST", "/recommend", b'{"history": []}', content_type="application/json"
        )
        assert (status, headers["retry-after"]) == (503, "1")
        assert "a free worker thread, got 6 pending requests" in json.loads(body)["error"]
        proceed.set()
        assert [future.result()[0] for future in futures] == [200] * 6
        assert running == [0, 2]
        assert client.post({"history": []})[0] == 200


@pytest.mark.rules("serving-R15")
def test_metrics_count_requests_by_path_and_status():
    with started_service(FakeAnswers(lambda request: {})) as client:
        client.post({"histories": [[], [], []]})
        client.post({"history": []})
        client.post(b"{")
        client.get("/nothing")
        client.get("/health")
        _, headers, body = client.request("GET", "/metrics")
    lines = set(body.decode().splitlines())
    assert headers["content-type"].startswith("text/plain; version=")
    requests = 'mindref_requests_total{path="%s",status="%s"} %s'
    expected = {
        requests % ("/recommend", 200, 2.0),
        requests % ("/recommend", 400, 1.0),
        requests % ("other", 404, 1.0),
        requests % ("/health", 200, 1.0),
        'mindref_request_seconds_count{path="/recommend"} 3.0',
        'mindref_request_seconds_bucket{le="10.0",path="/recommend"} 3.0',
        "mindref_histories_total 4.0",
        "mindref_requests_pending 0.0",
        "mindref_model_step 42.0",
    }
    assert expected <= lines


def test_health_states_the_model(service, small_run):
    status, text = service.get("/health")
    facts = json.loads(text)
    assert (status, facts["status"], facts["model"], facts["step"]) == (200, "ok", "mind", 3)
    assert facts["index"] == {"kind": "exact", "recall": 1.0}


def test_a_model_of_scores_has_lists_and_no_limit_per_interest(tmp_path):
    run = trained(tmp_path / "run", model="item_knn")
    loaded = HistoryAnswers.load(run, "auto", None, "cpu", [])
    history = [next(iter(loaded.served.dense))]
    with started_service(loaded) as client:
        status, answer = client.post({"history": history, "n": 3})
        assert (status, answer["interests"], len(answer["items"])) == (200, 0, 3)
        status, answer = client.post({"history": history, "per_interest": 1})
        assert status == 422
        assert "per_interest: expected a model with interests" in answer["error"]
