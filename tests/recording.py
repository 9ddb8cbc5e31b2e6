"""A recording in memory: programs run on a model tree, each call booked as the supervisor books it, contents taken as the
recorder takes them; and the oracle, that the record is enough to run the program again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reenact.capture.files import FileStates
from reenact.capture.observation import Observation, PathRecord
from tests.model_tree import ModelTree, Node

__all__ = ["TOO_LARGE", "Call", "Keeper", "Recording"]

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHEAP_BYTES = 3
"""Bytes nobody needs are copied up to this size only."""
TOO_LARGE = "too large"


@dataclass(frozen=True)
class Call:
    """One call of a program, and how it comes to pass."""

    thread: int
    name: str
    arguments: tuple[Any, ...]
    refused: str = ""
    """The kernel refuses it, for a reason no record shows, with this error."""
    delayed: bool = False
    """It is booked, and done only when its thread calls again or somebody else's call is not delayed."""
    done_first: bool = False
    """A call that is booked after it was let through is done before that."""
    recorder: bool = False
    """The recorder catches up before it."""

    @property
    def changes(self) -> bool:
        """Whether it is booked before it is let through."""
        if self.name in ("open", "hold"):
            index = 0 if self.name == "open" else 1
            return bool(self.arguments[index + 1] & WRITES)
        return self.name not in ("stat", "readlink", "list", "use")


class Keeper:
    """Keeps bytes as PreimageKeeper does: a second name where that is enough, else a copy, or nothing."""

    def __init__(self, tree: ModelTree, *, links: bool) -> None:
        self.tree, self.links = tree, links
        self.stored = 0
        self.names: dict[str, Node] = {}
        self.copies: dict[str, bytes] = {}

    def keep(self, path: str, found: os.stat_result, *, needed: int, name_only: bool) -> tuple[str, str]:
        """See Preimages."""
        if 0 <= needed <= self.stored:
            return "", "stored"
        node = self.tree.at(path)
        assert node.ino == found.st_ino
        where = f"kept-{len(self.names) + len(self.copies)}"
        if name_only:
            self.names[where] = node
            if self.links:
                node.links += 1
                node.ctime = self.tree.now
        elif needed < 0 and len(node.data) > CHEAP_BYTES:
            return "", TOO_LARGE
        else:
            self.copies[where] = node.data
        return where, ""

    def drop(self, where: str) -> None:
        """See Preimages."""
        if self.links:
            self.names[where].links -= 1


class Recording:
    """Records a program; see the module."""

    def __init__(self, tree: ModelTree, *, links: bool = True) -> None:
        self.tree = tree
        self.keeper = Keeper(tree, links=links)
        self.records: list[list[Any]] = []
        self.states = FileStates(tree, self.keeper, self._emit)
        self.observation = Observation()
        self.contents: dict[str, bytes] = {}
        self.results: list[tuple[Call, Any]] = []
        """In the order in which the calls were done."""
        self._pending: dict[int, Call] = {}
        self._listing = ""
        """The folder whose names the last call has read."""

    def _emit(self, record: list[Any]) -> int:
        self.records.append([*record])
        return len(self.records)

    # --- the supervisor

    def run(self, *calls: Call) -> None:
        """Run a program, with the recorder going on now and then, to its end."""
        for call in calls:
            self.step(call)
        self.finish()

    def step(self, call: Call) -> Any:
        """Let a thread make a call; give its result, if it is done already."""
        if call.recorder:
            self.catch_up()
        self._do(call.thread)
        if call.name == "use":
            return self._execute(call)  # no name is involved: nothing is observed
        self.states.settle(call.thread)
        self._listing = ""
        book = self._booking(call)
        if call.changes:
            book()
            self._pending[call.thread] = call
            return None if call.delayed else self._do_all(call)
        if call.done_first:
            result = self._execute(call)
            if not call.delayed:
                self._do_all()
            book()
            return result
        book()
        return self._execute(call)

    def _do_all(self, call: Call | None = None) -> Any:
        for thread in [*self._pending]:
            self._do(thread)
        return self.results[-1][1] if call is not None else None

    def _do(self, thread: int) -> None:
        call = self._pending.pop(thread, None)
        if call is not None:
            self._execute(call)

    def _execute(self, call: Call) -> Any:
        self.tree.now += 1
        result = call.refused or self.tree.call(call.name, *call.arguments)
        self.results.append((call, result))
        if call.name == "list" and isinstance(result, list):
            self._listing = self.tree.canonical(self.tree._resolve(call.arguments[0], follow=True).found())
        return result

    def _booking(self, call: Call) -> Callable[[], object]:
        states, thread, actor, given = self.states, call.thread, str(call.thread), call.arguments
        made = given[-1]
        return {
            "open": lambda: states.opened(actor, given[0], given[1], thread),
            "hold": lambda: states.opened(actor, given[1], given[2], thread),
            "truncate": lambda: states.truncated(actor, given[0]),
            "unlink": lambda: states.removed(thread, actor, given[0]),
            "rmdir": lambda: states.removed(thread, actor, given[0]),
            "rename": lambda: states.renaming(thread, actor, given[0], given[1], given[2] if len(given) > 2 else 0),
            "link": lambda: states.linked(actor, given[0], given[1], bool(given[2:] and given[2]), thread),
            "symlink": lambda: states.made_node(actor, made, thread),
            "mkdir": lambda: states.made_node(actor, made, thread),
            "mknod": lambda: states.made_node(actor, made, thread),
            "chmod": lambda: states.changed_metadata(actor, given[0], follow=True),
            "stat": lambda: states.probed(given[0], follow=given[1] if len(given) > 1 else True),
            "readlink": lambda: states.probed(given[0], follow=False),
            "list": lambda: self._list(actor, given[0]),
        }[call.name]

    def _list(self, actor: str, path: str) -> None:
        # Two calls, of which the second names the folder as it is called now.
        self.states.opened(actor, path, os.O_RDONLY | os.O_DIRECTORY)
        where = self._listing
        if not where:
            where, state = self.states.walk(path)
            if state is None:
                return
        self.states.listed(actor, where)

    def finish(self) -> None:
        """Let everything come to its end."""
        self._do_all()
        self.states.settle()
        self.catch_up()
        for record in self.observation.paths.values():
            if record.needed:
                self._take(record)

    # --- the recorder

    def catch_up(self) -> None:
        """Take what the journal asks for; see Intake."""
        while self.keeper.stored < len(self.records):
            entry = self.records[self.keeper.stored]
            self.observation.apply(entry)
            path = entry[2] if entry[0] == "b" else entry[1]
            if entry[0] in ("b", "n", "p", "v") and self.observation.paths[path].needed:
                self._take(self.observation.paths[path])
            self.keeper.stored += 1

    def _take(self, record: PathRecord) -> None:
        if record.path in self.contents:
            return
        where, original = record.now_at or record.path, True
        if record.kept is not None:
            where, original = record.kept[0], False
            if not where:
                return
            if where in self.keeper.copies:
                self.contents[record.path] = self.keeper.copies[where]
                return
        try:
            node = self.tree.at(where) if original else self.keeper.names[where]
        except OSError:
            return
        unchanged = (node.mtime, node.size) == (record.mtime_ns, record.size)
        if (original or node.ino == record.inode) and not unchanged:
            return
        self.contents[record.path] = node.data

    # --- the oracle

    def reported(self) -> set[str]:
        """Give the paths that are reported as changed: made, changed or gone; see artifacts.outputs."""
        found = set()
        for path in self.observation.made | {p for p, r in self.observation.paths.items() if r.changes}:
            record = self.observation.paths.get(path)
            try:
                node = self.tree.at(path)
            except OSError:
                if record is not None:
                    found.add(path)
                continue
            if record is None or not self._same(record, node):
                found.add(path)
        return found

    @staticmethod
    def _same(record: PathRecord, node: Node) -> bool:
        if record.mode != node.mode:
            return False
        if node.is_folder:
            return record.inode == node.ino
        now = (node.ino, node.size, node.mtime, node.ctime)
        return now == (record.inode, record.size, record.mtime_ns, record.ctime_ns)

    def world(self) -> ModelTree:
        """Lay out what the record says was there, as a replay does."""
        world = ModelTree()
        world.now = 100
        groups: dict[int, Node] = {}
        for path, record in sorted(self.observation.paths.items()):
            if path == "/":
                node = world.root
            else:
                known = groups.get(record.inode) if stat.S_ISREG(record.mode) else None
                node = known or world._node(record.mode)
                node.links += known is not None
                self._folder(world, path.rpartition("/")[0]).names[path.rpartition("/")[2]] = node
            passed = node.is_folder and not record.looked_at and record.names is None and not record.changes
            node.mode, node.mtime = record.mode, 0 if passed else record.mtime_ns
            node.target = record.target or ""
            if stat.S_ISREG(record.mode):
                if path in self.contents:
                    node.data = self.contents[path]
                elif record.inode not in groups:
                    node.data = b"?" * record.size
                groups[record.inode] = node
        return world

    def _folder(self, world: ModelTree, path: str) -> Node:
        node = world.root
        for name in path.split("/")[1:]:
            if name not in node.names:
                node.names[name] = world._node(stat.S_IFDIR | 0o755)
            node = node.names[name]
        return node

    def again(self, world: ModelTree) -> list[tuple[Call, Any]]:
        """Run the program again, in the order it was done, on another tree."""
        results = []
        world.now = 1000
        for call, _ in self.results:
            world.now += 1
            results.append((call, call.refused or world.call(call.name, *call.arguments)))
        return results
