"""What a person at a terminal is shown: tables and progress, of the same text as in a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import Callable

import pytest

from reenact.cli.progress import progress
from reenact.cli.table import print_table

HEADER = ("RUN", "JOB", "SIZE")
ROWS = (("01990000", "etl [bold]x[/bold]", "12"), ("01990001", "a job of a rather long name indeed", "3"))


def at_a_terminal(work: Callable[[], None], columns: int = 100) -> str:
    """Give what a function prints in a process whose standard output and error are a terminal."""
    sys.stdout.flush()
    child, terminal = pty.fork()
    if not child:
        try:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("4H", 30, columns, 0, 0))
            os.environ.update({"TERM": "xterm", "COLUMNS": str(columns)})
            for name, number in (("stdout", 1), ("stderr", 2)):
                setattr(sys, name, os.fdopen(number, "w", encoding="utf-8"))
            work()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(0)
    said = b""
    try:
        while block := os.read(terminal, 1 << 16):
            said += block
    except OSError:  # the other side is gone
        pass
    os.waitpid(child, 0)
    os.close(terminal)
    return said.decode()


def plain(text: str) -> list[str]:
    return [
        line.rstrip()
        for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "").split("\n")
        if line.strip()
    ]


def test_a_table_has_the_cells_it_has_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(HEADER, ROWS, right=frozenset({2}))
    in_pipe = capsys.readouterr().out.splitlines()
    shown = plain(at_a_terminal(lambda: print_table(HEADER, ROWS, right=frozenset({2}))))
    assert [line.split() for line in shown] == [line.split() for line in in_pipe]
    assert shown[1].index("12") == shown[2].rindex("3") - 1, "numbers end in one column"


def test_square_brackets_in_a_name_are_no_markup() -> None:
    assert "etl [bold]x[/bold]" in "\n".join(plain(at_a_terminal(lambda: print_table(HEADER, ROWS))))


def test_where_it_is_narrow_one_column_goes_on_below() -> None:
    shown = plain(at_a_terminal(lambda: print_table(HEADER, ROWS, folding=1), columns=40))
    assert all(len(line) <= 40 for line in shown)
    assert "01990000" in shown[1]
    assert "".join(" ".join(shown).split()).count("indeed") == 1


def test_a_table_without_rows_is_nothing() -> None:
    assert at_a_terminal(lambda: print_table(HEADER, ())) == ""


def test_progress_is_shown_and_cleared_at_a_terminal() -> None:
    def work() -> None:
        with progress("replaying") as say:
            say("run [b]2[/b] \x1b[31m of 3")

    said = at_a_terminal(work)
    assert "run [b]2[/b] \\x1b[31m of 3" in said
    assert "\x1b[?25h" in said, "the cursor is there again"


def test_progress_is_silent_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("replaying") as say:
        say("more")
    assert capsys.readouterr().err == ""
