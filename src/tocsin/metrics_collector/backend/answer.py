"""What a Prometheus-compatible API answers: vectors as columns, refusals as clear errors.

Source: Prometheus "HTTP API", format overview. A native histogram in an answer is refused:
there is no float to go on with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from tocsin.metrics_collector.ports import Page
from tocsin.model.errors import InvalidInput, LimitExceeded, TocsinError, Unreachable
from tocsin.model.labels import EMPTY, Labels
from tocsin.model.series import Values

LARGEST_ANSWER = 64 << 20  # bytes
_SHOWN = 200  # bytes of an answer that a message quotes
_REFUSED = (400, 422)  # bad_data, execution: the query is at fault, and stays so
_TOO_MANY = 429


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """An instant vector: `labels[i]` has `values[i]`. A scalar is one element without labels."""

    labels: tuple[Labels, ...]
    values: Values
    warnings: tuple[str, ...] = ()


class _Element(msgspec.Struct):
    metric: dict[str, str] = msgspec.field(default_factory=dict)
    value: tuple[float, str] | None = None


class _Data(msgspec.Struct):
    kind: str = msgspec.field(name="resultType")
    result: msgspec.Raw = msgspec.Raw()


class _Envelope(msgspec.Struct):
    status: str
    data: _Data | None = None
    error: str = ""
    warnings: list[str] | None = None
    infos: list[str] | None = None


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_VECTOR = msgspec.json.Decoder(list[_Element])
_SCALAR = msgspec.json.Decoder(tuple[float, str])


def found_in(page: Page, *, shown: str) -> Found:
    """Return the vector of an answer; `shown` names the backend and the tenant in errors.

    Raises InvalidInput when the query is at fault, LimitExceeded when the tenant asks too
    much, Unreachable when there is no answer to speak of.
    """
    if page.status != 200:
        raise refusal(page, shown=shown)
    try:
        envelope = _ENVELOPE.decode(page.body)
        if envelope.status != "success" or envelope.data is None:
            raise refusal(page, shown=shown)
        labels, values = _columns(envelope.data, shown)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreachable(f"{shown}: no answer of Prometheus' API: {quoted(page)}") from error
    notes = (*(envelope.warnings or ()), *(envelope.infos or ()))
    return Found(labels, values, notes)


def refusal(page: Page, *, shown: str) -> TocsinError:
    """Return the error that stands for an answer without a result."""
    message = f"{shown}: HTTP {page.status}: {quoted(page)}"
    if page.status in _REFUSED:
        return InvalidInput(message)
    return LimitExceeded(message) if page.status == _TOO_MANY else Unreachable(message)


def quoted(page: Page) -> str:
    """Return what an answer says: the error of its envelope, else its first 200 bytes.

    >>> quoted(Page(502, {}, b"<html>\\n bad gateway"))
    '<html> bad gateway'
    """
    try:
        said = _ENVELOPE.decode(page.body).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        said = ""
    text = said or page.body[:_SHOWN].decode(errors="replace")
    return " ".join(text.split())[:_SHOWN] or "(empty)"


def _columns(data: _Data, shown: str) -> tuple[tuple[Labels, ...], Values]:
    if data.kind == "scalar":
        _, text = _SCALAR.decode(data.result)
        return (EMPTY,), np.array([_float(text, shown)])
    if data.kind != "vector":
        raise InvalidInput(f"{shown}: a {data.kind} where an instant vector or a scalar is needed")
    elements = _VECTOR.decode(data.result)
    texts = [_value(element, shown) for element in elements]
    values = np.fromiter((_float(text, shown) for text in texts), np.float64, len(texts))
    return tuple(Labels(element.metric.items()) for element in elements), values


def _value(element: _Element, shown: str) -> str:
    if element.value is None:
        message = "native histograms are not supported; ask for a float, as histogram_quantile does"
        raise InvalidInput(f"{shown}: {message}")
    return element.value[1]


def _float(text: Any, shown: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise Unreachable(f"{shown}: {text[:40]!r} is no value") from error
