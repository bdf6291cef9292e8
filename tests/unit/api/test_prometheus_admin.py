"""Deleting, cleaning and copying over HTTP: off by default, for administrators, audited."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from asgi import Answered, ask
from prometheus_api import ACME, FORM, Ticking, refused

from tocsin.api.http import Access, Door
from tocsin.api.prometheus import prometheus
from tocsin.api.prometheus_admin import AdminApi, SampleAdmin
from tocsin.api.prometheus_form import BEGINNING_MS, END_MS
from tocsin.model.errors import InvalidInput, LimitExceeded, NotDurable
from tocsin.model.matchers import Matchers
from tocsin.model.tenant import TenantId
from tocsin.security.audit import AuditEvent, AuditOutcome
from tocsin.security.permissions import Role
from tocsin.security.sessions import Sessions
from tocsin.security.tokens import Credential, Principal, TokenTable, digest


class Asked(SampleAdmin):
    """Notes what is asked; fails when told how."""

    def __init__(self) -> None:
        self.deleted: list[tuple[TenantId, str, int, int]] = []
        self.cleaned: list[TenantId] = []
        self.fails: Exception | None = None

    async def delete_series(
        self, tenant: TenantId, matchers: Matchers, *, start_ms: int, end_ms: int
    ) -> None:
        self._act()
        self.deleted.append((tenant, ",".join(str(each) for each in matchers), start_ms, end_ms))

    async def clean_tombstones(self, tenant: TenantId) -> None:
        self._act()
        self.cleaned.append(tenant)

    async def snapshot(self, tenant: TenantId) -> str:
        self._act()
        return f"copy-of-{tenant}"

    def _act(self) -> None:
        if self.fails is not None:
            raise self.fails


class Room:
    """The admin routes; the token of a role is its name."""

    def __init__(self, *, on: bool = True) -> None:
        self.admin, self.events = Asked(), list[AuditEvent]()
        clock = Ticking()
        api = AdminApi(self.admin if on else None, self.events.append, clock)
        table = TokenTable(
            Credential(digest(role), Principal(role, role, ACME))
            for role in (Role.EDITOR, Role.TENANT_ADMIN)
        )
        self.door = Door(
            dialects=(prometheus(api.endpoints()),),
            access=Access(table, frozenset({ACME})),
            sessions=Sessions(lambda: "x"),
            trail=self.events.append,
            clock=clock,
            ready=lambda: True,
        )

    async def post(
        self,
        path: str,
        body: str = "",
        *,
        role: Role = Role.TENANT_ADMIN,
        method: str = "POST",
    ) -> Answered:
        headers = [FORM, ("authorization", f"Bearer {role}")]
        url = f"/prometheus/api/v1/admin/tsdb/{path}"
        return await ask(self.door, method, url, headers=headers, body=body.encode())

    def recorded(self) -> list[tuple[str, AuditOutcome, str]]:
        return [(each.object.rpartition("/")[2], each.outcome, each.reason) for each in self.events]


async def test_series_are_deleted_by_selector_and_time() -> None:
    room = Room()
    selector = quote('up{job="a"}')
    got = await room.post("delete_series", f"match[]={selector}&match[]=down&start=1.5&end=9")
    assert (got.status, got.body) == (204, b"")
    assert room.admin.deleted == [
        (ACME, '__name__="up",job="a"', 1500, 9000),
        (ACME, '__name__="down"', 1500, 9000),
    ]
    said = 'up{job="a"} down, start 1.5, end 9'
    assert room.recorded() == [("delete_series", AuditOutcome.ALLOWED, said)]
    assert room.events[0].actor == Role.TENANT_ADMIN


async def test_without_times_all_of_a_series_is_deleted() -> None:
    room = Room()
    assert (await room.post("delete_series?match[]=up", method="PUT")).status == 204
    assert [each[2:] for each in room.admin.deleted] == [(BEGINNING_MS, END_MS)]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("", "no match[] parameter provided"),
        ("match[]=%7B", 'invalid parameter "match[]": 1:2: parse error'),
        ("match[]=up&start=x", "invalid parameter \"start\": invalid time value for 'start'"),
        ("match[]=up&end=x", "invalid parameter \"end\": invalid time value for 'end'"),
    ],
)
async def test_what_cannot_be_read_deletes_nothing(asked: str, message: str) -> None:
    room = Room()
    refused(await room.post("delete_series", asked), 400, "bad_data", message)
    assert room.admin.deleted == []


async def test_deleted_samples_are_cleaned_away() -> None:
    room = Room()
    assert (await room.post("clean_tombstones")).status == 204
    assert room.admin.cleaned == [ACME]
    assert room.recorded() == [("clean_tombstones", AuditOutcome.ALLOWED, "")]


async def test_a_copy_has_a_name() -> None:
    room = Room()
    got = await room.post("snapshot", "skip_head=false")
    assert got.json() == {"status": "success", "data": {"name": "copy-of-acme"}}
    message = 'invalid parameter "skip_head": '
    for value in ("true", "x"):
        refused(await room.post("snapshot", f"skip_head={value}"), 400, "bad_data", message)


@pytest.mark.parametrize("path", ["delete_series?match[]=up", "clean_tombstones", "snapshot"])
async def test_it_is_off_unless_it_is_turned_on(path: str) -> None:
    room = Room(on=False)
    refused(await room.post(path), 500, "unavailable", "admin APIs disabled")
    outcome = ("admin APIs disabled", AuditOutcome.DENIED)
    assert [(reason, how) for _, how, reason in room.recorded()] == [outcome]


@pytest.mark.parametrize("path", ["delete_series?match[]=up", "clean_tombstones", "snapshot"])
async def test_only_administrators_may_and_others_are_audited(path: str) -> None:
    room = Room()
    assert (await room.post(path, role=Role.EDITOR)).status == 403
    assert [each.outcome for each in room.events] == [AuditOutcome.DENIED]
    assert (room.admin.deleted, room.admin.cleaned) == ([], [])


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (LimitExceeded("busy"), 503, "unavailable"),
        (OSError("disk full"), 500, "internal"),
        (NotDurable("disk full"), 503, "unavailable"),
        (InvalidInput("there already"), 400, "bad_data"),
    ],
)
async def test_what_fails_says_so_and_is_audited(error: Exception, status: int, kind: str) -> None:
    room = Room()
    room.admin.fails = error
    refused(await room.post("snapshot"), status, kind, str(error))
    got = await room.post("delete_series", "match[]=up")
    refused(got, status, kind, str(error))
    assert room.recorded() == [
        ("snapshot", AuditOutcome.FAILED, str(error)),
        ("delete_series", AuditOutcome.FAILED, f"up: {error}"),
    ]
