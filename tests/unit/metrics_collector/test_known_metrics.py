"""The catalogue that is shipped keeps the rules it asks of others."""

import re

import pytest

from tocsin.metrics_collector.catalogue import catalogue
from tocsin.model.catalogue import MetricEntry, MetricType, Unit

ENTRIES = list(catalogue())
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
CONTRACT = {  # contracts "prometheus-grafana", section 8
    "user_active_sessions": ("gauge", ()),
    "user_sessions_started_total": ("counter", ()),
    "user_engagement_seconds_total": ("counter", ()),
    "recommendation_requests_total": ("counter", ("surface", "model")),
    "recommendation_impressions_total": ("counter", ("surface", "model")),
    "recommendation_clicks_total": ("counter", ("surface", "model")),
    "recommendation_fallbacks_total": ("counter", ("surface", "model")),
    "recommendation_ndcg_ratio": ("gauge", ("model", "k")),
    "recommendation_catalog_coverage_ratio": ("gauge", ("model",)),
    "playlist_views_total": ("counter", ()),
    "playlist_saves_total": ("counter", ()),
    "ml_model_predictions_total": ("counter", ("model", "outcome")),
    "ml_model_inference_duration_seconds": ("histogram", ("model",)),
    "ml_model_quality_ratio": ("gauge", ("model", "metric")),
    "ml_model_quality_target_ratio": ("gauge", ("model", "metric")),
    "ml_feature_drift_psi": ("gauge", ("model", "feature")),
    "ml_model_trained_timestamp_seconds": ("gauge", ("model",)),
    "ml_feature_updated_timestamp_seconds": ("gauge", ("feature_group",)),
    "auth_login_attempts_total": ("counter", ("outcome", "source")),
    "access_decisions_total": ("counter", ("decision",)),
    "access_cross_tenant_denied_total": ("counter", ()),
    "privileged_actions_total": ("counter", ("action",)),
    "data_exported_bytes_total": ("counter", ("actor",)),
    "security_rule_matches_total": ("counter", ("rule_name", "severity")),
    "audit_events_total": ("counter", ()),
    "audit_events_write_failures_total": ("counter", ()),
    "audit_chain_valid": ("gauge", ()),
    "gdpr_request_opened_timestamp_seconds": ("gauge", ("type",)),
    "secret_rotated_timestamp_seconds": ("gauge", ("name",)),
    "backup_succeeded_timestamp_seconds": ("gauge", ("job",)),
    "http_server_request_duration_seconds": (
        "histogram",
        ("http_request_method", "http_route", "http_response_status_code"),
    ),
    "http_server_active_requests": ("gauge", ("http_request_method",)),
    "db_client_operation_duration_seconds": ("histogram", ("db_system_name",)),
    "up": ("gauge", ()),
    "probe_success": ("gauge", ()),
    "probe_ssl_earliest_cert_expiry": ("gauge", ()),
    "target_info": ("gauge", ()),
}


@pytest.mark.parametrize("name", CONTRACT)
def test_the_names_of_the_contract_are_there(name: str) -> None:
    entry = catalogue().family(name)
    assert entry is not None
    assert (entry.type.value, entry.labels) == CONTRACT[name]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_says_what_it_is(entry: MetricEntry) -> None:
    assert NAME.fullmatch(entry.name)
    assert all(NAME.fullmatch(label) and label != "tenant" for label in entry.labels)
    assert entry.help
    assert entry.source
    assert entry.help.endswith((".", "…"))


UNITS = {"_timestamp_seconds": Unit.TIMESTAMP, "_bytes": Unit.BYTES, "_ratio": Unit.RATIO}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_name_type_and_unit_agree(entry: MetricEntry) -> None:
    for ending, unit in UNITS.items():
        assert not entry.name.endswith(ending) or entry.unit is unit
    if entry.name.endswith("_seconds"):
        assert entry.unit in (Unit.SECONDS, Unit.TIMESTAMP)
    if entry.name.endswith("_total"):
        assert entry.type is MetricType.COUNTER
    if entry.type is MetricType.COUNTER and entry.name != "node_vmstat_oom_kill":
        assert entry.name.endswith("_total")
    if entry.unit in (Unit.TIMESTAMP, Unit.RATIO, Unit.BOOLEAN, Unit.PSI):
        assert entry.type is MetricType.GAUGE
