"""`reenact compare` and `reenact expect`: what they print and write, through the same function a person's command goes through."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from reenact.cli.main import main
from reenact.store.opening import Store, open_store
from tests.bundles import artifact
from tests.records import KEPT, add_run
from tests.tables import base, changed, shuffled


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("REENACT_STORE", "REENACT_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "reenact.toml").write_text("")
    return folder


@pytest.fixture
def say(capfdbinary: pytest.CaptureFixture[bytes]) -> Any:
    def run(*words: str) -> tuple[int, str, str]:
        status = main(words)
        out, err = capfdbinary.readouterr()
        return status, out.decode(), err.decode()

    return run


@pytest.fixture
def store(work: Path) -> Iterator[Store]:
    opened = open_store(str(work / ".reenact"), create=True)
    yield opened
    opened.close()


def put(path: Path, table: pa.Table) -> bytes:
    pa.parquet.write_table(table, path)
    return path.read_bytes()


def run_with(store: Store, number: int, **contents: bytes) -> str:
    outputs = tuple(artifact(name.replace("_", "."), content, "created") for name, content in contents.items())
    return add_run(store, number, kept=(*KEPT, *contents.values()), outputs=outputs).run_id


def test_two_files_that_are_the_same(work: Path, say: Any) -> None:
    put(work / "a.parquet", base())
    put(work / "b.parquet", base())
    status, out, err = say("compare", "a.parquet", "b.parquet")
    assert (status, err) == (0, "")
    assert re.fullmatch(r"✔ equal\n  identical  b\.parquet  [0-9a-f]{12}\n", out)


def test_a_changed_cell_is_shown_with_its_row_and_column(work: Path, say: Any) -> None:
    put(work / "a.parquet", base())
    put(work / "b.parquet", changed(base(), 41, "price", 99.5))
    status, out, _ = say("compare", "a.parquet", "b.parquet")
    assert status == 1
    lines = out.splitlines()
    assert lines[0] == "✘ not equal: 1 of 1 output"
    assert "    ~  row 42  price: 5.857142857142857 → 99.5  (+93.6429)" in lines


def test_options_declare_what_counts_as_equal(work: Path, say: Any) -> None:
    put(work / "a.parquet", base())
    put(work / "b.parquet", shuffled(changed(base(), 41, "price", 41 / 7 + 1e-12)))
    words = ("compare", "a.parquet", "b.parquet", "--any-order", "--key", "id", "--absolute", "price=1e-9")
    status, out, _ = say(*words)
    assert status == 0
    assert "equivalent: tolerance" in out
    assert "let pass (order): rows in another order" in out
    assert "let pass (tolerance): column price: values differ by what is tolerated, 1 of them, at most 1.0" in out
    status, out, _ = say(*words, "--json")
    answer = json.loads(out)
    [output] = answer["outputs"]
    assert (answer["equal"], output["verdict"], output["equivalence"]) == (True, "equivalent", "tolerance")
    assert output["policy"]["tolerance"] == {
        "price": {"absolute": "1e-09", "relative": None, "ulp": None, "seconds": None}
    }
    assert {r["kind"] for r in output["relaxations"]} == {"order", "tolerance"}


@pytest.mark.parametrize(
    "words",
    [
        ("--compare", "bytes", "--key", "id"),
        ("--absolute", "price"),
        ("--absolute", "price=x"),
        ("--absolute", "price=-1"),
        ("--absolute", "price=nan"),
        ("--ulp", "price=1.5"),
        ("--compare", "equal"),
    ],
)
def test_options_that_make_no_sense_are_refused(work: Path, say: Any, words: tuple[str, ...]) -> None:
    put(work / "a.parquet", base())
    status, out, err = say("compare", "a.parquet", "a.parquet", *words)
    assert (status, out) == (2, "")
    assert "Error" in err


def test_the_settings_declare_it_by_name(work: Path, say: Any) -> None:
    (work / "out").mkdir()
    put(work / "a.parquet", base())
    put(work / "out" / "b.parquet", shuffled(base()))
    assert say("compare", "a.parquet", "out/b.parquet")[0] == 1
    assert say("expect", "out/*.parquet", "--compare", "rows")[0] == 0
    assert say("compare", "a.parquet", "out/b.parquet")[0] == 0


def test_two_runs_output_by_output(store: Store, work: Path, say: Any) -> None:
    same, other = put(work / "x", base()), put(work / "y", changed(base(), 41, "price", 99.5))
    first = run_with(store, 1, a_parquet=same, b_parquet=same, gone_txt=b"x")
    second = run_with(store, 2, a_parquet=same, b_parquet=other, new_txt=b"y")
    status, out, _ = say("compare", "etl~1", "etl", "--json")
    answer = json.loads(out)
    assert (status, answer["equal"], answer["first"], answer["second"]) == (1, False, first, second)
    assert {o["name"]: o["verdict"] for o in answer["outputs"]} == {
        "a.parquet": "identical",
        "b.parquet": "different",
        "gone.txt": "missing",
        "new.txt": "extra",
        "exit-code": "identical",
    }
    [part] = answer["comparisons"]["b.parquet"]["parts"]
    assert part["examples"][0]["recorded_row"] == 42
    assert say("compare", "etl", "etl")[0] == 0


def test_a_run_and_a_file_either_way_round(store: Store, work: Path, say: Any) -> None:
    recorded = put(work / "x", base())
    run_with(store, 1, a_parquet=recorded, b_csv=b"a,b\n1,2\n")
    put(work / "a.parquet", changed(base(), 41, "name", "now"))
    status, out, _ = say("compare", "etl", "a.parquet")
    assert status == 1
    assert "    ~  row 42  name: näme 1 → now" in out.splitlines()
    status, out, _ = say("compare", "a.parquet", "etl")
    assert "    ~  row 42  name: now → näme 1" in out.splitlines()
    (work / "other.csv").write_text("a,b\n1,3\n")
    status, _, err = say("compare", "etl", "other.csv")
    assert status == 2
    assert "--name: a.parquet, b.csv" in err
    assert say("compare", "etl", "other.csv", "--name", "b.csv")[0] == 1


def test_a_run_and_a_folder_of_restored_files(store: Store, work: Path, say: Any) -> None:
    run_with(store, 1, a_txt=b"one\n", b_txt=b"two\n")
    assert say("restore", "etl", "--to", "again")[0] == 0
    assert say("compare", "etl", "./again")[0] == 0
    (work / "again" / "b.txt").write_text("three\n")
    status, out, _ = say("compare", "etl", "./again")
    assert status == 1
    assert "    line 1: + three" in out.splitlines()


def test_what_is_a_file_and_a_run_is_refused(store: Store, work: Path, say: Any) -> None:
    run_with(store, 1, a_txt=b"one\n")
    (work / "etl").write_text("x")
    status, _, err = say("compare", "etl", "etl")
    assert status == 2
    assert "./etl" in err
    assert say("compare", "./etl", "./etl")[0] == 0


@pytest.mark.usefixtures("work")
@pytest.mark.parametrize("word", ["no/file", "nothing", "./nothing"])
def test_what_is_nothing_is_said(say: Any, word: str) -> None:
    status, out, err = say("compare", word, word)
    assert (status, out) == (2, "")
    assert f"there is no file {word!r}" in err


def test_what_cannot_be_read_twice_is_refused(work: Path, say: Any) -> None:
    os.mkfifo(work / "pipe")
    (work / "dangling").symlink_to("nowhere")
    for name in ("pipe", "dangling"):
        status, _, err = say("compare", f"./{name}", f"./{name}")
        assert status == 2
        assert "is neither a file nor a folder" in err


def test_a_file_and_a_folder_cannot_be_compared(work: Path, say: Any) -> None:
    (work / "folder").mkdir()
    (work / "file").write_text("x")
    status, _, err = say("compare", "./folder", "./file")
    assert status == 2
    assert "./folder is a folder" in err


def test_folders_file_by_file_and_as_one_artifact(work: Path, say: Any) -> None:
    table = base()
    for name, cuts in (("a", (20, 40)), ("b", (10, 50))):
        (work / name).mkdir()
        put(work / name / "part-0.parquet", table.slice(0, cuts[0]))
        put(work / name / "part-1.parquet", table.slice(cuts[0], cuts[1]))
        (work / name / "_SUCCESS").write_text(name)
    assert say("compare", "./a", "./b")[0] == 1
    assert say("expect", "b/", "--compare", "content")[0] == 0
    status, out, _ = say("compare", "./a", "./b")
    assert status == 0, out
    assert "equivalent: encoding  b" in out


def test_control_characters_of_the_data_do_not_reach_the_terminal(work: Path, say: Any) -> None:
    (work / "a.csv").write_text("id,x\n1,\x1b]0;owned\x07\n")
    (work / "b.csv").write_text("id,x\n1,\u202egood\n")
    status, out, _ = say("compare", "a.csv", "b.csv")
    assert status == 1
    assert "\x1b" not in out
    assert "\u202e" not in out


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "data", "action"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_stands_by_itself_and_escapes_what_it_shows(work: Path, say: Any) -> None:
    put(work / "a.parquet", base())
    bad = "<script>alert(1)</script>"
    second = changed(changed(base(), 41, "name", bad), 7, "price", 2.0).rename_columns(
        ["id", "name", "price", "at", "flag"]
    )
    put(work / "b.parquet", second)
    status, _, _ = say("compare", "a.parquet", "b.parquet", "--html", "page.html")
    assert status == 1
    text = (work / "page.html").read_text()
    page = _Page()
    page.feed(text)
    assert "script" not in page.tags
    assert page.links == []
    assert "default-src 'none'" in text
    assert bad in page.text
    assert page.tags.count("svg") == 2
    assert "2 changed" in page.text
    assert "row 42" in page.text


# --- expect


def test_expect_adds_a_section_and_leaves_the_rest_to_the_byte(work: Path, say: Any) -> None:
    old = '# mine\r\njob = "x" # why\r\n\r\n[replay]\r\ntimeout_seconds = 5'
    (work / "reenact.toml").write_bytes(old.encode())
    (work / "reenact.toml").chmod(0o600)
    status, out, _ = say("expect", 'a "b"/*', "--compare", "rows", "--key", "id", "--relative", "*=1e-9")
    assert status == 0
    written = (work / "reenact.toml").read_bytes().decode()
    assert written.startswith(old)
    assert (work / "reenact.toml").stat().st_mode & 0o777 == 0o600
    assert tomllib.loads(written)["outputs"] == {
        'a "b"/*': {"compare": "rows", "key": ["id"], "tolerance": {"*": {"relative": 1e-9}}}
    }
    assert "was added to" in out
    status, _, err = say("expect", 'a "b"/*', "--compare", "content")
    assert status == 2
    assert "change it there" in err
    assert (work / "reenact.toml").read_bytes().decode() == written


def test_expect_can_only_show(work: Path, say: Any) -> None:
    status, out, _ = say("expect", "*", "--compare", "content", "--dry-run")
    assert (status, (work / "reenact.toml").read_text()) == (0, "")
    assert out.startswith('[outputs."*"]\ncompare = "content"\n# would be added')


@pytest.mark.usefixtures("work")
def test_expect_says_which_section_holds_before_it(say: Any) -> None:
    assert say("expect", "**", "--compare", "content")[0] == 0
    assert '# [outputs."**"] comes before it' in say("expect", "a/*", "--compare", "rows")[1]


@pytest.mark.parametrize("old", ["outputs = { a = { compare = 'rows' } }", "[outputs]\na.compare = 'rows'"])
def test_expect_never_changes_what_a_file_says(work: Path, say: Any, old: str) -> None:
    (work / "reenact.toml").write_text(old)
    status, _, _ = say("expect", "b", "--compare", "rows")
    text = (work / "reenact.toml").read_text()
    if status == 0:
        assert tomllib.loads(text)["outputs"] == {"a": {"compare": "rows"}, "b": {"compare": "rows"}}
    else:
        assert (status, text) == (2, old)


@pytest.mark.usefixtures("work")
def test_expect_needs_something_to_declare(say: Any) -> None:
    status, _, err = say("expect", "*")
    assert status == 2
    assert "say what counts as equal" in err
