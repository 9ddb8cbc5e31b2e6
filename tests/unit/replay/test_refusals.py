"""Whatever would lead a job out of its fresh folder to the files it once worked on is named, all at once."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from reenact.digests import Digest, of_bytes
from reenact.errors import ObjectMissing
from reenact.model.artifact import Artifact
from reenact.model.bundle import Bundle
from reenact.replay.fresh import Place
from reenact.replay.refusals import SEARCHED_BYTES, refusals
from tests import bundles
from tests.bundles import ROOT, artifact

VENV = f"{ROOT}/.venv"


def refused(bundle: Bundle, *contents: bytes, variables: dict[str, str] | None = None, root: str = ROOT) -> list[str]:
    kept = {of_bytes(content): content for content in contents}

    def read(digest: Digest) -> bytes:
        if digest not in kept:
            raise ObjectMissing(digest)
        return kept[digest]

    place = Place(mirror="/tmp/fresh", root=root, environments={VENV: "/tmp/environment"})
    return [*refusals(bundle, place, variables or {}, read=read)]


def with_files(*inputs: Artifact, outputs: tuple[Artifact, ...] = (), **launch: Any) -> Bundle:
    plain = bundles.bundle(inputs=inputs, outputs=outputs)
    return replace(plain, launch=replace(plain.launch, argv=("true",), **launch))


def with_words(*argv: str) -> Bundle:
    plain = with_files(artifact("in.csv"))
    return replace(plain, launch=replace(plain.launch, argv=argv))


def test_a_run_that_stayed_in_its_folder_is_not_refused() -> None:
    assert refused(with_files(artifact("in.csv", b"in"), outputs=(artifact("out", b"o", "created"),)), b"in") == []


def test_a_job_whose_root_is_everything_has_no_folder() -> None:
    [reason] = refused(with_files(artifact("/x"), root="/", cwd="/"), root="/")
    assert "root is /" in reason


def test_a_job_started_elsewhere_is_refused() -> None:
    [reason] = refused(with_files(cwd="/somewhere"))
    assert "/somewhere, outside its root" in reason


@pytest.mark.parametrize("access", ["read", "executed", "listed", "updated", "appended"])
def test_a_file_used_outside_is_named(access: Any) -> None:
    [reason] = refused(with_files(artifact("/data/x.csv", b"", access)))
    assert reason == f"the job {'lists' if access == 'listed' else 'reads'} /data/x.csv, which lies outside its root"


@pytest.mark.parametrize(("access", "verb"), [("created", "writes"), ("updated", "writes"), ("deleted", "deletes")])
def test_a_file_written_outside_is_named(access: Any, verb: str) -> None:
    [reason] = refused(with_files(outputs=(artifact("/data/x.csv", b"", access),)))
    assert reason == f"the job {verb} /data/x.csv, which lies outside its root"


@pytest.mark.parametrize(
    "harmless",
    [
        artifact("/data/x", b"", "probed"),
        artifact("/dev/null", b"", "read", type="device"),
        artifact("/proc/self/maps", b"", "read"),
        artifact("/home/sam/.cache/__pycache__/x.pyc", b"", "read", temporary=True),
        artifact(f"{VENV}/lib/x.py", b"", "read"),
    ],
    ids=lambda a: a.name,
)
def test_what_leads_nowhere_is_let_be(harmless: Artifact) -> None:
    assert refused(with_files(harmless, outputs=(harmless,))) == []


@pytest.mark.parametrize(
    "word", [f"--to={ROOT}", f"{ROOT}/unknown", f"cd {ROOT}; ls", f"{ROOT}.csv", f"a:{ROOT}", f"-I{ROOT}/include"]
)
def test_a_word_that_names_the_folder_is_refused(word: str) -> None:
    [reason] = refused(with_words("cat", word))
    assert reason == f"argument 1 has the recorded folder {ROOT} in it: the job would work there"


@pytest.mark.parametrize(
    "word",
    [ROOT, f"{ROOT}/", f"{ROOT}/in.csv", f"{VENV}/bin/python", f"{ROOT}2/x", f"{ROOT}-old", f"{ROOT}_x", "in.csv"],
)
def test_a_word_that_is_told_its_place_or_names_another_is_not(word: str) -> None:
    assert refused(with_words("cat", word)) == []


def test_variables_are_looked_at_like_words() -> None:
    variables = {"DATA": f"dir={ROOT}", "IN": f"{ROOT}/in.csv", "PWD": ROOT, "PATH": f"{ROOT}/bin:/usr/bin", "B": "x"}
    assert refused(with_words("true"), variables=variables) == [
        f"variable DATA has the recorded folder {ROOT} in it: the job would work there"
    ]


def test_a_file_that_names_the_folder_is_refused() -> None:
    script = f"cp in.csv {ROOT}/out\n".encode()
    bundle = with_files(artifact("job.sh", script), artifact("/usr/share/x", script, "probed"))
    assert refused(bundle, script) == [
        f"job.sh has the recorded folder {ROOT} in it: the job would work there",
    ]


def test_a_name_that_is_no_text_is_found_in_bytes() -> None:
    root = "/work/\udcff"
    script = b"ls /work/\xff/x"
    inside = artifact("job.sh", script, path="/work/\\xff/job.sh")
    plain = with_files(inside, cwd="/work/\\xff", root="/work/\\xff")
    [reason] = refused(plain, script, root=root)
    assert "job.sh has the recorded folder" in reason


@pytest.mark.parametrize(
    "harmless",
    [
        artifact("job.sh", f"ls {ROOT}2".encode()),
        artifact("data.bin", f"{ROOT}/x".encode(), size_bytes=SEARCHED_BYTES + 1),
        artifact("__pycache__/x.pyc", f"{ROOT}/x.py".encode(), temporary=True),
        artifact(f"{VENV}/bin/tool", f"#!{ROOT}/.venv/bin/python".encode()),
        artifact("lost.sh", b"its bytes cannot be had"),
        artifact("folder", None, "listed"),
    ],
    ids=lambda a: a.name,
)
def test_a_file_that_leads_nowhere_is_let_be(harmless: Artifact) -> None:
    contents = (f"ls {ROOT}2".encode(), f"{ROOT}/x".encode(), f"{ROOT}/x.py".encode())
    assert refused(with_files(harmless), *contents) == []


def test_a_link_to_the_folder_is_refused_and_a_relative_one_is_not() -> None:
    def link(name: str, target: str) -> Artifact:
        return artifact(name, b"", "probed", type="symlink", target=target, digest=None)

    bundle = with_files(link("a", f"{ROOT}/in.csv"), link("b", "in.csv"), link("c", "/usr/share/x"))
    assert refused(bundle) == [f"link a leads to {ROOT}/in.csv, in the recorded folder"]


def reached(*links: tuple[str, str], argv: tuple[str, ...] = ("true",), script: bytes = b"") -> Bundle:
    """A run that met links on its ways."""
    met = [artifact(path, b"", "probed", type="symlink", target=target, digest=None) for path, target in links]
    plain = with_files(*met, artifact("in.csv"), artifact("job.sh", script))
    return replace(plain, launch=replace(plain.launch, argv=argv))


@pytest.mark.parametrize(
    ("links", "word"),
    [
        ((("/data", "/work"),), "/data/job/in.csv"),
        ((("/data", "work"),), "/data/job"),
        ((("/data", "/mnt/disk"), ("/mnt/disk", "../work")), "/data/job/x"),
        ((("/srv/etl", ROOT),), "--to=/srv/etl/out.csv"),
        ((("/srv/raw", f"{ROOT}/raw"),), "/srv/raw/x.csv"),
        ((("/loop", "/loop"), ("/data", "/work")), "/data/job"),
    ],
)
def test_a_link_is_another_name_of_the_folder(links: tuple[tuple[str, str], ...], word: str) -> None:
    assert len(refused(reached(*links, argv=("cat", word)))) == 1
    assert len(refused(reached(*links), variables={"X": word})) == 1
    script = f"cat {word}".encode()
    assert len(refused(reached(*links, script=script), script)) == 1


@pytest.mark.parametrize("word", ["/data/other/x", "/data", "/data/job2", "/database/job"])
def test_a_link_to_the_folders_neighbours_is_not(word: str) -> None:
    assert refused(reached(("/data", "/work"), ("/database", "/srv"), argv=("cat", word))) == []


def test_every_reason_is_named_at_once() -> None:
    script = f"ls {ROOT}/x".encode()
    bundle = with_files(artifact("/data/a"), artifact("job.sh", script), outputs=(artifact("/data/b", b"", "created"),))
    bundle = replace(bundle, launch=replace(bundle.launch, argv=("sh", f"--in={ROOT}"), cwd="/elsewhere"))
    assert len(refused(bundle, script, variables={"X": f"a{ROOT}"})) == 6
