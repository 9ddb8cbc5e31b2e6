"""The commands in the pages are run, in the order they stand there, and say what the pages say they do.

In a block marked ``console``, a line after ``$`` is a command, lines after ``>`` go on with it, and the others are what it prints.
``…`` stands for anything within a line; a line that is only ``…`` for any number of lines.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
_MARK = "\x01"


def sessions(page: str) -> list[tuple[str, list[str]]]:
    """Give the commands of a page, each with the lines it is said to print."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.startswith("> ") or line == ">":
                command, printed = found[-1]
                found[-1] = (f"{command}\n{line[2:]}", printed)
            else:
                found[-1][1].append(line)
    return found


def pattern(lines: list[str]) -> str:
    """Write what is said to be printed as a regular expression."""
    whole = "".join(
        r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line).replace("…", ".*?") + r" *\n" for line in lines
    )
    # Columns are as wide as what stands in them, which differs from run to run.
    return re.sub(r"(?:\\ )+", r" +", whole)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH with a `reenact` that is this package, installed or not."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    script = binaries / "reenact"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m reenact.cli.main "$@"\n')
    script.chmod(0o755)
    (binaries / "python3").symlink_to("/usr/bin/python3")
    return f"{binaries}:/usr/local/bin:/usr/bin:/bin"


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/tutorial/first-replay.md",
        "docs/how-to/replay-elsewhere.md",
        "docs/how-to/move-runs-between-stores.md",
        "docs/how-to/keep-pointers.md",
    ],
)
def test_commands_in_pages_do_what_the_page_says(page: str, tmp_path: Path, path: str) -> None:
    steps = sessions((REPOSITORY / page).read_text(encoding="utf-8"))
    assert steps
    script = "".join(f"printf '{_MARK}'\n{command}\n" for command, _ in steps)
    work = tmp_path / "work"
    work.mkdir()
    environment = {"PATH": path, "HOME": str(tmp_path), "LANG": "C.UTF-8"}
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = str(REPOSITORY / "src")
    done = subprocess.run(
        ["/bin/bash", "-c", script],
        cwd=work,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    printed = done.stdout.decode().split(_MARK)[1:]
    for (command, lines), output in zip(steps, printed, strict=True):
        assert re.fullmatch(pattern(lines), output), f"$ {command}\n{output}\nexpected:\n" + "\n".join(lines)
