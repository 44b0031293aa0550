"""Values that a field may not have, made from its type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect as kinds

Place = tuple[str | int, ...]
HUGE = 10**400
_JSON_KINDS: tuple[Any, ...] = (True, 7, "neither here nor there", [[]], {"?": 1}, None)
_OF_KIND = {
    kinds.BoolType: (bool,),
    kinds.IntType: (int,),
    kinds.FloatType: (int, float),
    kinds.StrType: (str,),
    kinds.ListType: (list,),
    kinds.VarTupleType: (list,),
    kinds.TupleType: (list,),
    kinds.DictType: (dict,),
    kinds.StructType: (dict,),
    kinds.NoneType: (type(None),),
}


def fields_of(kind: Any, sample: Any, place: Place = ()) -> Iterator[tuple[Place, kinds.Type]]:
    """The places of a body's fields and their types; into lists and objects as far as the sample goes."""
    for one in members(kinds.type_info(kind) if not isinstance(kind, kinds.Type) else kind):
        if isinstance(one, kinds.StructType) and isinstance(sample, dict):
            for field in one.fields:
                yield (*place, field.encode_name), field.type
                yield from fields_of(field.type, sample.get(field.encode_name), (*place, field.encode_name))
        elif isinstance(one, kinds.ListType) and isinstance(sample, list) and sample:
            yield from fields_of(one.item_type, sample[0], (*place, 0))


def members(kind: kinds.Type) -> tuple[Any, ...]:
    """The types that a value may have."""
    whole = kind.types if isinstance(kind, kinds.UnionType) else (kind,)
    return tuple(one.type if isinstance(one, kinds.Metadata) else one for one in whole)


def bad_values(kind: kinds.Type) -> Iterator[tuple[str, Any]]:
    """What is wrong, and a JSON value of which that is true."""
    allowed = members(kind)
    if any(isinstance(one, kinds.AnyType) for one in allowed):
        return
    accepted = tuple(python for one in allowed for python in _OF_KIND.get(type(one), ()))
    for value in _JSON_KINDS:
        right = isinstance(value, accepted) and not (isinstance(value, bool) and bool not in accepted)
        if not right or _is_word(allowed):
            if value is None and type(None) in accepted:
                continue
            yield f"it is {value!r}", value
    for one in allowed:
        yield from _out_of_bounds(one)


def _is_word(allowed: tuple[Any, ...]) -> bool:
    """Whether it is text of a form of its own: a UUID, a time, one of some words."""
    return not any(isinstance(one, (*_OF_KIND,)) and not isinstance(one, kinds.NoneType) for one in allowed)


def _out_of_bounds(one: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(one, kinds.StrType):
        yield "it holds a NUL", "a\0b"
        yield "it is far too long", "x" * 1_000_001
        if one.max_length is not None:
            yield "it is a little too long", "x" * (one.max_length + 1)
        if one.min_length:
            yield "it is too short", "x" * (one.min_length - 1)
    elif isinstance(one, (kinds.IntType, kinds.FloatType)):
        yield "it is far too large", HUGE
        yield "it is far too small", -HUGE
        if isinstance(one, kinds.IntType):
            yield "no column can hold it", 2**63
    elif isinstance(one, kinds.ListType):
        yield "it has far too many", [None] * 100_000
    elif isinstance(one, kinds.DictType):
        yield "a key holds a NUL", {"\0": 1}


def changed(body: Any, place: Place, value: Any) -> Any:
    """A copy of the body in which the value stands at the place."""
    copy = msgspec.json.decode(msgspec.json.encode(body))
    at = copy
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    return copy
