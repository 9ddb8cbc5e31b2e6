"""What an object store refuses becomes a message that says what to do and gives no secret away.

The texts are those of obstore 0.12 before a real gateway.
"""

from __future__ import annotations

import pytest

from reenact.errors import StoreError, StoreUnavailable
from reenact.store.backends.object_store import ObjectStoreBackend, split_url
from reenact.store.backends.refusals import beyond_the_end, refusal, says_no_bucket

_REQUEST = "Error performing GET https://host.invalid/bucket/key?X-Amz-Signature=s3cret in 1ms - "
_STATUS = "Server returned non-2xx status code: "


def _told(text: str, url: str = "s3://bucket/prefix") -> StoreError:
    error = refusal(RuntimeError(f"Generic S3 error: {_REQUEST}{text}"), "read k", url)
    everything = f"{error} {error.hint()}"
    assert "s3cret" not in everything
    assert "host.invalid" not in everything
    assert url in str(error)
    return error


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"{_STATUS}403 Forbidden: <Error><Code>InvalidAccessKeyId</Code></Error>",
            "it is denied \\(403 InvalidAccessKeyId\\)",
        ),
        (f"{_STATUS}404 Not Found: <Error><Code>NoSuchBucket</Code></Error>", "there is no bucket bucket"),
        (f"{_STATUS}400 Bad Request: <Error><Code>EntityTooLarge</Code></Error>", "the server says 400 EntityTooLarge"),
        ("HTTP error: builder error", "the address cannot be used"),
        ("Error performing PUT http://169.254.169.254/latest/api/token in 1ms", "there are no credentials"),
        ("who knows", "RuntimeError"),
    ],
)
def test_what_will_not_pass(text: str, expected: str) -> None:
    error = _told(text)
    assert type(error) is StoreError
    with pytest.raises(StoreError, match=expected):
        raise error


@pytest.mark.parametrize(
    "text",
    [
        "HTTP error: error sending request",
        "HTTP error: request or response body error",
        f"{_STATUS}500 Internal Server Error: ",
        f"{_STATUS}503 Service Unavailable: <Error><Code>SlowDown</Code></Error>",
        f"{_STATUS}429 Too Many Requests: ",
        f"{_STATUS}409 Conflict: <Error><Code>ConditionalRequestConflict</Code></Error>",
    ],
)
def test_what_may_pass(text: str) -> None:
    assert isinstance(_told(text), StoreUnavailable)


@pytest.mark.parametrize(("scheme", "variable"), [("s3", "AWS_ACCESS_KEY_ID"), ("gs", "GOOGLE_"), ("az", "AZURE_")])
def test_hints_name_the_variables_of_the_cloud(scheme: str, variable: str) -> None:
    assert variable in _told(f"{_STATUS}401 Unauthorized: ", f"{scheme}://bucket/p").hint()


def test_what_is_absent_is_told_from_a_missing_bucket() -> None:
    assert says_no_bucket(RuntimeError("404 Not Found: <Code>NoSuchBucket</Code>"))
    assert not says_no_bucket(RuntimeError("404 Not Found: <Code>NoSuchKey</Code>"))
    assert beyond_the_end(RuntimeError(f"{_STATUS}416 Range Not Satisfiable: "))
    assert not beyond_the_end(RuntimeError(f"{_STATUS}404 Not Found: "))
    assert not beyond_the_end(None)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://bucket/a/b", ("s3", "bucket", "a/b")),
        ("s3://bucket", ("s3", "bucket", "")),
        ("gs://bucket/p/", ("gs", "bucket", "p")),
        ("az://container/p.q-r_s", ("az", "container", "p.q-r_s")),
    ],
)
def test_locations(url: str, parts: tuple[str, str, str]) -> None:
    assert split_url(url) == parts


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:///p",
        "s3://key:s3cret@bucket/p",
        "s3://bucket/p?sig=s3cret",
        "s3://bucket/../p",
        "s3://bucket/a//b",
        "s3://bucket/ü",
        "ftp://s3cret@host/p",
        "https://s3cret@host/p",
    ],
)
def test_what_is_no_location_is_not_repeated(url: str) -> None:
    with pytest.raises(StoreError, match="no store can be opened") as caught:
        split_url(url)
    assert "s3cret" not in f"{caught.value} {caught.value.hint()}"


def test_an_endpoint_that_is_not_there_is_named_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the library itself: nothing listens at that port, which is reserved."""
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "access",
        "AWS_SECRET_ACCESS_KEY": "s3cret",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    backend = ObjectStoreBackend(
        "s3://bucket/p", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, patience_seconds=0, pace=None
    )
    attempts = (
        lambda: backend.get("k"),
        lambda: backend.exists("k"),
        lambda: backend.put_if_absent("k", b""),
        lambda: list(backend.list("")),
        lambda: backend.names("f"),
        lambda: backend.delete("k"),
    )
    for attempt in attempts:
        with pytest.raises(StoreUnavailable, match="does not answer") as caught:
            attempt()
        assert "AWS_ENDPOINT_URL" in caught.value.hint()
        assert "s3cret" not in f"{caught.value} {caught.value.hint()}"
