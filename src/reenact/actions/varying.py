"""Change one thing in a record, or several, for a replay that answers "what if"."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from reenact.actions.environments import with_environment_of
from reenact.actions.supplies import Supplies, existing, tree
from reenact.capture import git_folder
from reenact.compare.media import is_code
from reenact.digests import Digest, of_bytes
from reenact.errors import UsageError
from reenact.model import manifest as manifests
from reenact.model.bundle import Bundle
from reenact.model.code import Code
from reenact.model.paths import from_text, to_text
from reenact.replay import revision, vary
from reenact.replay.ingredients import Ingredients, with_files
from reenact.replay.vary import Choice, Offer

if TYPE_CHECKING:
    from reenact.capture.redact import Redactor

__all__ = ["LABEL", "Variation", "Varied", "varied"]

LABEL: Final = "replay-variation"
"""The label by which varied replays are found, and told from replays of the record as it is."""
_MOST_NAMED: Final = 5
_LFS: Final = b"version https://git-lfs.github.com/spec/"
"""What a file is that Git LFS keeps elsewhere; see its specification."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """What is to be another in a replay; nothing at all unless something is given. Texts as a person typed them."""

    code: str | None = None
    """A folder, or a revision of the recorded repository."""
    environment: str | None = None
    """``current``, a folder, or a lock file."""
    inputs: tuple[tuple[str, str], ...] = ()
    """Name and the path of what is to take its place."""
    parameters: tuple[tuple[str, str], ...] = ()
    variables: tuple[tuple[str, str | None], ...] = ()
    """None: it is not set."""
    command: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether anything is changed."""
        return self != Variation()


@dataclass(frozen=True, slots=True, kw_only=True)
class Varied:
    """A record with something changed."""

    ingredients: Ingredients
    changes: dict[str, str]
    """What was changed: the words of a verdict."""
    notes: tuple[str, ...] = ()
    """What of that is not as sure, or not as complete, as one may think."""
    supplied: frozenset[Digest] = frozenset()
    """Objects that were put for it."""
    withheld: frozenset[str] = frozenset()
    """Paths of files that were in a given folder of code and are not in the world; text form."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Secret values of variables that were given; not in any record."""


def varied(supplies: Supplies, base: Ingredients, variation: Variation, redactor: Redactor) -> Varied:
    """Change a record.

    Args:
        supplies: Takes the files that are needed for it; they are there, durably, on return.
        base: The record.
        variation: What to change.
        redactor: Takes secrets out of what is given.

    Raises:
        UsageError: something given cannot be used with this record.
        UnreplayableError: an environment cannot be built.
        StoreError: the files cannot be stored.
    """
    work = _Work(supplies, base, redactor)
    if variation.environment is not None:
        work.environment(variation.environment)
    if variation.code is not None:
        work.code(variation.code)
    for name, path in variation.inputs:
        work.input(name, path, may_be_new=bool(variation.code or variation.command))
    for name, value in variation.parameters:
        work.parameter(name, value)
    for name, text in variation.variables:
        work.variable(name, text)
    if variation.command:
        work.command(variation.command)
    made = work.finished()
    manifest = manifests.dump(list(made.manifest.entries))
    if of_bytes(manifest) != base.bundle.environment.manifest:
        supplies.data("manifest", manifest, mode=0, mtime_ns=0)
    supplies.commit()
    return Varied(
        ingredients=made,
        changes=work.changes,
        notes=tuple(work.notes),
        supplied=frozenset(supplies.digests),
        withheld=frozenset(work.withheld),
        secrets=work.secrets,
    )


class _Work:
    def __init__(self, supplies: Supplies, base: Ingredients, redactor: Redactor) -> None:
        self._supplies, self._now, self._redactor = supplies, base, redactor
        self.changes: dict[str, str] = {}
        self.notes: list[str] = []
        self.secrets: dict[str, str] = {}
        self.withheld: set[str] = set()

    # --- code

    def code(self, given: str) -> None:
        """Lay out the code of a folder or of a revision."""
        if os.path.isdir(given):
            self._code_of_folder(given)
        else:
            self._code_of_revision(given)

    def _code_of_folder(self, given: str) -> None:
        top, folder = _widened(os.path.realpath(given), self._now.bundle)
        tracked, others = revision.named(top)
        names = {*existing(top, tracked | others)} if tracked else {*tree(top)}
        if not tracked and git_folder.find(top) is not None and revision.top_of(top) is None:
            self.notes.append(
                "Git does not tell what it tracks there (it belongs to another user, or git is not installed),"
                " so that only what is code by name, or was recorded as code, is taken"
            )
        inputs = self._now.bundle.inputs
        recorded = {a.entry.path[len(folder) + 1 :] for a in inputs if a.entry.path.startswith(folder + "/")}
        names |= existing(top, (from_text(name) for name in recorded))
        formerly = revision.files_at(top, self._now.bundle.code.commit) if self._now.bundle.code.commit else {}
        choice = vary.choose_code(
            self._now,
            folder,
            _texts(names),
            tracked=_texts(tracked),
            formerly=_texts(formerly),
            is_code=_texts(name for name in names if is_code(name)),
        )
        offers = {name: self._supplies.path(f"{top}/{from_text(name)}") for name in choice.taken}
        self._note_what_is_left(folder, choice, top)
        self._lay_code(
            folder, {n: o for n, o in offers.items() if o is not None and o.type != "directory"}, choice.gone
        )
        self._describe_code(Code(root=self._now.bundle.code.root), f"replayed with the files of {given}")
        self.changes["code"] = given

    def _code_of_revision(self, given: str) -> None:
        bundle = self._now.bundle
        root = from_text(bundle.code.root) if bundle.code.root is not None else None
        if root is None:
            raise UsageError(
                f"{given!r} is no folder, and run {bundle.run_id} was recorded outside of any git repository",
                hint="name a folder with the code: --code DIR",
            )
        repository = root if os.path.isdir(root) and revision.top_of(root) else (revision.top_of(os.getcwd()) or root)
        found = revision.commit_of(repository, given)
        files = revision.files_at(repository, found.commit)
        formerly = revision.files_at(repository, bundle.code.commit) if bundle.code.commit else {}
        names = _texts(files)
        folder = to_text(root)
        choice = vary.choose_code(
            self._now, folder, names, tracked=names, formerly=_texts(formerly), is_code=frozenset()
        )
        wanted = [files[from_text(name)] for name in choice.taken]
        offers = {}
        for blob, data in revision.read_blobs(repository, wanted):
            if data.startswith(_LFS):
                self.notes.append(
                    f"{to_text(blob.name)}: the commit has only a pointer of Git LFS, which is laid out as it is"
                )
            moment = found.seconds * 10**9
            offers[to_text(blob.name)] = (
                Offer(type="symlink", mode=0o777, mtime_ns=moment, target=to_text(os.fsdecode(data)))
                if blob.is_link
                else self._supplies.data(blob.name, data, mode=blob.mode, mtime_ns=moment)
            )
        self._lay_code(folder, offers, choice.gone)
        code = msgspec.structs.replace(bundle.code, commit=found.commit, tree=found.tree, branch=None, dirty=False)
        code = msgspec.structs.replace(code, uncommitted=(), untracked=())
        self._describe_code(code, "")
        self.changes["code"] = given if found.commit.startswith(given) else f"{given} ({found.commit})"

    def _lay_code(self, folder: str, offers: dict[str, Offer], gone: tuple[str, ...]) -> None:
        """Note when nothing of the recorded code is another: then the answer says nothing about a change."""
        before = self._now
        self._now = vary.with_code(before, folder, offers, gone)
        if before.entries() == self._now.entries():
            self.notes.append("the code that was given is the recorded code")

    def _note_what_is_left(self, folder: str, choice: Choice, top: str) -> None:
        """Name the files that stay as recorded though they are others there, and how many are not in the world."""
        inputs = {a.entry.path: a.entry for a in self._now.bundle.inputs}
        differing, absent = [], []
        for name in choice.left:
            entry = inputs.get(f"{folder}/{name}")
            if entry is None:
                absent.append(name)
            elif entry.digest is not None and os.path.getsize(f"{top}/{from_text(name)}") != entry.size_bytes:
                differing.append(name)
        if differing:
            self.notes.append(f"data stays as recorded, though it is another now: {_named(differing)}")
        self.withheld.update(f"{folder}/{name}" for name in absent)
        if absent:
            self.notes.append(
                f"not in the world, as neither recorded, nor under version control, nor code by name: {_named(absent)}"
            )

    def _describe_code(self, code: Code, cause: str) -> None:
        bundle = self._now.bundle
        code = msgspec.structs.replace(code, entry_point=bundle.code.entry_point)
        unobserved = {at: why for at, why in bundle.unobserved.items() if not at.startswith("code.")}
        if cause:
            fields = ("repository", "commit", "tree", "branch", "dirty", "uncommitted", "untracked")
            unobserved |= {f"code.{name}": cause for name in fields}
        self._replace(code=code, unobserved=unobserved)

    def _replace(self, **changes: object) -> None:
        self._now = Ingredients(
            bundle=msgspec.structs.replace(self._now.bundle, **changes),
            manifest=self._now.manifest,
            absent=self._now.absent,
        )

    # --- the rest

    def environment(self, given: str) -> None:
        """Lay out another environment."""
        self._now, notes = with_environment_of(self._now, given, self._supplies)
        self.notes += notes
        self.changes["environment"] = given

    def input(self, name: str, path: str, *, may_be_new: bool) -> None:
        """Lay out a file or a folder in place of an input."""
        if name == "stdin" and self._now.bundle.launch.stdin.pointer is not None:
            self._standard_input(path)
            return
        where, entry = vary.input_places(self._now, to_text(name), may_be_new=may_be_new)
        offer = self._supplies.must(path)
        if offer.type == "directory":
            self._folder(name, where, os.path.realpath(path))
            return
        if entry is not None:
            if entry.type == "directory":
                raise UsageError(f"input {name} is a folder, and {path} is none")
            offer = dataclasses.replace(offer, mode=entry.mode)
        kind = next((a.kind for a in self._now.bundle.inputs if a.entry.path == where), "data")
        self._now = with_files(self._now, [vary.offered(self._now.bundle, where, offer, kind=kind)])
        self.changes[f"input {name}"] = offer.digest or offer.target or offer.type

    def _folder(self, name: str, where: str, real: str) -> None:
        """Lay out a whole folder: what the record has there and it has not is gone."""
        known = self._now.entries()
        names = sorted(tree(real, whole=True))
        put = []
        for inside in names:
            offer = self._supplies.path(f"{real}/{inside}")
            if offer is not None:
                put.append(vary.offered(self._now.bundle, f"{where}/{to_text(inside)}", offer, kind="data"))
        paths = [artifact.entry.path for artifact in put]
        kept = {folder for path in paths for folder in _ways(path)}
        gone = [p for p in known if p.startswith(where + "/") and p not in kept and p not in set(paths)]
        changed = with_files(self._now, put, gone)
        self._now = with_files(changed, vary.folder_entries(changed, paths, below=where))
        self.changes[f"input {name}"] = of_bytes(
            "".join(f"{a.entry.path} {a.entry.digest or a.entry.target}\n" for a in put).encode()
        )

    def _standard_input(self, path: str) -> None:
        offer = self._supplies.must(path)
        launch = self._now.bundle.launch
        if launch.stdin.pointer is None or offer.digest is None:
            raise UsageError(f"{path} is no file")
        pointer = msgspec.structs.replace(launch.stdin.pointer, digest=offer.digest, size_bytes=offer.size_bytes)
        stdin = msgspec.structs.replace(launch.stdin, pointer=pointer, truncated=False)
        self._replace(launch=msgspec.structs.replace(launch, stdin=stdin))
        self.changes["input stdin"] = offer.digest

    def parameter(self, name: str, value: str) -> None:
        """Tell the job another value of a parameter."""
        self._now = vary.with_parameter(self._now, to_text(name), to_text(value))
        self._redact_command()
        self.changes[f"parameter {name}"] = self._redactor.parameters({name: value})[name]

    def variable(self, name: str, value: str | None) -> None:
        """Set a variable, or unset it."""
        if value is None:
            self._now = vary.with_variable(self._now, to_text(name), None)
            self.changes[f"variable {name}"] = "not set"
            return
        self._redactor.learn({name: value})
        kept, redacted = self._redactor.variables({name: value})
        if redacted:
            self._now = vary.with_variable(self._now, to_text(name), None)
            environment = self._now.bundle.environment
            secret = {**environment.redacted, to_text(name): redacted[name]}
            self._replace(environment=msgspec.structs.replace(environment, redacted=secret))
            self.secrets[name] = value
            self.changes[f"variable {name}"] = f"a secret, {redacted[name]}"
            return
        self._now = vary.with_variable(self._now, to_text(name), to_text(kept[name]))
        self.changes[f"variable {name}"] = to_text(kept[name])

    def command(self, words: tuple[str, ...]) -> None:
        """Run another command."""
        self._now = vary.with_command(self._now, [to_text(word) for word in words])
        self._redact_command()
        self.changes["command"] = " ".join(self._now.bundle.launch.argv)

    def _redact_command(self) -> None:
        argv = self._now.bundle.launch.argv
        words = [from_text(word) for word in argv]
        redacted = tuple(to_text(word) for word in self._redactor.argv(words))
        if redacted != argv:
            raise UsageError(
                "a secret in a varied command is not supported",
                hint="give it by a variable that the job reads: --var NAME=VALUE",
            )

    def finished(self) -> Ingredients:
        """Give the record as changed, labelled as that; its manifest's digest names its entries."""
        bundle, manifest = self._now.bundle, self._now.manifest
        digest = of_bytes(manifests.dump(list(manifest.entries)))
        self._replace(
            labels={**bundle.labels, LABEL: ", ".join(sorted(self.changes))},
            environment=msgspec.structs.replace(bundle.environment, manifest=digest),
        )
        return self._now


def _widened(top: str, bundle: Bundle) -> tuple[str, str]:
    """Give a folder and the recorded one it stands for: the job's root, or where both lie in a work tree alike, the work trees."""
    root, work_tree = from_text(bundle.launch.root), bundle.code.root
    if work_tree is not None:
        inside = os.path.relpath(root, from_text(work_tree))
        here = revision.top_of(top)
        if here is not None and os.path.normpath(os.path.join(os.path.realpath(here), inside)) == top:
            return os.path.realpath(here), work_tree
    return top, bundle.launch.root


def _texts(names: Iterable[str]) -> frozenset[str]:
    return frozenset(to_text(name) for name in names)


def _ways(path: str) -> list[str]:
    found = []
    while path := path.rpartition("/")[0]:
        found.append(path)
    return found


def _named(names: list[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
