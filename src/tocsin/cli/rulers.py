"""Servers that hold rules of a tenant, as `tocsin rules` sees them: files by namespace.

`tocsin` is what was uploaded to a Tocsin, `mimir` the ruler API of Mimir and Cortex,
`prometheus` whatever rules a server has loaded: that is read only, and tells less.
"""

from __future__ import annotations

import posixpath
import urllib.parse
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
import yaml

from tocsin.cli.client import Client, Reply
from tocsin.config_loader.report import Report, in_file_order
from tocsin.config_loader.rule_text import effective, group_yaml, without_unsaid
from tocsin.config_loader.rules import read_rule_text
from tocsin.model.settings import Duration
from tocsin.rule_engine.config import Rule, RuleFile, RuleGroup

_SHOWN = 300  # bytes of an answer
_YAML = {"Content-Type": "application/yaml"}


class Trouble(Exception):
    """The server did not do what was asked; the message says why."""


class NoServer(Trouble):
    """Nobody answers."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The rules of one namespace; `text` as it is kept, `tag` tells it from another."""

    rules: RuleFile
    text: str = ""
    tag: str = ""


class Ruler(Protocol):
    """A server that holds rules. Every method raises Trouble."""

    def stored(self) -> dict[str, Stored]:
        """Return what it holds, by namespace."""
        ...

    def comparable(self, file: RuleFile) -> RuleFile:
        """Return a file of ours as this server would tell of it."""
        ...

    def aligned(self, theirs: RuleFile, ours: RuleFile) -> RuleFile:
        """Return a file of this server without what it tells and ours leave unsaid."""
        ...

    def put(self, namespace: str, file: Stored, before: Stored | None) -> None:
        """Put rules there in place of `before`."""
        ...

    def delete(self, namespace: str, before: Stored) -> None:
        """Take a namespace away."""
        ...


@dataclass(frozen=True, slots=True)
class TocsinRuler(Ruler):
    """Rules uploaded to a Tocsin: `/api/tocsin/v1/rules`."""

    client: Client

    def stored(self) -> dict[str, Stored]:
        """Return what was uploaded."""
        listed = _must(self.client, _Call("GET", _OURS)).json()
        return {item["namespace"]: self._one(item["namespace"]) for item in listed["items"]}

    def comparable(self, file: RuleFile) -> RuleFile:
        """Return the file: it is kept as it is."""
        return file

    def aligned(self, theirs: RuleFile, ours: RuleFile) -> RuleFile:
        """Return what is there: it is kept as it was written."""
        del ours
        return theirs

    def put(self, namespace: str, file: Stored, before: Stored | None) -> None:
        """Upload a file, unless somebody else changed the namespace meanwhile."""
        expected = {"If-Match": before.tag} if before else {"If-None-Match": "*"}
        body = file.text.encode()
        _must(self.client, _Call("PUT", _place(_OURS, namespace), body, {**_YAML, **expected}))

    def delete(self, namespace: str, before: Stored) -> None:
        """Take a file back, unless somebody else changed it meanwhile."""
        _must(
            self.client, _Call("DELETE", _place(_OURS, namespace), None, {"If-Match": before.tag})
        )

    def _one(self, namespace: str) -> Stored:
        reply = _must(self.client, _Call("GET", _place(_OURS, namespace)))
        text = reply.body.decode(errors="replace")
        return Stored(_read(text, namespace), text, reply.tag)


@dataclass(frozen=True, slots=True)
class MimirRuler(Ruler):
    """The ruler API of Mimir and Cortex, below `path`; groups are written one by one."""

    client: Client
    path: str = "/prometheus/config/v1/rules"

    def stored(self) -> dict[str, Stored]:
        """Return what it holds; a tenant without rules is answered 404."""
        reply = _sent(self.client, _Call("GET", self.path))
        if reply.status == 404 and b"page not found" not in reply.body:
            return {}
        _check(self.client, self.path, reply)
        try:
            found = yaml.safe_load(reply.body) or {}
        except yaml.YAMLError as error:
            raise Trouble(f"{self.client.url}{self.path}: no YAML: {error}") from error
        named = {str(name): yaml.safe_dump({"groups": groups}) for name, groups in found.items()}
        return {name: Stored(_read(text, name)) for name, text in named.items()}

    def comparable(self, file: RuleFile) -> RuleFile:
        """Return the file without what only Tocsin knows."""
        return RuleFile(groups=[_without_ours(group) for group in file.groups])

    def aligned(self, theirs: RuleFile, ours: RuleFile) -> RuleFile:
        """Return what is there: it is kept as it was written."""
        del ours
        return theirs

    def put(self, namespace: str, file: Stored, before: Stored | None) -> None:
        """Write every group that differs, and take away those that are no more."""
        place = _place(self.path, namespace)
        wanted = {group.name: group for group in self.comparable(file.rules).groups}
        there = {group.name: group for group in before.rules.groups} if before else {}
        for name, group in wanted.items():
            if group != there.get(name):
                _must(self.client, _Call("POST", place, group_yaml(group).encode(), _YAML))
        for name in there.keys() - wanted.keys():
            _must(self.client, _Call("DELETE", _place(place, name)))

    def delete(self, namespace: str, before: Stored) -> None:
        """Take a namespace away."""
        del before
        _must(self.client, _Call("DELETE", _place(self.path, namespace)))


@dataclass(frozen=True, slots=True)
class LoadedRules(Ruler):
    """What a Prometheus-compatible server has loaded; a file is called as it is without folders."""

    client: Client

    def stored(self) -> dict[str, Stored]:
        """Return what is loaded, by name of the file."""
        path = "/prometheus/api/v1/rules"
        reply = _sent(self.client, _Call("GET", path))
        if reply.status == 404:
            path = "/api/v1/rules"
            reply = _sent(self.client, _Call("GET", path))
        _check(self.client, path, reply)
        answer = reply.json()
        if not isinstance(answer, dict) or answer.get("status") != "success":
            raise Trouble(f"{self.client.url}{path}: no answer of Prometheus' API")
        files: dict[str, list[RuleGroup]] = {}
        for group in answer["data"]["groups"]:
            files.setdefault(group["file"], []).append(_loaded_group(group))
        names = _short_names(list(files))
        return {names[file]: Stored(RuleFile(groups=groups)) for file, groups in files.items()}

    def comparable(self, file: RuleFile) -> RuleFile:
        """Return the file with the labels of its groups laid under those of its rules."""
        return effective(file)

    def aligned(self, theirs: RuleFile, ours: RuleFile) -> RuleFile:
        """Return what is loaded without the intervals that ours leave to the server."""
        return without_unsaid(theirs, ours)

    def put(self, namespace: str, file: Stored, before: Stored | None) -> None:
        """Refuse: what is loaded comes from files."""
        del namespace, file, before
        raise Trouble("rules that a server has loaded from files are changed in those files")

    def delete(self, namespace: str, before: Stored) -> None:
        """Refuse: what is loaded comes from files."""
        self.put(namespace, before, before)


_OURS = "/api/tocsin/v1/rules"


def stem(path: str) -> str:
    """Return what a rule file is called without folders and endings.

    >>> stem("/etc/rules/node.rules.yml"), stem("rules.d/team")
    ('node', 'team')
    """
    return posixpath.basename(path).split(".")[0]


def _short_names(files: list[str]) -> dict[str, str]:
    """Return a short name for each file, the whole one where two would be called alike."""
    often = Counter(map(stem, files))
    return {file: stem(file) if often[stem(file)] == 1 else file for file in files}


def _loaded_group(group: Mapping[str, Any]) -> RuleGroup:
    return RuleGroup(
        name=group["name"],
        interval=Duration(seconds=group.get("interval") or 0) or None,
        limit=group.get("limit") or 0,
        rules=[_loaded_rule(rule) for rule in group["rules"]],
    )


def _loaded_rule(rule: Mapping[str, Any]) -> Rule:
    kind = "alert" if rule["type"] == "alerting" else "record"
    return Rule(
        **{kind: rule["name"]},
        expr=rule["query"],
        hold=Duration(seconds=rule.get("duration") or 0),
        keep_firing_for=Duration(seconds=rule.get("keepFiringFor") or 0),
        labels=rule.get("labels") or {},
        annotations=rule.get("annotations") or {},
    )


def _without_ours(group: RuleGroup) -> RuleGroup:
    rules = [msgspec.structs.replace(rule, tocsin={}) for rule in group.rules]
    return msgspec.structs.replace(group, tocsin={}, rules=rules)


def _read(text: str, namespace: str) -> RuleFile:
    """Return the rules in a text a server gave. Raises Trouble."""
    report = Report()
    rules = read_rule_text(text, file=namespace, report=report)
    if rules is None or report.problems:
        told = "; ".join(map(str, in_file_order(report.problems)))
        raise Trouble(f"the rules there cannot be read: {told}")
    return rules


def _place(root: str, name: str) -> str:
    return f"{root}/{urllib.parse.quote(name, safe='')}"


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def _must(client: Client, call: _Call) -> Reply:
    reply = _sent(client, call)
    _check(client, call.path, reply)
    return reply


def _sent(client: Client, call: _Call) -> Reply:
    try:
        return client.send(call.method, call.path, call.body, call.headers)
    except OSError as error:
        raise NoServer(f"cannot reach {client.url}: {error}") from error


def _check(client: Client, path: str, reply: Reply) -> None:
    if reply.ok:
        return
    answer = reply.json()
    said = (answer.get("title") or answer.get("error")) if isinstance(answer, dict) else None
    text = str(said or reply.body[:_SHOWN].decode(errors="replace")).strip()
    raise Trouble(f"{client.url}{path}: HTTP {reply.status}: {text or '(empty)'}")
