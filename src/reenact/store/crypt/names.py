"""Keyed names: the keys of an encrypted store, in a form that tells nothing of content.

Each part of a key (between slashes) stands by itself, so folders stay folders. A part that is a word of the store's own layout,
a run id or the number of a log entry stays as it is; any other, and so every digest, becomes ``_`` and the base32 of its
AES-256-SIV encryption (RFC 5297) with the folder it is in as associated data.

SIV is deterministic: the same name in the same folder always becomes the same, which is what put-if-absent and deduplication
need. A plain HMAC would do for that, too, but the names of packs are learned by listing them, so names must lead back.
"""

from __future__ import annotations

import base64
import re
from typing import Final

from reenact.store.interface import check_key

__all__ = ["KeyedNames"]

_WORDS: Final = frozenset(
    {
        "bundle.dsse.json.zst",
        "entries",
        "inputs",
        "keys",
        "log",
        "map.json",
        "objects",
        "outputs",
        "packs",
        "pointers.jsonl",
        "runs",
        "transformations",
        "verdicts",
    }
)
_NUMBERED: Final = re.compile(r"[0-9]{12}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:\.dsse\.json)?")
"""Indexes of log entries, and run ids."""
_MARK: Final = "_"
_LONGEST: Final = 255
"""What file systems take for a name."""


def _is_plain(part: str) -> bool:
    return part in _WORDS or _NUMBERED.fullmatch(part) is not None


class KeyedNames:
    """Translates keys. Safe for threads."""

    def __init__(self, names_key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV  # noqa: PLC0415 - 14 ms, for encrypted stores only

        self._siv = AESSIV(names_key)

    def hide(self, key: str) -> str:
        """Give the keyed form of a key, or of a folder.

        Raises:
            ValueError: it is no key, or a part of it too long for a keyed name.
        """
        parts = check_key(key).split("/")
        return "/".join(self._hide(part, "/".join(parts[:place])) for place, part in enumerate(parts))

    def reveal(self, key: str) -> str | None:
        """Give the key whose keyed form this is; None when it is that of none."""
        folder = ""
        for part in key.split("/"):
            found = self.reveal_part(part, folder)
            if found is None:
                return None
            folder = f"{folder}/{found}" if folder else found
        return folder

    def reveal_part(self, part: str, folder: str) -> str | None:
        """Give the name, in a folder, whose keyed form this is; None when it is that of none."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - imported with the cipher

        if _is_plain(part):
            return part
        if not part.startswith(_MARK):
            return None
        try:
            name = self._siv.decrypt(_from_base32(part[1:]), [folder.encode("ascii")]).decode("ascii")
            check_key(name)
        except (InvalidTag, ValueError):
            return None
        return name if self._hide(name, folder) == part else None

    def _hide(self, part: str, folder: str) -> str:
        if _is_plain(part):
            return part
        keyed = _MARK + _to_base32(self._siv.encrypt(part.encode("ascii"), [folder.encode("ascii")]))
        if len(keyed) > _LONGEST:
            raise ValueError(f"not a key an encrypted store can take, too long: {part!r}")
        return keyed


def _to_base32(data: bytes) -> str:
    return base64.b32encode(data).decode("ascii").rstrip("=").lower()


def _from_base32(text: str) -> bytes:
    return base64.b32decode(text.upper() + "=" * (-len(text) % 8))
