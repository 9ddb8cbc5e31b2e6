"""The whole program on an encrypted store in a bucket of a real server."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from reenact.store.backends.object_store import ObjectStoreBackend
from tests.e2e.people import me
from tests.servers.gateway import Bucket

pytestmark = pytest.mark.slow
pytest.importorskip("pyrage")

SECRET = "words that nobody else may read"
PREFIX = f"encrypted-{os.getpid()}"


@pytest.fixture
def reenact(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a command; give its output."""
    for folder in ("home", "job", "other"):
        (tmp_path / folder).mkdir()
    for name, value in {
        **bucket.environment,
        "HOME": str(tmp_path / "home"),
        "REENACT_STORE": bucket.url(PREFIX),
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    program = me(tmp_path).reenact

    def run(*words: str, status: int = 0) -> str:
        done = subprocess.run([program, *words], cwd=tmp_path / "job", capture_output=True, text=True, check=False)
        assert done.returncode == status, (words, done.stdout, done.stderr)
        return done.stdout + done.stderr

    return run


def test_record_rotate_and_replay(
    reenact: Callable[..., str], bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = "".join(f"{n * 7919 % 10007},{SECRET}\n" for n in range(30_000))
    (tmp_path / "job" / "in.csv").write_text(table)
    reenact("init", "--encrypt")
    for options in ("", "-r"):
        assert "recorded" in reenact("run", "--", "sh", "-c", f"sort {options} in.csv > out.csv")
    assert "2 runs verified, all ok" in reenact("verify", "--all")
    reenact("recipients", "rotate")
    assert "encrypted anew" in reenact("recipients", "reencrypt")
    assert " 0 values of" in " " + reenact("recipients", "reencrypt")
    assert "2 runs verified, all ok" in reenact("verify", "--all", "--deep")
    (tmp_path / "job" / "in.csv").unlink()
    assert "reproduced" in reenact("replay", "latest")
    reenact("restore", "latest", "--inputs", "--to", str(tmp_path / "restored"))
    assert (tmp_path / "restored" / "in.csv").read_text() == table
    raw = ObjectStoreBackend(bucket.url(PREFIX), os.environ, patience_seconds=10, pace=None)
    keys = list(raw.list(""))
    assert len(keys) > 10
    assert not any(SECRET.encode() in raw.get(key) or b"out.csv" in raw.get(key) for key in keys)
    monkeypatch.setenv("HOME", str(tmp_path / "other"))
    assert "store-locked" in reenact("runs", status=4)
    assert "not recorded" in reenact("run", "--", "sh", "-c", "exit 3", status=3)
