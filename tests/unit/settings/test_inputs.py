from __future__ import annotations

from pathlib import Path

import pytest

from reenact.errors import SettingsError
from reenact.settings import load
from reenact.settings.inputs import InputRule


def rules(folder: Path, text: str) -> tuple[InputRule, ...]:
    (folder / "reenact.toml").write_text(text)
    return load(str(folder), {}).inputs


def test_rules_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """
[inputs."raw/small/**"]
keep = "bytes"
[inputs."raw/**"]
keep = "pointer"
from = "https://data.example.com/{name}"
[inputs."/mnt/lake/*.parquet"]
keep = "pointer"
repository = "~/clone"
"""
    assert rules(tmp_path, text) == (
        InputRule("raw/small/**"),
        InputRule("raw/**", keep="pointer", source="https://data.example.com/{name}"),
        InputRule("/mnt/lake/*.parquet", keep="pointer", repository="~/clone"),
    )
    assert rules(tmp_path, "") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[inputs]\nraw = "pointer"', r'inputs\."raw" is \'pointer\', expected a table'),
        ('inputs = "raw"', r"inputs is 'raw', expected tables"),
        ('[inputs."a"]\nkep = "pointer"', "did you mean 'keep'"),
        ('[inputs."a"]\nurl = "x"', "only keep, from, repository"),
        ('[inputs."a"]\nkeep = "nothing"', "expected one of bytes, pointer"),
        ('[inputs."a"]\nkeep = true', "expected one of bytes, pointer"),
        ('[inputs."a"]\nkeep = "pointer"\nfrom = "ftp://x/y"', "expected an absolute path, or a URL"),
        ('[inputs."a"]\nkeep = "pointer"\nfrom = "relative/{name}"', "expected an absolute path, or a URL"),
        ('[inputs."a"]\nfrom = "/mnt/{name}"', "only with keep"),
        ('[inputs.""]\nkeep = "pointer"', "expected a table"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        rules(tmp_path, text)


def test_a_password_in_a_url_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="without a user or a password") as caught:
        rules(tmp_path, '[inputs."a"]\nkeep = "pointer"\nfrom = "https://me:hunter2@example.com/{name}"')
    assert "hunter2" not in str(caught.value)
