"""Which way of observing is taken, and what is said when the one that was asked for does not work."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from reenact.capture.rungs.choose import choose
from reenact.capture.trace import listener
from reenact.errors import CaptureError, UsageError
from reenact.settings import Declared, Settings

DECLARED = Declared(inputs=("*.csv",))


def settings(folder: Path, declared: Declared = DECLARED) -> Settings:
    return Settings(root=str(folder), store=str(folder / "store"), declared=declared)


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that refuses listeners and has no strace."""
    monkeypatch.setattr(listener, "refusal", lambda: errno.EINVAL)
    monkeypatch.setenv("PATH", str(tmp_path))


def test_inside_another_recording_there_is_no_second_listener(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(listener, "refusal", lambda: errno.EBUSY)
    with pytest.raises(UsageError, match="another recording"):
        choose("kernel", settings(tmp_path), ["sh"], {})


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("python", "python"),
        ("/opt/x/bin/python3.13", "python"),
        ("pypy3", "python"),
        ("sh", "declared"),
        ("pythonic", "declared"),
    ],
)
def test_the_next_that_works_is_taken(tmp_path: Path, program: str, name: str) -> None:
    rung = choose("auto", settings(tmp_path), [program], {})
    assert rung is not None
    assert rung.name == name


@pytest.mark.usefixtures("refused")
def test_when_nothing_works_the_job_is_not_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError):
        choose("auto", settings(tmp_path, Declared()), ["sh"], {})


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize(
    ("name", "reason"),
    [("kernel", os.strerror(errno.EINVAL)), ("strace", "not installed"), ("declared", "nothing is declared")],
)
def test_a_forced_one_that_does_not_work_says_why(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        choose(name, settings(tmp_path, Declared()), ["python"], {})
    assert "--rung auto" in caught.value.hint()


def test_the_kernel_rung_needs_nothing_of_the_others(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from reenact.capture.rungs import choose; from reenact.capture.trace import listener;"
        "from reenact.settings import Settings; listener.refusal = lambda: 0;"
        f"choose.choose('auto', Settings(root={str(tmp_path)!r}, store='s'), ['sh'], {{}});"
        "print([name for name in sys.modules if name.startswith('reenact.capture.rungs.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_environment())
    assert done.stdout.strip() == "['reenact.capture.rungs.choose']"


def _environment() -> dict[str, str]:
    import reenact

    return {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(reenact.__file__))}
