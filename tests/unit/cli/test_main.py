from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import reenact
from reenact.cli.errors import report
from reenact.cli.group import VERBS, program
from reenact.cli.main import main
from reenact.errors import ObjectDamaged, ReenactError, RunNotFound
from reenact.store.opening import open_store
from tests.records import add_run


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {verb} " in shown for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_has_examples_and_exit_statuses(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Examples:\n  reenact {verb}" in shown
    assert "Exit status:" in shown


def test_every_option_is_explained() -> None:
    for verb in VERBS:
        command = program.get_command(None, verb)  # type: ignore[arg-type]
        assert command is not None
        for parameter in command.params:
            assert parameter.param_type_name == "argument" or parameter.to_info_dict().get("help"), (
                verb,
                parameter.name,
            )


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"reenact {reenact.__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Usage: reenact"),
        (["nothing"], "No such command 'nothing'"),
        (["run"], "Missing argument"),
        (["run", "--rung", "magic", "--", "true"], "'magic' is not one of"),
        (["run", "-p", "x", "--", "true"], "got 'x', expected KEY=VALUE"),
        (["show"], "Missing argument 'RUN'"),
        (["runs", "--since", "yesterday"], "got 'yesterday', expected a date"),
        (["verify"], "name runs, or give --all"),
        (["verify", "--all", "x"], "name runs, or give --all"),
        (["restore", "x"], "Missing option '--to'"),
    ],
)
def test_a_mistake_is_explained_and_exits_2(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "lines"),
    [
        (
            RunNotFound("etl"),
            2,
            ["reenact: run-not-found: no run is called 'etl'", "  hint: list the runs with: reenact runs"],
        ),
        (
            ObjectDamaged("sha256:ab", "sha256:cd"),
            4,
            ["reenact: object-damaged: object sha256:ab is damaged: got sha256:cd"],
        ),
        (ReenactError("bad \x1b[31m name"), 1, [r"reenact: error: bad \x1b[31m name"]),
        (PermissionError(13, "Permission denied", "/x"), 1, ["reenact: system: Permission denied: '/x'"]),
        (
            ZeroDivisionError("oh"),
            1,
            ["reenact: internal: ZeroDivisionError: oh", "  hint: this is a defect of reenact"],
        ),
    ],
)
def test_errors_say_what_and_what_to_do(
    error: Exception, status: int, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(error) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == len(lines)
    for line, expected in zip(printed.err.splitlines(), lines, strict=True):
        assert line.startswith(expected)


def test_a_broken_settings_file_stops_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "reenact.toml").write_text("stor = 1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REENACT_DEBUG", raising=False)
    assert main(["run", "--", "touch", "made"]) == 2
    assert "reenact: settings: " in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = subprocess.run(
        [
            "/bin/sh",
            "-c",
            f"'{sys.executable}' -c 'import sys\nfrom reenact.cli.main import main\nsys.exit(main([\"--help\"]))' | true",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""


CLOSED = [(0,), (1,), (2,), (1, 2), (0, 1, 2)]


@pytest.mark.parametrize("closed", CLOSED, ids=str)
def test_without_standard_streams_it_works_all_the_same(tmp_path: Path, closed: tuple[int, ...]) -> None:
    """As some daemons start their children."""
    store = open_store(str(tmp_path / "store"), create=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
        add_run(store)
    store.close()
    redirections = " ".join(f"{number}{'<' if number == 0 else '>'}&-" for number in closed)
    verbs = (["runs"], ["runs", "--json"], ["verify", "--all"], ["show", "latest"])
    lines = "".join(
        f"main({[verb, *more, '--store', store.location]}) == 0 or statuses.append({verb!r})\n" for verb, *more in verbs
    )
    script = (
        "import sys, pathlib\nfrom reenact.cli.main import main\nstatuses = []\n"
        f"{lines}pathlib.Path({str(tmp_path / 'said')!r}).write_text(repr(statuses))"
    )
    shell = f'exec "$0" -c "$1" {redirections}'
    done = subprocess.run(
        ["/bin/sh", "-c", shell, sys.executable, script], capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    assert (tmp_path / "said").read_text() == "[]", done
    assert done.stderr == b""
    assert done.stdout == b"" or 1 not in closed


@pytest.mark.parametrize("closed", [(1,), (2,), (1, 2)], ids=str)
def test_a_mistake_is_never_told_on_standard_output(tmp_path: Path, closed: tuple[int, ...]) -> None:
    redirections = " ".join(f"{number}>&-" for number in closed)
    script = f"import sys\nfrom reenact.cli.main import main\nsys.exit(main(['runs', '--store', {str(tmp_path)!r}]))"
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -c "$1" {redirections}', sys.executable, script], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert (b"there is no store" in done.stderr) == (2 not in closed)
