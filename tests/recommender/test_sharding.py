"""Shards of the users, joined in their order, are the bytes of the command without shards."""

import json

import pytest

import mindref
from mindref.errors import ConfigError
from mindref.recall.lists import FORMATS
from mindref.recommender.serving import recall as bulk
from mindref.recommender.serving import top_n_lists
from tests.list_requests import write_lists
from tests.recall.annoy_trees import needs_annoy

BLOCK = 7  # 60 users in nine blocks


@pytest.fixture
def run(profiled_copy):
    return profiled_copy


def whole(run, folder, **asked):
    write_lists(run, folder / "whole", block=BLOCK, **asked)
    return (folder / "whole").read_bytes()


def parted(run, folder, count, **asked):
    paths = [folder / f"part-{i}" for i in range(1, count + 1)]
    for i, path in enumerate(paths, 1):
        write_lists(run, path, shard=(i, count), block=BLOCK, **asked)
    return paths


def joined(paths):
    return b"".join(path.read_bytes() for path in paths)


@pytest.mark.rules("recall-R36")
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("count", [1, 3, 4, 20])  # twenty for nine blocks: some are empty
@pytest.mark.slow(every=12, start=6)
def test_merged_shares_are_the_bytes_of_the_command(run, tmp_path, form, count):
    files = parted(run, tmp_path, count, form=form, n=4)
    assert joined(files) == whole(run, tmp_path, form=form, n=4)


@pytest.mark.rules("recall-R35")
def test_logits_drawn_per_call_do_not_depend_on_the_shares(run_of, tmp_path):
    per_call = run_of(logits="per_call", sigma=5.0)
    expected = whole(per_call, tmp_path, form="jsonl")
    assert whole(per_call, tmp_path, form="jsonl") == expected
    for count in (2, 5):
        folder = tmp_path / str(count)
        folder.mkdir()
        assert joined(parted(per_call, folder, count, form="jsonl")) == expected


@pytest.mark.rules("recall-R35", "recall-R36")
@pytest.mark.parametrize("kind", [pytest.param("annoy", marks=needs_annoy), "faiss-ivf"])
@pytest.mark.slow(every=2)
def test_an_approximate_index_answers_alike_in_every_share(run, tmp_path, kind):
    if kind == "faiss-ivf":
        pytest.importorskip("faiss", reason="faiss is not installed: the extra `faiss`")
    assert joined(parted(run, tmp_path, 4, index=kind)) == whole(run, tmp_path, index=kind)


@pytest.mark.rules("recall-R36", "recall-R44", "recall-R49")
def test_filters_of_users_are_those_of_the_command_in_every_shard(run, tmp_path):
    served = mindref.load(run).served
    items, users = list(served.dense), served.log.user_ids
    only, exclude = tmp_path / "only", tmp_path / "exclude"
    rows = [f"{user}\t{item}" for u, user in enumerate(users[::2]) for item in items[u : u + 30]]
    only.write_text("\n".join(rows))
    exclude.write_text("\n".join(items[10:20]))
    asked = {"form": "jsonl", "n": 6, "only": only, "exclude": exclude, "per_interest": 4}
    expected = whole(run, tmp_path, **asked)
    assert joined(parted(run, tmp_path, 4, **asked)) == expected
    for user, line in zip(users, expected.decode().splitlines(), strict=True):
        names = {x["item"] for x in json.loads(line)["items"]}
        assert names
        assert not names & set(items[10:20])
        allowed = {row.split("\t")[1] for row in rows if row.startswith(f"{user}\t")}
        assert names <= (allowed or set(items))


@pytest.mark.rules("recall-R38")
def test_a_killed_shard_leaves_the_earlier_file(run, tmp_path, monkeypatch):
    path, left = tmp_path / "part", tmp_path / ".part.0a1b0a1b0a1b.tmp"
    messages = write_lists(run, path, shard=(2, 3), block=BLOCK)
    assert messages[-1] == "shard 2 of 3: users 22 to 42 of 60"
    complete = path.read_bytes()

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(bulk.RequestedLists, "user_lists", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_lists(run, path, shard=(2, 3), block=BLOCK, n=3)
    assert path.read_bytes() == complete
    left.write_text("half")  # of a process that was killed
    write_lists(run, path, shard=(2, 3), block=BLOCK)
    assert path.read_bytes() == complete
    assert not left.exists()


def test_memory_is_bounded_by_a_block(run, tmp_path, monkeypatch):
    sizes = []
    original = top_n_lists.compute_interests

    def counting(model, rows, *given):
        sizes.append(len(rows))
        return original(model, rows, *given)

    write_lists(run, tmp_path / "first")  # builds the index
    monkeypatch.setattr(top_n_lists, "compute_interests", counting)
    write_lists(run, tmp_path / "part", shard=(2, 2), block=BLOCK)
    assert sizes == [7, 7, 7, 7, 4]


@pytest.mark.rules("recall-R37")
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"shard": (0, 3)}, "--shard: expected i/n with i from 1 to n, got 0/3"),
        ({"shard": (1,)}, r"shard: expected a pair or None, got \(1,\)"),
        ({"shard": (4, 3)}, "--shard: expected i/n with i from 1 to n, got 4/3"),
        ({"form": "xml"}, "form: expected table or tsv or jsonl or json, got 'xml'"),
        ({"index": "fast"}, "--index: expected auto or exact"),
    ],
)
def test_invalid_arguments_are_refused_before_the_run_is_read(tmp_path, asked, message):
    with pytest.raises(ConfigError, match=message):
        write_lists(tmp_path / "no run", tmp_path / "lists", **asked)
