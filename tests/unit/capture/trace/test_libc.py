from __future__ import annotations

from reenact.capture.trace.libc import _address

DEBIAN_12 = bytes.fromhex("4889f285ff7819b900100000488d35c2f50900e94800000000000000488b05b9b50d0064c700")
"""fstat of glibc 2.36."""
DEBIAN_10 = bytes.fromhex("89f889f74889d683f801772cb8050000000f05483d00f0ffff7705c30f1f4000488b1539980c")
"""__fxstat of an older one, which calls fstat itself."""


def test_the_address_is_read_out_of_the_code() -> None:
    assert _address(DEBIAN_12, 0x7FB9_2031_5800) == 0x7FB9_203B_4DD5
    assert _address(DEBIAN_10, 0x7FB9_2031_5800) is None
    assert _address(DEBIAN_12[:18], 0) is None
    assert _address(b"", 0) is None
    assert _address(DEBIAN_12.replace(b"\x10\0\0", b"\x11\0\0"), 0) is None, "with another flag it is no fstat"
