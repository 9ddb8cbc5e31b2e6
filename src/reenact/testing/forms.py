"""The contract of stored forms over any backend as tests: whatever form an object is kept in, it is its content.

Subclass :class:`FormsContract` in a test module and give it a fixture `backend`, an empty backend::

    class TestMine(FormsContract):
        @pytest.fixture
        def backend(self):
            return MyBackend()
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from reenact.digests import Digest, of_bytes
from reenact.errors import IntegrityError
from reenact.ids import RunId
from reenact.store.delta_policy import DeltaPolicy
from reenact.store.forms import FORM_NAMES
from reenact.store.index import ObjectIndex
from reenact.store.interface import Backend
from reenact.store.large import object_key
from reenact.store.locate import places_of
from reenact.store.objects import ObjectReader
from reenact.store.stored import read_header
from reenact.store.writer import ObjectWriter

__all__ = ["FormsContract"]

_RUN = RunId("01990000-0001-7000-8000-000000000001")
_ROWS = b"".join(b"%d,%d,row\n" % (row, row * row % 9973) for row in range(60_000))
_NOISE = b"".join(sha256(b"%d" % number).digest() for number in range(20_000))
_CONTENTS = {
    "raw": _NOISE,
    "zstd": _ROWS[:5000],
    "segments": _ROWS,
    "zstd delta": _ROWS[:300_000] + b"changed\n" + _ROWS[300_000:],
}
"""One for each form; the last comes after the one before it."""


class FormsContract:
    """What every backend gives back, whatever form it is kept in."""

    @pytest.fixture
    def index(self, backend: Backend, tmp_path: Path) -> Iterator[ObjectIndex]:
        """Give the index of the backend's packs."""
        found = ObjectIndex(backend, str(tmp_path / "objects.sqlite"))
        yield found
        found.close()

    @pytest.fixture
    def objects(self, backend: Backend, index: ObjectIndex, tmp_path: Path) -> dict[str, Digest]:
        """Put an object of each form; name them by it."""
        found: dict[str, Digest] = {}
        previous: Digest | None = None
        for form, content in _CONTENTS.items():
            folder = backend.staging() or tmp_path
            writer = ObjectWriter(backend, index, _RUN, str(folder), DeltaPolicy(from_bytes=1))
            with tempfile.TemporaryFile() as file:
                file.write(content)
                file.flush()
                previous = writer.add_descriptor(file.fileno(), previous).digest
            writer.commit()
            found[form] = previous
        return found

    def test_each_form_is_used(self, backend: Backend, index: ObjectIndex, objects: dict[str, Digest]) -> None:
        """Or the other tests would say nothing of it."""
        for form, digest in objects.items():
            header, _ = read_header(backend, next(places_of(backend, index, digest)))
            assert FORM_NAMES[header.form] == form

    def test_an_object_is_its_content(self, backend: Backend, index: ObjectIndex, objects: dict[str, Digest]) -> None:
        """Read, copied, measured and verified."""
        reader = ObjectReader(backend, index)
        for form, digest in objects.items():
            content = _CONTENTS[form]
            assert digest == of_bytes(content)
            assert reader.read(digest) == content
            assert reader.size(digest) == len(content)
            with tempfile.TemporaryFile() as file:
                assert reader.copy_to(digest, file.fileno()) == len(content)
                file.seek(0)
                assert file.read() == content
        for thorough in (False, True):
            assert reader.verify(objects.values(), content=thorough) == []

    def test_only_a_delta_has_a_base(self, backend: Backend, index: ObjectIndex, objects: dict[str, Digest]) -> None:
        """Whoever deletes objects asks for it."""
        reader = ObjectReader(backend, index)
        found = {form: reader.bases_of(digest) for form, digest in objects.items()}
        assert found == {"raw": (), "zstd": (), "segments": (), "zstd delta": (objects["segments"],)}

    def test_damage_is_found(self, backend: Backend, index: ObjectIndex, objects: dict[str, Digest]) -> None:
        """In each form that has a value of its own; in a base it makes what needs it bad, too."""
        reader = ObjectReader(backend, index)
        harmed = {"raw": {"raw"}, "segments": {"segments", "zstd delta"}, "zstd delta": {"zstd delta"}}
        for form, expected in harmed.items():
            key = object_key(bytes.fromhex(objects[form].removeprefix("sha256:")))
            good = backend.get(key)
            for place in (0, 30, len(good) // 2, len(good) - 70, len(good) - 1):
                changed = bytearray(good)
                changed[place] ^= 1
                self._replace(backend, key, bytes(changed))
                found = reader.verify(objects.values(), content=False)
                assert {finding.digest for finding in found} == {objects[name] for name in expected}
                for name in expected:
                    self._assert_never_wrong(reader, objects[name], _CONTENTS[name])
            backend.delete(key)
            found = reader.verify(objects.values(), content=True)
            assert {finding.digest for finding in found} == {objects[name] for name in expected}
            self._replace(backend, key, good)
        assert reader.verify(objects.values(), content=True) == []

    @staticmethod
    def _replace(backend: Backend, key: str, data: bytes) -> None:
        backend.delete(key)
        assert backend.put_if_absent(key, data)

    @staticmethod
    def _assert_never_wrong(reader: ObjectReader, digest: Digest, content: bytes) -> None:
        with contextlib.suppress(IntegrityError):
            assert reader.read(digest) == content
