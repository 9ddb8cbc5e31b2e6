"""`reenact tolerate` proposes what covers the noise of a job, and a replay under it is equivalent."""

from __future__ import annotations

import tomllib

import pytest

from tests.e2e.desk import Desk

# mawk and gawk seed srand() from the clock; od from the kernel's entropy.
NOISY = """\
n=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
awk -v n="$n" 'BEGIN { print "id,x"; for (i = 1; i < 9; i++) printf "%d,%.17g\\n", i, i / 3 * (1 + (n * i % 3) * 2e-16) }' > noise.csv
printf 'id,word\\n1,w%s\\n' "$n" > word.csv
printf 'id\\n1\\n' > same.csv
"""


def test_what_is_proposed_covers_the_noise(my_desk: Desk) -> None:
    my_desk.write("job.sh", NOISY)
    my_desk.age()
    assert my_desk.record("sh", "job.sh", options=("--job", "noisy")).exit_code == 0
    done = my_desk.reenact("tolerate", "noisy", "--runs", "3", cwd=my_desk.folder)
    text = done.stdout.decode()
    assert done.exit_code == 0, done.stderr
    declared = tomllib.loads(text)["outputs"]
    assert "same.csv" not in declared
    assert declared["word.csv"] == {"compare": "content", "ignore_columns": ["word"]}
    assert "warning: column word would not be compared at all" in text
    assert len(my_desk.runs()) == 1
    my_desk.write("reenact.toml", text)
    done = my_desk.reenact("tolerate", "noisy", "--runs", "2", "--json", cwd=my_desk.folder)
    assert done.json()["covered"]


@pytest.mark.slow
def test_a_text_that_differs_is_covered_by_nothing(my_desk: Desk) -> None:
    my_desk.write("job.sh", "od -An -N8 -tx8 /dev/urandom > note.txt\n")
    my_desk.age()
    assert my_desk.record("sh", "job.sh", options=("--job", "noisy")).exit_code == 0
    done = my_desk.reenact("tolerate", "noisy", "--runs", "2", "--json", cwd=my_desk.folder)
    answer = done.json()
    assert (done.exit_code, answer["covered"]) == (1, False)
    [note] = [output for output in answer["outputs"] if output["spread"]["name"] == "note.txt"]
    assert (note["section"], note["covers"]) == ("", False)
