"""Python distributions that own paths a run read, from what installers left in ``site-packages`` and ``dist-packages``.

See: Python packaging specifications, "Recording installed projects" and "Direct URL Data Structure".
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from reenact.capture.git_folder import without_credentials
from reenact.digests import Digest, of_bytes
from reenact.model.environment import Distribution
from reenact.model.paths import to_text

__all__ = ["ECOSYSTEM", "find", "folders", "installed_in"]

ECOSYSTEM: Final = "pypi"

_FOLDER: Final = re.compile(r"(.*?/(?:site-packages|dist-packages))(?:/|\Z)", re.DOTALL)
_COMPILED: Final = re.compile(r"__pycache__/([^/]+?)\.[a-z]+-?[0-9]+[^/]*\.pyc\Z")
_METADATA_BYTES: Final = 1 << 16
"""Name and version stand at the start; the rest is a description, which can be long."""


class _Installed(msgspec.Struct, frozen=True):
    """What an installer left of one distribution."""

    folder: str
    """Where it was installed."""
    info: str
    """Name of its ``.dist-info`` folder, or ``.egg-info`` folder or file."""

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.info}"


def folders(paths: Iterable[str]) -> set[str]:
    """Give the folders of installed distributions on some paths."""
    return {match[1] for path in paths if (match := _FOLDER.match(path))}


def find(paths: Iterable[str]) -> Iterator[Distribution]:
    """Find the distributions that own some of the paths."""
    unowned = {}
    for path in paths:
        # What a run reads of a module is often only its compiled form, which some installers do not list.
        unowned[path] = _COMPILED.sub(r"\1.py", path)
    wanted = {*unowned, *unowned.values()}
    read_by_source: dict[str, int] = {}
    for source in unowned.values():
        read_by_source[source] = read_by_source.get(source, 0) + 1
    for folder in sorted(folders(unowned)):
        for installed in _installed(folder):
            distribution = _described(installed, wanted, read_by_source)
            if distribution is not None:
                yield distribution
        yield from _developed(folder, unowned)


def installed_in(folder: str) -> list[Distribution]:
    """Describe all that is installed in a folder such as ``site-packages``, whatever a run read; of one name there may be several."""
    found = []
    for installed in _installed(folder):
        name, version = _name_and_version(installed)
        record = _read(f"{installed.path}/RECORD")
        found.append(
            Distribution(
                ecosystem=ECOSYSTEM,
                name=name,
                version=version,
                location=to_text(folder),
                record_digest=_digest(record) if record is not None else None,
            )
        )
    return found


def _installed(folder: str) -> list[_Installed]:
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [_Installed(folder, name) for name in sorted(names) if name.endswith((".dist-info", ".egg-info"))]


def _read(path: str, size: int = -1) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except OSError:
        return None


def _described(installed: _Installed, wanted: set[str], read: dict[str, int]) -> Distribution | None:
    record = _read(f"{installed.path}/RECORD")
    owned = _in_record(installed.folder, record, wanted) if record is not None else _by_name(installed, wanted)
    if not owned:
        return None
    name, version = _name_and_version(installed)
    source, editable = _direct_url(installed)
    return Distribution(
        ecosystem=ECOSYSTEM,
        name=name,
        version=version,
        location=to_text(installed.folder),
        record_digest=_digest(record),
        editable=editable,
        source=source,
        files_read=sum(read.get(path, 0) for path in {_COMPILED.sub(r"\1.py", path) for path in owned}),
    )


def _digest(record: bytes | None) -> Digest | None:
    """Digest a RECORD that lists hashes; one without (some distributors strip them) vouches for nothing."""
    return of_bytes(record) if record is not None and b",sha256=" in record else None


def _in_record(folder: str, record: bytes, wanted: set[str]) -> set[str]:
    """Give the wanted paths that a RECORD lists; its paths are relative to the folder, or absolute."""
    owned = set()
    for line in record.decode("utf-8", "surrogateescape").splitlines():
        # CSV, where a path with a comma or a quote is quoted; nearly none is.
        listed = line[1 : line.rfind('"')].replace('""', '"') if line.startswith('"') else line.partition(",")[0]
        path = f"{folder}/{listed}"
        if listed.startswith(("..", "/")):
            path = os.path.normpath(os.path.join(folder, listed))
        if path in wanted:
            owned.add(path)
    return owned


def _by_name(installed: _Installed, wanted: set[str]) -> set[str]:
    """Guess ownership where there is no RECORD: by the top-level names, or the distribution's own."""
    tops = (_read(f"{installed.path}/top_level.txt") or b"").decode("utf-8", "replace").split()
    if not tops:
        tops = [re.split(r"-(?=[0-9])", installed.info.rpartition(".")[0])[0]]
    starts = tuple(f"{installed.folder}/{top}{end}" for top in [*tops, installed.info] for end in ("/", ".py", "."))
    exact = {installed.path}
    return {path for path in wanted if path.startswith(starts) or path in exact}


def _name_and_version(installed: _Installed) -> tuple[str, str]:
    places = (f"{installed.path}/METADATA", f"{installed.path}/PKG-INFO", installed.path)
    data = next((data for place in places if (data := _read(place, _METADATA_BYTES)) is not None), b"")
    headers: dict[str, str] = {}
    for line in data.decode("utf-8", "replace").splitlines():
        if not line:
            break
        name, colon, value = line.partition(":")
        if colon and not line[0].isspace():
            headers.setdefault(name.lower(), value.strip())
    # The folder is called NAME-VERSION when its metadata cannot be read.
    name, _, version = installed.info.rpartition(".")[0].partition("-")
    return headers.get("name", name), headers.get("version", version)


def _direct_url(installed: _Installed) -> tuple[str | None, bool]:
    """Read where it was installed from, when not from an index, and whether in editable form."""
    data = _read(f"{installed.path}/direct_url.json")
    # Conda notes the folder its own builders had, which means nothing here.
    if data is None or (_read(f"{installed.path}/INSTALLER") or b"").strip() == b"conda":
        return None, False
    try:
        origin: Any = json.loads(data)
        return _source(origin), bool(origin.get("dir_info", {}).get("editable"))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None, False


def _source(origin: dict[str, Any]) -> str:
    url = without_credentials(str(origin["url"]))
    if "vcs_info" in origin:
        url = f"{origin['vcs_info']['vcs']}+{url}@{origin['vcs_info']['commit_id']}"
    hashes = dict(origin.get("archive_info", {}).get("hashes") or {})
    if "sha256" in hashes:
        url += f"#sha256={hashes['sha256']}"
    elif origin.get("subdirectory"):
        url += f"#subdirectory={origin['subdirectory']}"
    return url


def _developed(folder: str, paths: Iterable[str]) -> Iterator[Distribution]:
    """Find what was installed by ``setup.py develop``: an ``.egg-link`` names the folder it is developed in."""
    if f"{folder}/easy-install.pth" not in paths:
        return
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".egg-link"):
            continue
        target = os.fsdecode((_read(f"{folder}/{name}") or b"").split(b"\n")[0]).strip()
        for installed in _installed(target):
            called, version = _name_and_version(installed)
            yield Distribution(
                ecosystem=ECOSYSTEM,
                name=called,
                version=version,
                location=to_text(folder),
                editable=True,
                source=f"file://{to_text(target)}",
                files_read=1 + sum(path.startswith(target + "/") for path in paths),
            )
