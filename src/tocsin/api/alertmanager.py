"""The Alertmanager dialect: API v2, spelled as Alertmanager 0.34 spells it.

Two shapes of error: faults of form are `{"code": N, "message": "…"}`, what a handler refuses
is a bare JSON string. Status of alerts and silences is computed when asked. Source:
Alertmanager `api/v2/openapi.yaml`, and the answers of a running 0.25.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never

from starlette.requests import Request
from starlette.responses import Response

from tocsin.alert_manager.alerts import Alerts
from tocsin.alert_manager.answers import Expired, Malformed, NotFound, Posted, Refused, SilencePut
from tocsin.alert_manager.matcher_syntax import parse_matcher
from tocsin.alert_manager.views import AlertFilter, AlertView, GroupView, SilenceView
from tocsin.api.http import Call, Dialect, Endpoint, Handler, Refusal, accepts_json, json_content
from tocsin.model.clock import Clock
from tocsin.model.codec import encode
from tocsin.model.errors import InvalidInput
from tocsin.model.matchers import Matchers
from tocsin.model.pattern import Pattern, pattern
from tocsin.model.rfc3339 import format_millis
from tocsin.model.tenant import TenantId
from tocsin.security.permissions import Permission

BAD_UUID = 601  # go-openapi's code for a value of the wrong format
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True", "y", "yes", "on"})


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """What `versionInfo` says; `version` is the Alertmanager level we serve."""

    version: str
    revision: str = ""
    branch: str = ""
    build_user: str = ""
    build_date: str = ""
    go_version: str = ""


@dataclass(frozen=True, slots=True)
class AlertmanagerApi:
    """The routes of API v2; `original` gives a tenant's configuration with secrets masked."""

    alerts: Alerts
    clock: Clock
    original: Callable[[TenantId], str]
    build: BuildInfo
    started_at: datetime

    def dialects(self) -> tuple[Dialect, ...]:
        """Return API v2, and the refusal that stands where v1 was."""
        v2 = (
            self._route("/status", "GET", Permission.READ, self.status),
            self._route("/receivers", "GET", Permission.READ, self.receivers),
            self._route("/alerts", "GET", Permission.READ, self.list_alerts),
            self._route("/alerts", "POST", Permission.POST_ALERTS, self.post_alerts),
            self._route("/alerts/groups", "GET", Permission.READ, self.list_groups),
            self._route("/silences", "GET", Permission.READ, self.list_silences),
            self._route("/silences", "POST", Permission.SILENCE, self.post_silence),
            self._route("/silence/{id}", "GET", Permission.READ, self.get_silence),
            self._route("/silence/{id}", "DELETE", Permission.SILENCE, self.delete_silence),
        )
        every = ("GET", "POST", "PUT", "DELETE")
        v1 = Endpoint("/{rest:path}", every, Permission.PUBLIC, self.gone)
        return Dialect("/api/v2", v2, fault), Dialect("/api/v1", (v1,), fault)

    async def status(self, call: Call) -> Response:
        """Say who we are and what is configured; amtool needs every field."""
        build = self.build
        return answer(
            {
                "cluster": {"status": "disabled", "peers": []},
                "config": {"original": self.original(call.tenant)},
                "uptime": format_millis(self.started_at),
                "versionInfo": {
                    "branch": build.branch,
                    "buildDate": build.build_date,
                    "buildUser": build.build_user,
                    "goVersion": build.go_version,
                    "revision": build.revision,
                    "version": build.version,
                },
            }
        )

    async def receivers(self, call: Call) -> Response:
        """List the receivers' names."""
        return answer([{"name": name} for name in self.alerts.receivers(call.tenant)])

    async def list_alerts(self, call: Call) -> Response:
        """List the alerts that have not ended."""
        wanted = self._filter(call)
        found = self.alerts.query_alerts(call.tenant, self.clock.now(), wanted)
        return answer([alert_json(view) for view in found])

    async def list_groups(self, call: Call) -> Response:
        """List aggregation groups with their alerts."""
        wanted = self._filter(call)
        found = self.alerts.query_groups(call.tenant, self.clock.now(), wanted)
        return answer([_group_json(view) for view in found])

    async def post_alerts(self, call: Call) -> Response:
        """Take alerts; 200 means they are on disk."""
        posted = await self.alerts.post(call.tenant, await call.body())
        match posted:
            case Posted(problems=()):
                return Response(status_code=200)
            case Posted():
                return refused(400, posted.message)
            case Malformed():
                return malformed(posted)
            case _:
                assert_never(posted)

    async def list_silences(self, call: Call) -> Response:
        """List silences: active first, then pending, then expired."""
        found = self.alerts.silences(
            call.tenant,
            self.clock.now(),
            matchers=self._matchers(call),
            active=_flag(call, "active"),
            pending=_flag(call, "pending"),
            expired=_flag(call, "expired"),
        )
        return answer([_silence_json(view) for view in found])

    async def post_silence(self, call: Call) -> Response:
        """Make a silence, or change the one whose id is given."""
        put = await self.alerts.put_silence(call.tenant, await call.body())
        match put:
            case SilencePut():
                return answer({"silenceID": put.id})
            case Malformed():
                return malformed(put)
            case Refused():
                return refused(400, put.message)
            case NotFound():
                return refused(404, put.message)
            case _:
                assert_never(put)

    async def get_silence(self, call: Call) -> Response:
        """Return one silence; a missing one is 404 with an empty body."""
        found = self.alerts.silence(call.tenant, _silence_id(call), self.clock.now())
        return answer(_silence_json(found)) if found else Response(status_code=404)

    async def delete_silence(self, call: Call) -> Response:
        """End a silence now."""
        ended = await self.alerts.expire_silence(call.tenant, _silence_id(call))
        match ended:
            case Expired():
                return Response(status_code=200)
            case NotFound():
                return refused(404, ended.message)
            case _:
                assert_never(ended)

    async def gone(self, call: Call) -> Response:
        """Answer for API v1, which Alertmanager removed in 0.27."""
        message = "The Alertmanager v1 API was deprecated in version 0.16.0 and removed in 0.27.0"
        body = {"status": "deprecated", "error": message + ", use /api/v2"}
        return answer(body, status=410)

    def _route(self, path: str, method: str, permission: Permission, handle: Handler) -> Endpoint:
        async def checked(call: Call) -> Response:
            _check_media(call.request)
            return await handle(call)

        return Endpoint(path, (method,), permission, checked)

    def _filter(self, call: Call) -> AlertFilter:
        return AlertFilter(
            active=_flag(call, "active"),
            silenced=_flag(call, "silenced"),
            inhibited=_flag(call, "inhibited"),
            unprocessed=_flag(call, "unprocessed"),
            muted=_flag(call, "muted"),
            matchers=self._matchers(call),
            receiver=_receiver(call),
        )

    def _matchers(self, call: Call) -> Matchers:
        mode = self.alerts.matcher_mode(call.tenant)
        texts = call.request.query_params.getlist("filter")
        try:
            return tuple(parse_matcher(text, mode) for text in texts)
        except InvalidInput as error:
            raise Refusal(400, str(error)) from error


def answer(value: Any, *, status: int = 200) -> Response:
    """Return `value` as JSON with the newline that Alertmanager ends bodies with."""
    body = encode(value) + b"\n"
    return Response(body, status, media_type="application/json")


def refused(status: int, message: str) -> Response:
    """Return a handler's error: a bare JSON string."""
    return answer(message, status=status)


def malformed(error: Malformed) -> Response:
    """Return a fault of form: code and message."""
    return answer({"code": error.code, "message": error.message}, status=error.status)


def fault(request: Request, refusal: Refusal) -> Response:
    """Return what the Door refused: a bare string for 400, else code and message."""
    if refusal.status == 400:
        response = refused(400, refusal.message)
    else:
        code = refusal.code or refusal.status
        response = malformed(Malformed(refusal.status, code, refusal.message))
    response.headers.update(refusal.headers)
    return response


def alert_json(view: AlertView) -> dict[str, Any]:
    """Return an alert as the API shows it."""
    alert = view.alert
    shown: dict[str, Any] = {
        "annotations": dict(alert.annotations.pairs),
        "endsAt": format_millis(alert.ends_at),
        "fingerprint": view.fingerprint,
        "receivers": [{"name": name} for name in view.receivers],
        "startsAt": format_millis(alert.starts_at),
        "status": {
            "inhibitedBy": view.inhibited_by,
            "mutedBy": view.muted_by,
            "silencedBy": view.silenced_by,
            "state": view.state,
        },
        "updatedAt": format_millis(alert.updated_at),
    }
    if alert.generator_url:
        shown["generatorURL"] = alert.generator_url
    shown["labels"] = dict(alert.labels.pairs)
    return shown


def _group_json(view: GroupView) -> dict[str, Any]:
    return {
        "alerts": [alert_json(alert) for alert in view.alerts],
        "labels": dict(view.labels.pairs),
        "receiver": {"name": view.receiver},
        "routeLabels": dict(view.route_labels.pairs),
    }


def _silence_json(view: SilenceView) -> dict[str, Any]:
    silence = view.silence
    return {
        "id": silence.id,
        "status": {"state": view.state},
        "updatedAt": format_millis(silence.updated_at),
        "annotations": silence.annotations,
        "comment": silence.comment,
        "createdBy": silence.created_by,
        "endsAt": format_millis(silence.ends_at),
        "matchers": silence.matchers,
        "startsAt": format_millis(silence.starts_at),
    }


def _check_media(request: Request) -> None:
    if not accepts_json(request):
        only = "unsupported media type requested, only [application/json] are available"
        raise Refusal(406, only)
    if request.method == "POST" and not json_content(request):
        sent = request.headers.get("content-type", "application/octet-stream")
        message = f'unsupported media type "{sent}", only [application/json] are allowed'
        raise Refusal(415, message)


def _flag(call: Call, name: str) -> bool:
    """Return a boolean parameter, true by default; what is not true is false, as upstream."""
    value = call.request.query_params.get(name)
    return value is None or value in _TRUE


def _receiver(call: Call) -> Pattern | None:
    text = call.request.query_params.get("receiver", "")
    try:
        return pattern(text) if text else None
    except InvalidInput as error:
        raise Refusal(400, f"failed to parse receiver param: {error}") from error


def _silence_id(call: Call) -> str:
    text = str(call.request.path_params["id"])
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        message = f'silenceID in path must be of type uuid: "{text}"'
        raise Refusal(422, message, code=BAD_UUID) from error
