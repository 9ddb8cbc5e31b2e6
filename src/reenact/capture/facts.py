"""What is known of the tables among a run's outputs: rows, columns and logical digests, read after the job has ended.

In a process of its own: a table is whatever the job wrote, and a reader written in C++ that fails on it must not take the recording
with it. It reads small tables only, as whoever started the run waits for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from msgspec import structs

from reenact.capture.roles import name_process
from reenact.digests import Digest
from reenact.model.artifact import Artifact, TableFacts

__all__ = ["TABLE_TYPES", "TableReader"]

TABLE_TYPES: Final = frozenset(
    {
        "application/vnd.apache.arrow.file",
        "application/vnd.apache.arrow.stream",
        "application/vnd.apache.avro",
        "application/vnd.apache.orc",
        "application/vnd.apache.parquet",
        "application/x-feather",
        "application/x-ndjson",
        "text/csv",
        "text/tab-separated-values",
    }
)
"""Media types of files that hold one table."""

_LONGEST_SECONDS: Final = 20.0
"""So long may reading take before it is given up; some tables unpack to a thousand times their size."""
_MOST_ANSWER_BYTES: Final = 16 << 20

_PR_SET_PDEATHSIG: Final = 1
_ENDINGS: Final = (".parquet", ".csv", ".tsv", ".arrow", ".arrows", ".feather", ".orc", ".avro", ".jsonl", ".ndjson")

PathOf = Callable[[Artifact], str]


class TableReader:
    """Reads tables in another process, which is started as soon as a run seems to write one: importing takes longer than reading."""

    def __init__(self, most_bytes: int) -> None:
        """Set up; nothing is started.

        Args:
            most_bytes: How large the tables may be, all together, to be read; 0 for none at all.
        """
        self._most = most_bytes
        self._child = 0
        self._questions = self._answers = -1
        self._made: Sequence[Artifact] = ()
        self._wanted: dict[str, str] = {}
        self._causes: dict[str, str] = {}

    def notice(self, path: str) -> None:
        """Learn that a run writes to a path."""
        if self._most and not self._child and path.endswith(_ENDINGS):
            self._start()

    def ask(self, made: Sequence[Artifact], path_of: PathOf) -> None:
        """Begin to read those of a run's outputs that are tables, the smaller ones first.

        Args:
            made: The outputs; those with a pointer are stored.
            path_of: Where an output is now.
        """
        self._made = made
        tables = [a for a in made if a.pointer is not None and not a.temporary and a.pointer.media_type in TABLE_TYPES]
        left = self._most
        for artifact in sorted(tables, key=lambda a: (a.entry.size_bytes, a.name)):
            left -= artifact.entry.size_bytes
            if left < 0 or not self._most:
                why = "larger than what is read after a run" if self._most else "tables were not read after this run"
                self._causes[_field(artifact.name)] = f"{why} (compare.facts_max_bytes)"
            else:
                self._wanted[artifact.name] = path_of(artifact)
        if not self._wanted:
            return
        if not self._child:
            self._start()
        sizes = {a.name: (a.entry.size_bytes, int(a.entry.mtime_ns)) for a in tables}
        questions = [[name, path, *sizes[name]] for name, path in self._wanted.items()]
        if self._child:
            with contextlib.suppress(OSError):  # it ended before it was asked: every answer is missing then
                _write_all(self._questions, json.dumps(questions).encode() + b"\n")

    def outputs(self) -> tuple[list[Artifact], dict[str, str]]:
        """Give the outputs with what is known of them, and by field path why something is not. Nothing raises."""
        answers = self._collect() if self._wanted and self._child else {}
        self.close()
        found: list[Artifact] = []
        for artifact in self._made:
            answer = answers.get(artifact.name)
            if isinstance(answer, dict):
                found.append(structs.replace(artifact, table=_facts(answer)))
                continue
            if artifact.name in self._wanted:
                self._causes[_field(artifact.name)] = answer or self._why_none()
            found.append(artifact)
        return found, self._causes

    def _why_none(self) -> str:
        return "reading it failed, or took too long" if _installed() else "reading tables needs reenact[tables]"

    def _start(self) -> None:
        if not _installed():
            return
        asked, self._questions = os.pipe()
        self._answers, answering = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            name_process("reenact-tables")
            _answer(asked, answering)
        os.close(asked)
        os.close(answering)

    def _collect(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for line in _read(self._answers).split(b"\n")[:-1]:
            name, answer = json.loads(line)
            found[name] = answer
        return found

    def close(self) -> None:
        """End the other process, whatever it is doing."""
        if not self._child:
            return
        for descriptor in (self._questions, self._answers):
            os.close(descriptor)
        with contextlib.suppress(OSError):
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
        self._child = 0


def _installed() -> bool:
    from importlib.util import find_spec  # noqa: PLC0415 - only where there are tables

    return find_spec("pyarrow") is not None


def _field(name: str) -> str:
    return f"outputs[{name}].table"


def _facts(answer: dict[str, Any]) -> TableFacts:
    columns = tuple((str(name), str(kind)) for name, kind in answer["columns"])
    return TableFacts(rows=answer["rows"], columns=columns, logical_digest=Digest(answer["digest"]))


def _read(source: int) -> bytes:
    """Read until the other side closes, has said too much, or takes too long; whole lines count even then."""
    ends = time.monotonic() + _LONGEST_SECONDS
    data = b""
    poll = select.poll()
    poll.register(source, select.POLLIN)
    while len(data) < _MOST_ANSWER_BYTES and (left := ends - time.monotonic()) > 0:
        if not poll.poll(left * 1000):
            break
        block = os.read(source, 1 << 16)
        if not block:
            break
        data += block
    return data


def _write_all(target: int, data: bytes) -> None:
    while data:
        data = data[os.write(target, data) :]


# --- the other process


def _answer(asked: int, answering: int) -> NoReturn:
    """Wait for questions, write a line for each table; never returns."""
    try:
        _be_alone(asked, answering)
        with contextlib.suppress(Exception):
            _warm_up()
        with open(asked, "rb") as questions:
            for name, path, size, mtime_ns in json.loads(questions.readline() or b"[]"):
                line = json.dumps([name, _read_table(path, name, (size, mtime_ns))])
                _write_all(answering, line.encode() + b"\n")
    except BaseException:  # noqa: BLE001 - nothing of this process may go on in the recorder's place
        os._exit(1)
    os._exit(0)


def _be_alone(*kept: int) -> None:
    """Die with the recorder, and hold none of the pipes whose ends others wait for."""
    import ctypes  # noqa: PLC0415 - in the child only

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nowhere, standard)
    for word in os.listdir("/proc/self/fd"):
        if int(word) > 2 and int(word) not in kept:  # noqa: PLR2004 - the standard ones
            with contextlib.suppress(OSError):
                os.close(int(word))


def _warm_up() -> None:
    """Import what reading will need, and let the library make its threads."""
    from reenact.compare import parts, tables  # noqa: PLC0415 - in the child only
    from reenact.compare.libraries import arrow, arrow_compute  # noqa: PLC0415 - same

    _ = parts, tables, arrow("csv"), arrow("parquet"), arrow_compute()


def _read_table(path: str, name: str, size: tuple[int, int]) -> dict[str, Any] | str:
    """Give the facts of one table, or why there are none."""
    from reenact.compare.parts import open_parts  # noqa: PLC0415 - in the child only
    from reenact.compare.scratch import Scratch  # noqa: PLC0415 - same
    from reenact.compare.tables import facts_of  # noqa: PLC0415 - same

    try:
        if _stat(path) != size:
            return "it changed after it was stored"
        parts = list(open_parts(path, name, Scratch("", 0)).parts.values())
        if len(parts) != 1 or parts[0].table is None:
            return "; ".join(note for part in parts for note in part.notes) or "it is no table"
        facts = facts_of(parts[0].table)
        if _stat(path) != size:
            return "it changed while it was read"
    except Exception as error:  # noqa: BLE001 - each library has errors of its own, and the file may hold anything
        return f"cannot be read: {(str(error).strip().splitlines() or [type(error).__name__])[0]}"
    return {"rows": facts.rows, "columns": facts.columns, "digest": facts.digest}


def _stat(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns
