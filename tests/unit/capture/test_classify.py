"""Environment or the job's own: by where a file lies, never by what it is called."""

from __future__ import annotations

import pytest

from reenact.capture.classify import Classifier, is_by_product

ROOT = "/home/sam/etl"


def classifier(
    *, executed: tuple[str, ...] = (), seen: tuple[str, ...] = (), cwd: str = ROOT, root: str = ROOT
) -> Classifier:
    return Classifier(root=root, cwd=cwd, home="/home/sam", executed=executed, seen=seen)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/usr/lib/x86_64-linux-gnu/libc.so.6",
        "/etc/localtime",
        "/bin",
        "/nix/store/abc-python/lib/x.so",
        "/srv/app/node_modules/left-pad/index.js",
        f"{ROOT}/node_modules/left-pad/index.js",
        f"{ROOT}/node_modules",
        f"{ROOT}/packages/site-packages/pandas/__init__.py",
        "/home/sam/.local/lib/python3.11/site-packages/pandas/__init__.py",
    ],
)
def test_the_system_and_installed_packages_are_environment(path: str) -> None:
    assert classifier().is_environment(path)


@pytest.mark.parametrize(
    "path",
    [
        f"{ROOT}/in.csv",
        ROOT,
        f"{ROOT}/usr/lib/x",
        f"{ROOT}/node_modules_old/x",
        "/usrdata/in.csv",
        "/etcetera",
        "/home",
        "/home/sam/.cache/x",
        "/data/in.csv",
        "/opt/data/in.csv",
    ],
)
def test_the_rest_is_the_jobs(path: str) -> None:
    assert not classifier().is_environment(path)


def test_a_toolchain_is_what_lies_beside_the_folder_of_an_executed_program() -> None:
    found = classifier(executed=("/opt/spark/3.5/bin/spark-submit", "/opt/dbt/libexec/dbt"))
    assert found.is_environment("/opt/spark/3.5/jars/core.jar")
    assert found.is_environment("/opt/spark/3.5")
    assert found.is_environment("/opt/dbt/share/x")
    assert not found.is_environment("/opt/spark/data.csv")
    assert not found.is_environment("/opt/spark/3.5-data/x.csv")


def test_a_shelf_of_toolchains_is_none() -> None:
    found = classifier(executed=("/opt/bin/tool", "/tool", "/bin/sh"))
    assert not found.is_environment("/opt/data/in.csv")
    assert not found.is_environment("/data/in.csv")


def test_a_virtual_environment_in_the_job_is_environment_and_the_job_is_not() -> None:
    found = classifier(seen=(f"{ROOT}/.venv/pyvenv.cfg",), executed=(f"{ROOT}/.venv/bin/python",))
    assert found.is_environment(f"{ROOT}/.venv/bin/python")
    assert found.is_environment(f"{ROOT}/.venv/pyvenv.cfg")
    assert found.is_environment(f"{ROOT}/.venv")
    assert not found.is_environment(f"{ROOT}/etl.py")
    assert not found.is_environment(f"{ROOT}/.venv-notes.txt")


@pytest.mark.parametrize(
    ("executed", "seen"),
    [
        ((f"{ROOT}/bin/etl",), ()),
        (("/home/sam/bin/etl",), ()),
        ((), ("/home/sam/pyvenv.cfg",)),
        ((), (f"{ROOT}/pyvenv.cfg",)),
    ],
)
def test_no_prefix_swallows_the_job_or_the_home_folder(executed: tuple[str, ...], seen: tuple[str, ...]) -> None:
    found = classifier(executed=executed, seen=seen)
    assert not found.is_environment(f"{ROOT}/in.csv")
    assert not found.is_environment("/home/sam/data/in.csv")


def test_no_prefix_swallows_the_working_folder() -> None:
    found = classifier(executed=("/data/tools/bin/x",), cwd="/data/tools/work", root="/data/tools/work/job")
    assert not found.is_environment("/data/tools/work/in.csv")
    assert not found.is_environment("/data/tools/lib/y")


def test_a_job_below_a_system_folder_is_still_a_job() -> None:
    found = classifier(root="/usr/local/etl", cwd="/usr/local/etl")
    assert not found.is_environment("/usr/local/etl/in.csv")
    assert not found.is_environment("/usr/local/etl")
    assert found.is_environment("/usr/local/lib/x.so")
    assert found.is_environment("/usr/local/etl/node_modules/x/index.js")


def test_the_answer_does_not_depend_on_what_was_asked_before() -> None:
    """Answers for a folder's files are remembered; folders that differ from their neighbours are not among them."""
    paths = [f"{ROOT}/.venv", f"{ROOT}/in.csv", f"{ROOT}/node_modules", ROOT, "/home/sam", "/usr", "/data", "/opt/a/b"]
    paths += ["/opt/a", "/opt/a/c", f"{ROOT}/.venv/x", "/", "/home"]

    def made() -> Classifier:
        return classifier(seen=(f"{ROOT}/.venv/pyvenv.cfg",), executed=("/opt/a/b/bin/x",))

    alone = {path: made().is_environment(path) for path in paths}
    for order in (paths, paths[::-1]):
        one = made()
        assert {path: one.is_environment(path) for path in order} == alone


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/job/__pycache__/etl.cpython-311.pyc", True),
        ("/job/__pycache__", True),
        ("/tmp/hsperfdata_sam", True),
        ("/tmp/hsperfdata_sam/4711", True),
        ("/job/__pycache__/deep/x.csv", False),
        ("/job/hsperfdata_sam/a/b", False),
        ("/job/my__pycache__/x", False),
        ("/job/etl.pyc", False),
        ("/job/out.csv", False),
    ],
)
def test_by_products_are_caches_of_tools(path: str, expected: bool) -> None:
    assert is_by_product(path) is expected
