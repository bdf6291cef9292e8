"""The body of POST /api/v2/alerts: decoding, defaults, validation. Wording as Alertmanager 0.25.

Faults of form (wrong type, missing labels) refuse the whole body; faults of single alerts are
told beside the alerts that are good. Decoding a body is a pure function of the body and `now`,
so the log keeps bodies as they came.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tocsin.alert_manager.answers import Malformed
from tocsin.alert_manager.matcher_syntax import MatcherMode, valid_name
from tocsin.model.alert import Alert
from tocsin.model.errors import InvalidInput
from tocsin.model.labels import EMPTY, Labels
from tocsin.model.rfc3339 import parse_time

_ABSENT = msgspec.Raw(b"")
_NOTHING = (b"", b"null")
_URI = re.compile(r"(?:[a-zA-Z][a-zA-Z0-9+.\-]*:|/)[^\x00-\x1f\x7f]*")
_KEPT = 1 << 16  # label sets and annotation sets remembered by their spelling


class _Posted(msgspec.Struct, gc=False):
    """One alert of a body; times are decoded by msgspec where they are plain RFC 3339."""

    labels: msgspec.Raw = _ABSENT
    annotations: msgspec.Raw = _ABSENT
    startsAt: datetime | None = None  # noqa: N815 - the wire name
    endsAt: datetime | None = None  # noqa: N815 - the wire name
    generatorURL: str | None = None  # noqa: N815 - the wire name


class _Lenient(msgspec.Struct, gc=False):
    """The same with times as text: the empty string, and spellings without a zone."""

    labels: msgspec.Raw = _ABSENT
    annotations: msgspec.Raw = _ABSENT
    startsAt: str | None = None  # noqa: N815 - the wire name
    endsAt: str | None = None  # noqa: N815 - the wire name
    generatorURL: str | None = None  # noqa: N815 - the wire name


_FAST = msgspec.json.Decoder(list[_Posted] | None)
_SLOW = msgspec.json.Decoder(list[_Lenient] | None)
_MAP = msgspec.json.Decoder(dict[str, str])


@dataclass(frozen=True, slots=True)
class Decoded:
    """The good alerts of a body in order, and what is wrong with the others."""

    alerts: tuple[Alert, ...]
    problems: tuple[str, ...] = ()


def decode_alerts(
    body: bytes, *, now: datetime, resolve_timeout: timedelta, mode: MatcherMode
) -> Decoded | Malformed:
    """Return the alerts of `body` with every default filled in as of `now`."""
    if not body.strip():
        return Malformed(422, 602, "alerts in body is required")
    try:
        posted = _read(body)
        fault = _form_fault(posted)
        return fault or _sorted_out(posted, now, resolve_timeout, mode)
    except (msgspec.MsgspecError, InvalidInput, RecursionError) as error:
        message = f'parsing alerts body from "" failed, because {error}'
        return Malformed(400, 400, message)


def encode_alerts(alerts: Sequence[Alert]) -> bytes:
    """Return a body that decodes to the same alerts; an end by timeout is left out."""
    return msgspec.json.encode([_wire(alert) for alert in alerts])


def _wire(alert: Alert) -> dict[str, Any]:
    out: dict[str, Any] = {"labels": dict(alert.labels.pairs), "startsAt": alert.starts_at}
    if alert.annotations:
        out["annotations"] = dict(alert.annotations.pairs)
    if not alert.timeout:
        out["endsAt"] = alert.ends_at
    if alert.generator_url:
        out["generatorURL"] = alert.generator_url
    return out


def _read(body: bytes) -> list[_Posted]:
    try:
        return _FAST.decode(body) or []
    except msgspec.ValidationError:
        return [_strict(alert) for alert in _SLOW.decode(body) or []]


def _strict(alert: _Lenient) -> _Posted:
    return _Posted(
        labels=alert.labels,
        annotations=alert.annotations,
        startsAt=posted_time(alert.startsAt),
        endsAt=posted_time(alert.endsAt),
        generatorURL=alert.generatorURL,
    )


def posted_time(text: str | None) -> datetime | None:
    """Read a time as leniently as Alertmanager does: "" is absent, no zone means UTC."""
    if not text:
        return None
    try:
        return parse_time(text)
    except InvalidInput:
        return parse_time(f"{text}Z")


def _form_fault(posted: Iterable[_Posted]) -> Malformed | None:
    for at, alert in enumerate(posted):
        if bytes(alert.labels) in _NOTHING:
            return Malformed(422, 602, f"{at}.labels in body is required")
        url = alert.generatorURL
        if url and not _URI.fullmatch(url):
            message = f'{at}.generatorURL in body must be of type uri: "{url}"'
            return Malformed(422, 601, message)
    return None


def _sorted_out(
    posted: Iterable[_Posted], now: datetime, resolve_timeout: timedelta, mode: MatcherMode
) -> Decoded:
    alerts: list[Alert] = []
    problems: list[str] = []
    for one in posted:
        alert = _complete(one, now, resolve_timeout, mode)
        if isinstance(alert, Alert):
            alerts.append(alert)
        else:
            problems.append(alert)
    return Decoded(tuple(alerts), tuple(problems))


def _complete(
    posted: _Posted, now: datetime, resolve_timeout: timedelta, mode: MatcherMode
) -> Alert | str:
    """Return the alert, or what is wrong with it."""
    labels, wrong = _label_set(bytes(posted.labels), mode)
    annotations, ill = _annotations(bytes(posted.annotations), mode)
    end = _utc(posted.endsAt)
    start = _utc(posted.startsAt) or end or now
    if end is not None and end < start:
        return "start time must be before end time"
    if wrong or ill:
        return wrong or ill
    return Alert(
        labels=labels,
        starts_at=start,
        ends_at=now + resolve_timeout if end is None else end,
        updated_at=now,
        annotations=annotations,
        generator_url=posted.generatorURL or "",
        timeout=end is None,
    )


def _utc(at: datetime | None) -> datetime | None:
    """Return an aware UTC time; Go's zero time counts as absent."""
    if at is None or at.year == 1:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


@functools.lru_cache(maxsize=_KEPT)
def _label_set(raw: bytes, mode: MatcherMode) -> tuple[Labels, str]:
    """Return the labels spelt `raw` and what is wrong with them, "" for nothing."""
    labels = Labels.of(_MAP.decode(raw))
    bad = _bad_name(labels, mode)
    if bad is not None:
        return labels, f'invalid label set: invalid name "{bad}"'
    return labels, "" if labels else "at least one label pair required"


@functools.lru_cache(maxsize=_KEPT)
def _annotations(raw: bytes, mode: MatcherMode) -> tuple[Labels, str]:
    if raw in _NOTHING:
        return EMPTY, ""
    annotations = Labels.of(_MAP.decode(raw))
    bad = _bad_name(annotations, mode)
    wrong = "" if bad is None else f'invalid annotations: invalid name "{bad}"'
    return annotations, wrong


def _bad_name(labels: Labels, mode: MatcherMode) -> str | None:
    return next((name for name in labels if not valid_name(name, mode)), None)
