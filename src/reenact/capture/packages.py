"""The packages of language package managers that a run read files of: which they are, and what makes them hard to get again.

Found from the paths alone: the folders of installed packages on them, and there the records installers leave (``*.dist-info``,
``*.egg-info``, ``package.json``). Only packages with files read are given: what merely lies beside them did not take part.
Reading the records of an environment of a hundred packages costs some tens of milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from reenact.capture import npm_packages, python_packages
from reenact.model.bundle import Hazard
from reenact.model.environment import Distribution

__all__ = ["distributions", "folders", "hazards", "lock"]

_HASH: Final = re.compile(r"#sha256=([0-9a-f]{64})\Z")
_SEPARATORS: Final = re.compile(r"[-_.]+")


def distributions(paths: Iterable[str]) -> tuple[Distribution, ...]:
    """Find the packages that own paths read; sorted by ecosystem, name, version and location.

    Args:
        paths: Absolute and canonical, surrogate-escaped; each once.
    """
    listed = list(paths)
    found = [*python_packages.find(listed), *npm_packages.find(listed)]
    return tuple(sorted(found, key=lambda d: (d.ecosystem, _normalized(d.name), d.version, d.location)))


def folders(paths: Iterable[str]) -> set[str]:
    """Give the folders of installed packages on some paths: what is installed changed when their times did."""
    listed = list(paths)
    return {*python_packages.folders(listed), *npm_packages.folders(listed)}


def hazards(found: Sequence[Distribution], *, sealed: bool) -> tuple[Hazard, ...]:
    """Name what stands in the way of building the environment again from an index, in the order given.

    In a sealed run the bytes are kept, so none of it stands in the way of an exact replay.
    """
    named = []
    for distribution in found:
        subject = f"{distribution.name}=={distribution.version}"
        if distribution.editable:
            message = (
                f"installed in editable form from {distribution.source or 'a folder'}: no index has this version of it"
            )
            named.append(Hazard(code="package-editable", message=message, subject=subject, exact=sealed))
        elif distribution.ecosystem == python_packages.ECOSYSTEM and distribution.record_digest is None:
            message = (
                "its installer left no record of the files it installed, so they cannot be compared with an index's"
            )
            named.append(Hazard(code="package-unhashed", message=message, subject=subject, exact=sealed))
    return tuple(named)


def lock(found: Sequence[Distribution]) -> str:
    """Write a requirements file from which a Python environment can be rebuilt; empty when no Python package was read.

    One ``name==version`` a line, sorted by normalised name; where a package came from an archive or repository that can be
    reached, ``name @ URL``. What can only be had from a folder of that machine is a comment. Installers do not keep the hash of
    an archive they took from an index, so it is seldom known; `pip` wants hashes for all lines or for none, so they are
    options (``--hash``) only when every line has one, and comments otherwise.
    """
    wanted: dict[str, Distribution] = {}
    for distribution in found:
        if distribution.ecosystem != python_packages.ECOSYSTEM:
            continue
        name = _normalized(distribution.name)
        # Two environments in one run: the one that was read more is the job's.
        if name not in wanted or wanted[name].files_read < distribution.files_read:
            wanted[name] = distribution
    ordered = [(name, wanted[name]) for name in sorted(wanted)]
    if ordered and all(_is_pinned(distribution) for _, distribution in ordered):
        return "".join(f"{name}=={d.version} --hash=sha256:{_archive_hash(d)}\n" for name, d in ordered)
    return "".join(_line(name, distribution) for name, distribution in ordered)


def _is_pinned(distribution: Distribution) -> bool:
    return _archive_hash(distribution) != "" and not distribution.editable


def _archive_hash(distribution: Distribution) -> str:
    """Give the SHA-256 of the archive a distribution was installed from, where its installer noted it, else nothing."""
    found = _HASH.search(distribution.source or "")
    return found[1] if found else ""


def _line(name: str, distribution: Distribution) -> str:
    pinned = f"{name}=={distribution.version}"
    source = distribution.source
    if source is None:
        return f"{pinned}\n"
    if not source.startswith("file:"):
        return f"{name} @ {source}\n"
    if _is_pinned(distribution):
        return f"{pinned}  # from an archive with sha256:{_archive_hash(distribution)}\n"
    return f"# {pinned} from {source}\n"


def _normalized(name: str) -> str:
    """Normalise a name as package indexes do. See: Python packaging specifications, Names and normalization."""
    return _SEPARATORS.sub("-", name).lower()
