"""Lists of targets: read whole or not at all; the last good ones stay."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.metrics_collector.discovery import (
    Groups,
    TargetGroup,
    groups_from_json,
    groups_from_yaml,
)
from tocsin.metrics_collector.discovery_config import FileSdConfig, HttpSdConfig
from tocsin.metrics_collector.fakes import FakeFetch, FakeTargetFiles
from tocsin.metrics_collector.http_config import Authorization
from tocsin.metrics_collector.ports import Page
from tocsin.metrics_collector.sd_file import FileDiscovery, groups_of
from tocsin.metrics_collector.sd_http import HttpDiscovery
from tocsin.model.errors import InvalidInput, Unreachable
from tocsin.model.labels import Labels
from tocsin.model.secret import Secret
from tocsin.model.settings import Duration

T0 = datetime(2026, 1, 1, tzinfo=UTC)
URL = "http://cmdb/targets"
LIST = '[{"targets": ["a:1", "b:1"], "labels": {"env": "x"}}, {"targets": ["c:1"]}]'


def group(*targets: str, **labels: str) -> TargetGroup:
    return TargetGroup(targets, Labels.of(labels))


def addresses(groups: Groups) -> list[str]:
    return [target for group in groups for target in group.targets]


def test_a_json_list_gives_groups_with_the_labels_of_its_place() -> None:
    assert groups_from_json(LIST.encode(), {"__meta_url": "u"}) == (
        group("a:1", "b:1", env="x", __meta_url="u"),
        group("c:1", __meta_url="u"),
    )
    assert groups_from_json(b"null", {}) == ()
    assert groups_from_json(b'[{"labels": null, "targets": null}]', {}) == (group(),)


def test_yaml_scalars_are_text_as_written() -> None:
    text = "- targets: [a:1]\n  labels: {version: 1.10, on: yes, n: 7, none: , q: 'x'}\n"
    labels = {"version": "1.10", "on": "yes", "n": "7", "q": "x"}
    assert groups_from_yaml(text.encode(), {}) == (group("a:1", **labels),)
    assert groups_from_yaml(LIST.encode(), {}) == groups_from_json(LIST.encode(), {})


@pytest.mark.parametrize("text", ["", "# nothing\n", "[]"])
def test_an_empty_yaml_file_lists_nothing(text: str) -> None:
    assert groups_from_yaml(text.encode(), {}) == ()


def test_an_empty_key_of_a_yaml_group_is_as_if_it_were_not_there() -> None:
    assert groups_from_yaml(b"- targets:\n  labels:\n", {}) == (group(),)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[null]",
        '[{"target": ["a:1"]}]',
        '[{"targets": "a:1"}]',
        '[{"targets": [1]}]',
        '[{"labels": {"a": 1}}]',
        '[{"labels": {"": "x"}}]',
        "[",
        "",
    ],
)
def test_what_is_no_list_of_groups_is_refused_as_json(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a list of target groups"):
        groups_from_json(text.encode(), {})


@pytest.mark.parametrize(
    "text",
    [
        "a: b",
        "word",
        "- word",
        "- target: [a:1]",
        "- targets: a:1",
        "- targets: [[a:1]]",
        "- labels: {a: {b: c}}",
        "- labels: {'': x}",
        "- [",
        "- &a [*a]",
        "[" * 5000,
        "- targets: [\udcff]".encode("utf-8", "surrogateescape").decode("latin-1"),
        "- <<: {targets: [a:1]}",
    ],
)
def test_what_is_no_list_of_groups_is_refused_as_yaml(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a list of target groups"):
        groups_from_yaml(text.encode("latin-1"), {})


@given(st.binary(max_size=60))
def test_any_bytes_give_groups_or_a_refusal(content: bytes) -> None:
    for read in (groups_from_json, groups_from_yaml):
        with contextlib.suppress(InvalidInput):
            assert isinstance(read(content, {}), tuple)


class Files:
    """File discovery between fakes; `look` goes some seconds on."""

    def __init__(self, **keys: Any) -> None:
        self.disk = FakeTargetFiles()
        config = FileSdConfig(files=("/sd/*.json", "/sd/*.yml"), **keys)
        self.found = FileDiscovery("file/x", config, self.disk)
        self.now = T0

    async def look(self, *, after: float = 2) -> list[str]:
        self.now += timedelta(seconds=after)
        await self.found.look(self.now)
        return addresses(self.found.groups)


def listed(*targets: str) -> str:
    return str([{"targets": list(targets)}]).replace("'", '"')


async def test_files_of_both_forms_are_read_and_told_apart_by_their_label() -> None:
    files = Files()
    files.disk.write("/sd/a.json", listed("a:1"))
    files.disk.write("/sd/b.yml", "- targets: [b:1]\n")
    files.disk.write("/other/c.json", listed("c:1"))
    await files.look()
    assert files.found.groups == (
        group("a:1", __meta_filepath="/sd/a.json"),
        group("b:1", __meta_filepath="/sd/b.yml"),
    )
    assert files.found.errors == {}


async def test_only_what_changed_is_read_again() -> None:
    files = Files()
    files.disk.write("/sd/a.json", listed("a:1"))
    files.disk.write("/sd/b.json", listed("b:1"))
    await files.look()
    files.disk.write("/sd/b.json", listed("b:2"))
    assert await files.look() == ["a:1", "b:2"]
    assert files.disk.reads == ["/sd/a.json", "/sd/b.json", "/sd/b.json"]


async def test_every_file_is_read_again_once_per_refresh_interval() -> None:
    files = Files(refresh_interval=Duration.parse("1m"))
    files.disk.write("/sd/a.json", listed("a:1"))
    await files.look()
    await files.look(after=58)
    assert len(files.disk.reads) == 1
    await files.look(after=2)
    assert len(files.disk.reads) == 2


@pytest.mark.parametrize("broken", ["[{", "{}", None])
async def test_a_broken_file_keeps_its_last_good_targets(broken: str | None) -> None:
    files = Files()
    files.disk.write("/sd/a.json", listed("a:1"))
    files.disk.write("/sd/b.json", listed("b:1"))
    await files.look()
    files.disk.write("/sd/a.json", broken)
    files.disk.write("/sd/b.json", listed("b:2"))
    assert await files.look() == ["a:1", "b:2"]
    assert list(files.found.errors) == ["/sd/a.json"]
    assert await files.look() == ["a:1", "b:2"]
    files.disk.write("/sd/a.json", listed("a:3"))
    assert await files.look() == ["a:3", "b:2"]
    assert files.found.errors == {}


async def test_a_file_that_is_gone_lists_nothing() -> None:
    files = Files()
    files.disk.write("/sd/a.json", "[")
    files.disk.write("/sd/b.json", listed("b:1"))
    await files.look()
    assert list(files.found.errors) == ["/sd/a.json"]
    files.disk.contents.clear()
    assert await files.look() == []
    assert files.found.errors == {}


def test_files_are_looked_at_often_but_not_more_than_asked() -> None:
    assert Files().found.interval == timedelta(seconds=2)
    assert Files(refresh_interval=Duration.parse("1s")).found.interval == timedelta(seconds=1)


def test_the_name_of_a_file_tells_its_form() -> None:
    assert groups_of("x.YAML", b"- targets: [a:1]")[0].targets == ("a:1",)
    with pytest.raises(InvalidInput, match="ends neither"):
        groups_of("x.txt", b"[]")


class Server:
    """HTTP discovery between fakes."""

    def __init__(self, **keys: Any) -> None:
        self.fetch = FakeFetch()
        self.found = HttpDiscovery("x", HttpSdConfig(url=URL, **keys), self.fetch)

    async def look(self, page: Page | Unreachable | None = None) -> list[str]:
        if page is not None:
            self.fetch.pages[URL] = page
        await self.found.look(T0)
        return addresses(self.found.groups)


def answer(text: str = LIST, *, status: int = 200, kind: str = "application/json") -> Page:
    return Page(status, {"content-type": kind}, text.encode())


async def test_a_server_is_asked_with_its_refresh_interval_and_credentials() -> None:
    credentials = Authorization(credentials=Secret("t"))
    server = Server(authorization=credentials, refresh_interval=Duration.parse("90s"))
    assert await server.look(answer()) == ["a:1", "b:1", "c:1"]
    [(url, headers, _)] = server.fetch.asked
    assert url == URL
    assert headers["X-Prometheus-Refresh-Interval-Seconds"] == "90"
    assert (headers["Accept"], headers["Authorization"]) == ("application/json", "Bearer t")
    assert server.found.groups[0].labels["__meta_url"] == URL
    assert server.found.interval == timedelta(seconds=90)


@pytest.mark.parametrize(
    ("page", "error"),
    [
        (Unreachable("connection refused"), "connection refused"),
        (answer(status=500), "HTTP status 500"),
        (answer(kind="text/html"), 'unsupported content type "text/html"'),
        (answer(kind="application/json; charset=latin-1"), "unsupported content type"),
        (answer("{}"), "not a list of target groups"),
        (answer("[null]"), "not a list of target groups"),
    ],
)
async def test_a_server_that_fails_leaves_the_last_targets(
    page: Page | Unreachable, error: str
) -> None:
    server = Server()
    await server.look(answer(listed("a:1")))
    assert await server.look(page) == ["a:1"]
    assert error in server.found.errors[URL]
    assert await server.look(answer("[]")) == []
    assert server.found.errors == {}


@pytest.mark.parametrize(
    "kind",
    ["Application/JSON", "application/json;charset=utf-8", 'application/json; charset="UTF-8"'],
)
async def test_json_in_utf_8_is_what_a_server_answers(kind: str) -> None:
    assert await Server().look(answer(kind=kind)) == ["a:1", "b:1", "c:1"]


async def test_credentials_in_the_url_are_used_and_never_shown() -> None:
    fetch = FakeFetch()
    url = "http://me:hunter2@cmdb/targets"
    found = HttpDiscovery("x", HttpSdConfig(url=url), fetch)
    await found.look(T0)
    assert list(found.errors) == [URL]
    fetch.pages[url] = answer()
    await found.look(T0)
    assert found.groups[0].labels["__meta_url"] == URL
    assert "hunter2" not in found.name
