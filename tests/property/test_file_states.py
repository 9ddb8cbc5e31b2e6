"""What the file-state machine says of any program is enough to run that program again, and no more than is true."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.model_tree import EXCHANGE, NOREPLACE, WHITEOUT, ModelTree, Node
from tests.recording import Call, Recording

MUTATOR = 1
names = st.sampled_from(["a", "b", "c"])
parts = st.lists(st.sampled_from(["a", "b", "c", "a", "b", "c", "..", "."]), min_size=1, max_size=3)
paths = st.builds(
    lambda top, found, between, slash: top + between.join(found) + slash,
    st.sampled_from(["/", "/", "/", "/", "//", "///"]),
    parts,
    st.sampled_from(["/", "/", "/", "/", "//"]),
    st.sampled_from(["", "", "", "", "", "/"]),
)
targets = paths | parts.map("/".join)
contents = st.binary(min_size=1, max_size=6)
slots = st.integers(0, 1)

WAYS = (
    os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
    os.O_WRONLY | os.O_CREAT,
    os.O_WRONLY | os.O_TRUNC,
    os.O_WRONLY | os.O_CREAT | os.O_EXCL,
    os.O_WRONLY | os.O_APPEND,
    os.O_RDWR | os.O_CREAT,
    os.O_RDWR,
    os.O_RDONLY | os.O_TRUNC,
    os.O_RDONLY | os.O_CREAT,
    os.O_WRONLY | os.O_NOFOLLOW,
)
reading = st.sampled_from([os.O_RDONLY, os.O_RDONLY, os.O_RDONLY | os.O_NOFOLLOW])
writing = st.sampled_from(WAYS)


def calls(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, tuple[Any, ...]]]:
    return st.tuples(st.just(name), st.tuples(*arguments))


reads = st.one_of(
    calls("open", paths, reading),
    calls("open", paths, reading),
    calls("stat", paths, st.booleans()),
    calls("readlink", paths),
    calls("list", paths),
)
changes = st.one_of(
    calls("open", paths, writing, contents),
    calls("truncate", paths, st.integers(0, 4)),
    calls("unlink", paths),
    calls("unlink", paths),
    calls("rmdir", paths),
    calls("rename", paths, paths),
    calls("rename", paths, paths, st.sampled_from([EXCHANGE, NOREPLACE, WHITEOUT])),
    calls("link", paths, paths, st.booleans()),
    calls("symlink", targets, paths),
    calls("mkdir", paths),
    calls("mknod", paths),
    calls("chmod", paths, st.sampled_from([0o755, 0o555, 0o644, 0o444])),
    calls("hold", st.tuples(st.just(MUTATOR), slots), paths, reading | writing),
    calls("use", st.tuples(st.just(MUTATOR), slots), contents),
)
builds = st.one_of(
    calls("open", paths, st.just(os.O_WRONLY | os.O_CREAT | os.O_TRUNC), contents),
    calls("open", paths, st.just(os.O_WRONLY | os.O_CREAT | os.O_TRUNC), contents),
    calls("mkdir", paths),
    calls("mkdir", paths),
    calls("symlink", targets, paths),
    calls("link", paths, paths),
    calls("mknod", paths),
    calls("chmod", paths, st.sampled_from([0o555, 0o444])),
)
refusals = st.sampled_from(["", "", "", "", "EPERM"])


@st.composite
def programs(draw: st.DrawFn) -> list[Call]:
    found = []
    for _ in range(draw(st.integers(1, 12))):
        thread = draw(st.sampled_from([MUTATOR, MUTATOR, MUTATOR, 2]))
        name, arguments = draw(changes | reads if thread == MUTATOR else reads)
        flags = st.booleans()
        found.append(
            Call(
                thread, name, arguments, "" if name == "use" else draw(refusals), draw(flags), draw(flags), draw(flags)
            )
        )
    return found


NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
FULL = [
    ("mkdir", ("/a",)),
    ("mkdir", ("/a/a",)),
    ("open", ("/a/b", NEW, b"first")),
    ("open", ("/a/a/c", NEW, b"second")),
    ("open", ("/b", NEW, b"third")),
    ("link", ("/b", "/a/c")),
    ("symlink", ("a", "/c")),
    ("symlink", ("../b", "/a/a/a")),
]
trees = st.lists(builds, max_size=8) | st.lists(builds, max_size=3).map(lambda steps: FULL + steps)


def tree_of(steps: list[tuple[str, tuple[Any, ...]]]) -> ModelTree:
    tree = ModelTree()
    for name, arguments in steps:
        tree.now += 1
        tree.call(name, *arguments)
    tree.now = 1000
    return tree


def picture(tree: ModelTree) -> dict[str, tuple[Any, ...]]:
    return {path: (node.ino, node.mode, node.data, node.target, node.mtime) for path, node in tree.all().items()}


def content(node: Node | None) -> Any:
    return None if node is None else (node.mode, node.data, node.target)


@settings(max_examples=300, deadline=None, report_multiple_bugs=False, suppress_health_check=[HealthCheck.too_slow])
@given(steps=trees, program=programs(), links=st.booleans())
def test_a_record_is_true_and_enough(
    steps: list[tuple[str, tuple[Any, ...]]], program: list[Call], links: bool
) -> None:
    tree = tree_of(steps)
    before = picture(tree)
    shared = {path for path, node in tree.all().items() if node.links > 1}
    listings = {path: sorted(node.names) for path, node in tree.all().items() if node.is_folder}
    recording = Recording(tree, links=links)
    recording.run(*program)
    after, observation = picture(tree), recording.observation

    for path, record in observation.paths.items():
        assert path in before, f"{path} was not there"
        _, mode, data, target, mtime = before[path]
        assert (record.mode, record.mtime_ns, record.target or "") == (mode, mtime, target), path
        assert record.names is None or sorted(record.names) == listings[path], path
        if record.needed and record.kept is not None and record.kept[1] not in ("", "stored"):
            # Read by one thread while another was about to empty it: the loss is told, with its reason.
            assert any(call.delayed for call in program)
            return
        if record.needed:
            assert path in recording.contents, f"{path}: lost"
            assert recording.contents[path] == data, f"{path}: not what was there before"
    assert not observation.absent & before.keys()

    reported = recording.reported()
    for path in reported:
        assert before.get(path) != after.get(path) or tree.at(path).ctime > 1000, f"{path} was not changed"
    for path in before.keys() | after.keys():
        if path in shared and path not in observation.paths:
            continue  # another name of a changed file: who never meets it cannot know it
        if before.get(path, ())[:4] != after.get(path, ())[:4]:  # a folder's times change with its names
            assert path in reported, f"{path} was changed"

    world = recording.world()
    for (call, first), (_, second) in zip(recording.results, recording.again(world), strict=True):
        assert first == second, f"{call} gives {second}, not {first}"
    final, replayed = tree.all(), world.all()
    for path in reported:
        assert content(final.get(path)) == content(replayed.get(path)), path
