from __future__ import annotations

import re
import subprocess
from pathlib import Path

import click
import pytest

from docs.generate import lagging
from reenact import errors
from reenact.cli.group import VERBS, program

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted([*(REPOSITORY / "docs").rglob("*.md"), *REPOSITORY.glob("*.md")])


def test_generated_pages_say_what_the_code_says() -> None:
    assert lagging() == []


@pytest.mark.parametrize("name", VERBS)
def test_the_help_of_a_verb_is_the_same_whoever_asked_first(name: str) -> None:
    command = program.get_command(click.Context(program), name)
    assert command is not None
    command.make_context(name, ["x"], resilient_parsing=True)
    assert "reference/cli.md" not in lagging()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_every_error_class_is_in_the_tree_drawn_in_its_module() -> None:
    drawn = errors.__doc__ or ""
    for name in errors.__all__:
        assert re.search(rf"\b{name} +{getattr(errors, name).exit_code}\b", drawn), name


def test_codes_of_errors_are_unique() -> None:
    codes = [getattr(errors, name).code for name in errors.__all__]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_pages_name_only_verbs_that_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"^(?:\$ )?reenact ([a-z]+)", text, re.MULTILINE)) | set(
        re.findall(r"`reenact ([a-z]+)", text)
    )
    assert named <= set(VERBS)


def test_locked_requirements_name_no_address() -> None:
    tracked = subprocess.run(
        ["git", "-C", str(REPOSITORY), "ls-files", "*.txt", "*.in"], capture_output=True, text=True, check=True
    ).stdout.split()
    for name in tracked:
        text = (REPOSITORY / name).read_text(encoding="utf-8")
        assert "://" not in text, name
        assert not re.search(r"^--(?!hash)", text, re.MULTILINE), name
