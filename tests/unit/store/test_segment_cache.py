from __future__ import annotations

import threading

import pytest

from reenact.store.segment_cache import SegmentCache

A, B = b"a" * 32, b"b" * 32


def test_what_was_decoded_is_kept_within_the_bound() -> None:
    cache = SegmentCache(limit_bytes=100)
    decoded: list[int] = []

    def ask(place: int) -> bytes:
        def decode() -> bytes:
            decoded.append(place)
            return bytes([place]) * 40

        return cache.obtain(A, place, decode)

    assert [ask(place)[0] for place in (1, 2, 1, 3, 1, 2)] == [1, 2, 1, 3, 1, 2]
    assert decoded == [1, 2, 3, 2], "the one not asked for the longest goes"


def test_one_segment_larger_than_the_bound_is_still_given() -> None:
    assert SegmentCache(limit_bytes=1).obtain(A, 0, lambda: b"large") == b"large"


def test_two_threads_decode_a_segment_once() -> None:
    cache = SegmentCache()
    begun, go = threading.Event(), threading.Event()
    times: list[int] = []

    def decode() -> bytes:
        times.append(1)
        begun.set()
        go.wait()
        return b"content"

    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(cache.obtain(A, 0, decode))) for _ in range(4)]
    for thread in threads:
        thread.start()
    begun.wait()
    assert cache.obtain(B, 0, lambda: b"other") == b"other", "others need not wait"
    go.set()
    for thread in threads:
        thread.join()
    assert (found, len(times)) == ([b"content"] * 4, 1)


def test_who_waits_for_one_that_fails_fails_too() -> None:
    cache = SegmentCache()
    go = threading.Event()
    errors: list[str] = []

    def decode() -> bytes:
        go.wait()
        raise ValueError("damaged")

    def ask() -> None:
        try:
            cache.obtain(A, 0, decode)
        except ValueError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join()
    assert errors == ["damaged"] * 3
    with pytest.raises(ValueError, match="again"):
        cache.obtain(A, 0, lambda: (_ for _ in ()).throw(ValueError("again")))
    assert cache.obtain(A, 0, lambda: b"whole") == b"whole"
