from __future__ import annotations

import subprocess
import sys

import pytest


def said(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


LEAN = "import sys\nfrom reenact.capture.lean import import_msgspec\nimport_msgspec()\n"


def test_msgspec_is_imported_without_what_takes_long() -> None:
    assert said(LEAN + "print(sorted({'msgspec', 'typing_extensions', 'inspect', 'ast'} & sys.modules.keys()))") == (
        "['msgspec']"
    )


def test_the_recorder_works_with_it() -> None:
    code = "from reenact.model.artifact import Entry\nimport msgspec\n"
    code += "e = Entry(path='/x', type='file', mode=420, mtime_ns='1', need='stat')\n"
    code += "print(msgspec.json.decode(msgspec.json.encode(e), type=Entry) == e)"
    assert said(LEAN + code) == "True"


def test_others_still_get_the_module_that_was_left_out() -> None:
    pytest.importorskip("typing_extensions")
    assert said(LEAN + "import typing_extensions\nprint(typing_extensions.__name__)") == "typing_extensions"
    assert (
        said("import typing_extensions\n" + LEAN + "print(typing_extensions is sys.modules['typing_extensions'])")
        == "True"
    )
