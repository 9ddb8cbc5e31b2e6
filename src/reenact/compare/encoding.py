"""The canonical bytes of values, for whole columns at a time. See docs/spec/logical-digest.md §3. Pure.

Every function gives one Arrow binary value for each row, without nulls, built by Arrow's own kernels and views of its buffers:
a Python loop over cells would take a hundred times as long.
"""

from __future__ import annotations

from typing import Any, Final

from reenact.compare.libraries import arrow, arrow_compute
from reenact.compare.logical import NotATable, is_list, plain

__all__ = ["encoded", "plain_array", "rows"]

NULL: Final = b"\x00"
PRESENT: Final = b"\x01"
UNSIGNED: Final = b"\x02"
"""Before integers of 2**63 and more."""

_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DECIMAL_DIGITS: Final = 76
"""The most that Arrow's widest decimal holds: 256 bits."""
Array = Any


def rows(columns: list[Array]) -> Array:
    """Join the encodings of columns, row by row; without columns there is nothing to join.

    Args:
        columns: Arrow arrays of one length, in canonical order.
    """
    return _joined([encoded(column) for column in columns])


def _joined(parts: list[Array]) -> Array:
    if len(parts) == 1:
        return parts[0]
    return arrow_compute().binary_join_element_wise(*parts, b"")


def plain_array(column: Array) -> Array:
    """Give an array with offset 0 of the values themselves, whatever way they are stored."""
    pa = arrow()
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    while (kind := column.type) != plain(kind):
        if pa.types.is_dictionary(kind):
            column = column.dictionary_decode()
        elif pa.types.is_run_end_encoded(kind):
            column = arrow_compute().run_end_decode(column)
        else:
            column = column.storage
    return pa.concat_arrays([column]) if column.offset else column


def encoded(column: Array) -> Array:
    """Give the canonical bytes of each value: a mark (null, present), then what the logical type says."""
    column = plain_array(column)
    kind, types, pa = column.type, arrow().types, arrow()
    if types.is_null(kind):
        return pa.array([NULL] * len(column), pa.binary())
    if types.is_uint64(kind):
        return _unsigned(column)
    if types.is_map(kind) or is_list(kind):
        return _lists(column)
    if types.is_struct(kind):
        return _structs(column)
    return _marked(_payload(column), column)


def _payload(column: Array) -> Array:
    """Give the bytes after the mark; those of nulls do not matter."""
    kind, types, pa, pc = column.type, arrow().types, arrow(), arrow_compute()
    if types.is_boolean(kind):
        return _fixed(column.cast(pa.uint8()), 1)
    if types.is_integer(kind):
        return _fixed(column.cast(pa.int64()), 8)
    if types.is_floating(kind):
        return _fixed(_canonical_floats(column), 8)
    if types.is_decimal(kind):
        return _fixed(column.cast(pa.decimal256(_DECIMAL_DIGITS, kind.scale)), 32)
    if types.is_date(kind):
        return _fixed(column.cast(pa.date32()).cast(pa.int32()).cast(pa.int64()), 8)
    if types.is_time(kind):
        unit = kind.unit
        whole = pa.int32() if kind.bit_width == 32 else pa.int64()  # noqa: PLR2004 - time32
        factor = pa.scalar(_PER_SECOND["ns"] // _PER_SECOND[unit], pa.int64())
        return _fixed(pc.multiply_checked(column.view(whole).cast(pa.int64()), factor), 8)
    if types.is_timestamp(kind) or types.is_duration(kind):
        return _moments(column.view(pa.int64()), _PER_SECOND[kind.unit])
    if types.is_interval(kind):
        return _fixed(column, 16)
    return _with_length(column.cast(pa.binary()) if types.is_string(kind) else _as_binary(column))


def _as_binary(column: Array) -> Array:
    """Bring text and bytes of any layout to 32-bit offsets.

    Raises:
        NotATable: the values of one batch are too large for that.
    """
    pa = arrow()
    if pa.types.is_string_view(column.type) or pa.types.is_large_string(column.type):
        column = column.cast(pa.large_string()).cast(pa.large_binary())
    try:
        return column.cast(pa.binary())
    except pa.ArrowInvalid as error:
        raise NotATable(f"values too large to compare: {error}") from error


def _fixed(column: Array, width: int) -> Array:
    """See a fixed-width array as bytes."""
    pa = arrow()
    validity, *buffers = column.buffers()
    seen = pa.Array.from_buffers(pa.binary(width), len(column), [validity, buffers[0]], column.null_count)
    return seen.cast(pa.binary())


def _canonical_floats(column: Array) -> Array:
    """Make all zeros +0 and all NaNs one NaN."""
    pa, pc = arrow(), arrow_compute()
    # Adding +0 makes -0 into +0 and leaves any other number as it is (IEEE 754 §6.3).
    column = pc.add(column.cast(pa.float64()), pa.scalar(0.0, pa.float64()))
    nan = pc.is_nan(column)
    return pc.if_else(nan, pa.scalar(float("nan"), pa.float64()), column) if pc.any(nan).as_py() else column


def _moments(ticks: Array, per_second: int) -> Array:
    """Encode ticks as whole seconds, rounded down, and nanoseconds: 8 and 4 bytes."""
    pa, pc = arrow(), arrow_compute()
    if per_second == 1:
        return _joined([_fixed(ticks, 8), _fixed(pc.multiply(ticks, 0).cast(pa.int32()), 4)])
    step = pa.scalar(per_second, pa.int64())
    cut = pc.divide(ticks, step)  # rounds towards zero
    rest = pc.subtract(ticks, pc.multiply(cut, step))
    below = pc.less(rest, 0)
    seconds = pc.if_else(below, pc.subtract(cut, 1), cut)
    rest = pc.if_else(below, pc.add(rest, step), rest)
    nanoseconds = pc.multiply(rest, _PER_SECOND["ns"] // per_second).cast(pa.int32())
    return _joined([_fixed(seconds, 8), _fixed(nanoseconds, 4)])


def _with_length(column: Array) -> Array:
    """Put the length, 8 bytes, before bytes of any length."""
    pa, pc = arrow(), arrow_compute()
    return _joined([_fixed(pc.binary_length(column).cast(pa.int64()), 8), column])


def _marked(payload: Array, column: Array) -> Array:
    """Put the mark before each value, and write a null as its mark alone."""
    pc = arrow_compute()
    marked = pc.binary_join_element_wise(PRESENT, payload, b"")
    return _nulls_marked(marked, column)


def _nulls_marked(marked: Array, column: Array) -> Array:
    if not column.null_count:
        return marked
    return arrow_compute().if_else(column.is_valid(), marked, NULL)


def _unsigned(column: Array) -> Array:
    """Encode 64-bit unsigned integers: those that fit as any integer, the others under their own mark."""
    pa, pc = arrow(), arrow_compute()
    payload = _fixed(column, 8)
    large = pc.greater(column, pa.scalar(2**63 - 1, pa.uint64()))
    marks = pc.if_else(large, UNSIGNED, PRESENT)
    return _nulls_marked(_joined([marks, payload]), column)


def _lists(column: Array) -> Array:
    """Encode the number of elements, 8 bytes, and then the elements; those of a map are its keys and values in turn.

    The elements' encodings lie one after another in one buffer, so that a list's are a slice of it.
    """
    pa, pc = arrow(), arrow_compute()
    counts = pc.list_value_length(_as_list(column)).cast(pa.int64())
    column = _as_list(column)
    # flatten() leaves out what nulls and slices hide, so the slices are given by the counts alone.
    elements = encoded(column.flatten())
    bounds = [0]
    for count in counts.to_pylist():
        bounds.append(bounds[-1] + (count or 0))
    _, offsets, data = elements.buffers()
    starts = pa.Array.from_buffers(pa.int32(), len(elements) + 1, [None, offsets])
    taken = starts.take(pa.array(bounds, pa.int64()))
    slices = pa.Array.from_buffers(pa.binary(), len(column), [None, taken.buffers()[1], data])
    return _marked(_joined([_fixed(pc.fill_null(counts, 0), 8), slices]), column)


def _as_list(column: Array) -> Array:
    """Give maps and lists of any layout as plain lists."""
    pa, kind = arrow(), column.type
    if pa.types.is_map(kind):
        entry = pa.struct([pa.field("key", kind.key_type), pa.field("value", kind.item_type)])
        validity, offsets = column.buffers()[:2]
        entries = pa.StructArray.from_arrays([column.keys, column.items], fields=list(entry))
        # keys and items begin where the first map's do.
        first = pa.Array.from_buffers(pa.int32(), len(column) + 1, [None, offsets])
        moved = arrow_compute().subtract(first, first[0])
        return pa.Array.from_buffers(
            pa.list_(entry), len(column), [validity, moved.buffers()[1]], column.null_count, children=[entries]
        )
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind):
        return column
    return column.cast(pa.list_(kind.value_type))


def _structs(column: Array) -> Array:
    """Encode the fields one after another, in the order of the type."""
    pa = arrow()
    fields = [encoded(field) for field in column.flatten()]
    payload = _joined(fields) if fields else pa.array([b""] * len(column), pa.binary())
    return _marked(payload, column)
