"""Texts are rendered over the group; a text that would be too long shows fewer alerts."""

from __future__ import annotations

import pytest

from tocsin.model.errors import InvalidInput
from tocsin.model.notification import Notification
from tocsin.notification_dispatcher.fakes import START, a_notification, an_alert
from tocsin.notification_dispatcher.render import GroupRenderer, template_set
from tocsin.templating.engine import Budget, BudgetExceeded, TemplateSet

URL = "http://tocsin.test"


def render(told: Notification, *, budget: Budget) -> GroupRenderer:
    return GroupRenderer(TemplateSet({}, budget=budget), told, external_url=URL)


def test_the_data_is_alertmanagers() -> None:
    told = GroupRenderer(template_set(lambda: START), a_notification(), external_url=URL)
    assert told.text("{{ .Receiver }} {{ .Status | toUpper }} {{ now.Unix }}") == (
        "team FIRING 1767225600"
    )
    assert told.text('{{ template "slack.default.username" . }}') == "Alertmanager"


def test_html_is_escaped_and_text_is_not() -> None:
    told = GroupRenderer(template_set(lambda: START), a_notification(), external_url="<&>")
    assert told.text("{{ .ExternalURL }}") == "<&>"
    assert told.html("{{ .ExternalURL }}") == "&lt;&amp;&gt;"


def test_a_text_over_its_budget_is_made_of_fewer_alerts() -> None:
    told = a_notification(alerts=tuple(an_alert(f"a{n}") for n in range(1000)))
    text = render(told, budget=Budget(output_bytes=60)).text("{{ range .Alerts }}x{{ end }}")
    assert text == "x" * 20
    assert render(told, budget=Budget(output_bytes=60)).text("{{ len .Alerts }}") == "1000"


def test_a_single_alert_that_is_too_long_is_refused() -> None:
    told = a_notification(alerts=(an_alert(), an_alert("b")))
    with pytest.raises(BudgetExceeded):
        render(told, budget=Budget(output_bytes=3)).text("{{ .Receiver }}")


def test_a_broken_text_is_refused() -> None:
    with pytest.raises(InvalidInput):
        render(a_notification(), budget=Budget()).text("{{ .Nope }")
