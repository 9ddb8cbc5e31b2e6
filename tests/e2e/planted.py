"""Pairs of runs whose outputs differ for known reasons: a small job, changes that matter, and changes that do not.

The job is a shell script that reads its threshold, its data and a few other things from everywhere a job can; the package and
the hash seed have a small Python job, as only they need one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.e2e.desk import Desk

__all__ = ["CASES", "FEW", "Planted"]

JOB: Final = """\
#!/bin/sh
. ./lib.sh
. ./conf.ini
if [ -r extra.ini ]; then . ./extra.ini; fi
factor=3
{
  for file in data/*.csv current.csv; do cat "$file"; done
  printf 'stdin,%s\\n' "$(cat)"
} | awk -F, -v t="${THRESHOLD:-$limit}" -v c="${1:-2}" -v f="$factor" -f pick.awk | arrange > out.csv
printf 'é' | wc -m > width.txt
date -d @0 +%H > hour.txt
awk -v s="${SEED:-1}" 'BEGIN { srand(s); print int(rand() * 1000000) }' > chance.txt
./tool >> out.csv
[ data/a.csv -nt data/b.csv ] && echo newer >> out.csv
echo done
"""
FILES: Final[Mapping[str, str]] = {
    "job.sh": JOB,
    "lib.sh": "arrange() { sort -t , -k 1,1; }\n",
    "conf.ini": "limit=2\n",
    "pick.awk": '$c >= t { print $1 "," $c * f }\n',
    "tool": "#!/bin/sh\necho tool 1\n",
    "data/a.csv": "ant,1,5\nbee,2,4\ncat,3,3\n",
    "data/b.csv": "dog,4,2\n",
    "other.csv": "fox,9,9\n",
    "notes.txt": "nobody reads this\n",
    "etl.py": "import tiny, helper\nopen('out.txt', 'w').write(helper.told(tiny.VERSION_SEEN, {'a', 'b', 'c', 'd', 'e', 'f'}))\n",
    "helper.py": "def told(version, letters):\n    return f'{version} {list(letters)}'\n",
}
ARGV: Final = ("sh", "job.sh", "2")
VARIABLES: Final = {"LC_ALL": "C", "TZ": "UTC0", "PYTHONHASHSEED": "1"}


@dataclass(slots=True)
class Setting:
    """What one run is started with; changed in place."""

    desk: Desk
    argv: tuple[str, ...] = ARGV
    variables: dict[str, str] = field(default_factory=lambda: dict(VARIABLES))
    options: tuple[str, ...] = ("--job", "planted")
    stdin: bytes = b"7,7"
    before: str = ""
    """Shell words put before the command."""

    def write(self, name: str, content: str) -> None:
        """Write a file; its time is another only where that is the change."""
        self.desk.write(name, content)
        place = self.desk.folder / name
        os.utime(place, (1_700_000_000, 1_700_000_000))

    def remove(self, name: str) -> None:
        (self.desk.folder / name).unlink()


Change = Callable[[Setting], object]


def _package(setting: Setting, version: str) -> None:
    site = "lib/site-packages"
    for old in (setting.desk.folder / site).glob("tiny-*/*"):
        old.unlink()
    setting.write(f"{site}/tiny/__init__.py", f"VERSION_SEEN = 'tiny {version}'\n")
    setting.write(
        f"{site}/tiny-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n"
    )
    setting.write(
        f"{site}/tiny-{version}.dist-info/RECORD", f"tiny/__init__.py,,\ntiny-{version}.dist-info/METADATA,,\n"
    )


def _link(setting: Setting, target: str) -> None:
    place = setting.desk.folder / "current.csv"
    place.unlink(missing_ok=True)
    place.symlink_to(target)


def _variable(name: str, value: str) -> Change:
    return lambda setting: setting.variables.update({name: value})


def _file(name: str, content: str) -> Change:
    return lambda setting: setting.write(name, content)


def _argv(*words: str) -> Change:
    return lambda setting: setattr(setting, "argv", words)


def _options(*words: str) -> Change:
    return lambda setting: setattr(setting, "options", (*setting.options, *words))


def _touch(setting: Setting) -> None:
    os.utime(setting.desk.folder / "data/a.csv", (1_800_000_000, 1_800_000_000))


CAUSES: Final[Mapping[str, tuple[str, Change]]] = {
    "constant": ("code job.sh", _file("job.sh", JOB.replace("factor=3", "factor=4"))),
    "helper": ("code lib.sh", _file("lib.sh", "arrange() { sort -r; }\n")),
    "awk": ("code pick.awk", _file("pick.awk", '$c > t { print $1 "," $c * f }\n')),
    "tool": ("code tool", _file("tool", "#!/bin/sh\necho tool 2\n")),
    "config": ("input conf.ini", _file("conf.ini", "limit=3\n")),
    "extra": ("input extra.ini", _file("extra.ini", "limit=4\n")),
    "row": ("input data/a.csv", _file("data/a.csv", "ant,1,5\nbee,2,4\ncat,8,3\n")),
    "more": ("input data/c.csv", _file("data/c.csv", "eel,5,1\n")),
    "fewer": ("input data/b.csv", lambda setting: setting.remove("data/b.csv")),
    "link": ("input current.csv", lambda setting: _link(setting, "data/a.csv")),
    "times": ("file times", _touch),
    "stdin": ("standard input", lambda setting: setattr(setting, "stdin", b"9,9")),
    "variable": ("variable THRESHOLD", _variable("THRESHOLD", "3")),
    "seed": ("seed SEED", _variable("SEED", "5")),
    "locale": ("locale LC_ALL", _variable("LC_ALL", "C.UTF-8")),
    "zone": ("locale TZ", _variable("TZ", "EST5")),
    "argument": ("command word 2", _argv("sh", "job.sh", "3")),
    "umask": ("conditions umask", lambda setting: setattr(setting, "before", "umask 077;")),
}
"""Name to the title of the factor that is to be found, and what makes it."""

PYTHON_CAUSES: Final[Mapping[str, tuple[str, Change]]] = {
    "package": ("package tiny", lambda setting: _package(setting, "2.0")),
    "hash-seed": ("seed PYTHONHASHSEED", _variable("PYTHONHASHSEED", "2")),
    "module": ("code helper.py", _file("helper.py", FILES["helper.py"].replace("{version} ", "{version}: "))),
}

DECOYS: Final[Mapping[str, Change]] = {
    "comment": _file("lib.sh", "# sorts\narrange() { sort -t , -k 1,1; }\n"),
    "spare-variable": _variable("UNUSED", "x"),
    "spare-word": _argv("sh", "job.sh", "2", "unused"),
    "noted": _options("-p", "day=2"),
    "same-limit": _file("conf.ini", "limit=2 # rows\n"),
    "blank-row": _file("data/b.csv", "dog,4,2\nelk,0,0\n"),
    "session": _variable("SHLVL", "9"),
}
PYTHON_DECOYS: Final[Mapping[str, Change]] = {
    "spare-variable": _variable("UNUSED", "x"),
    "etl-comment": _file("etl.py", FILES["etl.py"] + "# nothing\n"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """One pair of runs."""

    causes: tuple[str, ...]
    decoys: tuple[str, ...] = ()
    python: bool = False

    def __str__(self) -> str:
        return "+".join(self.causes) + "".join(f"-{decoy}" for decoy in self.decoys)

    @property
    def expected(self) -> set[str]:
        """The titles of the factors to be found."""
        known = {**CAUSES, **PYTHON_CAUSES}
        return {known[cause][0] for cause in self.causes}

    def record(self, desk: Desk) -> None:
        """Record the two runs, the second with everything changed."""
        first = Setting(desk)
        for name, content in FILES.items():
            first.write(name, content)
        _package(first, "1.0")
        _link(first, "other.csv")
        known: Mapping[str, Change] = {name: change for name, (_, change) in {**CAUSES, **PYTHON_CAUSES}.items()}
        known = {**known, **DECOYS, **PYTHON_DECOYS}
        for number, changes in enumerate(((), (*self.decoys, *self.causes))):
            setting = Setting(desk)
            if self.python:
                setting.argv = (desk.person.python, "etl.py")
                setting.variables |= {
                    "PYTHONPATH": str(desk.folder / "lib/site-packages"),
                    "PYTHONDONTWRITEBYTECODE": "1",
                }
            for name in changes:
                known[name](setting)
            for made in ("out.csv", "width.txt", "hour.txt", "chance.txt", "out.txt"):
                (desk.folder / made).unlink(missing_ok=True)
            words = [desk.person.reenact, "run", *setting.options, "--", *setting.argv]
            done = desk.execute(
                ["sh", "-c", f'{setting.before} exec "$@"', "sh", *words],
                stdin=setting.stdin,
                variables=setting.variables,
            )
            assert done.exit_code == 0, (number, done.stderr)


CASES: Final = (
    *(Planted(causes=(cause,)) for cause in CAUSES),
    *(Planted(causes=(cause,), python=True) for cause in PYTHON_CAUSES),
    Planted(causes=("constant",), decoys=("comment", "spare-variable", "same-limit")),
    Planted(causes=("row",), decoys=("comment", "blank-row", "session")),
    Planted(causes=("config",), decoys=("comment", "spare-word", "blank-row")),
    Planted(causes=("variable",), decoys=("same-limit", "comment", "noted")),
    Planted(causes=("argument",), decoys=("noted", "spare-variable", "comment", "same-limit")),
    Planted(causes=("more",), decoys=("comment", "blank-row", "spare-variable")),
    Planted(causes=("zone",), decoys=("comment", "spare-word", "session", "blank-row")),
    Planted(causes=("package",), decoys=("etl-comment", "spare-variable"), python=True),
    Planted(causes=("constant", "row")),
    Planted(causes=("helper", "stdin")),
    Planted(causes=("config", "tool")),
    Planted(causes=("seed", "zone")),
    Planted(causes=("locale", "argument")),
    Planted(causes=("more", "fewer")),
    Planted(causes=("constant", "umask"), decoys=("spare-variable",)),
    Planted(causes=("link", "seed"), decoys=("comment", "same-limit")),
    Planted(causes=("module", "hash-seed"), python=True),
    Planted(causes=("package", "module"), python=True),
    Planted(causes=("extra",), decoys=("comment", "spare-variable")),
)
FEW: Final = tuple(case for case in CASES if str(case) in {"row", "extra"})
