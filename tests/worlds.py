"""Hand-made records for tests of the closed world: real files of this machine, as a run would have recorded them."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from reenact.digests import Digest, of_bytes
from reenact.errors import ObjectMissing, SandboxError
from reenact.model import manifest as manifests
from reenact.model.artifact import Access, Artifact, Entry, EntryType, Need, Pointer
from reenact.model.bundle import Bundle
from reenact.model.environment import Manifest
from reenact.model.paths import to_text
from reenact.replay.conditions import Conditions, conditions_of
from reenact.replay.mounts import View
from reenact.replay.probe import Probe, probe, ways
from reenact.replay.sandbox import Mode, Sandbox
from reenact.replay.world import World, open_world
from tests import bundles

__all__ = ["Ended", "Memory", "Record", "encoded", "entry", "run_in", "start_in"]

MTIME = "1700000000123456789"
_TYPES: dict[int, EntryType] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
}


@dataclass(frozen=True)
class _Lack:
    digest: Digest
    problem: str
    detail: str = ""


class Memory:
    """Objects in a dictionary; counts how often each was read."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.reads: list[str] = []
        self.broken: set[str] = set()

    def add(self, data: bytes) -> Digest:
        digest = of_bytes(data)
        self.objects[digest] = data
        return digest

    def read(self, digest: Digest, /) -> bytes:
        self.reads.append(digest)
        if digest not in self.objects:
            raise ObjectMissing(digest)
        return self.objects[digest]

    def copy_to(self, digest: Digest, descriptor: int, /) -> None:
        view = memoryview(self.read(digest))
        while view:
            view = view[os.write(descriptor, view) :]

    def verify(self, digests: Collection[Digest], /, *, content: bool) -> list[_Lack]:
        found = [_Lack(digest, "missing") for digest in digests if digest not in self.objects]
        return found + [_Lack(digest, "damaged") for digest in digests if content and digest in self.broken]


def entry(path: str, kind: EntryType = "file", **facts: Any) -> Entry:
    """Describe a path; what is not said is plain."""
    plain = {"file": 0o644, "directory": 0o755}.get(kind, 0o777)
    facts = {"mode": plain, "mtime_ns": MTIME, "need": "stat", **facts}
    return Entry(path=path, type=kind, **facts)


class Record:
    """A record being made by hand: an environment from files of this machine, inputs and outputs as told."""

    def __init__(self, job: str = "/data/job") -> None:
        self.objects = Memory()
        self.environment: dict[str, Entry] = {}
        self.inputs: list[Artifact] = []
        self.outputs: list[Artifact] = []
        self.job = job
        self.modes: list[Mode] = [*ways()]
        self.launch: dict[str, Any] = {"uid": os.geteuid(), "gid": os.getegid(), "groups": ()}

    # --- the environment, from this machine

    def program(self, name: str) -> str:
        """Record a program with all the kernel and the loader open for it; give its path."""
        path = shutil.which(name)
        assert path is not None, name
        self.real(path)
        shown = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        for word in shown.split():
            if word.startswith("/"):
                self.real(word)
        return path

    def real(self, path: str, need: Need = "content") -> None:
        """Record a path of this machine and every link on the way to it."""
        todo = path.split("/")[::-1]
        here = ""
        while todo:
            name = todo.pop()
            if name in ("", "."):
                continue
            if name == "..":
                here = here.rpartition("/")[0]
                continue
            there = f"{here}/{name}"
            found = os.lstat(there)
            target = os.readlink(there) if stat.S_ISLNK(found.st_mode) else None
            self._note(there, found, target, need if not todo else "stat")
            if target is None:
                here = there
                continue
            if target.startswith("/"):
                here = ""
            todo += target.split("/")[::-1]

    def _note(self, path: str, found: os.stat_result, target: str | None, need: Need) -> None:
        kind = _TYPES[stat.S_IFMT(found.st_mode)]
        digest = self.objects.add(Path(path).read_bytes()) if kind == "file" and need == "content" else None
        if path in self.environment and digest is None:
            return
        self.environment[path] = Entry(
            path=to_text(path),
            type=kind,
            mode=stat.S_IMODE(found.st_mode),
            mtime_ns=str(found.st_mtime_ns),
            need=need if kind == "file" else "stat",
            size_bytes=found.st_size if kind == "file" else 0,
            uid=found.st_uid,
            gid=found.st_gid,
            digest=digest,
            target=None if target is None else to_text(target),
        )

    # --- inputs and outputs, as told

    def _artifact(
        self, path: str, content: bytes | None, access: tuple[Access, ...], facts: dict[str, Any]
    ) -> Artifact:
        full = path if path.startswith("/") else f"{self.job}/{path}"
        facts = {"uid": self.launch["uid"], "gid": self.launch["gid"], **facts}
        pointer = None
        if content is not None:
            digest = self.objects.add(content)
            facts = {"digest": digest, "size_bytes": len(content), "need": "content", **facts}
            pointer = Pointer(digest=digest, size_bytes=len(content), media_type="application/octet-stream")
        described = entry(to_text(full), facts.pop("kind", "file"), **facts)
        return Artifact(name=path, access=access, entry=described, pointer=pointer)

    def input(self, path: str, content: bytes | None = None, *access: Access, **facts: Any) -> None:
        """Record an input; relative paths are in the job's folder."""
        self.inputs.append(self._artifact(path, content, access or ("read",), facts))

    def output(self, path: str, content: bytes | None = None, *access: Access, **facts: Any) -> None:
        """Record an output."""
        self.outputs.append(self._artifact(path, content, access or ("created",), facts))

    # --- what came of it

    def manifest(self) -> Manifest:
        data = manifests.dump(list(self.environment.values()))
        self.objects.add(data)
        return manifests.load(data)

    def bundle(self, **changes: Any) -> Bundle:
        plain = bundles.bundle(inputs=tuple(self.inputs), outputs=tuple(self.outputs))
        digest = of_bytes(manifests.dump(list(self.environment.values())))
        launch = replace(plain.launch, cwd=self.job, root=self.job, **self.launch)
        environment = replace(plain.environment, manifest=digest)
        return replace(plain, launch=launch, environment=environment, **changes)

    @contextlib.contextmanager
    def open(self, folder: Path, *, found: Probe | None = None, **more: Any) -> Iterator[World]:
        """Lay the world out below a folder."""
        found = found or probe(folder, self.modes)
        more = {"limit_bytes": 1 << 30, **more}
        with open_world(
            self.bundle(), self.manifest(), source=self.objects, cache=folder / "cache", probe=found, **more
        ) as world:
            yield world

    def run(self, folder: Path, *argv: str, **more: Any) -> Ended:
        """Lay out, enter, execute; give what came of it."""
        variables = more.pop("variables", {})
        with self.open(folder, **more) as world:
            ended = run_in(world.view, conditions_of(self.bundle().launch), *argv, variables=variables)
            ended.changed.update(_files_below(world.upper))
            return ended


@dataclass
class Ended:
    """How a process in a world ended, and what it left in the upper layer."""

    status: int
    """Negative: ended by that signal."""
    stdout: str
    stderr: str
    changed: dict[str, str | None]
    """Path to content; None for what is no file."""


def _files_below(upper: Path) -> Iterator[tuple[str, str | None]]:
    for path in sorted(upper.rglob("*")):
        plain = path.is_file() and not path.is_symlink()
        yield "/" + str(path.relative_to(upper)), path.read_text(errors="replace") if plain else None


def run_in(view: View, conditions: Conditions, *argv: str, variables: dict[str, str], **more: Any) -> Ended:
    """Execute a program in a world."""
    out, err = os.memfd_create("out"), os.memfd_create("err")
    try:
        child = start_in(view, conditions, *argv, variables=variables, out=out, err=err, **more)
        _, wait_status = os.waitpid(child, 0)
        return Ended(os.waitstatus_to_exitcode(wait_status), _whole(out), _whole(err), {})
    finally:
        os.close(out)
        os.close(err)


def start_in(
    view: View, conditions: Conditions, *argv: str, variables: dict[str, str], out: int, err: int, **more: Any
) -> int:
    """Start a program in a world and wait until it is inside; give the attendant's process id."""
    sandbox = Sandbox(view=view, conditions=conditions, **more)
    try:
        child = os.fork()
        if child == 0:
            _become(sandbox, argv, variables, out, err)
        try:
            sandbox.wait_entered()
        except SandboxError:
            os.waitpid(child, 0)
            raise
        return child
    finally:
        sandbox.close()


def _become(sandbox: Sandbox, argv: tuple[str, ...], variables: dict[str, str], out: int, err: int) -> None:
    try:
        sandbox.enter()
        os.dup2(out, 1)
        os.dup2(err, 2)
        os.closerange(3, 1024)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and children inherit that
        os.execve(argv[0], list(argv), {"PATH": "/usr/bin:/bin", **variables})
    except OSError as error:
        os.write(2, f"{argv[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def _whole(descriptor: int) -> str:
    return os.pread(descriptor, 1 << 20, 0).decode("utf-8", "replace")


def encoded(value: bytes) -> str:
    """Write an attribute's value as an entry has it."""
    return base64.b64encode(value).decode()
