"""What `keys`, `log`, `attest` and `verify` of files print, and how they end."""

from __future__ import annotations

import json
import os
import pty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reenact.actions import keys as key_actions
from reenact.cli.main import main
from reenact.store.opening import Store, open_store
from tests.bundles import run_id
from tests.records import add_run, add_verdict

FIRST = run_id(1)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    for name in ("REENACT_STORE", "REENACT_DEBUG", "REENACT_KEY_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(key_actions, "SETTLE_SECONDS", 0.0)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    opened = open_store(str(work / ".reenact"), create=True)
    yield opened
    opened.close()


@pytest.fixture
def say(capfdbinary: pytest.CaptureFixture[bytes]) -> Any:
    def run(*words: str) -> tuple[int, str, str]:
        status = main(words)
        out, err = capfdbinary.readouterr()
        return status, out.decode(), err.decode()

    return run


def test_listing_keys_makes_none(store: Store, say: Any) -> None:
    assert say("keys", "list") == (0, "", "")
    assert store.keys.ids() == []
    add_run(store, 1)
    status, out, _ = say("keys", "list", "--json")
    [key] = json.loads(out)
    assert (status, key["state"], key["since"], key["signs_here"], key["owner"]) == (0, "valid", 0, True, None)


def test_a_key_is_trusted_replaced_and_revoked(store: Store, say: Any) -> None:
    add_run(store, 1)
    old = store.keys.ids()[0]
    status, out, _ = say("keys", "trust", old[:8], "--owner", "team")
    assert (status, out) == (0, f"wrote {os.getcwd()}/reenact.trust.toml\n")
    status, out, _ = say("keys", "rotate", "--reason", "yearly")
    assert (status, out.splitlines()[1].split()[1:3]) == (0, ["ed25519", "valid"])
    assert say("keys", "trust", out.split("\n")[1].split()[0], "--owner", "team")[0] == 0
    status, out, _ = say("keys", "revoke", old, "--reason", "stolen", "--from-entry", "2")
    assert (status, "revoked: stolen" in out) == (0, True)
    status, out, _ = say("verify", "--all")
    assert (status, "signed by team  entry 1" in out) == (0, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("keys",), "Missing argument"),
        (("keys", "burn"), "is not one of"),
        (("keys", "retire"), "retire needs a KEY"),
        (("keys", "list", "abcd"), "list takes no KEY"),
        (("keys", "new"), "new needs --to FILE"),
        (("keys", "rotate", "--to", "x"), "rotate takes no --to"),
        (("keys", "trust", "abcd"), "trust needs --owner NAME"),
        (("keys", "retire", "abcd"), "'abcd' names 0 keys"),
        (("log", "cosign"), "cosign needs --name and --key"),
        (("log", "checkpoint", "--to", "/nothing/x"), "/nothing/x cannot be written"),
        (("attest", "latest"), "Missing option '--to'"),
        (("verify", "--proof", "x", "--all"), "--proof goes with files only"),
        (("verify", "--proof", "nothing"), "nothing cannot be read"),
        (("verify", "--all", "--since", "nothing"), "the checkpoint nothing cannot be read"),
    ],
)
def test_what_cannot_be_done_is_told(store: Store, say: Any, words: tuple[str, ...], message: str) -> None:
    add_run(store, 1)
    status, _, err = say(*words)
    assert status in {1, 2}
    assert message in err


def test_the_log_is_shown_signed_and_witnessed(store: Store, say: Any) -> None:
    add_verdict(store, add_run(store, 1), 9)
    status, out, _ = say("log", "show", "--limit", "2")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == ["ENTRY", "2", "1"]
    assert [e["kind"] for e in json.loads(say("log", "show", "--json")[1])] == ["verdict", "run", "key"]
    status, note, _ = say("log", "checkpoint")
    assert (status, note.splitlines()[:2]) == (0, [f"reenact/{store.id}", "3"])
    assert say("log", "checkpoint", "--to", "seen.txt")[0] == 0
    assert Path("seen.txt").read_text() == note
    assert say("keys", "new", "--to", "w.pem")[0] == 0
    words = ("log", "cosign", "--name", "example.com/w", "--key", "w.pem", "--since", "seen.txt", "--to", "seen.txt")
    assert say(*words)[0] == 0
    assert Path("seen.txt").read_text().startswith(note)
    assert "example.com/w" in Path("seen.txt").read_text()
    assert say("verify", "--all", "--since", "seen.txt")[0] == 0
    (Path(store.location) / "log/entries" / f"{1:012d}").unlink()
    status, _, err = say(*words)
    assert (status, "the log is not cosigned: log-gap" in err) == (4, True)
    assert say("verify", "--all", "--since", "seen.txt")[0] == 4


def test_a_proof_is_written_and_checked_with_the_file(store: Store, say: Any) -> None:
    made = add_run(store, 1)
    add_verdict(store, made, 9)
    Path("out.csv").write_bytes(b"out")
    status, out, _ = say("attest", "etl", "--to", "ship")
    proof = f"ship/{FIRST}.proof.json"
    assert (status, out) == (0, f"wrote {proof}: 1 output of run {FIRST}; replayed: reproduced\n")
    status, out, _ = say("verify", "--proof", proof, "out.csv")
    assert status == 0
    assert "out.csv is its output out.csv" in out
    assert "not trusted by you" in out
    Path("out.csv").write_bytes(b"other")
    status, out, _ = say("verify", "--proof", proof, "out.csv", "--json")
    assert (status, json.loads(out)[0]["findings"][0]["code"]) == (4, "file-differs")
    assert json.loads(say("attest", "etl", "--to", "ship", "--json")[1])["outputs"] == ["out.csv"]


def test_a_file_is_traced_to_its_run(store: Store, say: Any) -> None:
    add_run(store, 1)
    Path("out.csv").write_bytes(b"out")
    status, out, _ = say("verify", "out.csv")
    assert status == 0
    assert f"made by run {FIRST} of etl as out.csv" in out
    assert "which you have not said to trust; entry 1 of the log; no replay has made it again" in out
    assert json.loads(say("verify", "./out.csv", "--json")[1])[0]["made_by"][0]["output"] == "out.csv"
    status, out, _ = say("verify", "etl", "out.csv")
    assert (status, "1 run verified, all ok" in out) == (0, True)
    Path("out.csv").write_bytes(b"other")
    assert say("verify", "out.csv")[0] == 4
    Path("strange").write_bytes(b"strange")
    assert say("verify", "./strange")[0] == 3


def test_a_passphrase_is_asked_for_at_a_terminal(store: Store) -> None:
    add_run(store, 1)

    def at_a_terminal(words: tuple[str, ...], answer: bytes) -> tuple[int, bytes]:
        child, terminal = pty.fork()
        if not child:
            for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
                setattr(__import__("sys"), name, os.fdopen(number, mode, encoding="utf-8"))
            os._exit(main(words))
        said = b""
        try:
            while block := os.read(terminal, 1 << 16):
                said += block
                if block.rstrip().endswith(b":"):
                    os.write(terminal, answer)
        except OSError:  # the other side is gone
            pass
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said

    status, said = at_a_terminal(("keys", "new", "--to", "k.pem", "--passphrase"), b"secret\n")
    assert (status, b"Passphrase of the new key" in said, b"secret" in said) == (0, True, False)
    assert Path("k.pem").read_bytes().startswith(b"-----BEGIN ENCRYPTED")
    Path("reenact.toml").write_text('[signing]\nsigner = "file:k.pem"\n')
    status, said = at_a_terminal(("log", "checkpoint"), b"secret\n")
    assert (status, b"Passphrase of the key" in said) == (0, True)
    status, said = at_a_terminal(("log", "checkpoint"), b"wrong\n")
    assert (status, b"the passphrase is wrong" in said) == (1, True)
