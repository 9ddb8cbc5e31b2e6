"""Nothing is written, and everything is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reenact.errors import StoreError
from reenact.store.backends.memory import MemoryBackend
from reenact.store.backends.read_only import ReadOnlyBackend


def test_refuses_to_write(tmp_path: Path) -> None:
    place = MemoryBackend()
    place.put_if_absent("k", b"v")
    backend = ReadOnlyBackend(place)
    path = tmp_path / "file"
    path.write_bytes(b"x")
    attempts: list[Callable[[], object]] = [
        lambda: backend.put_if_absent("n", b""),
        lambda: backend.put_group({"g": b""}, "n", b""),
        lambda: backend.put_file_if_absent("n", path),
        lambda: backend.replace_file("k", path),
        lambda: backend.delete("k"),
    ]
    for attempt in attempts:
        with pytest.raises(StoreError, match="opened for reading only") as caught:
            attempt()
        assert "storage.read_only" in caught.value.hint()
    assert path.exists()
    assert list(place.list("")) == ["k"]


def test_reads() -> None:
    place = MemoryBackend()
    place.put_if_absent("f/k", b"value")
    backend = ReadOnlyBackend(place)
    assert backend.get("f/k") == b"value"
    assert backend.get_range("f/k", 1, 2) == b"al"
    assert backend.size("f/k") == 5
    assert backend.exists("f/k")
    assert backend.modified("f/k") == place.modified("f/k")
    assert list(backend.names("f")) == ["k"]
    assert list(backend.list("f")) == ["f/k"]
    assert [item.size_bytes for item in backend.listing("")] == [5]
    assert backend.location == place.location
