"""The table that decides whether an integration must be told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tocsin.alert_manager.notify_decision import LogRecord, decide, keep_until
from tocsin.model.notification import Reason

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, TICK = timedelta(hours=1), timedelta(microseconds=1)


def last(firing: str, resolved: str = "", ago: timedelta = timedelta(0)) -> LogRecord:
    return LogRecord(frozenset(firing), frozenset(resolved), NOW - ago, NOW + HOUR)


@pytest.mark.parametrize(
    ("before", "firing", "resolved", "send_resolved", "reason"),
    [
        (None, "a", "", True, Reason.FIRST),
        (None, "", "a", True, None),
        (None, "", "", True, None),
        (last("a"), "ab", "", True, Reason.NEW_ALERTS),
        (last("a"), "b", "a", False, Reason.NEW_ALERTS),
        (last("", "a"), "a", "", True, Reason.FIRST),
        (last("a"), "", "a", True, Reason.ALL_RESOLVED),
        (last("a"), "", "a", False, Reason.ALL_RESOLVED),
        (last("", "a"), "", "ab", True, None),
        (last("ab"), "a", "b", True, Reason.RESOLVED),
        (last("ab"), "a", "b", False, None),
        (last("ab", "c"), "ab", "c", True, None),
        (last("ab"), "a", "", True, None),
        (last("a", ago=HOUR + TICK), "a", "", True, Reason.REPEAT),
        (last("a", ago=HOUR), "a", "", True, None),
        (last("ab", "c", ago=2 * HOUR), "a", "c", True, Reason.REPEAT),
        (last("ab", ago=2 * HOUR), "a", "b", True, Reason.RESOLVED),
    ],
)
def test_the_first_row_that_holds_decides(
    *,
    before: LogRecord | None,
    firing: str,
    resolved: str,
    send_resolved: bool,
    reason: Reason | None,
) -> None:
    found = decide(
        before,
        frozenset(firing),
        frozenset(resolved),
        send_resolved=send_resolved,
        repeat_interval=HOUR,
        now=NOW,
    )
    assert found is reason


def test_records_outlive_two_repeats_and_at_least_five_days() -> None:
    assert keep_until(NOW, HOUR) == NOW + timedelta(days=5)
    assert keep_until(NOW, timedelta(days=7)) == NOW + timedelta(days=14)
