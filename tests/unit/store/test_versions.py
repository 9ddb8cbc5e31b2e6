from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from reenact.digests import Digest, of_bytes
from reenact.store.versions import Versions

OLD, NEW, OTHER = of_bytes(b"old"), of_bytes(b"new"), of_bytes(b"other")


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(str(tmp_path / "versions.sqlite"))


def test_a_path_has_what_it_held_last(versions: Versions) -> None:
    versions.remember("etl", [("/data/in.csv", OLD)])
    versions.remember("etl", [("/data/in.csv", NEW)])
    assert versions.previous("etl", "/data/in.csv") == NEW


def test_of_a_path_read_and_written_in_one_run_what_was_written_counts(versions: Versions) -> None:
    versions.remember("etl", [("/data/in.csv", OLD), ("/data/in.csv", NEW)])
    assert versions.previous("etl", "/data/in.csv") == NEW


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("/data/2026-01-02.csv", NEW),  # that path itself, though another like it is newer
        ("/data/2026-01-09.csv", OTHER),  # the newest that differs in numbers
        ("/data/9/2026-01-09.csv", OTHER),  # in another folder
        ("/data/x.csv", None),
        ("/data/2026-01-02.csv.gz", None),
    ],
)
def test_the_likest_path_is_taken(versions: Versions, asked: str, found: Digest | None) -> None:
    versions.remember("etl", [("/data/2026-01-01.csv", OLD)])
    versions.remember("etl", [("/data/2026-01-02.csv", NEW)])
    versions.remember("etl", [("/data/2026-01-03.csv", OTHER)])
    assert versions.previous("etl", asked) == found


def test_jobs_do_not_see_each_other(versions: Versions) -> None:
    versions.remember("etl", [("/data/in.csv", OLD)])
    assert versions.previous("report", "/data/in.csv") is None
    assert (versions.knows("etl"), versions.knows("report")) == (True, False)


def test_any_bytes_are_a_name(versions: Versions) -> None:
    path, job = os.fsdecode(b"/data/\xff\xfe.csv"), "j\udc80"
    versions.remember(job, [(path, OLD)])
    assert versions.previous(job, path) == OLD


def test_processes_share_it(versions: Versions, tmp_path: Path) -> None:
    versions.remember("etl", [("/data/in.csv", OLD)])
    other = Versions(str(tmp_path / "versions.sqlite"))
    other.remember("etl", [("/data/in.csv", NEW)])
    assert versions.previous("etl", "/data/in.csv") == NEW
    other.close()
    versions.close()


def test_nonsense_in_the_file_is_as_good_as_nothing(versions: Versions, tmp_path: Path) -> None:
    versions.remember("etl", [("/data/in.csv", OLD)])
    versions.close()
    with sqlite3.connect(tmp_path / "versions.sqlite") as database:
        database.execute("UPDATE versions SET digest = 'text'")
    database.close()
    assert versions.previous("etl", "/data/in.csv") is None
    versions.close()
    (tmp_path / "versions.sqlite").write_bytes(b"no database at all" * 100)
    assert versions.previous("etl", "/data/in.csv") is None
    versions.close()


def test_where_nothing_can_be_written_it_lasts_as_long_as_the_process(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    versions = Versions(str(tmp_path / "file" / "versions.sqlite"))
    versions.remember("etl", [("/data/in.csv", OLD)])
    assert versions.previous("etl", "/data/in.csv") == OLD
    versions.close()
