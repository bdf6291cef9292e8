"""The audit trail counts what it has taken, and nothing that it has not."""

from datetime import UTC, datetime

import pytest

from tocsin.app.instruments import AuditInstruments
from tocsin.security.audit import AuditEvent, AuditOutcome
from tocsin.telemetry.metrics import Registry

EVENT = AuditEvent(datetime(2026, 1, 1, tzinfo=UTC), "acme", "me", "GET", "/", AuditOutcome.DENIED)


def test_events_are_counted_once_they_are_taken() -> None:
    registry, taken = Registry(version="0"), list[AuditEvent]()
    trail = AuditInstruments(registry).counted(taken.append)
    trail(EVENT)
    trail(EVENT)
    labels = {"tenant": "acme"}
    assert registry.collectors.get_sample_value("audit_events_total", labels) == 2
    assert taken == [EVENT, EVENT]


def test_an_event_that_is_not_taken_does_not_count() -> None:
    registry = Registry(version="0")

    def broken(_event: AuditEvent) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        AuditInstruments(registry).counted(broken)(EVENT)
    assert registry.collectors.get_sample_value("audit_events_total", {"tenant": "acme"}) is None
