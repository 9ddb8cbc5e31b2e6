"""Compare outputs that are objects of stores: brought into a temporary folder, compared under the policies of the settings."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from reenact.compare.policy import group_of, policies, policy_for, recorded_policies
from reenact.errors import IntegrityError

if TYPE_CHECKING:
    from reenact.compare.judge import Limits
    from reenact.compare.result import Comparison
    from reenact.digests import Digest
    from reenact.model.policy import Policy
    from reenact.settings import Settings
    from reenact.store.objects import ObjectReader

__all__ = ["StoredContents", "limits_of"]


def limits_of(settings: Settings) -> Limits:
    """Give what a comparison may use."""
    from reenact.compare.judge import Limits  # noqa: PLC0415 - a replay that makes the same bytes needs none of it

    chosen = settings.compare
    return Limits(
        memory_bytes=chosen.memory_bytes, unpacked_max_bytes=chosen.unpacked_max_bytes, examples=chosen.examples
    )


class StoredContents:
    """See `reenact.replay.judge.Contents`."""

    def __init__(
        self,
        settings: Settings,
        recorded: ObjectReader,
        got: ObjectReader,
        given: Sequence[Policy] | None = None,
        tolerances: Mapping[str, str] | None = None,
    ) -> None:
        """Set up.

        Args:
            settings: Which policies hold, and what may be used.
            recorded: Where the recorded objects are.
            got: Where the others are.
            given: Policies to use instead of any that were declared.
            tolerances: What the record says was declared (`Determinism.tolerances`); it comes after the settings.
        """
        self._settings = settings
        self._policies = policies(settings.outputs) if given is None else tuple(given)
        self._policies += recorded_policies(tolerances or {}) if given is None else ()
        self._recorded, self._got = recorded, got
        self.found: dict[str, Comparison] = {}
        """What was compared, by output."""

    def compare(self, name: str, recorded: Digest, got: Digest) -> Comparison | None:
        """Compare two contents of an output; None where one of them is not to be had whole."""
        with _folder() as folder:
            first, second = os.path.join(folder, "recorded"), os.path.join(folder, "got")
            if not self._bring(recorded, first, got, second):
                return None
            from reenact.compare.judge import compare_files  # noqa: PLC0415 - see limits_of

            found = compare_files(first, second, name, policy_for(name, self._policies), limits_of(self._settings))
        self.found[name] = found
        return found

    def folders(self) -> Sequence[str]:
        """Give the patterns that make one artifact of all files below a folder."""
        return [policy.pattern for policy in self._policies if policy.pattern.endswith("/")]

    def compare_folder(
        self, folder: str, recorded: Mapping[str, Digest], got: Mapping[str, Digest]
    ) -> Comparison | None:
        """Compare two folders, each as one artifact."""
        policy = next(p for p in self._policies if group_of(p.pattern, folder + "x") == folder)
        with _folder() as base:
            sides: list[dict[str, str]] = []
            for side, (objects, files) in enumerate(((self._recorded, recorded), (self._got, got))):
                sides.append({name: os.path.join(base, f"{side}-{at}") for at, name in enumerate(files)})
                if not all(_copied(objects, digest, sides[side][name]) for name, digest in files.items()):
                    return None
            from reenact.compare.judge import compare_folders  # noqa: PLC0415 - see limits_of

            found = compare_folders(sides[0], sides[1], policy, limits_of(self._settings))
        self.found[folder] = found
        return found

    def _bring(self, recorded: Digest, first: str, got: Digest, second: str) -> bool:
        return _copied(self._recorded, recorded, first) and _copied(self._got, got, second)


def _copied(objects: ObjectReader, digest: Digest, path: str) -> bool:
    """Write an object's bytes to a file; False where the store does not have them whole, which is told elsewhere."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        objects.copy_to(digest, descriptor)
    except IntegrityError:
        return False
    finally:
        os.close(descriptor)
    return True


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="reenact-compare-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
