"""Other tools doing the same work, where they are installed: on PATH, or in a venv of their name under $PEERS."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from measure import Case

__all__ = ["Peers"]


class Peers:
    """The tools that are here; the others are noted in `absent`."""

    def __init__(self, folder: Path, work: Path, *, wanted: bool) -> None:
        self._folder = folder
        self._wanted = wanted
        home = work / "home"
        self._environment = {
            "HOME": str(home),
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(home / "dvc"),
            "BORG_BASE_DIR": str(home / "borg"),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "RESTIC_PASSWORD": "benchmark",
            "RESTIC_CACHE_DIR": str(home / "restic"),
            **{f"GIT_{who}_{what}": "bench@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        self._home = home
        self.absent: set[str] = set()

    def _find(self, tool: str) -> dict[str, str] | None:
        """Give the environment a tool is used in; None when it is not here or not wanted."""
        if not self._wanted:
            return None
        path = f"{self._folder / tool / 'bin'}:{os.environ['PATH']}"
        if shutil.which(tool, path=path) is None:
            self.absent.add(tool)
            return None
        self._home.mkdir(parents=True, exist_ok=True)
        return {**self._environment, "PATH": path}

    def strace(self, folder: Path, command: Sequence[str]) -> list[Case]:
        """Trace the same kinds of calls; nothing is hashed or kept."""
        environment = self._find("strace")
        if environment is None:
            return []
        words = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=file,process", "-o", os.devnull, *command]
        return [Case(name="strace (names only)", command=words, folder=folder, environment=environment)]

    def dvc(self, folder: Path, command: str, inputs: Sequence[Path], outputs: Sequence[str]) -> list[Case]:
        """Run one stage from nothing; inputs are hashed, outputs are kept."""
        environment = self._find("dvc")
        if environment is None:
            return []

        def prepare() -> None:
            _begin(folder, inputs)
            depends = [word for path in inputs for word in ("-d", path.name)]
            makes = [word for name in outputs for word in ("-o", name)]
            _do(folder, environment, "git", "init", "-q")
            _do(folder, environment, "dvc", "init", "-q")
            _do(folder, environment, "dvc", "stage", "add", "-q", "-n", "job", *depends, *makes, command)

        return [
            Case(
                name="dvc repro, first",
                command=["dvc", "repro", "-q"],
                folder=folder,
                environment=environment,
                prepare=prepare,
            )
        ]

    def datalad(self, folder: Path, command: str, inputs: Sequence[Path], outputs: Sequence[str]) -> list[Case]:
        """Run in a dataset whose inputs are to be saved too: `save`, then `run`."""
        environment = self._find("datalad")
        if environment is None:
            return []

        def prepare() -> None:
            shutil.rmtree(folder, ignore_errors=True)
            folder.parent.mkdir(parents=True, exist_ok=True)
            _do(folder.parent, environment, "datalad", "create", str(folder))
            _bring(folder, inputs)
            for name in outputs:
                (folder / name).mkdir()

        makes = " ".join(f"-o {name}" for name in outputs)
        words = ["sh", "-c", f"datalad save -m inputs && datalad run -m job {makes} '{command}'"]
        return [Case(name="datalad save + run", command=words, folder=folder, environment=environment, prepare=prepare)]

    def backups(self, folder: Path, source: Path) -> list[Case]:
        """Back the inputs up into an empty repository; the job is not run."""
        cases = []
        for tool, make, backup in (
            ("restic", ("init",), ("-q", "backup")),
            ("borg", ("init", "-e", "none"), ("create",)),
        ):
            environment = self._find(tool)
            if environment is not None:
                cases.append(_backup(tool, folder / tool, source, environment, make, backup))
        return cases


def _backup(
    tool: str,
    repository: Path,
    source: Path,
    environment: Mapping[str, str],
    make: Sequence[str],
    backup: Sequence[str],
) -> Case:
    used = {**environment, "RESTIC_REPOSITORY": str(repository), "BORG_REPO": str(repository)}

    def prepare() -> None:
        if repository.exists():
            shutil.rmtree(repository)
        repository.parent.mkdir(parents=True, exist_ok=True)
        _do(repository.parent, used, tool, *make)

    target = ["::one"] if tool == "borg" else []
    words = [tool, *backup, *target, str(source)]
    return Case(name=f"{tool} (inputs only)", command=words, folder=source.parent, environment=used, prepare=prepare)


def _begin(folder: Path, inputs: Sequence[Path]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _bring(folder, inputs)


def _bring(folder: Path, inputs: Sequence[Path]) -> None:
    for path in inputs:
        if path.is_dir():
            shutil.copytree(path, folder / path.name)
        else:
            shutil.copyfile(path, folder / path.name)


def _do(folder: Path, environment: Mapping[str, str], *command: str) -> None:
    subprocess.run(command, cwd=folder, env={**os.environ, **environment}, check=True, capture_output=True)
