"""Comparing, copying, loading and storing memory as the machine does it, for compiled functions.

A loop over bytes takes five times as long. Whoever calls answers for the bounds.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_intrinsic: Any = intrinsic
_BYTES = ir.IntType(8).as_pointer()


def _pointers(builder: Any, addresses: Any) -> list[Any]:
    return [builder.inttoptr(address, _BYTES) for address in addresses]


@_intrinsic
def compare_memory(_context: Any, _left: Any, _right: Any, _length: Any) -> Any:
    """Negative, zero or positive as the bytes at one address sort before, with or after the other's."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        size = ir.IntType(64)
        kind = ir.FunctionType(ir.IntType(32), [_BYTES, _BYTES, size])
        function = cgutils.get_or_insert_function(builder.module, kind, "memcmp")
        left, right = _pointers(builder, arguments[:2])
        return builder.sext(builder.call(function, [left, right, arguments[2]]), size)

    return types.int64(types.int64, types.int64, types.int64), generate


@_intrinsic
def copy_memory(_context: Any, _to: Any, _source: Any, _length: Any) -> Any:
    """Copy bytes from one address to another; they must not overlap."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        target, source = _pointers(builder, arguments[:2])
        cgutils.raw_memcpy(builder, target, source, arguments[2], 1)
        return arguments[2]

    return types.int64(types.int64, types.int64, types.int64), generate


@_intrinsic
def load_integer(_context: Any, _address: Any) -> Any:
    """The little-endian 64-bit integer at an address."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load(pointer, align=1)

    return types.int64(types.int64), generate


@_intrinsic
def store_big_endian(_context: Any, _address: Any, _value: Any) -> Any:
    """Put a 64-bit integer to an address, its highest byte first; returns it as it was."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        builder.store(builder.bswap(arguments[1]), pointer, align=1)
        return arguments[1]

    return types.int64(types.int64, types.int64), generate
