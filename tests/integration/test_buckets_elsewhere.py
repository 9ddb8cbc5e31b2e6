"""Bytes that are kept in a bucket, on a real server."""

from __future__ import annotations

from pathlib import Path

import pytest

from reenact.digests import of_bytes
from reenact.store.elsewhere.buckets import bucket_place, version_of
from reenact.store.elsewhere.interface import Unavailable, Wanted
from reenact.store.elsewhere.obtain import obtain
from tests.servers.gateway import Bucket

pytestmark = pytest.mark.slow

CONTENT = b"in a bucket\n" * 300_000


def test_an_object_is_fetched_again_and_its_change_named(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    obstore = pytest.importorskip("obstore")
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    url = bucket.url("elsewhere/day 1.csv")
    place = obstore.store.from_url(f"s3://{bucket.name}", client_options={"allow_http": True})
    with pytest.raises(Unavailable, match="cannot be asked for"):
        version_of(url)
    obstore.put(place, "elsewhere/day 1.csv", CONTENT)
    version = version_of(url)
    assert version.startswith(("etag:", "version:"))
    wanted = Wanted(of_bytes(CONTENT), len(CONTENT))
    found, reasons = obtain(wanted, [bucket_place(url, version)], str(tmp_path / "fetched"))
    assert (found is not None, reasons) == (True, [])
    assert Path(found or "").read_bytes() == CONTENT
    obstore.put(place, "elsewhere/day 1.csv", b"changed")
    found, [reason] = obtain(wanted, [bucket_place(url, version)], str(tmp_path / "again"))
    assert found is None
    assert f"the object {url}" in reason
    assert f"has digest {of_bytes(b'changed')}, recorded {wanted.digest}" in reason
    obstore.delete(place, "elsewhere/day 1.csv")
    found, [reason] = obtain(wanted, [bucket_place(url, version)], str(tmp_path / "again"))
    assert found is None
    assert "cannot be read" in reason
