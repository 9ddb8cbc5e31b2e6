from __future__ import annotations

from pathlib import Path

import pytest

from reenact.errors import SettingsError
from reenact.settings import OutputRule, load


def loaded(folder: Path, text: str) -> tuple[OutputRule, ...]:
    (folder / "reenact.toml").write_text(text)
    return load(str(folder), {}).outputs


def test_sections_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """
    [outputs."daily/*.parquet"]
    key = "id"
    ignore_columns = ["loaded_at"]
    order = "any"
    [outputs."daily/*.parquet".tolerance]
    price = 0.5
    "*" = { relative = 1e-9, ulp = 4 }
    at = { seconds = 2 }
    [outputs."*"]
    compare = "rows"
    """
    assert loaded(tmp_path, text) == (
        OutputRule(
            "daily/*.parquet",
            "content",
            ("id",),
            ("loaded_at",),
            "any",
            {"price": {"absolute": "0.5"}, "*": {"relative": "1e-09", "ulp": "4"}, "at": {"seconds": "2"}},
        ),
        OutputRule("*", "rows"),
    )


def test_without_a_section_there_is_none(tmp_path: Path) -> None:
    assert loaded(tmp_path, "") == ()
    assert load(str(tmp_path), {"REENACT_OUTPUTS": "x"}).outputs == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("outputs = 1", "outputs is 1, expected tables"),
        ('[outputs]\n"a" = 1', 'outputs."a" is 1, expected a table'),
        ('[outputs."a"]\ncompare = "equal"', "outputs.\"a\".compare is 'equal', expected one of bytes, content, rows"),
        ('[outputs."a"]\nkey = [1]', "expected a list of column names"),
        ('[outputs."a"]\norder = true', "expected one of same, any"),
        ('[outputs."a"]\ntolerance = 1', "expected a table"),
        ('[outputs."a"]\ntolerance.x = {}', "expected for x one of absolute, relative, ulp, seconds"),
        ('[outputs."a"]\ntolerance.x = { abs = 1 }', "seconds, not abs"),
        ('[outputs."a"]\ntolerance.x = -1', "expected for x.absolute a number, 0 or more"),
        ('[outputs."a"]\ntolerance.x = nan', "expected for x.absolute a number, 0 or more"),
        ('[outputs."a"]\ntolerance.x = { ulp = 1.5 }', "expected for x.ulp a whole number"),
        ('[outputs."a"]\ntolerance.x = true', "expected for x.absolute a number"),
        ('[outputs."a"]\nkeys = []', 'there is no setting outputs."a".keys, only compare, key'),
        ('[outputs."a"]\ncompare = "bytes"\nkey = "id"', "there is nothing that key could say"),
    ],
)
def test_what_is_wrong_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as error:
        loaded(tmp_path, text)
    assert said in str(error.value)
