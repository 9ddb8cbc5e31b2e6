"""One person's private desk: a home, a folder with a job, a store, and the ``reenact`` command.

Everything a test does to the product goes through here, by the command line only.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.e2e.jobs import Job
from tests.e2e.people import Person
from tests.e2e.trees import Node, Tree, changes, tree

__all__ = ["BEFORE", "Desk", "Done", "Effect", "shell_status"]

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BEFORE: Final = 1_704_164_645
"""Modification time of all files of a job, so that two copies of its folder are equal (2024-01-02 03:04:05 UTC)."""
TIMEOUT_SECONDS: Final = 600
_SUMMARY: Final = "●".encode()


def shell_status(returncode: int) -> int:
    """Give an exit status as a shell shows it."""
    return returncode if returncode >= 0 else 128 - returncode


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A command that ended."""

    exit_code: int
    """As a shell shows it."""
    stdout: bytes
    stderr: bytes

    def json(self) -> Any:
        """Read stdout, which must be one JSON document and nothing else."""
        assert self.stdout, f"nothing on stdout; on stderr: {self.stderr.decode(errors='replace')}"
        return json.loads(self.stdout)


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """All a job did that its caller can see."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    changed: Mapping[str, Node | None]


class Desk:
    """See the module."""

    def __init__(self, person: Person, base: Path) -> None:
        self.person = person
        self.plain = bool(os.environ.get("REENACT_TEST_PLAIN"))
        """Run jobs twice without reenact, to see that they work here and are deterministic."""
        self.base = base
        self.home = base / "home"
        self.folder = base / "job"
        self.store = base / "store"
        self.out = base / "out"
        self.venv = base / "venv"
        for place in (self.home, self.folder):
            place.mkdir()
        base.chmod(0o755)
        self.own(base)
        self.variables = {
            "PATH": PATH,
            "HOME": str(self.home),
            "USER": person.name,
            "LOGNAME": person.name,
            "LANG": "C.UTF-8",
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_DATA_HOME": str(self.home / ".local" / "share"),
            "REENACT_STORE": str(self.store),
        }

    # files

    def own(self, *places: Path) -> None:
        """Give places, and all below them, to the person."""
        if self.person.uid == os.geteuid():
            return
        for place in places:
            os.lchown(place, self.person.uid, self.person.gid)
            for parent, folders, files in os.walk(os.fsencode(place)):
                for name in (*folders, *files):
                    os.lchown(os.path.join(parent, name), self.person.uid, self.person.gid)

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file of the job; folders on the way are made, scripts with ``#!`` are executable."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(data)
        path.chmod(0o755 if data.startswith(b"#!") else 0o644)
        self.own(self.folder)
        return path

    def age(self) -> None:
        """Set the times of all in the job's folder to :data:`BEFORE`."""
        for parent, folders, files in os.walk(os.fsencode(self.folder), topdown=False):
            for name in (*folders, *files):
                os.utime(os.path.join(parent, name), (BEFORE, BEFORE), follow_symlinks=False)
        os.utime(self.folder, (BEFORE, BEFORE))

    def lay_out(self, job: Job) -> None:
        """Make the job's folder anew: its files, its preparation, old times."""
        self.clear()
        for name, content in job.files.items():
            self.write(name, content)
        self._prepare(job.prepare)
        self.age()
        self._prepare(job.settle)

    def _prepare(self, script: str) -> None:
        if script:
            done = self.execute(["bash", "-ceu", script])
            assert done.exit_code == 0, done.stderr.decode(errors="replace")

    def clear(self) -> None:
        """Empty the job's folder; the folder itself stays, so that it is the same one."""
        for entry in os.scandir(os.fsencode(self.folder)):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)

    # commands

    def start(
        self,
        words: list[str],
        *,
        cwd: Path | None = None,
        variables: Mapping[str, str] | None = None,
        **options: Any,
    ) -> subprocess.Popen[bytes]:
        """Start a command as the person, in the job's folder."""
        environment = {**self.variables, **(variables or {})}
        given = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(
            words, cwd=cwd or self.folder, env=environment, umask=0o022, **given, **self.person.process_options()
        )

    def execute(
        self,
        words: list[str],
        *,
        stdin: bytes = b"",
        cwd: Path | None = None,
        variables: Mapping[str, str] | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        **options: Any,
    ) -> Done:
        """Run a command to its end and the end of its output; one that hangs is killed, and fails the test."""
        with self.start(words, cwd=cwd, variables=variables, start_new_session=True, **options) as process:
            try:
                out, err = process.communicate(stdin, timeout=timeout_seconds)
            except BaseException:
                os.killpg(process.pid, 9)
                raise
        return Done(exit_code=shell_status(process.returncode), stdout=out or b"", stderr=err or b"")

    def reenact(self, *words: str, cwd: Path | None = None, variables: Mapping[str, str] | None = None) -> Done:
        """Run a ``reenact`` command; away from the job's folder, as its present content must not matter."""
        return self.execute([self.person.reenact, *words], cwd=cwd or self.base, variables=variables)

    def record(self, *argv: str, options: tuple[str, ...] = (), **given: Any) -> Done:
        """Run ``reenact run OPTIONS -- ARGV`` in the job's folder."""
        return self.execute([self.person.reenact, "run", *options, "--", *argv], **given)

    def show(self, reference: str = "latest") -> Any:
        """Give the bundle of a run."""
        done = self.reenact("show", reference, "--json")
        assert done.exit_code == 0, done.stderr.decode(errors="replace")
        document = done.json()
        return document.get("bundle", document)

    def runs(self) -> list[str]:
        """Give the ids of all runs in the store."""
        runs = self.store / "runs"
        return sorted(os.listdir(runs)) if runs.exists() else []

    def replay(self, reference: str = "latest", *options: str) -> tuple[Done, Any]:
        """Run ``reenact replay --json --to OUT``; give how it ended and its answer."""
        shutil.rmtree(self.out, ignore_errors=True)
        done = self.reenact("replay", reference, "--json", "--to", str(self.out), *options)
        return done, done.json()

    # jobs

    def fill(self, word: str) -> str:
        """Put the places of this desk into a word of a job's command."""
        return word.replace("@python", self.person.python).replace("@venv", str(self.venv))

    def perform(self, job: Job, *, recorded: bool) -> Effect:
        """Run a job, plainly or recorded, and tell all its caller can see of it."""
        before = tree(self.folder)
        words = [self.fill(word) for word in job.argv]
        if recorded:
            words = [self.person.reenact, "run", "--", *words]
        if job.redirect:
            words = ["sh", "-c", f'exec "$@" {job.redirect}', "sh", *words]
        done = self.execute(words, stdin=job.stdin, variables=job.variables)
        changed = changes(before, tree(self.folder))
        stderr = done.stderr
        if recorded:
            *lines, ours = stderr.splitlines(keepends=True)
            assert ours.startswith(_SUMMARY), f"no summary line at the end of {stderr.decode(errors='replace')!r}"
            stderr = b"".join(lines)
        return Effect(exit_code=done.exit_code, stdout=done.stdout, stderr=stderr, changed=changed)

    def vandalise(self) -> None:
        """Destroy what the job needed: code is overwritten, everything else deleted, strangers are added to each folder."""
        for parent, _, files in os.walk(os.fsencode(self.folder)):
            for name in files:
                path = os.path.join(parent, name)
                if name.endswith(_CODE) and not os.path.islink(path):
                    with open(path, "r+b") as file:
                        file.write(b"#!/bin/false\nvandalised (\n")
                else:
                    os.unlink(path)
            with open(os.path.join(parent, b"added-afterwards.csv"), "wb") as file:
                file.write(b"id,g,x,d\n666,z,666,2024-01-01\n")
        self.own(self.folder)
        shutil.rmtree(self.venv, ignore_errors=True)

    def ruins(self) -> Tree:
        """Read the job's folder as it is now."""
        return tree(self.folder)


_CODE: Final = (b".sh", b".py", b".js", b".pl", b".R", b".java", b".sql", b".toml", b".yml", b"Makefile")
