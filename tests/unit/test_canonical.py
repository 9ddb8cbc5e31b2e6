from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reenact import canonical

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-canonical.MAX_SAFE_INTEGER, canonical.MAX_SAFE_INTEGER) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_the_two_encoders_agree_byte_for_byte(value: object) -> None:
    assert canonical.dumps_plain(value) == canonical.dumps(value)


@given(PLAIN)
def test_what_is_written_reads_back_and_is_stable(value: object) -> None:
    data = canonical.dumps_plain(value)
    assert json.loads(data) == value
    assert canonical.dumps_plain(json.loads(data)) == data


def test_keys_are_sorted_by_utf16_code_unit() -> None:
    # U+FB33 sorts after U+1F600 by code unit (0xD83D first), before it by code point. See RFC 8785 section 3.2.3.
    assert canonical.dumps_plain({"\ufb33": 1, "\U0001f600": 2}) == '{"\U0001f600":2,"\ufb33":1}'.encode()


def test_the_example_of_the_specification() -> None:
    # RFC 8785, sections 3.2.2 and 3.2.3.
    value = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"\u002f",
        "literals": [None, True, False],
    }
    assert canonical.dumps(value) == (
        rb'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        b'"string":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**53, "\ud800"])
def test_what_json_readers_disagree_about_is_refused(value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each cause has a message of its own
        canonical.dumps(value)
