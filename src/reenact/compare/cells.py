"""Comparing two columns, value by value, for many rows at a time. Pure.

Equal means equal as in the logical digest: all NaNs are one, -0 is 0, a null equals a null and nothing else. Only values that are
not equal are looked at for how far they are apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from reenact.compare.encoding import encoded, plain_array
from reenact.compare.libraries import arrow, arrow_compute
from reenact.model.policy import Tolerance

__all__ = ["Apart", "compare_columns", "text_of"]

Array = Any
_NUMBER: Final = r"^\s*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?\s*$"
_MOMENT: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?$"
_SECONDS_A_DAY: Final = 86_400.0
_PER_SECOND: Final = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_TINY: Final = 1e-300
"""Where numbers of unlike sign can still be few floating-point steps apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """The rows in which two columns are not equal."""

    unlike: Array
    """For every row of the columns whether it is one of them (Arrow booleans, no nulls)."""
    rows: Array
    """Their numbers, ascending (Arrow integers)."""
    tolerated: Array
    """For each whether the tolerance lets it pass (Arrow booleans, no nulls)."""
    delta: Array | None
    """For each how much greater the second value is, in 64-bit floats; null where there is no saying. None: never."""
    relative: Array | None
    """The same as a fraction of the greater magnitude."""
    magnitude: Array | None = None
    """The greater magnitude of the two."""


def compare_columns(recorded: Array, got: Array, tolerance: Tolerance | None) -> Apart | None:
    """Compare two columns of one length and logical type; None when all values are equal."""
    recorded, got = plain_array(recorded), plain_array(got)
    if recorded.type == got.type and recorded.equals(got):
        return None
    pc = arrow_compute()
    unlike = _unlike(recorded, got)
    rows = pc.indices_nonzero(unlike)
    if not len(rows):
        return None
    first, second = recorded.take(rows), got.take(rows)
    measured = _measured(first, second, tolerance)
    if measured is None:
        return Apart(unlike=unlike, rows=rows, tolerated=rows.is_null(), delta=None, relative=None)
    a, b, delta = measured
    magnitude = pc.max_element_wise(pc.abs(a), pc.abs(b))
    relative = pc.divide(pc.abs(delta), magnitude)
    tolerated = _tolerated(first, second, delta, relative, tolerance)
    return Apart(unlike=unlike, rows=rows, tolerated=tolerated, delta=delta, relative=relative, magnitude=magnitude)


def _unlike(recorded: Array, got: Array) -> Array:
    """Tell for each row whether the values are not equal."""
    pc, types = arrow_compute(), arrow().types
    kind = recorded.type
    quick = types.is_integer(kind) or types.is_string(kind) or types.is_boolean(kind) or types.is_temporal(kind)
    if kind != got.type or types.is_interval(kind) or not (quick or types.is_float32(kind) or types.is_float64(kind)):
        return pc.not_equal(encoded(recorded), encoded(got))
    unlike = pc.not_equal(recorded, got)
    if types.is_floating(kind):
        unlike = pc.and_not(unlike, pc.and_(pc.is_nan(recorded), pc.is_nan(got)))
    if not recorded.null_count and not got.null_count:
        return unlike
    return pc.fill_null(unlike, pc.not_equal(recorded.is_null(), got.is_null()))


def _measured(first: Array, second: Array, tolerance: Tolerance | None) -> tuple[Array, Array, Array] | None:
    """Give both sides as numbers (times: in seconds), and their difference."""
    pc, types = arrow_compute(), arrow().types
    kind = first.type
    if types.is_timestamp(kind) or types.is_duration(kind) or types.is_time(kind) or types.is_date(kind):
        return _times(first, second)
    if types.is_string(kind) or types.is_large_string(kind):
        as_times = tolerance is not None and tolerance.seconds is not None
        a, b = (_moments if as_times else _numbers)(first, second)
    elif types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        a, b = _as_float(first), _as_float(second)
        if types.is_integer(kind) and second.type == kind and kind.bit_width == 64:  # noqa: PLR2004 - see below
            # Two large integers next to each other are one and the same float.
            return a, b, _as_float(pc.subtract(second, first))
    else:
        return None
    return a, b, pc.subtract(b, a)


def _as_float(column: Array) -> Array:
    pa = arrow()
    if pa.types.is_decimal(column.type):
        return column.cast(pa.float64())
    return column.cast(pa.float64(), safe=False)


def _times(first: Array, second: Array) -> tuple[Array, Array, Array]:
    pa, pc, types = arrow(), arrow_compute(), arrow().types
    if types.is_date(first.type):
        days = [_as_float(column.cast(pa.date32()).cast(pa.int32())) for column in (first, second)]
        a, b = (pc.multiply(column, _SECONDS_A_DAY) for column in days)
        return a, b, pc.subtract(b, a)
    (ticks_a, unit_a), (ticks_b, unit_b) = _ticks(first), _ticks(second)
    a, b = pc.divide(_as_float(ticks_a), _PER_SECOND[unit_a]), pc.divide(_as_float(ticks_b), _PER_SECOND[unit_b])
    if unit_a == unit_b:
        # In ticks: seconds since 1970 as a float are only good to a quarter of a microsecond.
        return a, b, pc.divide(_as_float(pc.subtract(ticks_b, ticks_a)), _PER_SECOND[unit_a])
    return a, b, pc.subtract(b, a)


def _ticks(column: Array) -> tuple[Array, str]:
    pa = arrow()
    width = pa.int32() if column.type.bit_width == 32 else pa.int64()  # noqa: PLR2004 - time32
    return column.view(width).cast(pa.int64()), column.type.unit


def _numbers(*columns: Array) -> list[Array]:
    """Read numbers from text; null where there is none."""
    pa, pc = arrow(), arrow_compute()
    found = []
    for column in columns:
        text = pc.if_else(pc.match_substring_regex(column, _NUMBER), column, None)
        found.append(pc.utf8_trim_whitespace(text).cast(pa.float64()))
    return found


def _moments(*columns: Array) -> list[Array]:
    """Read ISO dates and times from text, also from JSON text; as seconds, null where there is none."""
    pa, pc = arrow(), arrow_compute()
    found = []
    for column in columns:
        bare = pc.replace_substring_regex(column, r'^"|"$|(Z|[+]00:00)"?$', "")
        text = pc.if_else(pc.match_substring_regex(bare, _MOMENT), bare, None)
        found.append(pc.divide(_as_float(text.cast(pa.timestamp("us")).view(pa.int64())), _PER_SECOND["us"]))
    return found


def _tolerated(first: Array, second: Array, delta: Array, relative: Array, tolerance: Tolerance | None) -> Array:
    pa, pc = arrow(), arrow_compute()
    # As many times false; making an array of a list would look for pandas each time.
    allowed = pc.is_in(delta, value_set=delta[:0])
    if tolerance is None:
        return allowed
    types, kind = pa.types, first.type
    bounds = []
    if types.is_temporal(kind) or types.is_string(kind) or types.is_large_string(kind):
        bounds.append((tolerance.seconds, pc.abs(delta)))
    if not types.is_temporal(kind):
        bounds += [(tolerance.absolute, pc.abs(delta)), (tolerance.relative, relative)]
    for limit, measure in bounds:
        if limit is not None:
            allowed = pc.or_(allowed, pc.fill_null(pc.less_equal(measure, float(limit)), fill_value=False))
    if tolerance.ulp is not None and arrow().types.is_floating(first.type) and first.type == second.type:
        allowed = pc.or_(allowed, _within_steps(first, second, tolerance.ulp))
    return allowed


def _within_steps(first: Array, second: Array, steps: int) -> Array:
    """Tell whether numbers are at most so many representable numbers of their width apart."""
    pa, pc = arrow(), arrow_compute()
    wide = first.type.bit_width == 64  # noqa: PLR2004 - doubles
    kind, whole, lowest = (pa.float64(), pa.int64(), -(2**63)) if wide else (pa.float32(), pa.int32(), -(2**31))

    def place(column: Array) -> Array:
        """Number the floats in their order: those below zero have their bits the other way round."""
        bits = column.cast(kind).view(whole).cast(pa.int64())
        return pc.if_else(pc.less(bits, 0), pc.subtract(pa.scalar(lowest, pa.int64()), bits), bits)

    a, b = place(first), place(second)
    # Far apart numbers of unlike sign would overflow, and look near.
    comparable = pc.or_(
        pc.equal(pc.less(a, 0), pc.less(b, 0)),
        pc.and_(pc.less(pc.abs(_as_float(first)), _TINY), pc.less(pc.abs(_as_float(second)), _TINY)),
    )
    finite = pc.and_(pc.is_finite(first), pc.is_finite(second))
    near = pc.less_equal(pc.abs(pc.subtract(a, b)), pa.scalar(steps, pa.int64()))
    return pc.fill_null(pc.and_(pc.and_(comparable, finite), near), fill_value=False)


def text_of(value: Any) -> str | None:  # noqa: ANN401 - an Arrow scalar
    """Write one value for people; None for a null."""
    if not value.is_valid:
        return None
    pa = arrow()
    if pa.types.is_timestamp(value.type) or pa.types.is_time(value.type):
        return str(value.cast(pa.string()).as_py())
    if pa.types.is_duration(value.type):
        # Python's own durations have no nanoseconds.
        return f"{value.cast(pa.int64()).as_py() / _PER_SECOND[value.type.unit]} s"
    found = value.as_py()
    if isinstance(found, bytes):
        return found.hex()
    return repr(found) if isinstance(found, float) else str(found)
