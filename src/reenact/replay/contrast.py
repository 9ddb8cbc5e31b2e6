"""What differed before two runs: what each of them read, ran with and was told, side by side, the likeliest causes first. Pure.

Unlike :mod:`reenact.replay.mixture` this needs neither worlds nor environments that were sealed: it reads two bundles, of any two
runs. Files are aligned by their names, which are relative to each job's root.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final, Literal, get_args

import msgspec

from reenact.model.artifact import Artifact
from reenact.model.bundle import Bundle
from reenact.model.environment import Distribution, Environment
from reenact.replay.factors import plain_name
from reenact.replay.ingredients import compiled_from

__all__ = ["Contrast", "Section", "contrast"]

Section = Literal[
    "command",
    "parameter",
    "code",
    "input",
    "listing",
    "package",
    "interpreter",
    "seed",
    "locale",
    "variable",
    "secret",
    "system package",
    "environment",
    "conditions",
    "version control",
    "machine",
]
_SECTIONS: Final[tuple[Section, ...]] = get_args(Section)
_SEED: Final = re.compile(r"PYTHONHASHSEED|(?:.*_)?SEED")
_LOCALE: Final = re.compile(r"LANG|LANGUAGE|LC_.*|TZ")
_OURS: Final = "REENACT_"
_NOT_READ: Final = "not read"
_NOT_THERE: Final = "looked for, not there"
_MOST_NAMES: Final = 5


class Contrast(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was not the same."""

    section: Section
    name: str
    before: str | None
    """In the first run: a digest, version or value; None where there was none."""
    after: str | None

    @property
    def rank(self) -> tuple[int, str]:
        """Sorts the likeliest causes of a difference first."""
        return _SECTIONS.index(self.section), self.name


def contrast(
    first: Bundle, second: Bundle, *, absent: tuple[Collection[str], Collection[str]] = ((), ())
) -> tuple[Contrast, ...]:
    """Compare all that two records say of what was before and around their runs.

    Args:
        first: One.
        second: The other.
        absent: What each looked for and did not find; paths in text form.
    """
    found = [
        *_told(first, second),
        *_files(first, second, absent),
        *_software(first.environment, second.environment),
        *_variables(first.environment, second.environment),
        *_around(first, second),
    ]
    return tuple(sorted(found, key=lambda one: one.rank))


def _pairs(section: Section, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Contrast]:
    for name in before.keys() | after.keys():
        if before.get(name) != after.get(name):
            yield Contrast(section=section, name=name, before=before.get(name), after=after.get(name))


def _told(first: Bundle, second: Bundle) -> Iterator[Contrast]:
    words = first.launch.argv, second.launch.argv
    if len(words[0]) == len(words[1]):
        numbered = [{f"word {number}": word for number, word in enumerate(argv)} for argv in words]
        yield from _pairs("command", *numbered)
    else:
        yield Contrast(section="command", name="words", before=" ".join(words[0]), after=" ".join(words[1]))
    yield from _pairs("parameter", first.parameters, second.parameters)
    stdin = [bundle.launch.stdin.pointer for bundle in (first, second)]
    if stdin[0] != stdin[1]:
        before, after = (pointer.digest if pointer is not None else None for pointer in stdin)
        if before != after:
            yield Contrast(section="input", name="standard input", before=before, after=after)


# --- files


def _files(first: Bundle, second: Bundle, absent: tuple[Collection[str], Collection[str]]) -> Iterator[Contrast]:
    sides = [{artifact.name: artifact for artifact in bundle.inputs} for bundle in (first, second)]
    roots = [bundle.launch.root.rstrip("/") for bundle in (first, second)]
    for name in sides[0].keys() | sides[1].keys():
        before, after = sides[0].get(name), sides[1].get(name)
        either = before or after
        if either is None or compiled_from(either.entry.path) is not None:
            continue
        if {a.entry.type for a in (before, after) if a is not None} == {"directory"}:
            yield from _listing(name, before, after)
        elif any(a is not None and a.entry.need == "content" for a in (before, after)):
            shown = [_shown(a, _path(name, roots[side]), absent[side]) for side, a in enumerate((before, after))]
            if shown[0] != shown[1]:
                section: Section = "code" if either.kind == "code" else "input"
                yield Contrast(section=section, name=name, before=shown[0], after=shown[1])


def _path(name: str, root: str) -> str:
    return name if name.startswith("/") else f"{root}/{name}"


def _shown(artifact: Artifact | None, path: str, absent: Collection[str]) -> str:
    """Say what a file was; what a run did not read is not known, unless it looked in vain."""
    if artifact is None:
        return _NOT_THERE if path in absent else _NOT_READ
    entry = artifact.entry
    if entry.type == "symlink":
        return f"link to {entry.target}"
    if entry.type != "file":
        return entry.type
    mode = "" if entry.mode & 0o111 == 0 else " (executable)"
    return (entry.digest or _NOT_READ) + mode


def _listing(name: str, before: Artifact | None, after: Artifact | None) -> Iterator[Contrast]:
    if before is None or after is None or before.entry.names is None or after.entry.names is None:
        return
    names = set(before.entry.names), set(after.entry.names)
    if names[0] != names[1]:
        yield Contrast(
            section="listing", name=name, before=_some(names[0] - names[1]), after=_some(names[1] - names[0])
        )


def _some(names: Iterable[str]) -> str | None:
    """Name what only one side has, the first few."""
    ordered = sorted(names)
    more = len(ordered) - _MOST_NAMES
    said = ", ".join(ordered[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    return f"has {said}" if ordered else None


# --- software


def _software(first: Environment, second: Environment) -> Iterator[Contrast]:
    yield from _pairs("package", *(_packages(e.distributions) for e in (first, second)))
    yield from _pairs("interpreter", *(_interpreters(e) for e in (first, second)))
    before, after = (_system_packages(e) for e in (first, second))
    both = before.keys() & after.keys()  # what only one run used says nothing about what was installed
    yield from _pairs("system package", {n: before[n] for n in both}, {n: after[n] for n in both})
    if first.manifest != second.manifest:
        yield Contrast(section="environment", name="files", before=first.manifest, after=second.manifest)
    if first.container != second.container:
        yield Contrast(section="environment", name="container", before=first.container, after=second.container)


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for name, value in pairs:
        found.setdefault(name, set()).add(value)
    return {name: ", ".join(sorted(values)) for name, values in found.items()}


def _packages(distributions: Iterable[Distribution]) -> dict[str, str]:
    return _joined((plain_name(d.name), _package(d)) for d in distributions)


def _package(distribution: Distribution) -> str:
    """Version, and what the files are: the same version can have been built twice."""
    digest = f" ({distribution.record_digest})" if distribution.record_digest else ""
    return f"{distribution.version}{' (editable)' if distribution.editable else ''}{digest}"


def _interpreters(environment: Environment) -> dict[str, str]:
    return _joined(
        (i.name, f"{i.version or 'unknown version'} ({i.digest or i.path})") for i in environment.interpreters
    )


def _system_packages(environment: Environment) -> dict[str, str]:
    return _joined((f"{p.name}:{p.architecture}", p.version) for p in environment.os_packages or ())


# --- variables


def _variables(first: Environment, second: Environment) -> Iterator[Contrast]:
    for one in _pairs("variable", first.variables, second.variables):
        if not one.name.startswith(_OURS):
            yield msgspec.structs.replace(one, section=_section(one.name))
    yield from _pairs("secret", first.redacted, second.redacted)


def _section(name: str) -> Section:
    return "seed" if _SEED.fullmatch(name) else "locale" if _LOCALE.fullmatch(name) else "variable"


# --- around


def _around(first: Bundle, second: Bundle) -> Iterator[Contrast]:
    groups: tuple[tuple[Section, Callable[[Bundle], Mapping[str, str | None]]], ...] = (
        ("seed", lambda b: dict(b.determinism.seeds)),
        ("conditions", _conditions),
        ("version control", _version_control),
        ("machine", _machine),
    )
    for section, facts_of in groups:
        before, after = facts_of(first), facts_of(second)
        for name in before.keys() | after.keys():
            if before.get(name) != after.get(name):
                yield Contrast(section=section, name=name, before=before.get(name), after=after.get(name))


def _conditions(bundle: Bundle) -> dict[str, str | None]:
    launch = bundle.launch
    return {
        "folder": launch.cwd,
        "root": launch.root,
        "user": bundle.user,
        "umask": f"{launch.umask:04o}",
        "uid": str(launch.uid),
        "gid": str(launch.gid),
        "groups": " ".join(map(str, launch.groups)),
        "processors": " ".join(map(str, launch.affinity)),
        **{f"limit {name}": f"{soft}:{hard}" for name, (soft, hard) in launch.limits.items()},
        **{f"threads {name}": value for name, value in bundle.environment.threads.items()},
        "clock": bundle.determinism.clock,
        "entropy": bundle.determinism.entropy,
        "observed by": bundle.capture.method,
    }


def _version_control(bundle: Bundle) -> dict[str, str | None]:
    code = bundle.code
    return {
        "commit": code.commit,
        "branch": code.branch,
        "repository": code.repository,
        "uncommitted": _some(code.uncommitted),
        "untracked": _some(code.untracked),
    }


def _machine(bundle: Bundle) -> dict[str, str | None]:
    system, cpu = bundle.environment.system, bundle.environment.cpu
    return {
        "host": bundle.launch.hostname,
        "system": f"{system.name} {system.version}",
        "kernel": system.kernel,
        "kind": system.machine,
        "C library": system.libc,
        "processor": cpu.model,
        "processor features": " ".join(cpu.flags),
        "processors": str(cpu.cores),
    }
