"""The environment of a run: what it ran on, in words (described) and in bytes (sealed, one manifest object)."""

from __future__ import annotations

import msgspec

from reenact.digests import Digest
from reenact.model.artifact import Entry

__all__ = ["MANIFEST_FORMAT", "Cpu", "Distribution", "Environment", "Interpreter", "Manifest", "OsPackage", "System"]

MANIFEST_FORMAT = "reenact-environment/1"


class System(msgspec.Struct, frozen=True, kw_only=True):
    """The operating system."""

    name: str
    """As os-release calls it: ``Debian GNU/Linux 12 (bookworm)``."""
    id: str
    version: str
    kernel: str
    machine: str
    libc: str
    hostname: str


class Cpu(msgspec.Struct, frozen=True, kw_only=True):
    """The processor, as far as it can change results."""

    model: str
    flags: tuple[str, ...]
    """Those that change which floating-point code path libraries take, sorted."""
    cores: int
    """Processors this process may run on."""


class Interpreter(msgspec.Struct, frozen=True, kw_only=True):
    """A language runtime the run executed."""

    name: str
    """``python``, ``node``, ``java``, ``perl``, ``R``, ``ruby``, ``bash`` ..."""
    version: str | None
    path: str
    digest: Digest | None


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """A package of a language's own package manager that the run read files of."""

    ecosystem: str
    """``pypi``, ``npm``."""
    name: str
    version: str
    location: str
    """The folder it is installed in."""
    record_digest: Digest | None = None
    """Of its RECORD (pypi), which lists the hash of every file it installed."""
    editable: bool = False
    source: str | None = None
    """Where it was installed from, when not from an index (direct_url.json, credentials stripped)."""
    files_read: int = 0


class OsPackage(msgspec.Struct, frozen=True, kw_only=True):
    """A package of the operating system that owns files the run read."""

    name: str
    version: str
    architecture: str


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a run depended on that is neither its code nor its data."""

    mode: str
    """``sealed`` (its files are kept) or ``described`` (only this description is)."""
    manifest: Digest | None
    """The manifest object that lists every environment file by content."""
    system: System
    cpu: Cpu
    interpreters: tuple[Interpreter, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    os_packages: tuple[OsPackage, ...] | None = None
    container: str | None = None
    """Image digest, or the container's id, when the run was inside one and it can be told."""
    variables: dict[str, str] = {}
    """Environment variables given to the job, without the redacted ones; text form (see model.paths)."""
    redacted: dict[str, str] = {}
    """Variable name to a keyed fingerprint of its value; the value is nowhere."""
    locale: str = ""
    time_zone: str = ""
    threads: dict[str, str] = {}
    """Variables and limits that set how many threads libraries use."""
    lock: Digest | None = None
    """An object with a requirements file (name==version, hashes where known) from which a Python environment can be rebuilt."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The sealed environment: every environment file read, by content, without host facts. An object in the store."""

    format: str
    entries: tuple[Entry, ...]
    """Sorted by path."""
