"""Logs are one line an event, and never tell a secret."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tocsin.model.secret import Secret
from tocsin.telemetry.logs import Level, LogFormat, get_logger, set_up


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    made = io.StringIO()
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield made
    root.handlers[:] = before
    root.setLevel(level)
    logging.getLogger("tocsin").setLevel(logging.NOTSET)


def test_an_event_is_one_line_in_alertmanagers_spelling(stream: io.StringIO) -> None:
    set_up(stream=stream)
    get_logger("web").info("Listening on", address="127.0.0.1:9093")
    line = stream.getvalue()
    shape = r"ts=[\d-]+T[\d:]+\.\d{3}Z level=info component=web msg=\"Listening on\" "
    assert re.fullmatch(shape + "address=127.0.0.1:9093\n", line)


def test_values_that_need_it_are_quoted(stream: io.StringIO) -> None:
    set_up(stream=stream)
    get_logger("x").warn("e", text='a "b"\nc', none=None, yes=True, number=1.5, empty="")
    assert 'level=warn component=x msg=e text="a \\"b\\"\\nc" none=null yes=true' in (
        stream.getvalue()
    )
    assert stream.getvalue().endswith('number=1.5 empty=""\n')


def test_times_and_durations_are_written_like_in_the_configuration(stream: io.StringIO) -> None:
    set_up(stream=stream)
    get_logger("x").info("e", at=datetime(2026, 1, 1, tzinfo=UTC), wait=timedelta(minutes=90))
    assert "at=2026-01-01T00:00:00.000Z wait=1h30m" in stream.getvalue()


def test_json_lines_hold_the_same_fields(stream: io.StringIO) -> None:
    set_up(style=LogFormat.JSON, stream=stream)
    get_logger("x").bind(tenant="acme").error("broken", count=2)
    read = json.loads(stream.getvalue())
    del read["ts"]
    assert read == {
        "level": "error",
        "component": "x",
        "msg": "broken",
        "tenant": "acme",
        "count": 2,
    }


def test_nothing_below_the_level_is_logged(stream: io.StringIO) -> None:
    set_up(level=Level.WARN, stream=stream)
    get_logger("x").info("quiet")
    get_logger("x").debug("quiet")
    assert stream.getvalue() == ""


def test_debug_events_appear_at_debug(stream: io.StringIO) -> None:
    set_up(level=Level.DEBUG, stream=stream)
    get_logger("x").debug("loud")
    assert "level=debug" in stream.getvalue()


@pytest.mark.parametrize(
    "fields",
    [
        {"url": Secret("s3cr3t")},
        {"password": "s3cr3t"},
        {"api_key": "s3cr3t"},
        {"url": "http://user:s3cr3t@host/path"},
        {"err": ValueError("http://user:s3cr3t@host/path")},
        {"err": "550 no mailbox s3cr3t@example.org here"},
    ],
)
@pytest.mark.parametrize("style", list(LogFormat))
def test_secrets_are_masked(
    stream: io.StringIO, fields: dict[str, object], style: LogFormat
) -> None:
    set_up(style=style, stream=stream)
    get_logger("x").info("e", **fields)
    assert "s3cr3t" not in stream.getvalue()


def test_a_bug_tells_where_it_happened_and_not_what_it_was_given(stream: io.StringIO) -> None:
    set_up(stream=stream)
    empty: dict[str, str] = {}
    try:
        empty["s3cr3t"]
    except KeyError as error:
        get_logger("x").bug("unexpected", error, tenant="acme")
    line = stream.getvalue()
    assert "err=KeyError" in line
    assert "test_logs.py:" in line
    assert "s3cr3t" not in line
    assert line.count("\n") == 1


def test_logs_of_libraries_have_the_same_shape(stream: io.StringIO) -> None:
    set_up(stream=stream)
    logging.getLogger("library").warning("at %s", "http://u:p@host/")
    logging.getLogger("library").info("chatter")
    assert stream.getvalue().endswith(
        'level=warn component=library msg="at http://<secret>@host/"\n'
    )


def test_setting_up_again_replaces_the_first(stream: io.StringIO) -> None:
    set_up(stream=io.StringIO())
    set_up(stream=stream)
    get_logger("x").info("once")
    assert stream.getvalue().count("once") == 1


def test_a_field_cannot_replace_the_frame_of_the_line(stream: io.StringIO) -> None:
    set_up(stream=stream)
    get_logger("x").info("e", level="fatal", ts=1)
    assert "level=info" in stream.getvalue()
    assert "fatal" not in stream.getvalue()


def test_an_odd_level_of_a_library_is_shown_as_the_one_below_it(stream: io.StringIO) -> None:
    set_up(level=Level.DEBUG, stream=stream)
    logging.getLogger("tocsin.odd").log(5, "too low to appear")
    logging.getLogger("library").log(35, "between")
    logging.getLogger("library").critical("worst")
    levels = re.findall(r"level=(\w+)", stream.getvalue())
    assert levels == ["warn", "error"]
