"""Structured logs on stderr: one line an event, as logfmt or JSON, in Alertmanager's spelling.

    ts=2026-11-23T12:00:00.000Z level=info component=web msg="Listening on" address=127.0.0.1:9093

An event is a constant text and key/values. Masked are Secrets, values under a name that
speaks of credentials, the user part of URLs, and mail addresses. Loggers of other libraries
come out in the same shape. Payloads, tokens and contacts are never to be logged.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TextIO

from tocsin.model.duration import format_duration
from tocsin.model.rfc3339 import format_millis
from tocsin.model.secret import MASK, Secret

ROOT = "tocsin"


class Level(StrEnum):
    """Names of `--log.level`, as Alertmanager spells them."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class LogFormat(StrEnum):
    """Names of `--log.format`."""

    LOGFMT = "logfmt"
    JSON = "json"


_NUMBERS = {
    Level.DEBUG: logging.DEBUG,
    Level.INFO: logging.INFO,
    Level.WARN: logging.WARNING,
    Level.ERROR: logging.ERROR,
}
_HARMLESS = (bool, int, float, datetime, timedelta)
_SECRET_NAME = re.compile(r"(?i)passw|secret|token|credential|authorization|api_key|cookie")
_USER_PART = re.compile(r"(?<=://)[^/@\s]+@")
_ADDRESS = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)*")
_BARE = re.compile(r'[^\s"=\\\x00-\x1f\x7f]+')


class Logger:
    """Logs events of one component. Cheap to make, safe to share."""

    __slots__ = ("_component", "_fields", "_logger")

    def __init__(self, component: str, fields: Mapping[str, object] | None = None) -> None:
        """Log as `component`; `fields` go with every event."""
        self._component = component
        self._fields = dict(fields or {})
        self._logger = logging.getLogger(f"{ROOT}.{component}")

    def bind(self, **fields: object) -> Logger:
        """Return a logger that adds `fields` to every event."""
        return Logger(self._component, {**self._fields, **fields})

    def debug(self, event: str, **fields: object) -> None:
        """Log what only a developer wants to see."""
        self._log(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Log a milestone of the process: started, reloaded, stopped."""
        self._log(logging.INFO, event, fields)

    def warn(self, event: str, **fields: object) -> None:
        """Log what someone should look at tomorrow."""
        self._log(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Log what someone should look at now."""
        self._log(logging.ERROR, event, fields)

    def bug(self, event: str, error: BaseException, **fields: object) -> None:
        """Log an exception nobody expected, with where it came from."""
        self._log(logging.ERROR, event, {"err": type(error).__name__, **fields}, error)

    def _log(
        self,
        number: int,
        event: str,
        fields: Mapping[str, object],
        error: BaseException | None = None,
    ) -> None:
        if self._logger.isEnabledFor(number):
            extra = {"component": self._component, "fields": {**self._fields, **fields}}
            self._logger.log(number, "%s", event, extra=extra, exc_info=error)


def get_logger(component: str) -> Logger:
    """Return the logger of `component` (a room, or a part of one)."""
    return Logger(component)


def set_up(
    *,
    level: Level = Level.INFO,
    style: LogFormat = LogFormat.LOGFMT,
    stream: TextIO | None = None,
) -> None:
    """Send every log of this process to `stream` (default stderr); calling again replaces it."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if style is LogFormat.JSON else Logfmt())
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h.formatter, _Lines)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)  # other libraries: only what matters
    logging.getLogger(ROOT).setLevel(_NUMBERS[level])


def masked(name: str, value: object) -> object:
    """Return `value` as it may be shown under `name`."""
    if isinstance(value, Secret) or _SECRET_NAME.search(name):
        return MASK
    return value if value is None or isinstance(value, _HARMLESS) else _clean(str(value))


class _Lines(logging.Formatter):
    """What both formats share: the fields of a record, in order."""

    def _members(self, record: logging.LogRecord) -> dict[str, object]:
        at = datetime.fromtimestamp(record.created, UTC)
        members: dict[str, object] = {
            "ts": format_millis(at),
            "level": _level_name(record.levelno),
            "component": getattr(record, "component", record.name),
            "msg": _clean(record.getMessage()),
        }
        fields: Mapping[str, object] = getattr(record, "fields", {})
        members.update((n, masked(n, v)) for n, v in fields.items() if n not in members)
        if record.exc_info and record.exc_info[1]:
            members["trace"] = _trace(record.exc_info[1])
        return members


class Logfmt(_Lines):
    """`name=value` pairs; values that need it are quoted as in JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        return " ".join(f"{n}={_word(v)}" for n, v in self._members(record).items())


class JsonLines(_Lines):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
        members = {n: _plain(v) for n, v in self._members(record).items()}
        return json.dumps(members, ensure_ascii=False)


def _clean(text: str) -> str:
    without = _USER_PART.sub(f"{MASK}@", text)
    return _ADDRESS.sub("<address>", without) if "@" in without else without


def _level_name(number: int) -> str:
    at_most = [level for level, n in _NUMBERS.items() if n <= number]
    return at_most[-1] if at_most else Level.DEBUG


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, datetime):
        return format_millis(value)
    return format_duration(value) if isinstance(value, timedelta) else str(value)


def _word(value: object) -> str:
    plain = _plain(value)
    if plain is None or isinstance(plain, bool):
        return json.dumps(plain)
    text = str(plain)
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def _trace(error: BaseException) -> str:
    """Return the frames of an exception; its message is left out, it may hold what was sent."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{f.filename.rsplit('/src/')[-1]}:{f.lineno}" for f in reversed(frames))
