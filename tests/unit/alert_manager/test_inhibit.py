"""Inhibition: sources, targets, equal labels, and alerts on both sides."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tocsin.alert_manager.inhibit import Inhibitor, InhibitRule
from tocsin.alert_manager.matcher_syntax import MatcherMode, parse_matchers
from tocsin.model.alert import Alert
from tocsin.model.labels import Labels

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def rule(source: str, target: str, *equal: str) -> InhibitRule:
    mode = MatcherMode.FALLBACK
    return InhibitRule(parse_matchers(source, mode), parse_matchers(target, mode), equal)


def alert(end: timedelta = HOUR, **labels: str) -> Alert:
    return Alert(Labels.of(labels), NOW - HOUR, NOW + end, NOW)


DOWN = rule("name=down", "name=~slow|down", "zone")


def test_a_firing_source_inhibits_targets_that_share_the_equal_labels() -> None:
    inhibitor = Inhibitor([DOWN], [alert(name="down", zone="a")])
    assert inhibitor.inhibits(Labels.of({"name": "slow", "zone": "a"}), NOW)
    assert not inhibitor.inhibits(Labels.of({"name": "slow", "zone": "b"}), NOW)
    assert not inhibitor.inhibits(Labels.of({"name": "other", "zone": "a"}), NOW)


def test_a_missing_label_equals_an_empty_one() -> None:
    inhibitor = Inhibitor([DOWN], [alert(name="down")])
    assert inhibitor.inhibits(Labels.of({"name": "slow"}), NOW)


def test_a_source_that_ended_inhibits_no_more() -> None:
    source = alert(name="down", end=timedelta(minutes=1))
    inhibitor = Inhibitor([DOWN], [source])
    target = Labels.of({"name": "slow"})
    assert inhibitor.inhibits(target, source.ends_at - timedelta(seconds=1))
    assert not inhibitor.inhibits(target, source.ends_at)


def test_an_alert_on_both_sides_is_inhibited_by_no_other_on_both_sides() -> None:
    inhibitor = Inhibitor([DOWN], [alert(name="down", id="1"), alert(name="down", id="2")])
    assert not inhibitor.inhibits(Labels.of({"name": "down", "id": "1"}), NOW)


def test_an_alert_on_both_sides_is_inhibited_by_a_mere_source() -> None:
    both = rule("kind=~a|b", "kind=~b|c")
    inhibitor = Inhibitor([both], [alert(kind="a")])
    assert inhibitor.inhibits(Labels.of({"kind": "b"}), NOW)


def test_a_rule_that_matches_everything_inhibits_nothing() -> None:
    inhibitor = Inhibitor([InhibitRule((), ())], [alert(name="down")])
    assert not inhibitor.inhibits(Labels.of({"name": "slow"}), NOW)


def test_all_sources_are_named_and_forgotten_ones_are_not() -> None:
    sources = [alert(name="down", id=i) for i in "12"]
    inhibitor = Inhibitor([DOWN], sources)
    target = Labels.of({"name": "slow"})
    assert list(inhibitor.sources(target, NOW)) == [s.labels for s in sources]
    inhibitor.forget(sources[0].labels)
    inhibitor.forget(sources[0].labels)
    assert list(inhibitor.sources(target, NOW)) == [sources[1].labels]
    inhibitor.forget(sources[1].labels)
    assert not inhibitor.inhibits(target, NOW)


def test_a_source_that_is_sent_again_counts_once_with_its_new_end() -> None:
    inhibitor = Inhibitor([DOWN], [alert(name="down")])
    inhibitor.learn(alert(name="down", end=-HOUR))
    assert not inhibitor.inhibits(Labels.of({"name": "slow"}), NOW)


def test_without_rules_nothing_is_inhibited() -> None:
    assert not Inhibitor([]).inhibits(Labels.of({"a": "b"}), NOW)
