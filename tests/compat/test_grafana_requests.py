"""What Grafana's Prometheus data source sends, as it sends it: byte for byte over one connection.

The requests are those of its source (health check, discovery, query builder, panels, alert list).
No Grafana runs here: a real one has not been tried.
"""

from __future__ import annotations

import gzip
import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from prometheus_pair import SPAN_S, tocsin
from prometheus_pair import samples as sent_samples
from prometheus_peer import Peer

from tocsin.metrics_collector.backend.encode import HEADERS, write_request

RULES = """\
evaluation_interval: 1s
groups:
  - name: g
    rules:
      - record: job:up:sum
        expr: sum by (job) (up)
      - alert: Up
        expr: vector(1)
"""
BUILD = {"version", "revision", "branch", "buildUser", "buildDate", "goVersion", "application"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it stood on the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    def data(self) -> Any:
        """Return what a data source makes of it."""
        assert self.status == 200, self.body
        plain = self.headers.get("content-encoding") is None
        decoded = json.loads(self.body if plain else gzip.decompress(self.body))
        assert decoded["status"] == "success"
        return decoded["data"]


class Wire:
    """A connection that is kept open, as that of Go's http.Transport."""

    def __init__(self, peer: Peer) -> None:
        self._host, self._token, self._prefix = peer.address, peer.token, peer.prefix
        host, _, port = peer.address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=60)
        self._file = self._socket.makefile("rb")

    def send(self, method: str, path: str, form: dict[str, Any] | None = None) -> None:
        """Send a request in the form of Grafana's backend."""
        body = urlencode(form, doseq=True).encode() if form is not None else b""
        lines = [
            f"{method} {self._prefix}{path} HTTP/1.1",
            f"Host: {self._host}",
            "User-Agent: Grafana/12.0.0",
            f"Authorization: Bearer {self._token}",
            "X-Grafana-Org-Id: 1",
            "Accept-Encoding: gzip",
        ]
        if form is not None:
            lines += [f"Content-Length: {len(body)}"]
            lines += ["Content-Type: application/x-www-form-urlencoded"]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def receive(self) -> Answer:
        """Read one answer to its last byte, and none of the next."""
        status = int(self._file.readline().split()[1])
        headers: dict[str, str] = {}
        while line := self._file.readline().decode().rstrip("\r\n"):
            name, _, value = line.partition(":")
            assert name.lower() not in headers, f"{name} twice"
            headers[name.lower()] = value.strip()
        assert "transfer-encoding" not in headers
        return Answer(status, headers, self._file.read(int(headers["content-length"])))

    def ask(self, method: str, path: str, form: dict[str, Any] | None = None) -> Any:
        """Return the data of an answer."""
        self.send(method, path, form)
        return self.receive().data()

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()


@dataclass(slots=True)
class House:
    """Our server with samples that end at `end_s`, and a connection to it."""

    peer: Peer
    wire: Wire
    end_s: int

    @property
    def span(self) -> dict[str, str]:
        """Return the time range of a dashboard, in the form of the query builder."""
        return {"start": str(self.end_s - SPAN_S), "end": str(self.end_s)}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with tocsin(tmp_path_factory.mktemp("grafana"), RULES) as peer:
        (at, _) = peer.get("/query", [("query", "time()")]).json()["data"]["result"]
        end_s = int(at) // 60 * 60
        written = peer.send("POST", "/api/v1/write", write_request(sent_samples(end_s)), HEADERS)
        assert written.status == 204, written.body
        wire = Wire(peer)
        yield House(peer, wire, end_s)
        wire.close()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    with tocsin(tmp_path_factory.mktemp("empty")) as peer:
        wire = Wire(peer)
        yield wire
        wire.close()


def test_save_and_test_passes_on_an_empty_server(empty: Wire) -> None:
    for method, path, form in (
        ("POST", "/api/v1/query", {"query": "1+1", "time": "4"}),
        ("GET", "/api/v1/query?query=1%2B1&time=4", None),
    ):
        assert empty.ask(method, path, form) == {"resultType": "scalar", "result": [4, "2"]}
    build = empty.ask("GET", "/api/v1/status/buildinfo")
    assert set(build) == BUILD  # with `features` it would be taken for a Mimir
    assert re.fullmatch(r"\d+\.\d+\.\d+", build["version"])


def test_other_kinds_of_server_are_ruled_out(empty: Wire) -> None:
    assert empty.ask("POST", "/api/v1/query", {"query": "prometheus_build_info"})["result"] == []
    assert "store.sd-interval" not in empty.ask("GET", "/api/v1/status/flags")  # Thanos has it


def test_the_query_builder_of_an_empty_server_is_empty(empty: Wire) -> None:
    span = {"start": "1", "end": "2"}
    assert empty.ask("POST", "/api/v1/labels", span) == []
    assert empty.ask("GET", f"/api/v1/label/__name__/values?{urlencode(span)}") == []
    assert empty.ask("POST", "/api/v1/series", {**span, "match[]": "up"}) == []
    assert empty.ask("GET", "/api/v1/metadata?limit=40000") == {}
    assert empty.ask("GET", "/api/v1/rules") == {"groups": []}


def test_the_query_builder_lists_what_there_is(house: House) -> None:
    wire, span = house.wire, house.span
    names = wire.ask("GET", f"/api/v1/label/__name__/values?{urlencode({**span, 'limit': 40000})}")
    assert {"up", "requests_total", "latency_bucket"} <= set(names)
    selected = {**span, "match[]": 'requests_total{job="api"}', "limit": "40000"}
    assert wire.ask("POST", "/api/v1/labels", selected) == ["__name__", "code", "job"]
    assert wire.ask("GET", f"/api/v1/label/code/values?{urlencode(selected)}") == ["200", "500"]
    series = wire.ask("POST", "/api/v1/series", {**span, "match[]": ["up", "late"], "limit": "0"})
    assert len(series) == 4


def test_a_name_of_otel_is_found_in_its_escaped_form(house: House) -> None:
    params = urlencode({**house.span, "match[]": '{"up"}'})
    assert house.wire.ask("GET", f"/api/v1/label/U__job/values?{params}") == ["api", "db", "web"]
    assert house.wire.ask("GET", f"/api/v1/label/U__service_2e_name/values?{params}") == []


def test_a_cut_list_says_so(house: House) -> None:
    params = urlencode({**house.span, "limit": "1"})
    house.wire.send("GET", f"/api/v1/label/job/values?{params}")
    answer = json.loads(house.wire.receive().body)
    assert (answer["data"], answer["warnings"]) == (["api"], ["results truncated due to limit"])


def test_a_panel_is_drawn_by_form_and_by_url(house: House) -> None:
    form = {
        "query": "sum by (job) (rate(requests_total[1m]))",
        "start": f"{house.end_s - SPAN_S}.25",
        "end": f"{house.end_s}.25",
        "step": "15",
    }
    drawn = house.wire.ask("POST", "/api/v1/query_range", form)
    assert drawn["resultType"] == "matrix"
    assert [series["metric"] for series in drawn["result"]] == [
        {"job": job} for job in ("api", "db", "web")
    ]
    by_url = house.wire.ask("GET", f"/api/v1/query_range?{urlencode({**form, 'timeout': '30s'})}")
    assert by_url == drawn
    instant = {"query": "up", "time": f"{house.end_s}.25"}
    assert len(house.wire.ask("POST", "/api/v1/query", instant)["result"]) == 3


def test_exemplars_and_annotations_are_asked_beside_a_panel(house: House) -> None:
    span = {"start": str(house.end_s - SPAN_S), "end": str(house.end_s)}
    assert house.wire.ask("POST", "/api/v1/query_exemplars", {"query": "up", **span}) == []
    firing = {"query": 'ALERTS{alertstate="firing"}', **span, "step": "60"}
    assert house.wire.ask("POST", "/api/v1/query_range", firing)["resultType"] == "matrix"


def test_the_alert_list_shows_rules_group_by_group(house: House) -> None:
    found = house.wire.ask("GET", "/api/v1/rules?group_limit=1")
    (group,) = found["groups"]
    assert [(rule["type"], rule["name"]) for rule in group["rules"]] == [
        ("recording", "job:up:sum"),
        ("alerting", "Up"),
    ]
    assert "groupNextToken" not in found
    assert isinstance(house.wire.ask("GET", "/api/v1/alerts")["alerts"], list)


def test_an_expression_is_formatted_and_parsed(house: House) -> None:
    asked = {"query": "sum by(job)(up)>0"}
    assert house.wire.ask("POST", "/api/v1/format_query", asked) == "sum by (job) (up) > 0"
    assert house.wire.ask("POST", "/api/v1/parse_query", asked)["type"] == "binaryExpr"


def test_a_fault_is_a_json_answer_too(house: House) -> None:
    house.wire.send("POST", "/api/v1/query", {"query": "up{"})
    answer = house.wire.receive()
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert json.loads(answer.body)["errorType"] == "bad_data"


def test_packed_answers_come_one_after_the_other_on_one_connection(house: House) -> None:
    """Two requests at once: where the first answer ends, the second begins."""
    form = {
        "query": "requests_total",
        "start": house.end_s - SPAN_S,
        "end": house.end_s,
        "step": 15,
    }
    for _ in range(2):
        house.wire.send("POST", "/api/v1/query_range", form)
    first, second = house.wire.receive(), house.wire.receive()
    assert first.body == second.body
    assert first.headers["content-encoding"] == "gzip"
    assert "accept-encoding" in first.headers["vary"].lower()
    assert len(first.data()["result"]) == 6
    house.wire.send("GET", "/api/v1/query?query=1&time=4")
    assert "content-encoding" not in house.wire.receive().headers  # too small to be worth it


def test_a_wrong_token_is_told_as_such(house: House) -> None:
    stranger = Wire(Peer(house.peer.address, house.peer.prefix, "wrong"))
    stranger.send("POST", "/api/v1/query", {"query": "1+1", "time": "4"})
    assert stranger.receive().status == 401
    stranger.close()
