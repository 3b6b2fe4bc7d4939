"""Records that decode and make no sense: any word, any text, extreme numbers, in every field of a struct."""

from collections.abc import Iterator
from typing import Any

import msgspec.inspect as mi
from hypothesis import strategies as st

from tests.support.given import CONTACT, KEY, MESSAGE, START_MS

INTEGERS = (0, 1, 2, -1, 12, 30003, START_MS, START_MS + 1000, 1 << 31, 1 << 53, -(1 << 62), 1 << 62, 1 << 63, 10**400)
TEXTS = (
    "",
    "acme",
    "main",
    "nobody",
    "SM1",
    "d1",
    "11111111",
    "US",
    CONTACT,
    MESSAGE,
    f"{CONTACT}-",
    "\U0001f600\0",
    "x" * 5000,
)
KNOWN = {"pk": ("11111111", "99999999"), "tenant": ("acme", "acme", "nobody"), "key": (KEY,)}


def odd(struct: type) -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects of the form of `struct`, whatever bounds its fields have."""
    return _of(mi.type_info(struct))


def _of(given: Any, name: str = "") -> st.SearchStrategy[Any]:
    match given:
        case mi.Metadata(type=inner):
            return _of(inner, name)
        case mi.StructType(tag_field=tag_field, tag=tag, fields=fields, array_like=array_like):
            values = {one.encode_name: _of(one.type, one.encode_name) for one in fields}
            if array_like:
                return st.tuples(*values.values())
            tagged = {tag_field: st.just(tag)} if tag_field else {}
            needed = {one.encode_name: values[one.encode_name] for one in fields if one.required}
            return st.fixed_dictionaries(tagged | needed, optional={k: v for k, v in values.items() if k not in needed})
        case mi.UnionType(types=types):
            return st.one_of([_of(one, name) for one in types])
        case mi.EnumType(cls=cls):
            return st.sampled_from([one.value for one in cls])
        case mi.IntType():
            return st.sampled_from(INTEGERS)
        case mi.FloatType():
            return st.sampled_from([0.0, -1.5, 1e308, -1e308])
        case mi.StrType():
            return st.sampled_from(
                KNOWN.get(name) or ((MESSAGE, MESSAGE, MESSAGE, *TEXTS) if name == "message_id" else TEXTS)
            )
        case mi.BoolType():
            return st.booleans()
        case mi.NoneType():
            return st.none()
        case mi.LiteralType(values=values):
            return st.sampled_from(values)
        case mi.DictType():
            return st.dictionaries(_of(given.key_type, "key"), _of(given.value_type), max_size=2)
        case mi.VarTupleType() | mi.ListType():
            return st.lists(_of(given.item_type, name.removesuffix("s")), max_size=3)
        case mi.TupleType(item_types=types):
            return st.tuples(*(_of(one) for one in types))
    raise AssertionError(f"no strategy for {given}")


def with_extremes(value: Any) -> Iterator[Any]:
    """A JSON value over and over, each time with another of its numbers as it cannot be."""
    match value:
        case bool():
            return
        case int() | float():
            yield from (-(1 << 62), 1 << 62, 10**400)
        case dict():
            for name, one in value.items():
                yield from ({**value, name: odd_one} for odd_one in with_extremes(one))
        case list():
            for at, one in enumerate(value):
                yield from ([*value[:at], odd_one, *value[at + 1 :]] for odd_one in with_extremes(one))
