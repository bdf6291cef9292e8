"""What a notification looks like to a template, and the default templates over it."""

from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from tocsin.model.alert import Phase
from tocsin.model.labels import Labels
from tocsin.model.notification import Notification, NotifiedAlert, Reason
from tocsin.model.tenant import TenantId
from tocsin.templating.data import common, notification_data, quote_meta
from tocsin.templating.defaults import DEFAULTS
from tocsin.templating.engine import Budget, TemplateError, TemplateSet, with_defaults
from tocsin.templating.functions_alertmanager import alertmanager_functions

AT = datetime(2026, 3, 1, 9, 5, 7, tzinfo=UTC)
TEMPLATES = with_defaults(TemplateSet(alertmanager_functions(lambda: AT), budget=Budget()))
VOID = ("br", "hr", "img", "input", "link", "meta")


def alert(status: Phase, instance: str, **notes: str) -> NotifiedAlert:
    labels = {"alertname": "Disk", "instance": instance, "job": "node"}
    return NotifiedAlert(
        status=status,
        labels=Labels.of(labels),
        annotations=Labels.of({"summary": "full", **notes}),
        starts_at=AT,
        ends_at=None if status is Phase.FIRING else AT.replace(hour=10),
        fingerprint="f" + instance,
        generator_url="http://p/g?a=1&b=2",
    )


def data(*alerts: NotifiedAlert, receiver: str = "team.a") -> Any:
    notification = Notification(
        id="1",
        tenant=TenantId("a"),
        receiver=receiver,
        integration="email[0]",
        group_key="{}:{}",
        group_labels=Labels.of({"alertname": "Disk"}),
        alerts=alerts,
        reason=Reason.FIRST,
        flushed_at=AT,
        route_labels=Labels.of({"team": "db"}),
    )
    return notification_data(notification, external_url="http://am")


BOTH = data(alert(Phase.FIRING, "h1", desc="<i>&"), alert(Phase.RESOLVED, "h2"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{ .Receiver }} {{ .Status }} {{ .ExternalURL }}", r"team\.a firing http://am"),
        ("{{ .NotificationReason }} {{ .RouteLabels.team }}", "first_notification db"),
        ("{{ routeLabels.team }}", "db"),
        ("{{ .CommonLabels }} {{ .CommonAnnotations }}", "alertname=Disk, job=node summary=full"),
        ("{{ .GroupLabels.SortedPairs }} {{ .GroupLabels.String }}",
         "alertname=Disk alertname=Disk"),
        ("{{ (index .Alerts 0).Labels.SortedPairs.Names }}", "[alertname instance job]"),
        ("{{ (index .Alerts 1).Labels.SortedPairs.Values | join `,` }}", "Disk,h2,node"),
        ("{{ (.CommonLabels.Remove (list `job`)).Names }}", "[alertname]"),
        ("{{ len .Alerts.Firing }}{{ len .Alerts.Resolved }}{{ len (slice .Alerts 1) }}", "111"),
        ("{{ len (slice .CommonLabels.SortedPairs 1) }}", "1"),
        ("{{ range .Alerts }}{{ .EndsAt.IsZero }} {{ end }}", "true false "),
        ("{{ range .Alerts.Resolved }}{{ .EndsAt.Sub .StartsAt }}{{ end }}", "1h0m0s"),
        ("{{ .CommonLabels.Values }}", "[Disk node]"),
        ("{{ printf `%T %T %T` .CommonLabels .Alerts .CommonLabels.SortedPairs }}",
         "template.KV template.Alerts template.Pairs"),
        ("{{ .CommonLabels.SortedPairs.String }}", "alertname=Disk, job=node"),
        ("{{ toJson (index .Alerts 0).Labels }}",
         '{"alertname":"Disk","instance":"h1","job":"node"}'),
    ],
)  # fmt: skip
def test_a_notification_to_a_template(text: str, shown: str) -> None:
    assert TEMPLATES.render(text, BOTH) == shown


def test_json_has_the_names_of_the_webhook_payload() -> None:
    shown = TEMPLATES.render("{{ toJson . }}", data(alert(Phase.FIRING, "h1")))
    assert shown.startswith(
        r'{"receiver":"team\\.a","status":"firing","alerts":[{"status":"firing"'
    )
    assert '"startsAt":"2026-03-01T09:05:07Z","endsAt":"0001-01-01T00:00:00Z"' in shown
    assert '"notification_reason":"first_notification"' in shown


def test_remove_wants_strings() -> None:
    with pytest.raises(TemplateError, match="list of strings"):
        TEMPLATES.render("{{ .CommonLabels.Remove (list 1) }}", BOTH)


def test_common_is_what_all_sets_share() -> None:
    first, second = Labels.of({"a": "1", "b": "2"}), Labels.of({"a": "1", "b": "3"})
    assert common([]) == {}
    assert common([first]) == first
    assert common([first, second]) == {"a": "1"}


def test_quote_meta_escapes_what_go_escapes() -> None:
    assert quote_meta("a.b-c[d]{e}^$|?*+()\\ é") == r"a\.b-c\[d\]\{e\}\^\$\|\?\*\+\(\)\\ é"


# ---- defaults


def test_every_default_template_renders() -> None:
    names = [name for name in TEMPLATES.names if name not in DEFAULTS]
    assert {"slack.default.title", "email.default.html", "pagerduty.default.description"} <= set(
        names
    )
    for name in names:
        if not name.startswith("__mail") and name != "__pairs":
            dot = ".Alerts" if name.endswith(("_list", "instances")) else "."
            TEMPLATES.render(f'{{{{ template "{name}" {dot} }}}}', BOTH, html="html" in name)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("__subject", "[FIRING:1] Disk (node)"),
        ("slack.default.title", "[FIRING:1] Disk (node)"),
        ("email.default.subject", "[FIRING:1] Disk (node)"),
        ("__description", ""),
        ("slack.default.text", ""),
        ("slack.default.username", "Alertmanager"),
        ("slack.default.color", "danger"),
        ("slack.default.titlelink", "http://am/#/alerts?receiver=team%5C.a"),
        (
            "slack.default.fallback",
            "[FIRING:1] Disk (node) | http://am/#/alerts?receiver=team%5C.a",
        ),
    ],
)
def test_default_texts(name: str, shown: str) -> None:
    assert TEMPLATES.render(f'{{{{ template "{name}" . }}}}', BOTH) == shown


def test_a_resolved_group_says_so() -> None:
    resolved = data(alert(Phase.RESOLVED, "h1"))
    assert TEMPLATES.render('{{ template "__subject" . }}', resolved) == "[RESOLVED] Disk (h1 node)"
    assert TEMPLATES.render('{{ template "slack.default.color" . }}', resolved) == "good"


class Balance(HTMLParser):
    """Counts the tags that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.links: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if name == "href"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def mail(*alerts: NotifiedAlert) -> tuple[str, Balance]:
    shown = TEMPLATES.render('{{ template "email.default.html" . }}', data(*alerts), html=True)
    parsed = Balance()
    parsed.feed(shown)
    return shown, parsed


def test_the_mail_is_balanced_html_that_shows_everything() -> None:
    shown, parsed = mail(alert(Phase.FIRING, "h1", desc="<i>&"), alert(Phase.RESOLVED, "h2"))
    text = " ".join(" ".join(parsed.text).split())
    assert parsed.open == []
    assert "1 alert firing, 1 resolved" in text
    assert "h1" in text
    assert "h2" in text
    assert "1 Mar 2026 09:05:07 UTC" in text
    assert "<i>&" in text
    assert "<i>&" not in shown
    assert "http://p/g?a=1&b=2" in parsed.links
    assert "ZgotmplZ" not in shown


def test_a_mail_of_resolved_alerts_says_so_in_its_head() -> None:
    _, parsed = mail(alert(Phase.RESOLVED, "h1"), alert(Phase.RESOLVED, "h2"))
    assert "2 alerts resolved" in " ".join(" ".join(parsed.text).split())


def test_a_hostile_label_cannot_leave_its_place_in_the_mail() -> None:
    hostile = '"><script>alert(1)</script>'
    shown, parsed = mail(alert(Phase.FIRING, hostile, note=hostile))
    assert parsed.open == []
    assert "<script" not in shown
    assert hostile in "".join(parsed.text)


def test_a_mail_of_thirty_alerts_fits_the_default_budget() -> None:
    shown, parsed = mail(*(alert(Phase.FIRING, f"h{n}") for n in range(30)))
    assert parsed.open == []
    assert len(shown) < 65536
