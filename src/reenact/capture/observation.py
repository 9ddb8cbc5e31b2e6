"""Folding a journal: from records to what is known of every path and process. Pure; the same live and after a crash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from reenact.capture.path_tree import PathTree

__all__ = ["Contact", "Observation", "PathRecord", "ProcessRecord", "merged_order"]


class PathRecord(msgspec.Struct):
    """A path before its first touch, and what became of it."""

    path: str
    mode: int
    size: int
    mtime_ns: int
    uid: int
    gid: int
    device: int
    inode: int
    links: int
    ctime_ns: int
    blocks: int
    rdev: int
    target: str | None
    needed: bool = False
    names: list[str] | None = None
    changes: str = ""
    """Every way it was changed: letters of the ``m`` record."""
    kept: tuple[str, str] | None = None
    """Where its bytes were kept, or empty and the reason."""
    looked_at: bool = False
    """A folder whose own state was asked for, not only passed through."""
    now_at: str | None = None
    """Where its bytes are now, when they were moved."""


class ProcessRecord(msgspec.Struct):
    """A process: one program, or several in a row."""

    actor: str
    parent: str | None
    started_ns: int | None
    programs: list[tuple[int, str, list[str], str]] = []
    """Time, path, argv, cwd of each program it executed."""
    ended_ns: int | None = None
    exit_code: int | None = None


class Contact(msgspec.Struct, frozen=True):
    """A socket call that led outside the process tree."""

    time_ns: int
    kind: str
    endpoint: str
    actor: str


def merged_order(known: Sequence[str], names: Sequence[str]) -> list[str]:
    """Put further names into an order: each behind the one it follows."""
    there = set(known)
    behind: dict[str, list[str]] = {}
    last = ""  # no name is empty: the beginning
    for name in names:
        if name in there:
            last = name
        else:
            behind.setdefault(last, []).append(name)
    return [name for first in ("", *known) for name in (first, *behind.get(first, ())) if name]


class Observation:
    """What the records told so far say. Feed them in order to :meth:`apply`."""

    def __init__(self) -> None:
        self.header: dict[str, Any] = {}
        self.paths: dict[str, PathRecord] = {}
        self.made: set[str] = set()
        self.absent: set[str] = set()
        self.left_out: set[str] = set()
        """Folders of ours that the run came across."""
        self.orders: dict[str, list[str]] = {}
        """The names in each folder that was listed, in the order in which they were given."""
        self.users: dict[str, dict[str, set[str]]] = {}
        """Path to how (r w x l d) to actors."""
        self._used = PathTree()
        self.processes: dict[str, ProcessRecord] = {}
        self.contacts: list[Contact] = []
        self.gaps: list[tuple[str, str, str]] = []
        self.ended_ns: int | None = None
        self.calls: int | None = None
        self._apply = {name[6:]: getattr(self, name) for name in dir(self) if name.startswith("_take_")}

    def apply(self, record: list[Any]) -> None:
        """Take the next record; an unknown kind is ignored (a newer writer)."""
        handler = self._apply.get(record[0])
        if handler is not None:
            handler(*record[1:])

    def actors(self, path: str, how: str) -> set[str]:
        """Give the processes that used a path in any of the ways named by the letters of `how`."""
        users = self.users.get(path, {})
        return set().union(*(users.get(letter, ()) for letter in how))

    def _take_run(self, header: dict[str, Any]) -> None:
        self.header = header

    def _take_t(self, restricted: bool) -> None:
        self.header["restricted"] = restricted

    def _take_e(self, path: str, *fields: Any) -> None:  # noqa: ANN401 - the record as it is
        self.paths[path] = PathRecord(path, *fields)

    def _take_b(self, actor: str, path: str, *fields: Any) -> None:  # noqa: ANN401 - the record as it is
        if fields:
            self.paths[path] = PathRecord(path, *fields)
        self.paths[path].needed = True
        self._uses(path, "r").add(actor)

    def _take_n(self, path: str) -> None:
        self.paths[path].needed = True

    def _take_l(self, path: str, names: list[str]) -> None:
        self.paths[path].names = names
        self._take_d(path, names)

    def _take_d(self, path: str, names: list[str]) -> None:
        self.orders[path] = merged_order(self.orders.get(path, []), names)

    def _take_s(self, path: str) -> None:
        self.paths[path].looked_at = True

    def _take_o(self, path: str) -> None:
        self.absent.add(path)

    def _take_i(self, folder: str) -> None:
        self.left_out.add(folder)

    def _take_m(self, path: str, how: str) -> None:
        record = self.paths.get(path)
        if record is not None and how not in record.changes:
            record.changes += how

    def _take_p(self, path: str, where: str, reason: str) -> None:
        self.paths[path].kept = (where, reason) if where or reason else None

    def _take_v(self, path: str, now: str) -> None:
        self.paths[path].now_at = now

    def _take_c(self, path: str) -> None:
        self.made.add(path)

    def _take_g(self, path: str) -> None:
        self.made.discard(path)

    def _take_r(self, old: str, new: str, _actor: str, exchange: bool) -> None:
        going, coming = self._take_writers(old), self._take_writers(new) if exchange else {}
        for folder, moved in ((new, going), (old, coming)):
            for below, writers in moved.items():
                self._uses(folder + below, "w").update(writers)

    def _take_writers(self, folder: str) -> dict[str, set[str]]:
        """Take away who has written a path and those below it; by what comes after the path."""
        paths = [path for path in self._used.at_and_below(folder) if "w" in self.users.get(path, ())]
        return {path[len(folder) :]: self.users[path].pop("w") for path in paths}

    def _take_a(self, actor: str, path: str, how: str) -> None:
        self._uses(path, how).add(actor)

    def _uses(self, path: str, how: str) -> set[str]:
        users = self.users.get(path)
        if users is None:
            users = self.users[path] = {}
            self._used.add(path)
        return users.setdefault(how, set())

    def _take_f(self, actor: str, parent: str, time_ns: int) -> None:
        self.processes[actor] = ProcessRecord(actor, parent, time_ns)

    def _take_x(self, actor: str, time_ns: int, path: str, argv: list[str], cwd: str) -> None:
        process = self.processes.setdefault(actor, ProcessRecord(actor, None, time_ns))
        process.programs.append((time_ns, path, argv, cwd))

    def _take_q(self, actor: str, code: int, time_ns: int) -> None:
        process = self.processes.setdefault(actor, ProcessRecord(actor, None, None))
        process.exit_code, process.ended_ns = code, time_ns

    def _take_k(self, time_ns: int, kind: str, endpoint: str, actor: str) -> None:
        self.contacts.append(Contact(time_ns, kind, endpoint, actor))

    def _take_h(self, code: str, message: str, subject: str) -> None:
        self.gaps.append((code, message, subject))

    def _take_end(self, time_ns: int, calls: int) -> None:
        self.ended_ns, self.calls = time_ns, calls
