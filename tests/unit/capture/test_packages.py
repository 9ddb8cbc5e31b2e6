"""Which packages own the files a run read, from what their installers left."""

from __future__ import annotations

import json
import os
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from reenact.capture import packages
from reenact.digests import of_bytes
from reenact.model.environment import Distribution

HASH = "ab" * 32


def install(
    site: Path,
    name: str,
    version: str,
    files: list[str],
    *,
    record: bool = True,
    direct_url: object = None,
    installer: str = "pip",
) -> list[str]:
    """Lay a distribution out as an installer would, and give its paths."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: not this\n")
    (info / "INSTALLER").write_text(installer)
    if direct_url is not None:
        (info / "direct_url.json").write_text(json.dumps(direct_url))
    for file in files:
        path = Path(os.path.normpath(site / file))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file)
    if record:
        quoted = [f'"{file}"' if "," in file else file for file in [*files, f"{info.name}/METADATA"]]
        (info / "RECORD").write_text("".join(f"{file},sha256=x,1\r\n" for file in quoted) + f"{info.name}/RECORD,,\r\n")
    return [os.path.normpath(site / file) for file in files]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "venv/lib/python3.11/site-packages"
    folder.mkdir(parents=True)
    return folder


def found(*paths: str) -> dict[str, Distribution]:
    return {distribution.name: distribution for distribution in packages.distributions(paths)}


def test_a_distribution_is_told_by_the_files_its_record_lists(site: Path) -> None:
    (first, second) = install(site, "Some-Pack", "1.2", ["some/__init__.py", "some/a, b.py"])
    install(site, "unread", "1", ["unread.py"])
    record = (site / "Some_Pack-1.2.dist-info/RECORD").read_bytes()
    assert found(first, second, "/usr/lib/x.so") == {
        "Some-Pack": Distribution(
            ecosystem="pypi",
            name="Some-Pack",
            version="1.2",
            location=str(site),
            record_digest=of_bytes(record),
            files_read=2,
        )
    }


def test_a_shared_name_does_not_make_an_owner(site: Path) -> None:
    """Two distributions fill one namespace folder; only the one whose file was read is found."""
    install(site, "ns-one", "1", ["ns/one.py"])
    (read,) = install(site, "ns-two", "2", ["ns/two.py"])
    assert found(read).keys() == {"ns-two"}


def test_a_compiled_module_belongs_to_its_source(site: Path) -> None:
    install(site, "pack", "1", ["pack/mod.py"])
    compiled = f"{site}/pack/__pycache__/mod.cpython-311.pyc"
    assert found(compiled)["pack"].files_read == 1
    assert found(compiled, f"{site}/pack/mod.py")["pack"].files_read == 2
    assert found(f"{site}/pack/__pycache__/mod.cpython-311.opt-1.pyc")["pack"].files_read == 1


def test_a_compiled_module_that_is_listed_counts_once(site: Path) -> None:
    paths = install(site, "pack", "1", ["pack/mod.py", "pack/__pycache__/mod.cpython-311.pyc"])
    assert found(*paths)["pack"].files_read == 2
    assert found(paths[1])["pack"].files_read == 1


def test_a_script_outside_the_folder_is_owned_too(site: Path) -> None:
    install(site, "tool", "1", ["tool.py", "../../../bin/tool"])
    script = os.path.normpath(site / "../../../bin/tool")
    assert found(script) == {}
    assert found(script, f"{site}/unrelated.py")["tool"].files_read == 1


def test_names_that_are_no_text_do_no_harm(site: Path) -> None:
    install(site, "pack", "1", ["pack/a.py"])
    assert found(f"{site}/pack/a.py", os.fsdecode(b"/x/site-packages/\xff.py"), f"{site}/b\n.py").keys() == {"pack"}


@pytest.mark.parametrize(
    ("origin", "source", "editable"),
    [
        ({"url": "file:///src/p", "dir_info": {"editable": True}}, "file:///src/p", True),
        ({"url": "file:///src/p", "dir_info": {}}, "file:///src/p", False),
        (
            {
                "url": "https://u:pw@git.example/p.git",
                "vcs_info": {"vcs": "git", "commit_id": "c0ffee", "requested_revision": "main"},
            },
            "git+https://git.example/p.git@c0ffee",
            False,
        ),
        (
            {"url": "https://a.example/p.whl", "archive_info": {"hashes": {"sha256": HASH}}},
            f"https://a.example/p.whl#sha256={HASH}",
            False,
        ),
        (
            {"url": "https://a.example/p.zip", "archive_info": {}, "subdirectory": "py"},
            "https://a.example/p.zip#subdirectory=py",
            False,
        ),
        ("nonsense", None, False),
        ({"no": "url"}, None, False),
    ],
)
def test_where_it_came_from_is_told_without_credentials(
    origin: object, source: str | None, editable: bool, site: Path
) -> None:
    (path,) = install(site, "p", "1", ["p.py"], direct_url=origin)
    assert (found(path)["p"].source, found(path)["p"].editable) == (source, editable)


def test_the_folder_of_a_conda_builder_is_no_source(site: Path) -> None:
    (path,) = install(
        site, "p", "1", ["p.py"], direct_url={"url": "file:///home/conda/x", "dir_info": {}}, installer="conda\n"
    )
    assert found(path)["p"].source is None


def test_a_distribution_without_record_is_told_by_its_top_level_names(site: Path) -> None:
    egg = site / "Old-2.0.egg-info"
    egg.mkdir()
    (egg / "PKG-INFO").write_text("Name: Old\nVersion: 2.0\n")
    (egg / "top_level.txt").write_text("oldpack\n_old\n")
    (site / "flat-0.1-py3.11.egg-info").write_text("Name: flat\nVersion: 0.1\n")
    assert found(f"{site}/oldpack/x.py")["Old"].record_digest is None
    assert found(f"{site}/_old.cpython-311-x86_64-linux-gnu.so")["Old"].version == "2.0"
    assert found(f"{site}/flat.py").keys() == {"flat"}
    assert found(f"{site}/flatter.py", f"{site}/oldpacket/x.py") == {}


def test_a_record_without_hashes_vouches_for_nothing(site: Path) -> None:
    (path,) = install(site, "p", "1", ["p.py"])
    (site / "p-1.dist-info/RECORD").write_text("p.py,,\n")
    assert found(path)["p"].record_digest is None


def test_what_setup_develop_installed_is_editable(site: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "dev.egg-info").mkdir(parents=True)
    (project / "dev.egg-info/PKG-INFO").write_text("Name: dev\nVersion: 3\n")
    (site / "dev.egg-link").write_text(f"{project}\n.\n")
    (site / "easy-install.pth").write_text(f"{project}\n")
    assert found(f"{site}/x.py") == {}
    developed = found(f"{site}/easy-install.pth", f"{project}/dev/a.py")["dev"]
    assert (developed.version, developed.editable, developed.source) == ("3", True, f"file://{project}")
    assert developed.files_read == 2


def test_the_packages_of_this_environment_agree_with_the_standard_library() -> None:
    paths = [str(file.locate()) for file in metadata.files("pytest") or [] if file.suffix == ".py"]
    ours = found(*map(os.path.realpath, paths))["pytest"]
    assert ours.version == metadata.version("pytest")
    assert ours.location == os.path.realpath(str(metadata.distribution("pytest").locate_file("")))
    assert ours.files_read == len({os.path.realpath(p) for p in paths})


def node(folder: Path, name: str, facts: dict[str, object]) -> str:
    package = folder / "node_modules" / name
    package.mkdir(parents=True)
    (package / "package.json").write_text(json.dumps(facts))
    return f"{package}/index.js"


def test_node_packages_are_told_by_the_innermost_folder(tmp_path: Path) -> None:
    outer = node(tmp_path, "outer", {"name": "outer", "version": "1.0.0"})
    scoped = node(tmp_path, "@team/tool", {"name": "@team/tool", "version": "2.0.0"})
    inner = node(tmp_path / "node_modules/outer", "inner", {"name": "inner", "version": "3.0.0"})
    nothing = node(tmp_path, "folder", {"type": "module"})
    names = found(
        outer,
        outer + "x",
        scoped,
        inner,
        nothing,
        f"{tmp_path}/node_modules/.bin/x",
        f"{tmp_path}/node_modules/gone/x.js",
    )
    assert {name: (d.ecosystem, d.version, d.files_read) for name, d in names.items()} == {
        "outer": ("npm", "1.0.0", 2),
        "@team/tool": ("npm", "2.0.0", 1),
        "inner": ("npm", "3.0.0", 1),
    }
    assert names["inner"].location == f"{tmp_path}/node_modules/outer/node_modules"


def test_a_node_package_from_elsewhere_says_so(tmp_path: Path) -> None:
    registry = node(tmp_path, "a", {"name": "a", "version": "1"})
    repository = node(tmp_path, "b", {"name": "b", "version": "1"})
    notes = {
        "node_modules/a": {"resolved": "https://registry.example/a/-/a-1.tgz", "integrity": "sha512-x"},
        "node_modules/b": {"resolved": "git+https://u:p@git.example/b.git#c0ffee"},
    }
    (tmp_path / "node_modules/.package-lock.json").write_text(json.dumps({"packages": notes}))
    assert found(registry)["a"].source is None
    assert found(repository)["b"].source == "git+https://git.example/b.git#c0ffee"
    (tmp_path / "node_modules/.package-lock.json").write_text("{broken")
    assert found(repository)["b"].source is None


def made(name: str, version: str = "1", **facts: object) -> Distribution:
    return Distribution(ecosystem="pypi", name=name, version=version, location="/v", **facts)  # type: ignore[arg-type]


def test_hazards_name_what_an_index_cannot_give_back() -> None:
    distributions = [
        made("fine", record_digest=of_bytes(b"")),
        made("dev", editable=True, source="file:///src"),
        made("bare"),
        Distribution(ecosystem="npm", name="n", version="1", location="/n"),
    ]
    hazards = packages.hazards(distributions, sealed=True)
    assert [(h.code, h.subject, h.exact) for h in hazards] == [
        ("package-editable", "dev==1", True),
        ("package-unhashed", "bare==1", True),
    ]
    assert not any(hazard.exact for hazard in packages.hazards(distributions, sealed=False))


def test_the_lock_is_a_sorted_requirements_file() -> None:
    text = packages.lock(
        [
            made("Zope.Interface", "5.0"),
            made("dev", editable=True, source="file:///src"),
            made("git", source="git+https://git.example/g@c0ffee"),
            made("arch", source=f"file:///w/arch.whl#sha256={HASH}"),
            made("twice", "1", files_read=3),
            made("Twice", "2", files_read=9),
            Distribution(ecosystem="npm", name="n", version="1", location="/n"),
        ]
    )
    assert text.splitlines() == [
        f"arch==1  # from an archive with sha256:{HASH}",
        "# dev==1 from file:///src",
        "git @ git+https://git.example/g@c0ffee",
        "twice==2",
        "zope-interface==5.0",
    ]
    for line in text.splitlines():
        if requirement := line.partition("#")[0].strip():
            Requirement(requirement)


def test_the_lock_has_hashes_when_all_are_known_and_nothing_without_packages() -> None:
    one = made("b", source=f"file:///w/b.whl#sha256={HASH}")
    other = made("a", source=f"https://a.example/a.whl#sha256={HASH}")
    assert packages.lock([one, other]) == f"a==1 --hash=sha256:{HASH}\nb==1 --hash=sha256:{HASH}\n"
    assert packages.lock([]) == ""


def test_the_folders_are_those_whose_times_tell_of_changes(tmp_path: Path) -> None:
    paths = [
        "/v/site-packages/a/b.py",
        "/v/site-packages/c.py",
        "/w/node_modules/a/node_modules/b/x.js",
        "/usr/lib/x.so",
    ]
    assert packages.folders(paths) == {"/v/site-packages", "/w/node_modules"}
    assert packages.distributions([*paths, str(tmp_path), sys.executable]) == ()
