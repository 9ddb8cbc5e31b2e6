"""Importing msgspec without typing_extensions, which it prefers to the standard library where it is installed.

That module and what it needs (inspect, ast, tokenize) take as long to import as all the rest of msgspec, 5 ms, and a short job
waits for the recorder's imports. Our values are annotated with what the standard library has.
"""

from __future__ import annotations

import sys

__all__ = ["import_msgspec"]

_SPARED = "typing_extensions"


def import_msgspec() -> None:
    """Import msgspec quickly, if nobody has yet; whoever imports typing_extensions afterwards gets it as always."""
    if "msgspec" in sys.modules or _SPARED in sys.modules:
        return
    sys.modules[_SPARED] = None  # type: ignore[assignment] # so an import is told that there is no such module
    try:
        import msgspec  # noqa: F401, PLC0415 - here, and for the others
    except ImportError:
        pass  # a version that insists on it is imported as always
    finally:
        del sys.modules[_SPARED]
