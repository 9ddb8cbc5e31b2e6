from __future__ import annotations

import os
from pathlib import Path

import pytest

from reenact.errors import SettingsError
from reenact.settings import Settings, load
from reenact.settings.load import variable_of


def loaded(
    folder: Path, text: str | None = None, environment: dict[str, str] | None = None, **overrides: str
) -> Settings:
    if text is not None:
        (folder / "reenact.toml").write_text(text)
    return load(str(folder), environment or {}, {key.replace("__", "."): value for key, value in overrides.items()})


def test_without_any_source_everything_has_its_default(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    assert settings == Settings(root=str(tmp_path), store=str(tmp_path / ".reenact"))
    assert (settings.capture.rung, settings.capture.environment) == ("auto", "sealed")
    assert (settings.capture.preimage_max_bytes, settings.capture.stream_max_bytes) == (4 << 30, 64 << 20)


def test_the_command_line_beats_a_variable_which_beats_the_file(tmp_path: Path) -> None:
    text = '[capture]\nrung = "strace"\n'
    assert loaded(tmp_path, text).capture.rung == "strace"
    variables = {"REENACT_CAPTURE_RUNG": "python"}
    assert loaded(tmp_path, text, variables).capture.rung == "python"
    assert loaded(tmp_path, text, variables, capture__rung="kernel").capture.rung == "kernel"


def test_an_empty_variable_is_as_none(tmp_path: Path) -> None:
    assert loaded(tmp_path, environment={"REENACT_STORE": ""}).store == str(tmp_path / ".reenact")


@pytest.mark.parametrize(
    ("written", "size_bytes"),
    [("0", 0), ("17", 17), ('"17"', 17), ('"4 GiB"', 4 << 30), ('"4GiB"', 4 << 30), ('"1 B"', 1)],
)
def test_sizes(tmp_path: Path, written: str, size_bytes: int) -> None:
    assert loaded(tmp_path, f"[capture]\npreimage_max_bytes = {written}\n").capture.preimage_max_bytes == size_bytes


@pytest.mark.parametrize(
    "written", ["-1", "true", "1.5", '"4 GB"', '"-1"', '""', '"GiB"', '"1 KiB KiB"', '"\u0664"', "[]"]
)
def test_what_is_no_size_is_refused_by_name(tmp_path: Path, written: str) -> None:
    with pytest.raises(SettingsError, match=r"reenact\.toml: capture\.preimage_max_bytes is .*expected a size"):
        loaded(tmp_path, f"[capture]\npreimage_max_bytes = {written}\n")


@pytest.mark.parametrize("written", ["-1", "nan", "inf", "true", '"soon"'])
def test_what_is_no_duration_is_refused(tmp_path: Path, written: str) -> None:
    with pytest.raises(SettingsError, match="expected a number of seconds"):
        loaded(tmp_path, f"[replay]\ntimeout_seconds = {written}\n")


@pytest.mark.parametrize("written", ["0", "60", '"7"'])
def test_counts(tmp_path: Path, written: str) -> None:
    assert loaded(tmp_path, f"[storage]\ndelta_depth = {written}\n").storage.delta_depth == int(written.strip('"'))


@pytest.mark.parametrize("written", ["-1", "61", "1.0", "true", '"-1"', '"\u0664"', '""'])
def test_what_is_no_count_is_refused(tmp_path: Path, written: str) -> None:
    with pytest.raises(SettingsError, match=r"storage\.delta_depth is .*expected a whole number from 0 to 60"):
        loaded(tmp_path, f"[storage]\ndelta_depth = {written}\n")


def test_lists_come_from_toml_and_from_text(tmp_path: Path) -> None:
    text = '[redact]\npatterns = ["*_PIN", "X*"]\n'
    assert loaded(tmp_path, text).redact.patterns == ("*_PIN", "X*")
    assert loaded(tmp_path, text, {"REENACT_REDACT_PATTERNS": "A:B"}).redact.patterns == ("A", "B")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("stor = 'x'", "there is no setting 'stor'", "did you mean 'store'?"),
        ("[capture]\nrungs = 'x'", "there is no setting 'capture.rungs'", "did you mean 'capture.rung'?"),
        ("[zzz]\nq = 1", "there is no setting 'zzz'", "the settings are: store, job, capture.rung"),
        ("capture = 1", r"capture is 1, expected a table: \[capture\]", ""),
        ("store = [", "is not TOML", ""),
        ("[capture]\nrung = 'magic'", "expected one of auto, kernel, strace, python, declared", "settings.md"),
        ("job = ''", "job is '', expected a text that is not empty", "settings.md"),
        ("[declared]\ninputs = [1]", "expected a list of texts", "settings.md"),
    ],
)
def test_errors_name_the_file_the_key_and_a_way_out(tmp_path: Path, text: str, message: str, hint: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        loaded(tmp_path, text)
    assert str(tmp_path / "reenact.toml") in str(caught.value)
    assert hint in caught.value.hint()


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"REENACT_REPLAY_STAT: replay\.stat is 'maybe', expected one of auto"):
        loaded(tmp_path, environment={"REENACT_REPLAY_STAT": "maybe"})


def test_a_wrong_option_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--rung: capture\.rung is 'x'"):
        loaded(tmp_path, capture__rung="x")


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "reenact.toml").write_bytes(b"job = '\xff'")
    with pytest.raises(SettingsError, match="is not TOML"):
        loaded(tmp_path)


def test_a_file_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "reenact.toml").mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        loaded(tmp_path)


def test_where_a_store_is_depends_on_who_says_so(tmp_path: Path) -> None:
    below = tmp_path / "jobs" / "daily"
    below.mkdir(parents=True)
    (tmp_path / "reenact.toml").write_text("store = 'kept/here'")
    assert load(str(below), {}).store == str(tmp_path / "kept" / "here")
    assert load(str(below), {"REENACT_STORE": "../x"}).store == str(tmp_path / "jobs" / "x")
    assert load(str(below), {}, {"store": "/abs/./s"}).store == "/abs/s"
    assert load(str(below), {}, {"store": "s3://bucket/a/../b"}).store == "s3://bucket/a/../b"


def test_the_root_is_the_settings_folder_else_the_repository_else_here(tmp_path: Path) -> None:
    below = tmp_path / "repository" / "a" / "b"
    below.mkdir(parents=True)
    assert load(str(below), {}).root == str(below)
    # A work tree of git has a file of that name.
    (tmp_path / "repository" / ".git").write_text("gitdir: elsewhere")
    assert load(str(below), {}).root == str(tmp_path / "repository")
    (tmp_path / "reenact.toml").touch()
    settings = load(str(below), {})
    assert (settings.root, settings.file) == (str(tmp_path), str(tmp_path / "reenact.toml"))


def test_names_of_variables() -> None:
    assert variable_of("store") == "REENACT_STORE"
    assert variable_of("capture.rung") == "REENACT_CAPTURE_RUNG"


def test_a_folder_of_any_bytes_is_found(tmp_path: Path) -> None:
    odd = os.path.join(str(tmp_path), os.fsdecode(b"caf\xe9 \n'"))
    os.mkdir(odd)
    assert load(odd, {}).store == os.path.join(odd, ".reenact")
