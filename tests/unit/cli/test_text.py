from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reenact.cli.text import aligned, count, duration, printable, short_digest, short_id, size


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain.csv", "plain.csv"),
        ("Größe 表.csv", "Größe 表.csv"),
        ("a\nb", r"a\x0ab"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b31m", r"\x9b31m"),
        ("safe\u202egnp.exe", r"safe\u202egnp.exe"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("\udcff", r"\udcff"),
        ("\U000e0041tag", r"\U000e0041tag"),
    ],
)
def test_what_could_act_on_a_terminal_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(codec=None)))
def test_nothing_printable_returns_acts_on_a_terminal(text: str) -> None:
    shown = printable(text)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert printable(shown) == shown
    shown.encode()


def test_newlines_can_be_kept() -> None:
    assert printable("a\nb\r", keep="\n") == "a\nb\\x0d"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (5 << 30, "5.0 GiB"), (3 << 50, "3072.0 TiB")],
)
def test_sizes(number: int, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 s"), (2.44, "2.4 s"), (60, "1 min 0 s"), (192.2, "3 min 12 s"), (7500, "2 h 5 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_counts_ids_and_digests() -> None:
    assert (count(1, "run"), count(0, "run"), count(12345, "run")) == ("1 run", "0 runs", "12,345 runs")
    assert short_id("01990000-0000-7000-8000-9f3a5b7c1d2e") == "9f3a5b7c1d2e"
    assert (short_digest("sha256:" + "ab" * 32), short_digest(None)) == ("ab" * 6, "-")


def test_columns_line_up_without_trailing_spaces() -> None:
    assert aligned([("A", "N"), ("long name", "5"), ("x", "10")], indent=" ", right=frozenset({1})) == [
        " A           N",
        " long name   5",
        " x          10",
    ]
    assert aligned([("a", ""), ("b", "c")]) == ["a", "b  c"]
    assert aligned([]) == []
