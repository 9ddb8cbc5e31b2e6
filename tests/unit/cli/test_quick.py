from __future__ import annotations

import subprocess
import sys

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reenact.cli.quick import Words, parse_run
from reenact.cli.run import command

WORDS = st.sampled_from(
    ["--job", "--job=", "--job=etl", "-p", "-pk=v", "-p=k=v", "--param", "k=v", "k=", "=v", "k", "k=v=w", "--label", "-j", "",
     "--label=a=b", "--rung", "--rung=kernel", "kernel", "magic", "--linger", "--linger=1", "2", "--store", "--store=/x", "-",
     "--", "python", "etl.py", "--help", "-h", "--jo", "--version", "-c"]
)  # fmt: skip


def by_click(words: list[str]) -> Words:
    values = command.make_context("run", list(words)).params
    return Words(
        values["argv"],
        values["job"],
        dict(values["parameters"]),
        dict(values["labels"]),
        values["rung"],
        values["linger_seconds"],
        values["store"],
    )


@given(st.lists(WORDS, max_size=9))
def test_what_the_short_way_reads_click_reads_the_same(words: list[str]) -> None:
    quick = parse_run(words)
    if quick is not None:
        assert by_click(words) == quick


def test_all_plainly_written_options_take_the_short_way() -> None:
    words = (
        "--job daily -p day=1 --param x=a=b --label=team=finance --rung kernel --store /s -- python -u etl.py --job no"
    )
    assert parse_run(words.split()) == Words(
        ("python", "-u", "etl.py", "--job", "no"),
        "daily",
        {"day": "1", "x": "a=b"},
        {"team": "finance"},
        "kernel",
        None,
        "/s",
    )
    assert parse_run(["true"]) == Words(("true",))


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--",
        "--help",
        "--rung magic -- x",
        "-p novalue -- x",
        "--job",
        "--job -- x",
        "--nope -- x",
        "--linger 1 -- x",
    ],
)
def test_anything_else_is_left_to_click(words: str) -> None:
    assert parse_run(words.split()) is None


@pytest.mark.parametrize(
    "words", [["--rung", "magic", "--", "x"], ["-p", "novalue", "--", "x"], ["--job"], ["--nope", "x"], []]
)
def test_click_refuses_what_is_wrong(words: list[str]) -> None:
    with pytest.raises(click.UsageError):
        command.make_context("run", words)


def test_the_short_way_imports_no_click_and_no_rich() -> None:
    code = (
        "import sys\nfrom reenact.cli import main, quick\nquick.parse_run(['--job', 'x', '--', 'true'])\n"
        "from reenact.settings import load\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'click', 'rich', 'tomllib', 'asyncio', 'typing_extensions'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "modules",
    [
        "reenact.actions.record reenact.settings",  # until the recorder is forked
        "reenact.capture.redact reenact.capture.conditions reenact.capture.launch",
        "reenact.capture.waiting reenact.capture.watcher",
        "reenact.capture.recorder reenact.store.opening reenact.model.statement reenact.seal.verify",
    ],
)
def test_no_process_of_a_recording_imports_what_takes_longer_than_all_it_does(modules: str) -> None:
    code = (
        "import importlib, sys\nfor name in sys.argv[1].split():\n    importlib.import_module(name)\n"
        "heavy = {'dataclasses', 'pathlib', 'subprocess', 'logging', 'asyncio', 'urllib', 'tempfile', 'click'}\n"
        "heavy |= {'reenact.store.objects', 'reenact.store.delta', 'reenact.store.segmented', 'reenact.capture.owner_index'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code, modules], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_nothing_is_redacted_or_launched_before_the_recorder_is_forked() -> None:
    code = (
        "import sys\nfrom reenact.actions import record\nfrom reenact.settings import load\n"
        "late = {'reenact.capture.redact', 'reenact.capture.conditions', 'reenact.seal.keys', 'socket', 'ctypes', 'hashlib'}\n"
        "print(sorted((late | {'msgspec'}) & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
