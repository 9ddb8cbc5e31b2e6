from __future__ import annotations

from msgspec.structs import replace

from reenact.digests import of_bytes
from reenact.model.artifact import Pointer
from reenact.model.bundle import Capture, Determinism, Stream
from reenact.model.environment import MANIFEST_FORMAT, Manifest
from reenact.model.references import of_bundle, of_manifest
from tests.bundles import artifact, bundle


def test_everything_kept_is_named() -> None:
    plain = bundle()
    stream = Stream(kind="pipe", pointer=Pointer(digest=of_bytes(b"s"), size_bytes=1, media_type="text/plain"))
    made = replace(
        plain,
        launch=replace(plain.launch, stdout=stream),
        environment=replace(plain.environment, manifest=of_bytes(b"m"), lock=of_bytes(b"l")),
        capture=Capture(
            method="kernel",
            tool="t",
            tool_version="0",
            host_files=of_bytes(b"h"),
            absent=of_bytes(b"a"),
            stat_facts=of_bytes(b"f"),
        ),
        determinism=Determinism(tapes={"http": of_bytes(b"t")}),
    )
    assert {what: digest for digest, what in of_bundle(made).items()} == {
        "input raw.csv": of_bytes(b"in"),
        "input etl.py": of_bytes(b"print()"),
        "output out.csv": of_bytes(b"out"),
        "stdout": of_bytes(b"s"),
        "environment manifest": of_bytes(b"m"),
        "environment lock": of_bytes(b"l"),
        "host files manifest": of_bytes(b"h"),
        "list of absent paths": of_bytes(b"a"),
        "host facts": of_bytes(b"f"),
        "tape http": of_bytes(b"t"),
    }


def test_bytes_that_were_not_kept_are_not_wanted() -> None:
    probed = artifact("asked", b"x", "probed", need="stat", digest=None)
    assert of_bundle(bundle(inputs=(probed,), outputs=())) == {}


def test_one_object_under_two_names_is_called_by_the_first() -> None:
    made = bundle(inputs=(artifact("a", b"same"), artifact("b", b"same")), outputs=(artifact("c", b"same"),))
    assert of_bundle(made) == {of_bytes(b"same"): "input a"}


def test_an_environment_refers_to_its_files() -> None:
    entries = (artifact("/usr/bin/x", b"elf").entry, artifact("/usr/bin", None).entry)
    assert of_manifest(Manifest(format=MANIFEST_FORMAT, entries=entries)) == {
        of_bytes(b"elf"): "environment /usr/bin/x"
    }
