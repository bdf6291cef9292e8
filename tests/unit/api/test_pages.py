"""The pages: sign in, read the alerts of one tenant, and nothing a page should not do."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from itertools import count
from urllib.parse import urlencode

import pytest
from asgi import Answered, ask
from prometheus_client import CollectorRegistry

from tocsin.alert_manager.alerts import Alerts
from tocsin.alert_manager.config import (
    InhibitRuleConfig,
    Integration,
    RouteConfig,
    compile_config,
)
from tocsin.alert_manager.fakes import MemoryLog, MemorySnapshots
from tocsin.alert_manager.views import AlertView
from tocsin.api.http import SESSION_COOKIE, Access, Door
from tocsin.api.instruments import AccessInstruments
from tocsin.api.queries import AtOnce
from tocsin.api.ui.pages import FORM_LIMIT, MOST_ROWS, Pages, row
from tocsin.model.alert import Alert, AlertState
from tocsin.model.clock import Clock
from tocsin.model.events import Delta
from tocsin.model.labels import Labels
from tocsin.model.tenant import TenantId, tenant_id
from tocsin.promql.engine import Engine
from tocsin.promql.fakes import MemorySeries
from tocsin.security.audit import AuditEvent, AuditOutcome
from tocsin.security.permissions import Role
from tocsin.security.sessions import Sessions
from tocsin.security.tokens import Credential, Principal, TokenTable, digest

T0 = datetime(2026, 1, 1, tzinfo=UTC)
A, B, UI = tenant_id("a"), tenant_id("b"), tenant_id("ui-team")
CONFIG = compile_config(
    RouteConfig(
        receiver="team",
        group_by=("...",),
    ),
    receivers={"team": (Integration("webhook[0]", send_resolved=True),)},
    hash="1",
    inhibit_rules=[InhibitRuleConfig(source_matchers=("x=src",), target_matchers=("x=dst",))],
)


class LoopClock(Clock):
    """Wall time that follows the virtual loop."""

    def now(self) -> datetime:
        return T0 + timedelta(seconds=asyncio.get_running_loop().time())

    async def sleep_until(self, when: datetime) -> None:
        await asyncio.sleep(max(0.0, (when - self.now()).total_seconds()))


class Text(HTMLParser):
    """What a reader and a browser get of a page: its text, tags and links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    @property
    def shown(self) -> str:
        return " ".join(" ".join(self.words).split())

    def links(self) -> list[str]:
        return [attrs["href"] for tag, attrs in self.tags if tag == "a"]


class House:
    """The pages over a real alert stage, for tenants a, b and ui-team."""

    def __init__(self, alerts: Alerts, *, prefix: str = "", open_to_all: bool = False) -> None:
        self.alerts, self.clock = alerts, LoopClock()
        self.trail: list[AuditEvent] = []
        serial = count()
        self.sessions = Sessions(lambda: f"session-{next(serial)}")
        people = [
            Principal("reader-a", Role.VIEWER, A),
            Principal("reader-b", Role.VIEWER, B),
            Principal("reader-ui", Role.VIEWER, UI),
            Principal("operator", Role.PLATFORM_ADMIN, None),
        ]
        table = TokenTable(Credential(digest(f"token of {p.name}"), p) for p in people)
        access = Access(table, frozenset({A, B, UI}), open_to_all=open_to_all)
        series = MemorySeries()
        series.add(
            A,
            Labels.of({"__name__": "load", "instance": "<b>"}),
            [(round(T0.timestamp() * 1000) - 1000, 0.5)],
        )
        self.registry = CollectorRegistry()
        pages = Pages(
            alerts,
            self.sessions,
            lambda: access,
            AtOnce(Engine(series), self.clock),
            self.trail.append,
            self.clock,
            instruments=AccessInstruments(self.registry),
        )
        self.door = Door(
            dialects=(pages.dialect(),),
            access=access,
            sessions=self.sessions,
            trail=self.trail.append,
            clock=self.clock,
            ready=lambda: True,
            prefix=prefix,
        )

    async def get(self, path: str, cookie: str = "") -> Answered:
        headers = [("cookie", f"{SESSION_COOKIE}={cookie}")] if cookie else []
        return await ask(self.door, "GET", path, headers=headers)

    async def page(self, path: str, cookie: str = "") -> Text:
        got = await self.get(path, cookie)
        assert got.status == 200, got.body
        return Text(got.body.decode())

    async def submit(self, path: str, *headers: tuple[str, str], body: bytes = b"") -> Answered:
        return await ask(self.door, "POST", path, headers=list(headers), body=body)

    async def login(self, path: str, token: str, *headers: tuple[str, str]) -> Answered:
        return await self.submit(path, *headers, body=urlencode({"token": token}).encode())

    async def sign_in(self, name: str, path: str = "/ui/login") -> str:
        got = await self.login(path, f"token of {name}")
        assert got.status == 303, got.body
        cookie = re.match(rf"{SESSION_COOKIE}=([^;]+);", got.headers["set-cookie"])
        assert cookie
        return cookie[1]

    async def post(self, tenant: TenantId, *labels: dict[str, str], **rest: object) -> None:
        body = json.dumps([{"labels": one, **rest} for one in labels]).encode()
        await self.alerts.post(tenant, body)


Make = Callable[..., Awaitable[House]]


@pytest.fixture
async def furnish() -> AsyncIterator[Make]:
    """Give houses; their stages are stopped at the end."""
    running: list[Alerts] = []

    async def make(*, prefix: str = "", open_to_all: bool = False) -> House:
        log, serial = MemoryLog(), count()
        alerts = Alerts(
            log=log,
            snapshots=MemorySnapshots(log),
            grouped=lambda tenant, flushes: Delta(),
            clock=LoopClock(),
            ids=lambda: f"00000000-0000-4000-8000-{next(serial):012d}",
        )
        for tenant in (A, B, UI):
            await alerts.start(tenant, CONFIG)
        running.append(alerts)
        return House(alerts, prefix=prefix, open_to_all=open_to_all)

    yield make
    for alerts in running:
        await alerts.stop()


@pytest.fixture
async def house(furnish: Make) -> House:
    return await furnish()


async def test_who_is_not_signed_in_is_sent_to_the_sign_in_page(house: House) -> None:
    for path, login in (("/ui", "/ui/login"), ("/t/a/ui/alerts", "/t/a/ui/login")):
        got = await house.get(path)
        assert (got.status, got.headers["location"]) == (303, login)
    page = await house.page("/t/a/ui/login")
    assert "Token of your tenant" in page.shown
    (form,) = [attrs for tag, attrs in page.tags if tag == "form"]
    assert (form["method"], form["action"]) == ("post", "/t/a/ui/login")


async def test_a_token_begins_a_session_that_scripts_and_other_sites_cannot_use(
    house: House,
) -> None:
    got = await house.login("/ui/login", " token of reader-a\n")
    assert (got.status, got.headers["location"]) == (303, "/t/a/ui")
    cookie = got.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "token of" not in cookie


async def test_a_session_shows_the_alerts_of_its_own_tenant_only(house: House) -> None:
    await house.post(A, {"alertname": "OnlyInA"})
    await house.post(B, {"alertname": "OnlyInB"})
    cookie = await house.sign_in("reader-a")
    for path in ("/ui", "/ui/alerts", "/t/a/ui"):
        page = await house.page(path, cookie)
        assert "OnlyInA" in page.shown
        assert "OnlyInB" not in page.shown
    other = await house.get("/t/b/ui", cookie)
    assert other.status == 403
    assert b"OnlyIn" not in other.body


@pytest.mark.parametrize("token", ["", "wrong"])
async def test_a_token_that_is_not_known_is_401_and_begins_nothing(
    house: House, token: str
) -> None:
    got = await house.login("/ui/login", token)
    assert got.status == 401
    assert "set-cookie" not in got.headers
    assert b"This token is not known" in got.body
    assert b"aria-invalid" in got.body


async def test_a_form_that_is_none_is_401(house: House) -> None:
    got = await ask(house.door, "POST", "/ui/login", body=b"\xff\x00&&=")
    assert got.status == 401


async def test_a_form_larger_than_a_token_is_refused(house: House) -> None:
    got = await house.login("/ui/login", "x" * FORM_LIMIT)
    assert got.status == 413


async def test_signing_out_ends_the_session(house: House) -> None:
    cookie = await house.sign_in("reader-a")
    out = await house.submit("/t/a/ui/logout", ("cookie", f"{SESSION_COOKIE}={cookie}"))
    assert (out.status, out.headers["location"]) == (303, "/t/a/ui/login")
    assert "Max-Age=0" in out.headers["set-cookie"]
    assert (await house.get("/ui", cookie)).status == 303


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ([("sec-fetch-site", "cross-site")], True),
        ([("sec-fetch-site", "same-site")], True),
        ([("origin", "http://evil.test"), ("host", "tocsin.test")], True),
        ([("origin", "null"), ("host", "tocsin.test")], True),
        ([("sec-fetch-site", "same-origin"), ("origin", "http://tocsin.test")], False),
        ([("sec-fetch-site", "none")], False),
        ([("origin", "http://tocsin.test"), ("host", "tocsin.test")], False),
        ([], False),
    ],
)
async def test_a_form_of_another_site_is_refused(
    house: House, headers: list[tuple[str, str]], *, refused: bool
) -> None:
    cookie = await house.sign_in("reader-a")
    login = await house.login("/ui/login", "token of reader-b", *headers)
    assert login.status == (403 if refused else 303)
    out = await house.submit("/ui/logout", *headers, ("cookie", f"{SESSION_COOKIE}={cookie}"))
    assert out.status == (403 if refused else 303)
    assert (await house.get("/ui", cookie)).status == (200 if refused else 303)


async def test_alert_data_is_text_and_never_markup(house: House) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    await house.post(
        A,
        {"alertname": hostile, "severity": '"><script>', "a": hostile, "t": "{{ 7*7 }}"},
        annotations={"summary": f"{hostile} {{{{ 6*7 }}}} {{% raw %}}"},
        generatorURL="javascript:alert(1)",
    )
    got = await house.get("/ui", await house.sign_in("reader-a"))
    page = Text(got.body.decode())
    assert {tag for tag, _ in page.tags if tag in ("img", "script")} == {"img"}
    assert [attrs["src"] for tag, attrs in page.tags if tag == "img"] == ["/ui/static/bell.svg"]
    assert hostile in page.shown
    assert "{{ 6*7 }} {% raw %}" in page.shown
    assert 't="{{ 7*7 }}"' in page.shown
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert b"javascript:" not in got.body


@pytest.mark.parametrize(
    ("url", "linked"),
    [
        ("http://prometheus.test/graph?g0.expr=up", True),
        ("https://prometheus.test", True),
        ("javascript:alert(1)", False),
        ("JavaScript://x/%0aalert(1)", False),
        ("data:text/html,x", False),
        ("/relative", False),
    ],
)
async def test_only_an_http_address_becomes_a_link(house: House, url: str, *, linked: bool) -> None:
    await house.post(A, {"alertname": "Linked"}, generatorURL=url)
    page = await house.page("/ui", await house.sign_in("reader-a"))
    assert (url in page.links()) is linked
    assert "Linked" in page.shown


async def test_a_filter_narrows_and_is_kept_in_its_field(house: House) -> None:
    await house.post(A, {"alertname": "One", "db": "x"}, {"alertname": "Two"})
    cookie = await house.sign_in("reader-a")
    query = urlencode({"filter": 'db="x"'})
    page = await house.page(f"/ui/alerts?{query}", cookie)
    assert "One" in page.shown
    assert "Two" not in page.shown
    (field,) = [attrs for tag, attrs in page.tags if attrs.get("name") == "filter"]
    assert field["value"] == 'db="x"'
    none = await house.page(f"/ui?{urlencode({'filter': 'db=nosuch'})}", cookie)
    assert "No active alerts match this filter" in none.shown


async def test_a_filter_with_a_fault_shows_the_problem_and_every_alert(house: House) -> None:
    await house.post(A, {"alertname": "One"})
    cookie = await house.sign_in("reader-a")
    page = await house.page(f"/ui?{urlencode({'filter': '<b>='})}", cookie)
    assert "bad matcher format" in page.shown
    assert "One" in page.shown
    (field,) = [attrs for tag, attrs in page.tags if attrs.get("name") == "filter"]
    assert (field["aria-invalid"], field["aria-describedby"]) == ("true", "problem")


async def test_the_page_says_why_an_alert_is_quiet_and_puts_it_last(house: House) -> None:
    await house.post(
        A,
        {"alertname": "Inhibited", "x": "dst", "severity": "critical"},
        {"alertname": "Source", "x": "src", "severity": "info"},
        {"alertname": "Silenced", "s": "1", "severity": "critical"},
        {"alertname": "Loud", "severity": "critical"},
        {"alertname": "Soft", "severity": "warning"},
    )
    silence = {
        "matchers": [{"name": "s", "value": "1", "isRegex": False}],
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2026-01-02T00:00:00Z",
        "createdBy": "me",
        "comment": "because",
    }
    await house.alerts.put_silence(A, json.dumps(silence).encode())
    await asyncio.sleep(60)
    shown = (await house.page("/ui", await house.sign_in("reader-a"))).shown
    names = ["Loud", "Soft", "Source", "Inhibited", "Silenced"]
    places = [shown.index(name) for name in names]
    assert places == sorted(places)
    assert "silenced by 00000000-0000-4000-8000-000000000000" in shown
    assert "inhibited by" in shown
    assert "3 critical 1 warning 1 info 2 suppressed" in shown
    assert "1m" in shown


def test_a_row_names_every_reason_it_is_quiet_for() -> None:
    ends = T0 + timedelta(hours=1)
    alert = Alert(Labels.of({"alertname": "N"}), starts_at=T0, ends_at=ends, updated_at=T0)
    view = AlertView(
        alert,
        "0" * 16,
        ("team",),
        AlertState.SUPPRESSED,
        silenced_by=("s1", "s2"),
        muted_by=("night",),
    )
    shown = row(view, T0 - timedelta(hours=1))
    assert shown.why == "silenced by s1, s2; muted by night"
    assert shown.since == "0s"


async def test_an_empty_page_says_so(house: House) -> None:
    shown = (await house.page("/ui", await house.sign_in("reader-a"))).shown
    assert "No active alerts. As of 2026-01-01 00:00:00 UTC" in shown


async def test_a_page_shows_so_many_rows_and_says_how_many_there_are(house: House) -> None:
    await house.post(A, *({"alertname": f"n{i}"} for i in range(MOST_ROWS + 1)))
    page = await house.page("/ui", await house.sign_in("reader-a"))
    assert f"{MOST_ROWS + 1} active, the first {MOST_ROWS} shown" in page.shown
    assert sum(tag == "tr" for tag, _ in page.tags) == MOST_ROWS + 1  # and the head


async def test_an_alert_without_a_name_is_shown(house: House) -> None:
    await house.post(A, {"x": "y"}, annotations={"description": "told here"})
    shown = (await house.page("/ui", await house.sign_in("reader-a"))).shown
    assert "(no name)" in shown
    assert "told here" in shown


async def test_every_page_forbids_what_it_does_not_need(house: House) -> None:
    cookie = await house.sign_in("reader-a")
    pages = [
        await house.get("/ui", cookie),
        await house.get("/ui/login"),
        await house.login("/ui/login", "wrong"),
        await house.get("/t/b/ui", cookie),
        await house.get("/ui/nosuch", cookie),
        await ask(house.door, "PUT", "/ui/login"),
    ]
    assert [page.status for page in pages] == [200, 200, 401, 403, 404, 405]
    for page in pages:
        policy = page.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["cache-control"] == "no-store"


async def test_a_page_is_readable_without_scripts_and_loads_nothing_from_outside(
    house: House,
) -> None:
    await house.post(A, {"alertname": "Plain"})
    cookie = await house.sign_in("reader-a")
    for path in ("/ui", "/ui/login"):
        page = await house.page(path, cookie)
        assert not {"script", "style", "iframe"} & {tag for tag, _ in page.tags}
        assert not any("style" in attrs for _, attrs in page.tags)
        loaded = [
            attrs.get("src") or attrs["href"] for tag, attrs in page.tags if tag in ("img", "link")
        ]
        for address in loaded:
            assert (await house.get(address)).status == 200, address


@pytest.mark.parametrize(
    ("name", "kind"), [("tocsin.css", "text/css"), ("bell.svg", "image/svg+xml")]
)
async def test_static_files_are_public_and_have_a_type(house: House, name: str, kind: str) -> None:
    got = await house.get(f"/ui/static/{name}")
    assert (got.status, got.headers["content-type"].split(";")[0]) == (200, kind)
    assert got.body


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("nosuch.css", 404),
        ("nosuch.js", 404),
        ("tocsin", 404),
        ("../pages.py", 400),
        ("..%2fpages.css", 400),
        ("%2e%2e/x.css", 400),
        ("..%5cx.css", 400),
        ("%252e%252e%252fx.css", 400),
        (".css", 404),
        ("x/tocsin.css", 404),
        ("a%00.css", 400),
        ("", 404),
        ("x" * 300 + ".css", 404),
    ],
)
async def test_a_static_file_that_is_none_of_ours_is_not_there(
    house: House, name: str, status: int
) -> None:
    got = await house.get(f"/ui/static/{name}")
    assert got.status == status
    assert b"tocsin.api" not in got.body


async def test_an_open_server_lists_its_tenants(furnish: Make) -> None:
    house = await furnish(open_to_all=True)
    page = await house.page("/ui")
    assert page.links() == ["/ui", "/t/a/ui", "/t/b/ui", "/t/ui-team/ui"]
    assert "Sign out" not in (await house.page("/t/b/ui")).shown


async def test_the_operators_token_sees_no_alerts(house: House) -> None:
    cookie = await house.sign_in("operator")
    got = await house.get("/ui", cookie)
    assert got.status == 403
    assert b"Sign in with another token" in got.body


async def test_a_tenant_whose_name_begins_like_the_pages_has_its_own_links(house: House) -> None:
    cookie = await house.sign_in("reader-ui")
    page = await house.page("/t/ui-team/ui", cookie)
    assert page.links() == ["/t/ui-team/ui", "/t/ui-team/ui/graph"]
    (search,) = [attrs for _, attrs in page.tags if attrs.get("role") == "search"]
    assert search["action"] == "/t/ui-team/ui/alerts"


async def test_a_token_signs_in_to_its_own_tenant_from_the_page_of_another(house: House) -> None:
    got = await house.login("/t/b/ui/login", "token of reader-a")
    assert got.headers["location"] == "/t/a/ui"


async def test_a_route_prefix_is_in_every_address(furnish: Make) -> None:
    house = await furnish(prefix="/ui base")
    got = await house.login("/ui%20base/t/b/ui/login", "token of reader-a")
    assert got.headers["location"] == "/ui%20base/t/a/ui"
    cookie = await house.sign_in("reader-a", "/ui%20base/ui/login")
    page = await house.page("/ui%20base/t/a/ui", cookie)
    assert page.links() == ["/ui%20base/t/a/ui", "/ui%20base/t/a/ui/graph"]
    out = await house.get("/ui%20base/ui")
    assert out.headers["location"] == "/ui%20base/ui/login"


async def test_the_query_page_shows_what_an_expression_gives_now(house: House) -> None:
    cookie = await house.sign_in("reader-a")
    page = await house.page("/ui/graph?expr=load*2", cookie)
    assert 'instance="<b>"' in page.shown
    assert "1 series" in page.shown
    assert "1 of" not in page.shown
    empty = await house.page("/ui/graph?expr=nothing", cookie)
    assert "gives nothing" in empty.shown
    scalar = await house.page("/ui/graph?expr=1%2B1", cookie)
    assert "scalar 2" in scalar.shown
    matrix = await house.page("/ui/graph?expr=load%5B5m%5D", cookie)
    assert "1 samples" in matrix.shown
    text = await house.page("/ui/graph?expr=%22word%22", cookie)
    assert "string word" in text.shown
    no_text = await house.page("/ui/graph?expr=%22%5Cxff%22", cookie)
    assert "string ?" in no_text.shown
    assert "series" not in (await house.page("/ui/graph", cookie)).shown


async def test_the_query_page_shows_only_the_series_of_its_tenant(house: House) -> None:
    cookie = await house.sign_in("reader-b")
    assert "gives nothing" in (await house.page("/ui/graph?expr=load", cookie)).shown


async def test_a_faulty_expression_is_shown_with_its_fault(house: House) -> None:
    cookie = await house.sign_in("reader-a")
    page = await house.page("/ui/graph?expr=rate(", cookie)
    assert "parse error" in page.shown


async def test_a_failed_sign_in_is_audited_and_does_not_keep_the_token(house: House) -> None:
    assert (await house.login("/ui/login", "s3cr3t guess")).status == 401
    (event,) = house.trail
    assert (event.outcome, event.reason) == (AuditOutcome.FAILED, "unknown token")
    assert "s3cr3t" not in repr(event)


async def test_a_runbook_is_shown_to_anybody(house: House) -> None:
    page = await house.page("/t/a/ui/runbooks/NodeFilesystemAlmostOutOfSpace")
    assert "NodeFilesystemAlmostOutOfSpace" in page.shown
    assert "Make room now" in page.shown
    assert "disk_free_ratio 0.05" in page.shown
    assert "/t/a/ui" in page.links()


async def test_an_alert_of_no_pack_has_no_runbook(house: House) -> None:
    got = await house.get("/ui/runbooks/Nothing")
    assert got.status == 404
    assert b"no rule pack has an alert of this name" in got.body


async def test_sign_ins_are_counted_for_the_tenant_they_concern(house: House) -> None:
    await house.login("/ui/login", "token of reader-a")
    await house.login("/t/b/ui/login", "wrong")
    await house.login("/t/nosuch/ui/login", "wrong")
    found = {
        (s.labels["tenant"], s.labels["outcome"]): s.value
        for family in house.registry.collect()
        for s in family.samples
        if s.name == "auth_login_attempts_total"
    }
    assert found == {("a", "success"): 1, ("b", "failure"): 1, ("", "failure"): 1}
