"""What an execution is prepared with: secrets put back, the user, evidence; and its folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reenact import canonical
from reenact.actions.execution import _folder, _secrets, _stat_facts, _with_user, evidence_of
from reenact.capture.redact import Redactor
from reenact.digests import of_bytes
from reenact.errors import ObjectMissing
from reenact.ids import RunId
from reenact.model import manifest
from reenact.model.bundle import Bundle
from reenact.settings import Settings
from reenact.store.opening import Store
from tests import bundles
from tests.bundles import artifact

TOKEN = "s3cr3t-token-of-some-length"


def recorded(argv: tuple[str, ...] = ("load",), environment: dict[str, str] | None = None) -> tuple[Bundle, Redactor]:
    """A record of a launch, redacted as a recording does; and a redactor as a replay has it."""
    given = environment or {}
    recording = Redactor(b"the store's key")
    recording.learn(given, argv)
    kept, redacted = recording.variables(given)
    plain = bundles.bundle()
    bundle = replace(
        plain,
        launch=replace(plain.launch, argv=tuple(recording.argv(argv))),
        environment=replace(plain.environment, variables=kept, redacted=redacted),
    )
    return bundle, Redactor(b"the store's key")


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [*os.environ]:
        monkeypatch.delenv(name)
    return monkeypatch


# --- secrets


def test_secrets_at_hand_are_put_back(clean: pytest.MonkeyPatch) -> None:
    bundle, redactor = recorded(
        ("load", f"--token={TOKEN}"), {"API_TOKEN": TOKEN, "URL": f"https://x.example/?t={TOKEN}", "LANG": "C"}
    )
    assert TOKEN not in str(bundle)
    clean.setenv("API_TOKEN", TOKEN)
    argv, variables, notes = _secrets(redactor, bundle)
    assert argv == ("load", f"--token={TOKEN}")
    assert variables == {"API_TOKEN": TOKEN, "URL": f"https://x.example/?t={TOKEN}", "LANG": "C"}
    assert notes == []


@pytest.mark.usefixtures("clean")
def test_a_secret_that_is_not_at_hand_is_a_marker_and_said() -> None:
    bundle, redactor = recorded(
        ("load", f"--token={TOKEN}"), {"API_TOKEN": TOKEN, "URL": f"https://x.example/?t={TOKEN}"}
    )
    argv, variables, notes = _secrets(redactor, bundle)
    assert "‹redacted:" in argv[1]
    assert variables["API_TOKEN"] == "‹redacted:API_TOKEN›"
    assert [note.partition(" is not at hand")[0] for note in notes] == [
        "a secret in variable URL",
        "secret API_TOKEN",
        "a secret in argument 1",
    ]


def test_another_secret_under_the_same_name_is_not_given(clean: pytest.MonkeyPatch) -> None:
    bundle, redactor = recorded(environment={"API_TOKEN": TOKEN})
    clean.setenv("API_TOKEN", "an0ther-token-of-some-length")
    _, variables, notes = _secrets(redactor, bundle)
    assert variables == {"API_TOKEN": "‹redacted:API_TOKEN›"}
    assert notes == ["secret API_TOKEN differs from the recorded one: the job was given a marker in its place"]


@pytest.mark.usefixtures("clean")
def test_words_that_are_no_text_are_given_as_bytes() -> None:
    plain = bundles.bundle()
    bundle = replace(
        plain,
        launch=replace(plain.launch, argv=("cat", "\\xff\\\\")),
        environment=replace(plain.environment, variables={"N\\xff": "v\\xff"}),
    )
    argv, variables, _ = _secrets(Redactor(b"k"), bundle)
    assert (argv, variables) == (("cat", "\udcff\\"), {"N\udcff": "v\udcff"})


# --- the user


def test_who_replays_is_who_the_record_says_where_that_can_be() -> None:
    plain = bundles.bundle(user="sam", labels={"a": "b"})
    mine = replace(plain, launch=replace(plain.launch, uid=os.geteuid()))
    made = _with_user(mine, "here")
    assert (made.user, made.launch.uid, made.labels) == ("sam", os.geteuid(), {"a": "b", "replay-rung": "here"})


def test_an_ordinary_user_stays_who_they_are() -> None:
    plain = bundles.bundle(user="sam")
    theirs = replace(plain, launch=replace(plain.launch, uid=os.geteuid() + 1, gid=7, groups=(7,)))
    made = _with_user(theirs, "rebuilt")
    if os.geteuid() == 0:
        assert (made.user, made.launch.uid, made.launch.groups) == ("sam", 1, (7,))  # root becomes them
    else:
        assert (made.launch.uid, made.launch.gid) == (os.geteuid(), os.getegid())
        assert made.user != "sam"
    assert made.labels == {"replay-rung": "rebuilt"}


# --- the folder


@pytest.mark.parametrize("uid", [0, 4321])
def test_the_folder_is_ours_and_gone_at_the_end_whatever_is_in_it(uid: int) -> None:
    plain = bundles.bundle()

    def fail() -> None:
        with _folder(replace(plain, launch=replace(plain.launch, uid=uid))) as base:
            assert stat.S_IMODE(os.stat(base).st_mode) == (0o711 if os.geteuid() == 0 and uid else 0o700)
            os.makedirs(f"{base}/locked/deep")
            os.chmod(f"{base}/locked", 0)
            raise KeyError(base)

    with pytest.raises(KeyError) as caught:
        fail()
    assert not os.path.lexists(caught.value.args[0])


# --- what was stored


def put(store: Store, *contents: bytes) -> None:
    writer = store.writer(RunId(bundles.RUN_ID))
    for content in contents:
        writer.add_bytes(content)
    writer.commit()


def test_stat_facts_are_read_unless_settings_say_otherwise(settings: Settings, store: Store, tmp_path: Path) -> None:
    told = (1, "2", 1, "4", 5, 6, 7, 8, 9, "10", 11)
    facts = canonical.dumps_plain({"/work/\\xff": [*told]})
    put(store, facts)
    plain = bundles.bundle()
    bundle = replace(plain, capture=replace(plain.capture, stat_facts=of_bytes(facts)))
    assert _stat_facts(settings, store, bundle) == {"/work/\udcff": told}
    assert _stat_facts(settings, store, plain) is None
    never = Settings(root=str(tmp_path), store=settings.store, replay=type(settings.replay)(stat="never"))
    assert _stat_facts(never, store, bundle) is None
    lost = replace(plain, capture=replace(plain.capture, stat_facts=of_bytes(b"lost")))
    with pytest.raises(ObjectMissing):
        _stat_facts(settings, store, lost)


def with_objects(**digests: Any) -> Bundle:
    plain = bundles.bundle()
    environment = replace(plain.environment, manifest=digests.pop("manifest", None))
    return replace(plain, environment=environment, capture=replace(plain.capture, **digests))


def test_evidence_is_all_that_the_record_names(store: Store) -> None:
    environment = manifest.dump([artifact("/usr/lib/x").entry])
    host = manifest.dump([artifact("/sys/x").entry])
    absent = b"/none/one\n/none/two\n"
    put(store, environment, host, absent)
    bundle = with_objects(manifest=of_bytes(environment), host_files=of_bytes(host), absent=of_bytes(absent))
    found = evidence_of(store, bundle)
    assert [entry.path for entry in found.entries] == ["/usr/lib/x", "/sys/x"]
    assert found.absent == ("/none/one", "/none/two")


def test_evidence_that_cannot_be_had_is_left_out(store: Store) -> None:
    put(store, b"no manifest")
    bundle = with_objects(
        manifest=of_bytes(b"no manifest"), host_files=of_bytes(b"lost"), absent=of_bytes(b"lost, too")
    )
    found = evidence_of(store, bundle)
    assert (found.bundle, found.entries, found.absent) == (bundle, (), ())
