"""Compressed files, encodings, line ends, folders, archives; only regular files are opened."""

import gzip
import os
from pathlib import Path

import pytest

from mindref.data.readers import read_log
from mindref.data.readers.data_file import DataFile
from mindref.errors import DataError
from tests.data.reading import CSV, PACKINGS, rows, table, values, write, zipped

RATINGS = ["1::10::5::7", "2::11::4::8", "1::11::3::6"]


@pytest.mark.rules("data-R15")
@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "log.zip", "log"])
def test_a_compressed_file_is_recognised_by_its_bytes(tmp_path, packing, name):
    path = write(tmp_path / name, ["u,a,1", "u,b,2"], packing)
    assert rows(read_log(path, columns=CSV)) == {"u": ["a", "b"]}


def test_a_truncated_compressed_file_and_a_damaged_archive_are_errors(tmp_path):
    packed = gzip.compress("".join(f"u,{i * 7919 % 10007},1\n" for i in range(5000)).encode())
    path = write(tmp_path / "log.csv.gz", packed[: len(packed) // 2])
    with pytest.raises(DataError, match="expected a whole file"):
        read_log(path, columns=CSV)
    with pytest.raises(DataError, match="whole zip archive"):
        read_log(write(tmp_path / "log.zip", b"PK\x03\x04 and then nothing of a zip"))


@pytest.mark.rules("data-R16")
def test_text_is_utf_8_with_or_without_a_byte_order_mark(tmp_path):
    assert rows(table(tmp_path, "zoë,smørrebrød,1\n")) == {"zoë": ["smørrebrød"]}
    assert rows(table(tmp_path, b"\xef\xbb\xbfzo\xc3\xab,b,1\n")) == {"zoë": ["b"]}
    log = table(tmp_path, b"u,a,1\nu,caf\xe9,2\nu,b,3\n", max_bad_lines=1)
    assert rows(log) == {"u": ["a", "b"]}
    assert log.bad_lines == (f"{tmp_path / 'log.csv'}, line 2: byte 6 is not utf-8",)
    with pytest.raises(DataError, match="UTF-16"):
        table(tmp_path, "u,a,1\n".encode("utf-16"))


@pytest.mark.rules("data-R16", "data-R20")
def test_a_movielens_folder_is_read_with_item_and_user_files_in_iso_8859_1(tmp_path):
    write(tmp_path / "ratings.dat.gz", RATINGS, "gzip")
    movies = "10::Les Mots: été (1999)::Comedy|War\n11::Eleventh: a::b::War\n"
    write(tmp_path / "movies.dat", movies.encode("iso-8859-1"))
    write(tmp_path / "users.dat", ["1::F::25::3::12345", "2::M::35::4::A-6"])
    write(tmp_path / "README", ["About the ratings"])
    write(tmp_path / "pairs.txt", ["1 10"])
    log = read_log(tmp_path)
    assert rows(log) == {"1": ["11", "10"], "2": ["11"]}
    assert log.titles == ["Les Mots: été (1999)", "Eleventh: a::b"]
    assert values(log, "genres") == {"10": ["Comedy", "War"], "11": ["War"]}
    assert values(log, "gender", "user") == {"1": ["F"], "2": ["M"]}


@pytest.mark.rules("data-R20")
def test_a_folder_with_one_inter_file_uses_an_item_file_of_another_stem(tmp_path):
    write(tmp_path / "shop.test.inter", ["user_id:token\titem_id:token", "u\ta"])
    write(tmp_path / "shop.item", ["item_id:token\ttitle:token_seq\tkind:token_seq", "a\tA b\tx y"])
    log = read_log(tmp_path)
    assert log.titles == ["A b"]
    assert values(log, "kind") == {"a": ["x", "y"]}
    write(tmp_path / "shop.train.inter", ["user_id:token\titem_id:token", "u\ta"])
    with pytest.raises(DataError, match=r"shop\.test\.inter, shop\.train\.inter"):
        read_log(tmp_path)


@pytest.mark.rules("data-R20")
def test_the_only_archive_or_file_of_a_known_format_in_a_folder_is_the_log(tmp_path):
    archive = zipped(tmp_path / "steam.zip", {"README.txt": b"about", "log.txt": b"u a\n"})
    write(tmp_path / "README.md", ["about"])
    assert rows(read_log(tmp_path)) == {"u": ["a"]}
    archive.unlink()
    write(tmp_path / "README.md", ["a b"])
    write(tmp_path / "picture.bin", b"\0\1\2")
    write(tmp_path / "pairs.txt.gz", ["u a", "u b"], "gzip")
    assert rows(read_log(tmp_path)) == {"u": ["a", "b"]}
    write(tmp_path / "more.txt", ["u a"])
    with pytest.raises(DataError, match=r"more\.txt, pairs\.txt\.gz"):
        read_log(tmp_path)


@pytest.mark.rules("data-R20")
def test_an_archive_is_read_as_a_folder(tmp_path):
    files = {"ml/README": b"About", "ml/movies.dat": b"10::Tenth::Comedy"}
    path = zipped(tmp_path / "ml.zip", {**files, "ml/ratings.dat": "\n".join(RATINGS).encode()})
    log = read_log(path)
    assert log.titles == ["Tenth", ""]
    assert rows(read_log(f"{path}:ml/ratings.dat")) == rows(log)
    with pytest.raises(DataError, match=r"ml/movies\.dat, ml/ratings\.dat"):
        read_log(f"{path}:ml/links.dat")


@pytest.mark.parametrize("name", ["steam.zip", "steam"])
def test_the_hint_about_an_archive_in_a_folder_works(tmp_path, name):
    files = {"README.txt": b"about", "one.txt": b"u a\n", "two.txt": b"u b\n"}
    zipped(tmp_path / name, files)
    write(tmp_path / "README.md", ["about"])
    with pytest.raises(DataError) as caught:
        read_log(tmp_path)
    hint = f"got one.txt, two.txt; name one as {tmp_path / name}:FILE"
    assert str(caught.value).endswith(hint)
    assert rows(read_log(f"{tmp_path / name}:two.txt")) == {"u": ["b"]}
    with pytest.raises(DataError) as caught:
        read_log(f"{tmp_path / name}:one.txt", item_file=tmp_path / name)
    assert str(caught.value).endswith(hint)


@pytest.mark.rules("data-R75")
@pytest.mark.parametrize("kind", ["device", "pipe"])
def test_pipes_and_devices_are_not_opened(tmp_path, kind):
    path = Path(os.devnull) if kind == "device" else tmp_path / "pipe"
    if kind == "pipe":
        os.mkfifo(path)  # reading it would wait for a writer, for ever
    with pytest.raises(DataError, match="expected a file or a folder, got a pipe or a device"):
        read_log(path)


def test_members_outside_an_archive_are_not_read(tmp_path):
    """The path after the colon is compared with member names, including dots and slashes."""
    secret = write(tmp_path / "secret", "u secret\nu b\n")
    home = tmp_path / "home"
    home.mkdir()
    names = {"../secret": b"u a\n", str(secret): b"u a\n", "../../new": b"u a\n"}
    path = zipped(home / "log.zip", names)
    before = sorted(tmp_path.rglob("*"))
    for name in names:
        assert rows(read_log(f"{path}:{name}", format="pairs")) == {"u": ["a"]}
    lone = zipped(home / "lone.zip", {"log": b"u a\n"})
    for name in ("../secret", str(secret), "log/../../secret", "./log", "log\0"):
        with pytest.raises(DataError):
            read_log(f"{lone}:{name}", format="pairs")
    assert sorted(tmp_path.rglob("*")) == sorted([*before, lone])


def test_impossible_paths_are_missing_files(tmp_path):
    with pytest.raises(DataError, match="no file"):
        read_log(tmp_path)
    long = ("x" * 5000, "x/" * 3000, f"{tmp_path}/x:" + "y" * 5000)
    for path in (tmp_path / "log.csv", "a\0b", *long):
        with pytest.raises(DataError, match="expected a file or a folder, got nothing there"):
            read_log(path)


def test_archives_with_broken_directories_are_refused(tmp_path):
    whole = zipped(tmp_path / "log.zip", {"lög": b"u a\n" * 50}).read_bytes()
    for broken in (
        whole.replace("lög".encode(), b"l\xff\xfeg"),  # no UTF-8, as the flag says
        whole.replace(b"PK\x01\x02\x14\x03\x14", b"PK\x01\x02\x14\x03\xff"),  # needs version 25.5
        whole[:60] + b"\xff" * 8 + whole[68:],
    ):
        assert broken != whole
        (tmp_path / "log.zip").write_bytes(broken)
        with pytest.raises(DataError, match=r"expected a (whole|readable)"):
            read_log(tmp_path / "log.zip")


@pytest.mark.rules("data-R92")
@pytest.mark.parametrize("count", [1000, 1001])
def test_an_archive_of_many_files_is_rejected(tmp_path, count, monkeypatch):
    path = zipped(tmp_path / "log.zip", {f"f{i}.csv": b"user,item\n" for i in range(count)})
    if count == 1000:
        assert len(DataFile.of(path).list_files()) == count
        return
    monkeypatch.setattr(DataFile, "open", lambda self: pytest.fail("a file is opened"))
    with pytest.raises(DataError, match="an archive of at most 1,000 files, got 1,001; unpack it"):
        read_log(path)


@pytest.mark.rules("data-R93")
@pytest.mark.parametrize("form", ["pairs", "delimited", "auto"])
def test_carriage_returns_alone_are_rejected(tmp_path, form):
    rows = [f"u{i % 3},i{i % 4}" for i in range(12)]
    if form == "pairs":
        rows = [row.replace(",", " ") for row in rows]
    path = tmp_path / "log"
    options = {"format": form, "columns": None if form == "pairs" else {"user": 1, "item": 2}}
    for end in ("\r", "\r\r"):
        path.write_bytes(end.join(rows).encode())
        with pytest.raises(DataError, match="lines that end with LF or CRLF, got CR alone"):
            read_log(path, **options)
    path.write_bytes("\r\n".join(rows).encode())
    assert len(read_log(path, **options).user_ids) == 3
