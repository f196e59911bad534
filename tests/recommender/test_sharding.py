"""Shares of the users, wherever they are computed, are the bytes of the command without shares."""

import json

import pytest

import mindref
from mindref.errors import ConfigError, RunError
from mindref.recall import shard_file
from mindref.recall.lists import FRAMES
from mindref.recommender import sharding
from mindref.recommender.serving import recall as bulk
from mindref.recommender.serving import top_n_lists
from tests.list_requests import recalled, write_lists
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


@pytest.mark.rules("recall-R36")
@pytest.mark.parametrize("form", FRAMES)
@pytest.mark.parametrize("count", [1, 3, 4, 20])  # twenty for nine blocks: some are empty
@pytest.mark.slow(every=12, start=6)
def test_merged_shares_are_the_bytes_of_the_command(run, tmp_path, form, count):
    files = parted(run, tmp_path, count, form=form, n=4)
    shard_file.merge_shards(files[::-1], tmp_path / "merged")
    assert (tmp_path / "merged").read_bytes() == whole(run, tmp_path, form=form, n=4)


@pytest.mark.rules("recall-R35")
def test_logits_drawn_per_call_do_not_depend_on_the_shares(run_of, tmp_path):
    per_call = run_of(logits="per_call", sigma=5.0)
    expected = whole(per_call, tmp_path, form="jsonl")
    assert whole(per_call, tmp_path, form="jsonl") == expected
    for count in (2, 5):
        folder = tmp_path / str(count)
        folder.mkdir()
        shard_file.merge_shards(parted(per_call, folder, count, form="jsonl"), folder / "merged")
        assert (folder / "merged").read_bytes() == expected


@pytest.mark.rules("recall-R35", "recall-R36")
@pytest.mark.parametrize("kind", [pytest.param("annoy", marks=needs_annoy), "faiss-ivf"])
@pytest.mark.slow(every=2)
def test_an_approximate_index_answers_alike_in_every_share(run, tmp_path, kind):
    if kind == "faiss-ivf":
        pytest.importorskip("faiss", reason="faiss is not installed: the extra `faiss`")
    shard_file.merge_shards(parted(run, tmp_path, 4, index=kind), tmp_path / "merged")
    assert (tmp_path / "merged").read_bytes() == whole(run, tmp_path, index=kind)


def test_the_lists_are_those_of_recall(run, tmp_path, monkeypatch):
    monkeypatch.setattr(bulk, "USERS_PER_BLOCK", BLOCK)
    answers = recalled(run, n=4)
    from mindref.recall import lists

    lists.save_lists(tmp_path / "plain", answers, answers.index, "jsonl")
    assert (tmp_path / "plain").read_bytes() == whole(run, tmp_path, form="jsonl", n=4)


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
    shard_file.merge_shards(parted(run, tmp_path, 4, **asked), tmp_path / "merged")
    assert (tmp_path / "merged").read_bytes() == expected
    for user, line in zip(users, expected.decode().splitlines(), strict=True):
        names = {x["item"] for x in json.loads(line)["items"]}
        assert names
        assert not names & set(items[10:20])
        allowed = {row.split("\t")[1] for row in rows if row.startswith(f"{user}\t")}
        assert names <= (allowed or set(items))


@pytest.mark.rules("recall-R38")
def test_a_part_that_is_done_is_not_computed_again(run, tmp_path):
    path = tmp_path / "part"

    def again(**asked):
        return write_lists(run, path, shard=(2, 3), block=BLOCK, **asked)[-1]

    assert again() == "shard 2 of 3: users 22 to 42 of 60"
    bytes_, time = path.read_bytes(), path.stat().st_mtime_ns
    assert again() == "shard 2 of 3: users 22 to 42 of 60, there already"
    assert path.stat().st_mtime_ns == time
    assert again(n=3) == "shard 2 of 3: users 22 to 42 of 60", "another question"
    assert again() == "shard 2 of 3: users 22 to 42 of 60"
    path.write_bytes(bytes_[:-1])
    assert again() == "shard 2 of 3: users 22 to 42 of 60", "damaged"
    shard_file.manifest_path(path).unlink()
    assert again() == "shard 2 of 3: users 22 to 42 of 60", "killed before it was done"
    assert path.read_bytes() == bytes_


@pytest.mark.rules("recall-R38")
def test_a_killed_part_leaves_no_manifest_of_another(run, tmp_path, monkeypatch):
    path = tmp_path / "part"
    write_lists(run, path, shard=(1, 3), block=BLOCK)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sharding, "write_lists", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_lists(run, path, shard=(1, 3), block=BLOCK, n=3)
    with pytest.raises(RunError, match="the manifest of a shard"):
        shard_file.verify_shard(path)
    assert sorted(x.name for x in tmp_path.iterdir()) == ["part", "run"]


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


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"shard": (0, 3)}, "--shard: expected i/n with i from 1 to n, got 0/3"),
        ({"shard": (1,)}, r"shard: expected a pair or None, got \(1,\)"),
        ({"shard": (4, 3)}, "--shard: expected i/n with i from 1 to n, got 4/3"),
        (
            {"shard": (1, 3), "output": "x.manifest.json"},
            r"--output: expected a name without \.manifest\.json",
        ),
        ({"form": "xml"}, "form: expected table or tsv or jsonl or json, got 'xml'"),
        ({"index": "fast"}, "--index: expected auto or exact"),
    ],
)
def test_invalid_arguments_are_refused_before_the_run_is_read(tmp_path, asked, message):
    output = tmp_path / asked.pop("output", "lists")
    with pytest.raises(ConfigError, match=message):
        write_lists(tmp_path / "no run", output, **asked)


def test_what_a_killed_shard_left_is_removed_and_other_files_stay(run, tmp_path):
    left, other = tmp_path / ".part.0a1b0a1b0a1b.tmp", tmp_path / ".another.0a1b0a1b0a1b.tmp"
    for path in (left, other):
        path.write_text("half")
    write_lists(run, tmp_path / "part", shard=(1, 2), index="exact", block=BLOCK)
    assert (left.exists(), other.exists()) == (False, True)
