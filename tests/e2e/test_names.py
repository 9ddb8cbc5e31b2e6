"""Names of any bytes, links, sparse files, listings: what lies in real folders."""

from __future__ import annotations

import os

import pytest

from tests.e2e.checks import assert_replays, check_reproduced, record
from tests.e2e.desk import Desk
from tests.e2e.jobs import Job, measurements

NAMES = (
    "with space.csv",
    'it\'s "quoted".csv',
    "new\nline.csv",
    "tab\tand\\backslash.csv",
    "größe-数据-🦆.csv",
    "-dash.csv",
    "*.csv",
)


def test_names_with_special_characters_are_kept(desk: Desk) -> None:
    reverse = """
import os, sys
os.makedirs("o ut")
for name in sys.argv[1:]:
    with open(name) as source, open("o ut/" + name, "w") as target:
        target.write(source.read()[::-1] + name)
"""
    job = Job(
        name="names",
        argv=("@python", "-c", reverse, *NAMES),
        files={name: measurements(20) for name in NAMES},
        makes=tuple(f"o ut/{name}" for name in NAMES),
    )
    check_reproduced(desk, job)


def test_a_name_that_is_no_valid_text_is_kept(desk: Desk) -> None:
    latin1 = os.fsdecode("größe.csv".encode("latin-1"))
    surrogate_bytes = os.fsdecode(b"\xff\xed\xa0\x80.csv")
    # The command line carries the bytes as well, and the folder is listed by one who does not expect them.
    job = Job(
        name="bytes",
        argv=(
            "sh",
            "-c",
            'cat "$1" "$2" > out.txt; cp "$1" "copy-$1"; for f in *.csv; do echo "$f"; done',
            "sh",
            latin1,
            surrogate_bytes,
        ),
        files={latin1: "a\n", surrogate_bytes: "b\n"},
        makes=("out.txt", f"copy-{latin1}"),
        prints=True,
    )
    check_reproduced(desk, job)


def test_links_to_files_and_folders_and_chains_of_links_are_followed(desk: Desk) -> None:
    job = Job(
        name="links",
        argv=(
            "sh",
            "-c",
            "cat latest.csv days/now/part.csv absolute.csv > all.csv; readlink latest.csv; cd days/now; cat ../../up.csv; pwd -P",
        ),
        files={"data/2024/part.csv": "part\n", "data/real.csv": "real\n", "up.csv": "up\n"},
        prepare="""
            ln -s hop1 latest.csv; ln -s hop2 hop1; ln -s data/real.csv hop2
            mkdir days; ln -s ../data/2024 days/now
            ln -s "$PWD/data/2024/../real.csv" absolute.csv
        """,
        makes=("all.csv",),
        prints=True,
    )
    check_reproduced(desk, job)


def test_an_output_written_through_a_link_lands_where_the_link_points(desk: Desk) -> None:
    job = Job(
        name="through",
        argv=("sh", "-c", "echo new > out.csv; echo more >> folder/log.txt; echo made > folder/made.txt"),
        files={"elsewhere/target.csv": "old\n", "elsewhere/d/log.txt": "log\n"},
        prepare="ln -s elsewhere/target.csv out.csv; ln -s elsewhere/d folder",
        makes=("elsewhere/target.csv", "elsewhere/d/log.txt", "elsewhere/d/made.txt"),
    )
    check_reproduced(desk, job)


def test_a_file_added_to_a_listed_folder_is_not_seen(desk: Desk) -> None:
    list_all = 'import os; open("names.txt", "w").write("\\n".join(os.listdir("raw"))); print(sum(len(open("raw/"+n).read()) for n in os.listdir("raw")))'
    job = Job(
        name="lists",
        argv=("@python", "-c", list_all),
        files={f"raw/{name}.csv": name for name in ("zebra", "ant", "mole", "eel")},
        makes=("names.txt",),
        prints=True,
    )
    effect = record(desk, job)
    if desk.plain:
        return
    desk.write("raw/new.csv", "was not there")
    assert_replays(desk, effect)


def test_a_job_that_appends_to_its_own_earlier_output_replays_each_state(desk: Desk) -> None:
    job = Job(
        name="appends", argv=("sh", "-c", "echo run $(cat log.txt 2>/dev/null | wc -l) >> log.txt"), makes=("log.txt",)
    )
    effects = [record(desk, job)]
    if desk.plain:
        return
    effects += [desk.perform(job, recorded=True) for _ in range(2)]
    contents = [(effect.changed["log.txt"] or pytest.fail("no log")).content for effect in effects]
    assert contents == [b"run 0\n", b"run 0\nrun 1\n", b"run 0\nrun 1\nrun 2\n"]
    desk.vandalise()
    for run_id, effect in zip(desk.runs(), effects, strict=True):
        assert_replays(desk, effect, run_id)


def test_a_sparse_file_keeps_its_holes(desk: Desk) -> None:
    look = """
import os
s = os.stat("sparse.bin")
data = open("sparse.bin", "rb").read()
print(s.st_size, s.st_blocks * 512 < 2_000_000, data.count(0), data[-1:])
with open("sparse.bin", "r+b") as f:
    f.write(b"head")
with open("made.bin", "wb") as f:
    f.seek(3_000_000)
    f.write(b"end")
"""
    job = Job(
        name="sparse",
        argv=("@python", "look.py"),
        files={"look.py": look},
        prepare="truncate -s 5M sparse.bin; printf x >> sparse.bin",
        makes=("sparse.bin", "made.bin"),
        prints=True,
    )
    check_reproduced(desk, job)


def test_an_absolute_path_outside_the_folder_of_the_job_is_its_input_and_output(desk: Desk) -> None:
    source, target = desk.home / "lake.csv", desk.home / "mart.csv"
    source.write_text("lake\n")
    desk.own(desk.home)
    job = Job(name="outside", argv=("sh", "-c", f"rev {source} > {target}; cp {target} here.csv"), makes=("here.csv",))
    effect = record(desk, job)
    if desk.plain:
        return
    source.unlink()
    target.write_text("overwritten\n")
    desk.vandalise()
    answer = assert_replays(desk, effect)
    assert str(target) in {output["name"] for output in answer["outputs"]}
    assert target.read_text() == "overwritten\n"
