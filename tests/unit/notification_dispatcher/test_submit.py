"""A flush becomes one notification for each integration that must be told."""

from __future__ import annotations

from tocsin.model.events import GroupFlush, Target
from tocsin.model.labels import Labels
from tocsin.model.notification import Reason
from tocsin.model.tenant import TenantId
from tocsin.notification_dispatcher.fakes import START, an_alert
from tocsin.notification_dispatcher.submit import submit

ACME = TenantId("acme")
ALERTS = (an_alert("a"), an_alert("b"))
FLUSH = GroupFlush(
    key="flush",
    group_key="{}:{}",
    group_labels=Labels.of({"alertname": "a"}),
    receiver="team",
    alerts=ALERTS,
    targets=(
        Target("webhook[0]", ALERTS, Reason.FIRST),
        Target("email[0]", ALERTS[:1], Reason.NEW_ALERTS, replaces="old"),
    ),
    at=START,
    route_labels=Labels.of({"owner": "db"}),
)


def test_every_target_is_told_its_own_alerts() -> None:
    hook, mail = submit(ACME, FLUSH, "incident-1")
    assert (hook.integration, mail.integration) == ("webhook[0]", "email[0]")
    assert (hook.alerts, mail.alerts) == (ALERTS, ALERTS[:1])
    assert (hook.reason, mail.reason) == (Reason.FIRST, Reason.NEW_ALERTS)
    assert hook.incident == "incident-1"
    assert hook.flushed_at == START
    assert hook.route_labels == {"owner": "db"}


def test_the_ids_differ_between_targets_and_tenants_and_never_between_replays() -> None:
    ids = [told.id for told in submit(ACME, FLUSH)]
    assert ids == [told.id for told in submit(ACME, FLUSH)]
    assert len({*ids, *(told.id for told in submit(TenantId("other"), FLUSH))}) == 4
    assert all(len(id_) == 32 for id_ in ids)
