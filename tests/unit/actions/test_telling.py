"""Whoever is told of an audit: a command, a web server, a file of metrics. Nothing of it stops the audit."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from reenact.actions.sealing_audits import Audited
from reenact.actions.telling import Listeners, listeners, tell
from reenact.errors import UsageError
from reenact.govern.findings import make_finding
from reenact.govern.metrics import metrics_text
from reenact.model.audit import AuditFinding, AuditReport
from reenact.settings import Settings
from reenact.settings.model import Audit

FINDING = make_finding("drift-code", "etl.py", "is not what the run read", run_id="r1", job="load")


def audited(*findings: AuditFinding) -> Audited:
    report = AuditReport(
        schema_version="1.0",
        audit_id="01990000-0001-7000-8000-000000000001",
        store_id="s1",
        began_at="2026-01-31T06:00:00.000000Z",
        ended_at="2026-01-31T06:00:02.000000Z",
        seconds=2.0,
        audited_by="alex@host",
        tool_version="0",
        selection="the whole store",
        sample=1.0,
        seed="",
        deep=False,
        resumed=False,
        runs=3,
        jobs=1,
        values=7,
        stored_bytes=1234,
        log_size=4,
        log_root=None,
        trusted_by=None,
        findings=findings,
    )
    return Audited(report=report, entry=None, not_sealed="--no-seal")


class Server(HTTPServer):
    """Answers with the statuses it is given, the last one from then on, and keeps what it is told."""

    statuses: ClassVar[list[int]] = [200]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[tuple[str, str, bytes]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers["Content-Type"], body))
        statuses = self.server.statuses
        self.send_response(statuses[min(len(self.server.got), len(statuses)) - 1])
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815 - the name is the base's

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def hook(server: Server) -> Listeners:
    return Listeners(webhook=f"http://127.0.0.1:{server.server_port}/secret-path", timeout_seconds=5.0)


def test_a_server_is_posted_the_report(server: Server) -> None:
    assert tell(audited(FINDING), hook(server)) == []
    ((path, kind, body),) = server.got
    document = json.loads(body)
    assert (path, kind) == ("/secret-path", "application/json")
    assert document["text"] == "reenact audit: the whole store: 1 minor"
    assert document["audit"]["report"]["findings"][0]["subject"] == "etl.py"


def test_a_server_that_fails_for_a_while_is_asked_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "statuses", [503, 429, 200])
    slept: list[float] = []
    assert tell(audited(FINDING), hook(server), slept.append) == []
    assert (len(server.got), slept) == (3, [1.0, 2.0])


@pytest.mark.parametrize(("statuses", "asked"), [([500], 3), ([404], 1), ([307], 1)])
def test_one_that_never_takes_it_is_named_without_its_secret(
    server: Server, monkeypatch: pytest.MonkeyPatch, statuses: list[int], asked: int
) -> None:
    monkeypatch.setattr(Server, "statuses", statuses)
    (said,) = tell(audited(FINDING), hook(server), lambda _: None)
    assert said == f"the webhook at 127.0.0.1 was not told: it answered {statuses[0]}"
    assert len(server.got) == asked


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    who = Listeners(webhook="http://127.0.0.1:1/x", metrics=str(tmp_path / "m.prom"), timeout_seconds=1.0)
    (said,) = tell(audited(FINDING), who, lambda _: None)
    assert "was not told" in said
    assert "/x" not in said
    assert (tmp_path / "m.prom").exists()


def test_a_command_gets_the_report_on_its_input(tmp_path: Path) -> None:
    code = f"import sys; open({str(tmp_path / 'got')!r}, 'wb').write(sys.stdin.buffer.read())"
    assert tell(audited(FINDING), Listeners(command=(sys.executable, "-c", code))) == []
    assert json.loads((tmp_path / "got").read_bytes())["audit"]["report"]["findings"][0]["code"] == "drift-code"


def test_a_command_that_fails_or_hangs_is_named() -> None:
    def said(*words: str) -> str:
        (found,) = tell(audited(FINDING), Listeners(command=words, timeout_seconds=0.2))
        return found

    assert said("false") == "the command false ended with status 1"
    assert said("sleep", "60") == "the command sleep took longer than 0.2 seconds and was stopped"
    assert "cannot be run" in said("/no/such/program")


def test_nobody_is_told_of_notices(server: Server, tmp_path: Path) -> None:
    who = Listeners(command=("/no/such/program",), webhook=hook(server).webhook, metrics=str(tmp_path / "m.prom"))
    notice = make_finding("logged-late", "entry", "late")
    assert tell(audited(), who) == []
    assert tell(audited(notice), who) == []
    assert server.got == []
    assert 'severity="notice"} 1' in (tmp_path / "m.prom").read_text()


def test_metrics_that_cannot_be_written_are_named() -> None:
    (said,) = tell(audited(), Listeners(metrics="/no/such/folder/m.prom"))
    assert said.startswith("the metrics cannot be written to /no/such/folder/m.prom")


def test_metrics_are_lines_that_prometheus_reads() -> None:
    text = metrics_text(audited(FINDING, make_finding("integrity", "bundle", "x")).report, sealed=True)
    line = re.compile(r'# (HELP|TYPE) reenact_audit_\w+ .+|reenact_audit_\w+\{store="s1"(,\w+="[\w-]+")*\} [0-9.e+]+')
    assert all(line.fullmatch(one) for one in text.splitlines())
    assert 'reenact_audit_findings_by_code{store="s1",code="drift-code",severity="minor"} 1\n' in text
    assert 'reenact_audit_findings{store="s1",severity="critical"} 1\n' in text
    assert 'reenact_audit_last_success_timestamp_seconds{store="s1"} 1769839202\n' in text
    assert 'reenact_audit_exit_status{store="s1"} 4\n' in text
    assert len(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)) == len(
        set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    )


def test_who_is_told_comes_from_the_command_line_and_then_the_settings() -> None:
    settings = Settings(
        root="/", store="/s", audit=Audit(on_finding="mail -s 'an audit' x", webhook="https://example.com/a")
    )
    assert listeners(settings, None, None, None) == Listeners(
        command=("mail", "-s", "an audit", "x"), webhook="https://example.com/a"
    )
    assert listeners(settings, "true", "http://example.com", "m").webhook == "http://example.com"
    for command, webhook in (
        ("'", None),
        (None, "ftp://example.com"),
        (None, "file:///etc/passwd"),
        (None, "http://["),
    ):
        with pytest.raises(UsageError):
            listeners(settings, command, webhook, None)
