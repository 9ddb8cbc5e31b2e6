"""Which calls strace is asked for, and socket addresses as it writes them."""

from __future__ import annotations

import pytest

from reenact.capture.rungs.strace_calls import parse_address, traced
from reenact.capture.trace.sockets import Address
from reenact.capture.trace.syscalls import CALLS, STAT_CALLS, STDIN_CALLS


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            b'{sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("192.0.2.7")}',
            Address("ip", "192.0.2.7:443", 443, loopback=False),
        ),
        (
            b'{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}',
            Address("ip", "127.0.0.1:80", 80, loopback=True),
        ),
        (
            (
                b'{sa_family=AF_INET6, sin6_port=htons(1), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::1", &sin6_addr),'
                b" sin6_scope_id=0}"
            ),
            Address("ip", "[::1]:1", 1, loopback=True),
        ),
        (b'{sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("192.0.2.7")}', None),
        (b'{sa_family=AF_UNIX, sun_path="/run/x.sock"}', Address("unix", "/run/x.sock")),
        (b'{sa_family=AF_UNIX, sun_path=@"name"}', Address("unix-abstract", "name")),
        (b"{sa_family=AF_UNIX}", None),
        (b"{sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}", None),
        (b"{sa_family=AF_UNSPEC, sa_data=...}", None),
        (b"NULL", None),
        (b"{sa_family=AF_VSOCK, svm_cid=0x3}", Address("VSOCK", "address family VSOCK")),
    ],
)
def test_addresses(written: bytes, expected: Address | None) -> None:
    assert parse_address(written) == expected


def test_what_the_kernel_rung_always_looks_at_is_asked_for() -> None:
    always = frozenset(CALLS) - STDIN_CALLS - STAT_CALLS - {"exit_group", "socketcall"}
    assert always <= set(traced())
    assert {"clone", "clone3", "fork", "vfork", "fchdir"} <= set(traced())
    assert not STDIN_CALLS & set(traced()), "what a job reads is none of our business, and slow to write down"
