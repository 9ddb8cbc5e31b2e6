"""Jobs in other languages than shell and Python: nothing of them is known to the recorder."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from tests.e2e.checks import check_reproduced, require
from tests.e2e.desk import Desk
from tests.e2e.jobs import Job, measurements

CSV = {"in.csv": measurements()}
ETL_JAVA = """\
import java.nio.file.*;
import java.util.*;
public class Etl {
    public static void main(String[] args) throws Exception {
        Map<String, Integer> counts = new TreeMap<>();
        for (String line : Files.readAllLines(Path.of("in.csv"))) counts.merge(line.split(",")[1], 1, Integer::sum);
        Files.writeString(Path.of("out.txt"), counts.toString());
        System.out.println(String.format("%,d rows of %s", counts.values().stream().mapToInt(i -> i).sum(), counts.keySet()));
    }
}
"""

JOBS = (
    Job(
        name="sqlite-in-place",
        argv=("sqlite3", "a.db", ".read etl.sql"),
        files={
            **CSV,
            "etl.sql": """\
create table if not exists s as select g, count(*) n from t group by g;
update t set x = x + 1 where id < 200;
delete from t where id > 300;
select count(*), sum(x) from t;
""",
        },
        prepare="sqlite3 a.db 'create table t(id integer, g text, x real, d text)' '.mode csv' '.import --skip 1 in.csv t'",
        needs=("sqlite3",),
        makes=("a.db",),
        prints=True,
    ),
    Job(
        name="sqlite-in-place-from-python",
        argv=("@python", "etl.py"),
        files={
            "etl.py": """\
import sqlite3
with sqlite3.connect("a.db") as c:
    c.execute("create table if not exists t (id integer primary key, x)")
    c.executemany("insert into t (x) values (?)", [(i * i,) for i in range(500)])
with sqlite3.connect("a.db") as c:
    c.execute("pragma journal_mode = wal")
    c.execute("delete from t where id % 3 = 0")
c.close()
print(open("a.db", "rb").read(15))
""",
        },
        prepare='"$PYTHON_OF_TEST" -c \'import sqlite3; c = sqlite3.connect("a.db"); c.execute("create table old (x)"); c.commit()\'',
        makes=("a.db",),
        prints=True,
    ),
    Job(
        name="node",
        argv=("node", "etl.js"),
        files={
            **CSV,
            "package.json": '{"type": "commonjs"}',
            "node_modules/counting/index.js": "module.exports = (m, k) => { m[k] = (m[k] || 0) + 1 }\n",
            "etl.js": """\
const fs = require("fs"), count = require("counting"), found = {};
const lines = require("readline").createInterface({ input: fs.createReadStream("in.csv") });
lines.on("line", l => count(found, l.split(",")[1])).on("close", () => {
  fs.writeFileSync("part.json", JSON.stringify(found)); fs.renameSync("part.json", "out.json");
  console.log(require("zlib").gzipSync("x").length, new Intl.NumberFormat("de").format(12345.6));
});
""",
        },
        needs=("node",),
        makes=("out.json",),
        prints=True,
    ),
    Job(
        name="perl",
        argv=("perl", "-Ilib", "etl.pl"),
        files={
            **CSV,
            "lib/Total.pm": "package Total;\nuse List::Util 'sum';\nsub of { sprintf '%.4f', sum @_ }\n1;\n",
            "etl.pl": """\
use strict; use warnings; use Total; use JSON::PP; use POSIX;
my %h; open my $f, '<', 'in.csv'; <$f>; while (<$f>) { my @a = split /,/; push @{$h{$a[1]}}, $a[2] }
open my $o, '>', 'o.txt'; print $o "$_ " . Total::of(@{$h{$_}}) . "\\n" for sort keys %h;
print JSON::PP->new->canonical->encode({a => scalar keys %h}), "\\n";
""",
        },
        needs=("perl",),
        makes=("o.txt",),
        prints=True,
    ),
    Job(
        name="make-j2",
        argv=("make", "-j2", "-s"),
        files={
            **{f"p/x{i}": measurements(40 + i) for i in range(6)},
            "old.in": "in\n",
            "old.o": "not rebuilt\n",
            "Makefile": """\
OUT = $(patsubst p/x%,p/y%,$(wildcard p/x*))
all.txt: $(OUT) old.o
\tcat $(sort $(OUT)) old.o > $@
p/y%: p/x%
\tcut -d, -f2 $< | sort | uniq -c > $@
old.o: old.in
\techo rebuilt > $@
""",
        },
        needs=("make",),
        makes=("all.txt", "p/y0", "p/y5"),
    ),
    *(
        pytest.param(job, marks=pytest.mark.slow, id=job.name)
        for job in (
            Job(
                name="java-source",
                argv=("java", "Etl.java"),
                files={**CSV, "Etl.java": ETL_JAVA},
                needs=("java", "javac"),
                makes=("out.txt",),
                prints=True,
            ),
            Job(
                name="java-jar",
                argv=("java", "-jar", "e.jar"),
                files={**CSV, "Etl.java": ETL_JAVA, "m": "Main-Class: Etl\n"},
                prepare="javac Etl.java; jar cfm e.jar m Etl.class; rm Etl.class Etl.java m",
                needs=("java", "javac", "jar"),
                makes=("out.txt",),
                prints=True,
            ),
            Job(
                name="r",
                argv=("Rscript", "etl.R"),
                files={
                    **CSV,
                    "functions.R": "total <- function(d) aggregate(x ~ g, d, sum)\n",
                    "etl.R": """\
source("functions.R")
d <- read.csv("in.csv")
write.csv(total(d), "a.csv", row.names = FALSE)
saveRDS(d, "d.rds")
print(summary(d$x)); set.seed(1); print(rnorm(2)); print(Sys.getlocale("LC_COLLATE"))
""",
                },
                needs=("Rscript",),
                makes=("a.csv", "d.rds"),
                prints=True,
            ),
        )
    ),
)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_is_reproduced(desk: Desk, job: Job) -> None:
    desk.variables["PYTHON_OF_TEST"] = desk.person.python
    check_reproduced(desk, job)


COPY_C = r"""
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
    char data[4096];
    long in = syscall(SYS_openat, AT_FDCWD, "in.csv", O_RDONLY, 0);
    long out = syscall(SYS_openat, AT_FDCWD, "out.csv", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (in < 0 || out < 0) return 1;
    for (long n; (n = syscall(SYS_read, in, data, sizeof data)) > 0;)
        for (long i = 0; i < n; i++) {
            if (data[i] >= 'a' && data[i] <= 'z') data[i] -= 32;
            if (syscall(SYS_write, out, data + i, 1) != 1) return 2;
        }
    return 0;
}
"""


@pytest.mark.parametrize("width", ["64-bit", "32-bit"])
def test_a_static_binary_with_raw_system_calls_is_reproduced(desk: Desk, width: str, tmp_path: Path) -> None:
    require("gcc")
    if width == "32-bit" and platform.machine() != "x86_64":
        pytest.skip("32-bit calls are only known on x86_64")
    job = Job(
        name="static",
        argv=("./copy",),
        files={**CSV, "copy": _compile(COPY_C, tmp_path, *(["-m32"] if width == "32-bit" else []))},
        prepare="chmod 755 copy",
        makes=("out.csv",),
    )
    check_reproduced(desk, job)


def _compile(source: str, place: Path, *options: str) -> bytes:
    (place / "source.c").write_text(source)
    done = subprocess.run(
        ["gcc", "-static", *options, "-o", place / "binary", place / "source.c"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"gcc cannot build it: {done.stderr.strip().splitlines()[-1]}")
    binary = (place / "binary").read_bytes()
    elf_class = binary[4]
    assert elf_class == (1 if "-m32" in options else 2)
    return binary
