"""Uploaded rules over HTTP: who may, what is answered, what is audited."""

from __future__ import annotations

import pytest
from asgi import Answered, ask

from tocsin.api.http import Access, Dialect, Door
from tocsin.api.v1 import fault
from tocsin.api.v1_rules import LARGEST, RuleUploadApi, Uploads
from tocsin.config_loader.uploaded_rules import Change, UploadedFile
from tocsin.model.errors import NotDurable
from tocsin.model.tenant import TenantId
from tocsin.rule_engine.fakes import LoopClock
from tocsin.security.audit import AuditEvent
from tocsin.security.permissions import Role
from tocsin.security.sessions import Sessions
from tocsin.security.tokens import Credential, Principal, TokenTable, digest

A, B = TenantId("a"), TenantId("b")
GOOD = "groups: [{name: g, rules: [{alert: Down, expr: up == 0}]}]\n"
ROLES = {"viewer": Role.VIEWER, "editor": Role.EDITOR, "admin": Role.TENANT_ADMIN}


class Kept(Uploads):
    """Uploads in memory."""

    def __init__(self) -> None:
        self.files: dict[tuple[TenantId, str], UploadedFile] = {}
        self.broken = False

    async def all(self, tenant: TenantId) -> dict[str, UploadedFile]:
        return {name: file for (owner, name), file in self.files.items() if owner == tenant}

    async def get(self, tenant: TenantId, namespace: str) -> UploadedFile | None:
        return self.files.get((tenant, namespace))

    async def put(
        self, tenant: TenantId, file: UploadedFile, *, instead_of: str | None = None
    ) -> Change:
        file.rules()
        if self.broken:
            raise NotDurable("no space left on device")
        before = self.files.get((tenant, file.namespace))
        if instead_of is not None and instead_of != (before.sha256 if before else ""):
            return Change.CONFLICT
        self.files[tenant, file.namespace] = file
        return Change.REPLACED if before else Change.CREATED

    async def delete(
        self, tenant: TenantId, namespace: str, *, instead_of: str | None = None
    ) -> Change:
        before = self.files.get((tenant, namespace))
        if before is None:
            return Change.ABSENT
        if instead_of is not None and instead_of != before.sha256:
            return Change.CONFLICT
        del self.files[tenant, namespace]
        return Change.DELETED


class Bench:
    """The routes behind a door, with a token for each role and one of another tenant."""

    def __init__(self) -> None:
        self.kept = Kept()
        self.audit: list[AuditEvent] = []
        clock = LoopClock()
        routes = RuleUploadApi(self.kept, self.audit.append, clock).endpoints()
        tokens = [Credential(digest(n), Principal(n, role, A)) for n, role in ROLES.items()]
        tokens.append(Credential(digest("other"), Principal("other", Role.EDITOR, B)))
        self.door = Door(
            dialects=(Dialect("/api/tocsin/v1", routes, fault),),
            access=Access(TokenTable(tokens), frozenset((A, B))),
            sessions=Sessions(lambda: "s"),
            trail=self.audit.append,
            clock=clock,
            ready=lambda: True,
        )

    async def ask(
        self, method: str, path: str = "/team", text: str = "", *, by: str = "editor", **more: str
    ) -> Answered:
        named = [(name.replace("_", "-"), value) for name, value in more.items()]
        headers = [("Authorization", f"Bearer {by}"), *named]
        url = f"/api/tocsin/v1/rules{path}"
        return await ask(self.door, method, url, headers=headers, body=text.encode())

    def audited(self) -> list[tuple[str, str, str, str]]:
        return [(e.actor, e.action, e.object, e.outcome) for e in self.audit]


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_what_is_put_can_be_read_and_is_listed(bench: Bench) -> None:
    put = await bench.ask("PUT", "/team/db", GOOD)
    assert (put.status, put.json()["namespace"]) == (201, "team/db")
    got = await bench.ask("GET", "/team/db", by="viewer")
    assert (got.status, got.body.decode(), got.headers["etag"]) == (200, GOOD, put.headers["etag"])
    assert got.headers["content-type"].startswith("application/yaml")
    (item,) = (await bench.ask("GET", "", by="viewer")).json()["items"]
    assert item == {
        "namespace": "team/db",
        "sha256": got.headers["etag"].strip('"'),
        "bytes": len(GOOD),
    }


async def test_a_second_file_replaces_the_first(bench: Bench) -> None:
    await bench.ask("PUT", text=GOOD)
    assert (await bench.ask("PUT", text=GOOD + "\n")).status == 200
    assert (await bench.ask("GET")).body.decode() == GOOD + "\n"


async def test_what_is_deleted_is_gone(bench: Bench) -> None:
    await bench.ask("PUT", text=GOOD)
    assert (await bench.ask("DELETE")).status == 204
    assert (await bench.ask("GET")).status == 404
    assert (await bench.ask("DELETE")).status == 404


async def test_a_faulty_file_is_refused_with_its_places(bench: Bench) -> None:
    got = await bench.ask("PUT", text=GOOD.replace("==", "=== 0"))
    assert got.status == 422
    assert got.json()["title"].startswith("team:1:")
    assert bench.kept.files == {}


async def test_what_is_no_text_or_too_long_is_refused(bench: Bench) -> None:
    headers = [("Authorization", "Bearer editor")]
    url = "/api/tocsin/v1/rules/team"
    assert (await ask(bench.door, "PUT", url, headers=headers, body=b"\xff")).status == 400
    assert (await bench.ask("PUT", text="#" * (LARGEST + 1))).status == 413


async def test_nothing_is_overwritten_that_somebody_else_changed(bench: Bench) -> None:
    first = (await bench.ask("PUT", text=GOOD, if_none_match="*")).headers["etag"]
    assert (await bench.ask("PUT", text=GOOD, if_none_match="*")).status == 412
    second = (await bench.ask("PUT", text="", if_match=first)).headers["etag"]
    assert (await bench.ask("PUT", text=GOOD, if_match=first)).status == 412
    assert (await bench.ask("DELETE", if_match=first)).status == 412
    assert (await bench.ask("PUT", text=GOOD, if_match="*")).status == 200
    assert (await bench.ask("PUT", text="", if_match=first)).status == 200
    assert (await bench.ask("DELETE", if_match=f"W/{second}")).status == 204
    assert (await bench.ask("PUT", text=GOOD, if_match="*")).status == 412


async def test_who_may_not_edit_rules_may_read_them(bench: Bench) -> None:
    assert (await bench.ask("PUT", text=GOOD, by="viewer")).status == 403
    assert (await bench.ask("PUT", text=GOOD, by="admin")).status == 201
    assert (await bench.ask("DELETE", by="viewer")).status == 403
    assert (await bench.ask("GET", by="viewer")).status == 200


async def test_another_tenant_sees_nothing_of_it(bench: Bench) -> None:
    await bench.ask("PUT", text=GOOD)
    assert (await bench.ask("GET", by="other")).status == 404
    assert (await bench.ask("GET", "", by="other")).json()["items"] == []
    assert (await bench.ask("DELETE", by="other")).status == 404
    assert (await bench.ask("GET", by="other", x_scope_orgid="a")).status == 403


async def test_every_change_and_every_refusal_is_audited(bench: Bench) -> None:
    await bench.ask("PUT", text=GOOD)
    await bench.ask("PUT", text="[]")
    await bench.ask("PUT", text=GOOD, if_none_match="*")
    await bench.ask("DELETE", by="viewer")
    await bench.ask("DELETE")
    await bench.ask("GET", "")
    path = "/api/tocsin/v1/rules/team"
    assert bench.audited() == [
        ("editor", "PUT", path, "allowed"),
        ("editor", "PUT", path, "failed"),
        ("editor", "PUT", path, "failed"),
        ("viewer", "DELETE", path, "denied"),
        ("editor", "DELETE", path, "allowed"),
    ]


async def test_a_disk_that_is_full_is_told(bench: Bench) -> None:
    bench.kept.broken = True
    assert (await bench.ask("PUT", text=GOOD)).status == 503
