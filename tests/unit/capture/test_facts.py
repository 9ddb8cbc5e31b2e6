"""Facts about tables among outputs, read by another process; and what is said where there are none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from msgspec.structs import replace

from reenact.capture import facts
from reenact.capture.facts import TABLE_TYPES, TableReader
from reenact.compare.media import media_type
from reenact.digests import of_bytes
from reenact.model.artifact import Artifact, Pointer, TableFacts
from tests.bundles import artifact
from tests.logical_vectors import digest_of
from tests.tables import FORMATS, base


def made(path: Path) -> Artifact:
    """Describe a file as the recorder does."""
    data, found = path.read_bytes(), path.stat()
    plain = artifact(path.name, data, "created", path=str(path), mtime_ns=str(found.st_mtime_ns))
    kind = media_type(str(path), data[:512])
    return replace(plain, pointer=Pointer(digest=of_bytes(data), size_bytes=len(data), media_type=kind))


def read(most_bytes: int, *paths: Path, reader: TableReader | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    reader = reader or TableReader(most_bytes)
    reader.ask([made(path) for path in paths], lambda a: a.entry.path)
    found, causes = reader.outputs()
    assert [a.name for a in found] == [path.name for path in paths]
    return {a.name: a.table for a in found}, causes


def parquet(path: Path, table: pa.Table) -> Path:
    pa.parquet.write_table(table, path)
    return path


def test_rows_columns_types_and_digest(tmp_path: Path) -> None:
    table = base()
    found, causes = read(1 << 20, parquet(tmp_path / "t.parquet", table), tmp_path / "t.parquet")
    assert causes == {}
    types = ("integer", "text", "float", "timestamp", "bool")
    expected = TableFacts(
        rows=60,
        columns=tuple(zip(table.column_names, types, strict=True)),
        logical_digest=digest_of(table),  # type: ignore[arg-type]
    )
    assert found == {"t.parquet": expected}


@pytest.mark.parametrize("name", ["csv", "tsv", "json lines", "arrow", "orc", "avro"])
def test_every_format_of_one_table(name: str, tmp_path: Path) -> None:
    file, write = FORMATS[name]
    write(tmp_path / file, base(), False)
    assert made(tmp_path / file).pointer.media_type in TABLE_TYPES  # type: ignore[union-attr]
    found, causes = read(1 << 20, tmp_path / file)
    assert (found[file].rows, causes) == (60, {})


def test_a_reader_that_is_warm_gives_the_same(tmp_path: Path) -> None:
    reader = TableReader(1 << 20)
    reader.notice("/x/notes.txt")
    reader.notice("/x/t.parquet")
    found, _ = read(0, parquet(tmp_path / "t.parquet", base()), reader=reader)
    assert found["t.parquet"].rows == 60


def test_what_is_no_table_is_not_mentioned(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("a,b\n1,2\n")
    assert read(1 << 20, tmp_path / "t.txt") == ({"t.txt": None}, {})


def test_the_smaller_tables_are_read_as_far_as_the_bound_goes(tmp_path: Path) -> None:
    for name, lines in (("a.csv", 50), ("b.csv", 1), ("c.csv", 2)):
        (tmp_path / name).write_text("a,b\n" + "1,2\n" * lines)
    found, causes = read(30, *(tmp_path / name for name in ("a.csv", "b.csv", "c.csv")))
    assert {name: table.rows if table else None for name, table in found.items()} == {
        "a.csv": None,
        "b.csv": 1,
        "c.csv": 2,
    }
    assert list(causes) == ["outputs[a.csv].table"]
    assert "compare.facts_max_bytes" in causes["outputs[a.csv].table"]


def test_with_a_bound_of_nothing_no_process_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked"))
    reader = TableReader(0)
    reader.notice("t.parquet")
    found, causes = read(0, parquet(tmp_path / "t.parquet", base()), reader=reader)
    assert found == {"t.parquet": None}
    assert list(causes) == ["outputs[t.parquet].table"]


def test_a_damaged_table_is_a_cause(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 nothing of the kind")
    found, causes = read(1 << 20, tmp_path / "t.parquet", parquet(tmp_path / "u.parquet", base()))
    assert "cannot be read as parquet" in causes["outputs[t.parquet].table"]
    assert found["u.parquet"].rows == 60


def test_a_reader_that_dies_is_a_cause_and_the_others_facts_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = facts._read_table

    def deadly(path: str, name: str, size: tuple[int, int]) -> Any:
        return os.abort() if name == "u.parquet" else real(path, name, size)

    monkeypatch.setattr(facts, "_read_table", deadly)
    paths = parquet(tmp_path / "t.parquet", base(5)), parquet(tmp_path / "u.parquet", base())
    found, causes = read(1 << 20, *paths)
    assert found["t.parquet"].rows == 5
    assert causes == {"outputs[u.parquet].table": "reading it failed, or took too long"}


def test_a_file_that_changed_after_it_was_stored_is_a_cause(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", base())
    stale = made(path)
    parquet(path, base(3))
    reader = TableReader(1 << 20)
    reader.ask([stale], lambda a: a.entry.path)
    assert reader.outputs()[1] == {"outputs[t.parquet].table": "it changed after it was stored"}


def test_without_the_library_the_cause_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "_installed", lambda: False)
    _, causes = read(1 << 20, parquet(tmp_path / "t.parquet", base()))
    assert causes == {"outputs[t.parquet].table": "reading tables needs reenact[tables]"}


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    read(1 << 20, parquet(tmp_path / "t.parquet", base()))
    reader = TableReader(1 << 20)
    reader.notice("t.parquet")
    child = reader._child
    reader.close()
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert not os.path.exists(f"/proc/{child}")
