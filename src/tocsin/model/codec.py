"""JSON for stored values: msgspec with the two types of ours it does not know."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from tocsin.model.errors import InvalidInput
from tocsin.model.labels import Labels

T = TypeVar("T")


def encode(value: object) -> bytes:
    """Return `value` as compact JSON; label sets become objects in name order."""
    return _ENCODER.encode(value)


def decode(body: bytes, kind: type[T]) -> T:
    """Return the value of type `kind` held in `body`. Raises InvalidInput when it is not one."""
    try:
        return msgspec.json.decode(body, type=kind, dec_hook=_from_wire)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidInput(str(error)) from error


def _to_wire(value: object) -> object:
    if isinstance(value, Labels):
        return dict(value.pairs)
    raise NotImplementedError(f"{type(value).__name__} has no stored form")


def _from_wire(kind: type[Any], value: Any) -> Any:
    if kind is Labels:
        return Labels.of(value)
    raise NotImplementedError(f"{kind.__name__} has no stored form")


_ENCODER = msgspec.json.Encoder(enc_hook=_to_wire)
