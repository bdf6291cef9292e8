"""The body of POST /api/v2/silences: decoding and validation, in Alertmanager's words."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from tocsin.alert_manager.answers import Malformed, Refused
from tocsin.alert_manager.ingest import posted_time
from tocsin.alert_manager.matcher_syntax import MatcherMode, valid_name
from tocsin.alert_manager.silence import Silence, SilenceMatcher
from tocsin.model.errors import InvalidInput


class _PostedMatcher(msgspec.Struct, rename="camel"):
    name: str | None = None
    value: str | None = None
    is_regex: bool | None = None
    is_equal: bool | None = None


class _PostedSilence(msgspec.Struct, rename="camel"):
    id: str | None = None
    matchers: list[_PostedMatcher] | None = None
    starts_at: str | None = None
    ends_at: str | None = None
    created_by: str | None = None
    comment: str | None = None
    annotations: dict[str, str] | None = None


_DECODER = msgspec.json.Decoder(_PostedSilence | None)


def decode_silence(
    body: bytes, *, now: datetime, mode: MatcherMode
) -> Silence | Malformed | Refused:
    """Return the silence in `body` as of `now`; its id is "" when it is to be a new one.

    Accepting it is `Silences.put`'s part: a start in the past is kept here.
    """
    if not body.strip():
        return Malformed(422, 602, "silence in body is required")
    try:
        posted = _DECODER.decode(body) or _PostedSilence()
        starts, ends = posted_time(posted.starts_at), posted_time(posted.ends_at)
    except (msgspec.MsgspecError, InvalidInput, RecursionError) as error:
        return Malformed(400, 400, f'parsing silence body from "" failed, because {error}')
    missing = _missing(posted)
    if missing:
        return missing
    return _checked(_built(posted, starts or now, ends, now), mode)


def _missing(posted: _PostedSilence) -> Malformed | None:
    for name in ("comment", "created_by", "ends_at", "matchers", "starts_at"):
        if getattr(posted, name) is None:
            return _required(_camel(name))
    if not posted.matchers:
        return Malformed(422, 612, "matchers in body should have at least 1 items")
    for at, one in enumerate(posted.matchers):
        for name in ("is_regex", "name", "value"):
            if getattr(one, name) is None:
                return _required(f"matchers.{at}.{_camel(name)}")
    return None


def _required(name: str) -> Malformed:
    return Malformed(422, 602, f"{name} in body is required")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


_NEVER = datetime(1, 1, 1, tzinfo=UTC)


def _built(
    posted: _PostedSilence, starts: datetime, ends: datetime | None, now: datetime
) -> Silence:
    matchers = tuple(
        SilenceMatcher(
            name=m.name or "",
            value=m.value or "",
            is_regex=bool(m.is_regex),
            is_equal=m.is_equal is not False,
        )
        for m in posted.matchers or ()
    )
    return Silence(
        id=posted.id or "",
        matchers=matchers,
        starts_at=starts,
        ends_at=ends or _NEVER,
        updated_at=now,
        created_by=posted.created_by or "",
        comment=posted.comment or "",
        annotations=posted.annotations or {},
    )


def _checked(silence: Silence, mode: MatcherMode) -> Silence | Refused:
    if silence.ends_at <= silence.starts_at:
        return Refused("Failed to create silence: start time must be before end time")
    if silence.ends_at < silence.updated_at:
        return Refused("Failed to create silence: end time can't be in the past")
    fault = _matcher_fault(silence.matchers, mode)
    return Refused(f"invalid silence: {fault}") if fault else silence


def _matcher_fault(matchers: tuple[SilenceMatcher, ...], mode: MatcherMode) -> str | None:
    may_be_empty = True
    for at, one in enumerate(matchers):
        if not valid_name(one.name, mode):
            return f'invalid label matcher {at}: invalid label name "{one.name}"'
        try:
            compiled = one.compiled()
        except InvalidInput as error:
            return f'invalid label matcher {at}: invalid regular expression "{one.value}": {error}'
        may_be_empty = may_be_empty and one.is_equal and compiled.matches("")
    return "at least one matcher must not match the empty string" if may_be_empty else None
