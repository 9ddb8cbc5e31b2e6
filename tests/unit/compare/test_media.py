"""A file's type comes from its content, then its name; what is code is told by name, shebang or format."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reenact.compare.media import HEAD_BYTES, OCTETS, is_code, media_type


@pytest.mark.parametrize(
    ("path", "head", "expected"),
    [
        ("a", b"PAR1\x15\x04", "application/vnd.apache.parquet"),
        ("a.csv", b"PAR1\x15\x04", "application/vnd.apache.parquet"),
        ("a.arrow", b"ARROW1\x00\x00", "application/vnd.apache.arrow.file"),
        ("a.arrow", b"\xff\xff\xff\xff\x78\x00\x00\x00", "application/vnd.apache.arrow.stream"),
        ("a", b"ORC\x0a", "application/vnd.apache.orc"),
        ("a", b"Obj\x01\x04\x16", "application/vnd.apache.avro"),
        ("a", b"\x12\x34\x56\x78\x00\x00\x00\x00DUCK\x40", "application/vnd.duckdb"),
        ("a", b"x" * 257 + b"ustar\x00", "application/x-tar"),
        ("a.png", b"\x89PNG\r\n\x1a\n\x00", "image/png"),
        ("/usr/bin/x", b"\x7fELF\x02\x01", "application/x-elf"),
        ("a.csv", b"a,b\n1,2\n", "text/csv"),
        ("A.CSV", b"a,b\n1,2\n", "text/csv"),
        ("a.tsv", b"a\tb\n", "text/tab-separated-values"),
        ("a.csv", "name\nJosé\n".encode("latin-1"), "text/csv"),
        ("a.csv", "a,b".encode("utf-16"), "text/csv"),
        ("a.csv", b"\x00\x01\x02", OCTETS),
        ("a", b"\x00\x01\x02", OCTETS),
        ("a.pkl", b"\x80\x05\x95\x00", "application/x-python-pickle"),
        ("a.jsonl", b'{"a": 1}\n{"a": 2}\n', "application/x-ndjson"),
        ("a", b'\n {"a": 1}', "application/json"),
        ("a", b"{braces} in prose", "text/plain"),
        ("a", b"<?xml version='1.0'?>", "application/xml"),
        ("run", b"#!/usr/bin/env python3\n", "text/x-python"),
        ("run", b"#!/bin/sh\n", "text/x-shellscript"),
        ("README", "Grüße\n".encode(), "text/plain"),
        ("a.csv", b"", "text/csv"),
        ("_SUCCESS", b"", OCTETS),
        (".csv", b"x", "text/plain"),
        ("folder.csv/data", b"x", "text/plain"),
    ],
)
def test_a_type_is_told_by_content_then_name(path: str, head: bytes, expected: str) -> None:
    assert media_type(path, head) == expected


def test_files_made_by_their_own_libraries_are_known(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "x.db") as database:
        database.execute("create table t (a)")
    database.close()
    assert media_type("x.db", (tmp_path / "x.db").read_bytes()[:HEAD_BYTES]) == "application/vnd.sqlite3"
    assert media_type("x.csv.gz", gzip.compress(b"a,b")) == "application/gzip"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a", "b")
    assert media_type("x.zip", archive.getvalue()) == "application/zip"
    assert media_type("x.xlsx", archive.getvalue()).endswith("spreadsheetml.sheet")
    assert media_type("x.json", json.dumps([1]).encode()) == "application/json"


@given(
    text=st.text(alphabet=st.characters(min_codepoint=32, exclude_categories=["Cs"]), min_size=1, max_size=200),
    cut=st.integers(1, 700),
)
def test_a_head_cut_inside_a_character_is_still_text(text: str, cut: int) -> None:
    assert media_type("x.csv", ("a," + text).encode()[: cut + 2]) == "text/csv"
    assert not media_type("x", ("a," + text).encode()[: cut + 2]).startswith("application/octet")


@pytest.mark.parametrize(
    "path",
    [
        "etl.py",
        "a/b/q.SQL",
        "Makefile",
        "x/Dockerfile",
        "lib.so",
        "lib.so.1.2",
        "model.R",
        "run.sh",
        "dbt_project.yml",
        "m.sql.j2",
        "x.pyc",
    ],
)
def test_code_is_told_by_its_name(path: str) -> None:
    assert is_code(path)


@pytest.mark.parametrize(
    "path", ["a.csv", "etl.py.csv", "Makefile.csv", "data", ".py", "x.json", "py", "sql/data.parquet"]
)
def test_data_is_no_code(path: str) -> None:
    assert not is_code(path, b"a,b\n")


def test_a_shebang_or_a_program_format_makes_code() -> None:
    assert is_code("run", b"#!/bin/sh\n")
    assert is_code("run", b"\x7fELF\x02")
    assert not is_code("run", b"# !")
