from __future__ import annotations

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reenact.store.crypt.keyring import NAMES_KEY_BYTES
from reenact.store.crypt.names import KeyedNames
from reenact.store.interface import check_key

NAMES = KeyedNames(bytes(range(NAMES_KEY_BYTES)))
DIGEST = hashlib.sha256(b"x").hexdigest()
RUN = "01990000-0001-7000-8000-000000000001"

parts = st.one_of(
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,70}", fullmatch=True),
    st.sampled_from(["objects", "packs", "log", "entries", "000000000012", RUN, f"{RUN}.dsse.json", "_a", "_"]),
)
keys = st.lists(parts, min_size=1, max_size=4).map("/".join)


@given(keys)
def test_names_lead_back(key: str) -> None:
    hidden = NAMES.hide(key)
    assert check_key(hidden) == hidden
    assert NAMES.reveal(hidden) == key


@given(keys, keys)
def test_different_keys_have_different_names(one: str, two: str) -> None:
    assert (NAMES.hide(one) == NAMES.hide(two)) == (one == two)


@given(keys)
def test_folders_stay_folders(key: str) -> None:
    folder, slash, _ = key.rpartition("/")
    assert NAMES.hide(key).rpartition("/")[0] == (NAMES.hide(folder) if slash else "")


@pytest.mark.parametrize(
    "key",
    [
        f"objects/{DIGEST[:2]}/{DIGEST[2:]}",
        f"packs/{DIGEST}.pack",
        f"packs/{DIGEST}.idx",
        f"keys/{DIGEST}.json",
        f"anything/{DIGEST}",
        DIGEST,
    ],
)
def test_a_digest_is_not_in_a_name(key: str) -> None:
    hidden = NAMES.hide(key)
    assert DIGEST[2:] not in hidden
    assert DIGEST[2:18] not in hidden
    assert f"/{DIGEST[:2]}/" not in hidden


@pytest.mark.parametrize("key", ["log/entries/000000000012", f"runs/{RUN}/bundle.dsse.json.zst", "objects", "packs"])
def test_what_tells_nothing_of_content_stays_readable(key: str) -> None:
    assert NAMES.hide(key) == key


def test_other_keys_give_other_names() -> None:
    other = KeyedNames(os.urandom(NAMES_KEY_BYTES))
    hidden = NAMES.hide(f"packs/{DIGEST}.pack")
    assert other.hide(f"packs/{DIGEST}.pack") != hidden
    assert other.reveal(hidden) is None


def test_a_name_counts_in_its_own_folder_only() -> None:
    hidden = NAMES.hide(f"packs/{DIGEST}")
    assert NAMES.reveal(hidden.replace("packs/", "objects/")) is None


def test_foreign_names_are_nobodys() -> None:
    hidden = NAMES.hide(f"packs/{DIGEST}")
    for name in ("notes.txt", "packs/_", "packs/_zz", f"{hidden}a", hidden[:-1], hidden.upper(), "packs/_1"):
        assert NAMES.reveal(name) is None, name


def test_a_name_too_long_is_a_mistake_of_the_program() -> None:
    with pytest.raises(ValueError, match="too long"):
        NAMES.hide("k" * 200)
