"""A registered feature view, read from Feast's bytes without Feast, whose import takes longer than all checks together.

The bytes are a protobuf `feast.core.FeatureView`; of its fields only those are read that the registry is held to:

    FeatureView        1 spec
    FeatureViewSpec    4 features (repeated), 5 tags (a map)
    FeatureSpecV2      1 name, 2 value_type (feast.types.ValueType)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FEAST_TYPES: Final = {"int64": 4, "float64": 5, "instant": 8, "text": 2}
"""Our types as Feast numbers them: INT64, DOUBLE, UNIX_TIMESTAMP, STRING."""

_SPEC: Final = 1
_FEATURES: Final = 4
_TAGS: Final = 5
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_FIXED: Final = {_EIGHT: 8, _FOUR: 4}


@dataclass(frozen=True, slots=True)
class RegisteredView:
    """What is registered: feature → Feast's number of its type, and the tags."""

    features: Mapping[str, int]
    tags: Mapping[str, str]


def read_view(proto: bytes) -> RegisteredView:
    """Read a registered view.

    Raises:
        ValueError: The bytes are no protobuf message.

    """
    features, tags = {}, {}
    for spec in _of(proto, _SPEC):
        for each in _of(spec, _FEATURES):
            fields = dict(_fields(each))
            features[_text(fields.get(1))] = int(fields.get(2, 0))
        for each in _of(spec, _TAGS):
            fields = dict(_fields(each))
            tags[_text(fields.get(1))] = _text(fields.get(2))
    return RegisteredView(features, tags)


def _of(message: bytes, number: int) -> list[bytes]:
    return [value for field, value in _fields(message) if field == number and isinstance(value, bytes)]


def _text(value: bytes | int | None) -> str:
    return value.decode() if isinstance(value, bytes) else ""


def _fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Yield each field's number and value: a varint as int, what has a length as bytes; numbers of fixed width are passed over."""
    position = 0
    while position < len(message):
        head, position = _varint(message, position)
        number, kind = head >> 3, head & 7
        if kind == _VARINT:
            value, position = _varint(message, position)
            yield number, value
        elif kind == _BYTES:
            length, position = _varint(message, position)
            yield number, message[position : position + length]
            position += length
        elif kind in _FIXED:
            position += _FIXED[kind]
        else:
            text = f"field {number} is of no kind that protobuf has"
            raise ValueError(text)


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, the lowest first, and the position behind it."""
    value = shift = 0
    while True:
        if position >= len(message):
            text = "it ends inside a number"
            raise ValueError(text)
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:  # noqa: PLR2004  the highest bit says that more follow
            return value, position
