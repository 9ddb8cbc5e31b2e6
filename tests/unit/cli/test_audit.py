"""`reenact audit` as people and scripts see it: words, JSON, the page, exit statuses."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from reenact.actions.sealing_audits import Audited
from reenact.cli.audit_page import audit_page
from reenact.cli.audit_text import audit_lines, one_line
from reenact.cli.main import main
from reenact.govern.findings import make_finding
from reenact.ids import RunId
from reenact.store.opening import Store, open_store
from tests.bundles import run_id
from tests.records import add_run
from tests.unit.actions.test_telling import audited

EVIL = "<script>alert(1)</script>\"'&\x1b[2J\u202e"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("REENACT_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    made = open_store(str(tmp_path / "store"), create=True)
    add_run(made, 1)
    return made


def everything() -> Audited:
    found = [make_finding("object-damaged", EVIL, EVIL, run_id="r1", runs=("r1", *"abcd"), expected=EVIL, got=EVIL)]
    return audited(*found, make_finding("logged-late", "entry", "late", job=EVIL))


class Page(HTMLParser):
    """Collects tags and attributes, and whether tags are closed in order."""

    VOID = frozenset({"meta", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_stands_alone_and_recorded_text_is_only_text() -> None:
    text = audit_page(everything())
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert not page.attributes & {"src", "href", "onload", "srcset"}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not re.search(r"https?://|url\(|@import", text)
    assert "reenact scrub --repair-from COPY" in text
    assert "integrity is broken" in text
    assert "sound" in audit_page(audited())


def test_the_lines_say_who_can_do_what() -> None:
    text = "\n".join(audit_lines(everything()))
    assert "\x1b" not in text
    assert "critical  object-damaged:" in text
    assert "store admin: reenact scrub --repair-from COPY" in text
    assert "harms also a, b, c and 1 more" in text
    assert "2 findings: 1 critical, 1 notice" in text
    assert "the report is not sealed: --no-seal" in text
    assert "\n" not in one_line(everything())


def test_an_audit_of_all(store: Store, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["audit", "--all", "--html", "audit.html"]) == 0
    said = capsys.readouterr().out
    assert "logged-late" in said
    assert "the report is sealed as audit" in said
    assert (tmp_path / "audit.html").read_text().startswith("<!DOCTYPE html>")
    (Path(store.location) / "notes.txt").touch()
    assert main(["audit", "--all", "--no-seal", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [f["code"] for f in document["report"]["findings"]] == ["stray", "logged-late"]
    assert (document["entry"], document["not_sealed"]) == (None, "--no-seal")
    path = Path(store.location, "runs", RunId(run_id(1)), "outputs", "pointers.jsonl")
    path.chmod(0o644)
    path.write_bytes(b"{}\n")
    assert main(["audit", run_id(1)]) == 4
    assert main(["audit", "--all", "--html", "/no/such/folder/a.html", "--no-seal"]) == 1


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    "words",
    [
        ["audit"],
        ["audit", "--all", "--job", "etl"],
        ["audit", "--all", "latest"],
        ["audit", "--all", "--every", "1d", "--json"],
        ["audit", "--all", "--every", "0s"],
        ["audit", "--all", "--pinned", "/no/such/file"],
        ["audit", "--all", "--webhook", "ftp://example.com"],
        ["audit", "nobody"],
        ["audit", "--all", "--trust", "/no/such/file"],
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().out == ""
