from __future__ import annotations

import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reenact.digests import of_bytes
from reenact.store.elsewhere.files import file_place
from reenact.store.elsewhere.git import git_place
from reenact.store.elsewhere.interface import Place, Unavailable, Wanted
from reenact.store.elsewhere.obtain import digest_at, obtain, prune
from reenact.store.elsewhere.web import web_place

CONTENT = b"the recorded bytes\n" * 1000
WANTED = Wanted(of_bytes(CONTENT), len(CONTENT))


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "fetched")


def test_a_file_of_this_host_is_given_as_it_is(tmp_path: Path, folder: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(CONTENT)
    assert obtain(WANTED, [file_place(str(path))], folder) == (str(path), [])
    assert not Path(folder).exists()


def test_what_is_there_now_is_said_exactly(tmp_path: Path, folder: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"other")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    found, reasons = obtain(
        WANTED, [file_place(str(path)), file_place(str(tmp_path / "b")), file_place("/dev/null")], folder
    )
    assert found is None
    assert reasons == [
        (
            f"the file at {path} has digest {of_bytes(b'other')}, recorded {WANTED.digest};"
            f" size 5, recorded {len(CONTENT)}; modified 2023-11-14T22:13:20Z"
        ),
        f"there is no file at {tmp_path / 'b'}",
        "what is at /dev/null is no file any more",
    ]


def test_the_first_good_place_counts_and_is_kept(folder: str) -> None:
    asked = []

    def place(name: str, *blocks: bytes) -> Place:
        def read() -> Iterator[bytes]:
            asked.append(name)
            yield from blocks
            if not blocks:
                raise Unavailable(f"{name} is gone")

        return Place(what=name, blocks=read)

    places = [
        place("a"),
        place("b", CONTENT, b"more"),
        place("c", b"x" * len(CONTENT)),
        place("d", CONTENT),
        place("e"),
    ]
    found, reasons = obtain(WANTED, places, folder)
    assert found is not None
    assert Path(found).read_bytes() == CONTENT
    assert asked == ["a", "b", "c", "d"]
    assert reasons[:2] == ["a is gone", f"b is longer than the recorded {len(CONTENT)} bytes"]
    assert reasons[2].startswith("c has digest")
    assert os.listdir(folder) == [Path(found).name]
    assert obtain(WANTED, [place("f")], folder) == (found, [])
    assert asked[-1] == "d"
    Path(found).write_bytes(b"damaged")
    assert obtain(WANTED, [place("g", CONTENT)], folder) == (found, [])
    assert Path(found).read_bytes() == CONTENT


def test_what_was_copied_goes_when_it_is_too_much(folder: str) -> None:
    os.makedirs(folder)
    for number in range(4):
        path = Path(folder, str(number))
        path.write_bytes(bytes(10))
        os.utime(path, (number, number))
    prune(folder, 25, [str(Path(folder, "0"))])
    assert sorted(os.listdir(folder)) == ["0", "3"]
    prune(f"{folder}/nowhere", 1, [])


def test_a_commit_gives_its_files(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e@example.com", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a b").write_bytes(CONTENT)
    git("add", ".")
    git("commit", "-qm", "x")
    commit = git("rev-parse", "HEAD")
    (tmp_path / "d/a b").unlink()
    assert digest_at(git_place(str(tmp_path / "d"), commit, "d/a b"), WANTED) == WANTED.digest
    for place in (git_place(str(tmp_path), commit, "d/c"), git_place(str(tmp_path), "0" * 40, "d/a b")):
        with pytest.raises(Unavailable, match=r"in commit .* cannot be read: fatal"):
            list(place.blocks())
    with pytest.raises(Unavailable, match="cannot be read"):
        list(git_place("/", commit, "d/a b").blocks())


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/there":
            self.send_response(302)
            self.send_header("Location", "/moved")
            self.end_headers()
        elif self.path in ("/moved", "/cut"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT) + (self.path == "/cut")))
            self.end_headers()
            self.wfile.write(CONTENT)
        else:
            self.send_error(410)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_an_address_gives_what_is_behind_it(server: str, folder: str) -> None:
    found, reasons = obtain(WANTED, [web_place(f"{server}/gone"), web_place(f"{server}/there")], folder)
    assert found is not None
    assert Path(found).read_bytes() == CONTENT
    assert reasons == [f"{server}/gone answers 410 Gone"]


def test_an_answer_that_is_cut_off_is_none(server: str, folder: str) -> None:
    longer = Wanted(of_bytes(CONTENT + b"!"), len(CONTENT) + 1)
    found, [reason] = obtain(longer, [web_place(f"{server}/cut")], folder)
    assert found is None
    assert f"{server}/cut" in reason
    assert os.listdir(folder) == []


def test_a_server_that_is_not_there_is_said(folder: str) -> None:
    found, [reason] = obtain(WANTED, [web_place("http://127.0.0.1:9/x")], folder)
    assert found is None
    assert "refused" in reason
