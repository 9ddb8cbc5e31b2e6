"""Shell jobs: the tools every ETL is glued with, and the kinds of files they leave."""

from __future__ import annotations

import pytest

from tests.e2e.checks import check_reproduced
from tests.e2e.desk import Desk
from tests.e2e.jobs import Job, measurements

CSV = {"in.csv": measurements()}

JOIN = "mkdir made; for n in 9 3 7 1 5; do echo $n > made/$n; done; cp many/kiwi z; find . > found.txt; ls -U made; ls -U many"
JOIN += "; find many made -type f -exec cat {} + > all.txt"

JOBS = (
    Job(
        name="awk-sed-sort-mv",
        argv=("sh", "run.sh"),
        files={
            **CSV,
            "keep.txt": "old\n",
            "run.sh": """\
set -e
awk -F, 'NR>1{s[$2]+=$3}END{for(k in s)print k,s[k]}' in.csv | sort > agg.txt
sed -i 's/old/new/' keep.txt
sort -t, -k3 -n in.csv | head -50 > top.tmp
mv top.tmp top.csv
mkdir -p out/sub; cp keep.txt out/sub/; ls out; rm -f nothing
""",
        },
        makes=("agg.txt", "keep.txt", "top.csv", "out/sub/keep.txt"),
        prints=True,
    ),
    Job(
        name="pipes-and-process-substitution",
        argv=("bash", "run.sh"),
        files={
            **CSV,
            "run.sh": """\
diff <(cut -d, -f1 in.csv | sort) <(cut -d, -f1 in.csv | sort -r) > d.txt
cat > h.txt <<EOF
home=$HOME user=$USER $(wc -l < in.csv) $(id -un) $(hostname)
EOF
while read -r l; do echo "$l"; done <<< "here string" >> h.txt
printf '%s\\n' *.csv | tee t.txt | tr a-z A-Z
""",
        },
        needs=("bash",),
        makes=("d.txt", "h.txt", "t.txt"),
        prints=True,
    ),
    Job(
        name="redirections-in-the-shell",
        argv=(
            "sh",
            "-c",
            "sort < in.csv > out.txt; ls missing 2> err.txt; echo x >> out.txt; cat in.csv nope > both.txt 2>&1; true",
        ),
        files={**CSV, "run.sh": ""},
        makes=("out.txt", "err.txt", "both.txt"),
    ),
    Job(
        name="redirections-by-the-caller",
        argv=("sh", "x.sh"),
        files={**CSV, "x.sh": "echo begin; sort -r; echo oops >&2\n"},
        redirect="< in.csv > out.txt",
        makes=("out.txt",),
    ),
    Job(
        name="appending-redirection-by-the-caller",
        argv=("sh", "x.sh"),
        files={**CSV, "log.txt": "first\n", "x.sh": "read header; echo second; cat log.txt | wc -l\n"},
        redirect="< in.csv >> log.txt",
        makes=("log.txt",),
    ),
    Job(
        name="stdin-through-a-pipe",
        argv=("sh", "-c", "tee copy.txt | wc -c"),
        stdin=measurements().encode(),
        makes=("copy.txt",),
        prints=True,
    ),
    Job(
        name="deletes-an-input",
        argv=("sh", "-c", "cat a.csv b.csv > all.csv; rm a.csv b.csv; rmdir empty"),
        files={"a.csv": "a\n", "b.csv": "b\n"},
        prepare="mkdir empty",
        makes=("all.csv",),
        removes=("a.csv", "b.csv", "empty"),
    ),
    Job(
        name="renames-a-directory-with-children",
        argv=("sh", "-c", "mv staging done; ls -R done; echo more >> done/a/one.csv; mv done/a/two.csv done/three.csv"),
        files={"staging/a/one.csv": "1\n", "staging/a/two.csv": "2\n", "staging/b/untouched.csv": "u\n"},
        makes=("done/a/one.csv", "done/three.csv", "done/b/untouched.csv"),
        removes=("staging", "staging/a/one.csv", "staging/b/untouched.csv"),
        prints=True,
    ),
    Job(
        name="renames-a-folder-and-makes-it-anew",
        argv=("sh", "-c", "mv in old; mkdir in; cp old/a.csv in/b.csv; rm -r old; mv empty other; mkdir empty"),
        files={"in/a.csv": "1\n"},
        prepare="mkdir empty",
        makes=("in/b.csv", "other"),
        removes=("in/a.csv",),
    ),
    Job(
        name="compresses-in-place",  # these refuse a file that has a second name
        argv=("sh", "-c", "gzip -nk a.csv; gzip -n b.csv; xz -k a.csv || true; bzip2 -k a.csv || true; ls"),
        files={"a.csv": measurements(), "b.csv": "b\n"},
        makes=("a.csv.gz", "b.csv.gz"),
        removes=("b.csv",),
        noisy=True,
        prints=True,
    ),
    Job(
        name="moves-a-folder-away-and-back",
        argv=("perl", "-e", "rename('in', 'aside') or die $!; rename('aside', 'in') or die $!; print 'back'"),
        files={"in/a.csv": "1\n"},
        needs=("perl",),
        prints=True,
    ),
    Job(
        name="uses-a-folder-with-a-name-drawn-by-chance",
        argv=("sh", "-c", "d=$(mktemp -d); cat $d/none in.csv > $d/a 2>&- ; test -e $d/b; cp $d/a out.csv; rm -r $d"),
        files=CSV,
        makes=("out.csv",),
    ),
    Job(
        name="hard-links",
        argv=(
            "sh",
            "-c",
            "echo changed >> one.txt; cat two.txt > seen.txt; ln one.txt three.txt; test one.txt -ef two.txt && echo same",
        ),
        files={"one.txt": "1\n"},
        prepare="ln one.txt two.txt",
        makes=("one.txt", "two.txt", "three.txt", "seen.txt"),
        prints=True,
    ),
    Job(
        name="joins-what-it-finds-in-the-order-it-finds-it",  # which is the file system's own, and another in an overlay
        argv=("sh", "-c", f"{JOIN}; perl -e 'opendir D, q(.); print join q( ), grep !/^[.]/, readdir D' > perl.txt"),
        files={
            f"many/{name}": f"{name}\n"
            for name in ["zebra", "apple", "mango", "kiwi", "fig", "date", "lime", "plum", "pear"]
        },
        needs=("perl", "find"),
        makes=("found.txt", "made/7", "all.txt", "perl.txt"),
        prints=True,
    ),
    Job(
        name="fifo-between-processes",
        argv=(
            "sh",
            "-c",
            "mkfifo f; sort -r in.csv > f & wc -c < f; wait; rm f; cat < ready > got.txt & echo hello > ready; wait",
        ),
        files=CSV,
        prepare="mkfifo ready",
        makes=("got.txt",),
        prints=True,
    ),
    Job(
        name="reads-its-own-writes-and-temporaries",
        argv=("sh", "-c", "t=$(mktemp); sort in.csv > $t; cp $t mid.csv; head -3 mid.csv > out.csv; rm mid.csv $t"),
        files=CSV,
        makes=("out.csv",),
    ),
    Job(
        name="changes-modes-and-links",
        argv=(
            "sh",
            "-c",
            "chmod 640 a.txt; ln -s a.txt l; ln -sfn b.txt old; readlink l old; umask 077; echo p > private.txt",
        ),
        files={"a.txt": "a\n", "b.txt": "b\n"},
        prepare="ln -s a.txt old",
        makes=("a.txt", "l", "old", "private.txt"),
        prints=True,
    ),
    Job(
        name="sets-locale-and-time-zone",
        argv=("sh", "-c", "date -d @1700000000 '+%A %H:%M %Z' > date.txt; cut -d, -f2 in.csv | sort -u; pwd; umask"),
        files=CSV,
        variables={"TZ": "America/Sao_Paulo", "LC_ALL": "C.UTF-8"},
        makes=("date.txt",),
        prints=True,
    ),
)


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_is_reproduced(desk: Desk, job: Job) -> None:
    check_reproduced(desk, job)
