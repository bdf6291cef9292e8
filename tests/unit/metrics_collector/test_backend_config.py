"""What a backend may be, and which tenants may share one."""

from __future__ import annotations

from typing import Any

import pytest

from tocsin.metrics_collector.backend.config import BackendConfig, BackendKind, check_backend
from tocsin.metrics_collector.backend.tenants import (
    check_sharing,
    check_tenancy,
    place_of,
    uses,
)
from tocsin.metrics_collector.http_config import Authorization, BasicAuth, OAuth2
from tocsin.model.secret import Secret
from tocsin.model.settings import Duration
from tocsin.model.tenant import TenantId

A, B = TenantId("a"), TenantId("b")


def backend(kind: str = "mimir", url: str = "http://metrics:9009", **more: Any) -> BackendConfig:
    return BackendConfig(kind=BackendKind(kind), url=url, **more)


def complaints(config: BackendConfig) -> list[str]:
    return [f"{'.'.join(map(str, f.path))}: {f.message}" for f in check_backend(config)]


@pytest.mark.parametrize(
    ("kind", "url", "api", "header"),
    [
        ("prometheus", "http://p:9090/", "http://p:9090/api/v1", {}),
        ("mimir", "http://m:9009", "http://m:9009/prometheus/api/v1", {"X-Scope-OrgID": "a"}),
        (
            "mimir",
            "https://m/prometheus/",
            "https://m/prometheus/api/v1",
            {"X-Scope-OrgID": "a"},
        ),
        ("thanos", "http://t:10902", "http://t:10902/api/v1", {"THANOS-TENANT": "a"}),
        ("victoriametrics", "http://v:8428", "http://v:8428/api/v1", {}),
        ("generic", "http://g/{tenant}/prom", "http://g/a/prom/api/v1", {}),
    ],
)
def test_each_kind_has_its_paths_and_its_way_to_name_a_tenant(
    kind: str, url: str, api: str, header: dict[str, str]
) -> None:
    place = place_of(backend(kind, url), A)
    assert (place.api, place.tenant_headers) == (api, header)


def test_a_cluster_of_victoriametrics_has_the_tenant_in_its_paths() -> None:
    config = backend(
        "victoriametrics_cluster",
        "http://select:8481",
        tenant_map={"a": "12:3"},
        remote_write_url="http://insert:8480/insert/{tenant}/prometheus/api/v1/write",
    )
    place = place_of(config, A)
    assert place.api == "http://select:8481/select/12:3/prometheus/api/v1"
    assert place.write == "http://insert:8480/insert/12:3/prometheus/api/v1/write"
    assert place.tenant_headers == {}
    assert list(check_tenancy(config, A)) == []


def test_a_generic_backend_names_the_tenant_by_the_header_it_is_given() -> None:
    config = backend("generic", tenant_header="x-greptime-db-name", tenant_map={"a": "alpha"})
    assert place_of(config, A).tenant_headers == {"x-greptime-db-name": "alpha"}


def test_messages_name_kind_address_and_tenant() -> None:
    assert place_of(backend(), A).shown == "backend mimir at http://metrics:9009, tenant a"


def test_a_plain_backend_has_no_fault() -> None:
    config = backend(headers={"X-Extra": Secret("1")}, remote_write_url="http://m/api/v1/push")
    assert complaints(config) == []


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"url": "metrics:9009"}, "url: "),
        ({"url": "http://[::1"}, "url: "),
        ({"url": "http://u:p@metrics"}, "url: a URL bears no credentials"),
        ({"url": "http://metrics/?x=1"}, "url: a URL ends with its path"),
        ({"remote_write_url": "ftp://x"}, "remote_write_url: "),
        ({"timeout": Duration(0)}, "timeout: "),
        ({"max_in_flight": 0}, "max_in_flight: "),
        ({"queue_samples": 0}, "queue_samples: "),
        ({"tenant_header": "a b"}, "tenant_header: "),
        ({"tenant_header": "Authorization"}, "tenant_header: "),
        ({"headers": {"Host": Secret("x")}}, "headers.Host: "),
        ({"headers": {"X-A": Secret("x\ny")}}, "headers.X-A: a header is one line"),
        (
            {"tenant_header": "X-T", "headers": {"x-t": Secret("b")}},
            "headers.x-t: ",
        ),
        ({"oauth2": OAuth2()}, "oauth2: oauth2 client_id must be configured"),
        ({"proxy_url": Secret("socks5://p:1")}, "proxy_url: a proxy by socks5 is not built"),
        (
            {
                "basic_auth": BasicAuth(username="u"),
                "authorization": Authorization(credentials=Secret("t")),
            },
            ": at most one of basic_auth",
        ),
        ({"basic_auth": BasicAuth(username_ref="x")}, "basic_auth.username_ref: "),
    ],
)
def test_a_fault_is_told_with_its_place(more: dict[str, Any], complaint: str) -> None:
    found = complaints(backend(**{"url": "http://metrics", **more}))
    assert [text for text in found if text.startswith(complaint)], found


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (backend("prometheus", tenant_header="X-T"), "tenant_header"),
        (backend("victoriametrics", tenant_map={"a": "b"}), "tenant_map"),
        (backend("prometheus", "http://p/{tenant}"), "url"),
        (backend("mimir", tenant_map={"a": "x|y"}), "tenant_map"),
        (backend("mimir", tenant_map={"a": "x\r\nEvil: 1"}), "tenant_map"),
        (backend("mimir", tenant_header="X-Other"), "tenant_header"),
        (backend("victoriametrics_cluster"), "tenant_map"),
        (backend("victoriametrics_cluster", tenant_map={"a": "name"}), "tenant_map"),
        (backend("victoriametrics_cluster", tenant_map={"a": "4294967296"}), "tenant_map"),
        (backend("victoriametrics_cluster", tenant_map={"a": "1:2:3"}), "tenant_map"),
    ],
)
def test_a_tenant_is_named_as_the_backend_can_know_it(config: BackendConfig, field: str) -> None:
    assert [finding.path[0] for finding in check_tenancy(config, A)] == [field]


WRITE = {"remote_write_url": "http://metrics/push"}


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        (backend("prometheus"), backend("prometheus"), "does not keep tenants apart"),
        (backend("victoriametrics"), backend("victoriametrics"), "does not keep tenants apart"),
        (backend("generic"), backend("generic"), "does not keep tenants apart"),
        (
            backend("mimir", tenant_map={"a": "x"}),
            backend("mimir", tenant_map={"b": "x"}),
            "would be one tenant there",
        ),
        (backend("thanos"), backend("thanos"), "isolation probe"),
        (
            backend("generic", tenant_header="X-T"),
            backend("generic", tenant_header="X-T"),
            "isolation probe",
        ),
    ],
)
def test_tenants_that_would_see_each_other_may_not_share(
    a: BackendConfig, b: BackendConfig, why: str
) -> None:
    faults = check_sharing({A: a, B: b})
    assert set(faults) == {A, B}
    assert all(why in fault for fault in faults.values())


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (backend("mimir"), backend("mimir")),
        (backend("thanos", **WRITE), backend("thanos", **WRITE)),
        (
            backend("generic", tenant_header="X-T", **WRITE),
            backend("generic", tenant_header="X-T", **WRITE),
        ),
        (backend("prometheus"), backend("prometheus", "http://other:9009")),
        (backend("prometheus", "http://gw/one"), backend("prometheus", "http://gw/two")),
        (
            backend("victoriametrics_cluster", tenant_map={"a": "1"}),
            backend("victoriametrics_cluster", tenant_map={"b": "2"}),
        ),
    ],
)
def test_tenants_that_are_kept_apart_may_share(a: BackendConfig, b: BackendConfig) -> None:
    assert check_sharing({A: a, B: b}) == {}


def test_isolation_is_probed_where_several_share_and_results_can_be_written() -> None:
    shared = backend("mimir", **WRITE)
    assert uses({A: shared, B: shared})[A].to_be_probed
    assert uses({A: shared, B: shared})[A].tenants == (A, B)
    assert not uses({A: backend("mimir"), B: backend("mimir")})[A].to_be_probed
    assert not uses({A: shared, B: backend("mimir", "http://metrics:1")})[A].to_be_probed
    slash = backend("mimir", "http://METRICS:9009/", **WRITE)
    assert uses({A: shared, B: slash})[B].to_be_probed
