from __future__ import annotations

import pytest

from reenact import canonical
from reenact.errors import MalformedBundle
from reenact.model import manifest
from tests.bundles import artifact

ENTRIES = [artifact(path, path.encode()).entry for path in ("/usr/b", "/usr/a", "/usr/c")]


def test_equal_environments_give_equal_bytes_in_any_order() -> None:
    data = manifest.dump(ENTRIES)
    assert manifest.dump(ENTRIES[::-1]) == data
    assert [entry.path for entry in manifest.load(data).entries] == ["/usr/a", "/usr/b", "/usr/c"]
    assert manifest.dump([*manifest.load(data).entries]) == data


def test_fields_of_a_later_version_are_ignored() -> None:
    data = manifest.dump(ENTRIES).replace(b'"entries":', b'"added_later":1,"entries":')
    assert len(manifest.load(data).entries) == 3


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"\xff", b'{"format":1,"entries":[]}', manifest.dump(ENTRIES)[:-1]]
)
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedBundle, match="not an environment manifest"):
        manifest.load(data)


def test_a_format_nobody_knows_is_refused() -> None:
    with pytest.raises(MalformedBundle, match="unknown format 'x/9'"):
        manifest.load(canonical.dumps_plain({"format": "x/9", "entries": []}))
