"""`/rules` and `/alerts`: what the rule stage shows of itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import Response

from tocsin.api.http import Call, Endpoint
from tocsin.api.prometheus_answer import bad_parameter, endpoint, success
from tocsin.api.prometheus_form import Form, whole_number
from tocsin.api.prometheus_json import alert_json, group_json
from tocsin.model.errors import InvalidInput
from tocsin.model.matchers import Matchers, all_match
from tocsin.model.tenant import TenantId
from tocsin.rule_engine.definition import RuleKind
from tocsin.rule_engine.views import GroupView, RuleView
from tocsin.security.permissions import Permission

_KINDS = {"alert": RuleKind.ALERTING, "record": RuleKind.RECORDING}
_MOST_GROUPS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class RulesApi:
    """The routes over the rule stage."""

    groups: Callable[[TenantId], list[GroupView]]

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the routes."""
        return (
            endpoint("/rules", ("GET",), Permission.READ, self.rules),
            endpoint("/alerts", ("GET",), Permission.READ, self.alerts),
        )

    async def rules(self, call: Call) -> Response:
        """List rule groups; parameters narrow them, and cut them into pages."""
        form = await Form.of(call)
        wanted, page = _Wanted.of(form), _Page.of(form)
        groups, token = page.of_groups(self.groups(call.tenant), wanted)
        data: dict[str, Any] = {"groups": [group_json(group) for group in groups]}
        return success(data | ({"groupNextToken": token} if token else {}))

    async def alerts(self, call: Call) -> Response:
        """List the pending and firing alerts of all rules."""
        rules = (rule for group in self.groups(call.tenant) for rule in group.rules)
        return success({"alerts": [alert_json(a) for rule in rules for a in rule.alerts]})


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which rules are asked for; empty means all."""

    kind: RuleKind | None
    rules: frozenset[str]
    groups: frozenset[str]
    files: frozenset[str]
    selectors: tuple[Matchers, ...]
    alerts: bool

    @classmethod
    def of(cls, form: Form) -> _Wanted:
        """Read the parameters, in the order of Prometheus."""
        selectors = tuple(form.selectors())
        kind = form.one_of("type", tuple(_KINDS))
        bare = form.flag("exclude_alerts", "error converting exclude_alerts")
        names, groups, files = (
            frozenset(form.all(f"{name}[]")) for name in ("rule_name", "rule_group", "file")
        )
        return cls(_KINDS.get(kind), names, groups, files, selectors, not bare)

    def narrowed(self, group: GroupView) -> GroupView | None:
        """Return a group with the rules asked for, None when it has none of them."""
        if self.groups and group.name not in self.groups:
            return None
        if self.files and group.file not in self.files:
            return None
        rules = tuple(
            rule if self.alerts else replace(rule, alerts=())
            for rule in group.rules
            if self._takes(rule)
        )
        return replace(group, rules=rules) if rules else None

    def _takes(self, rule: RuleView) -> bool:
        if self.kind not in (None, rule.kind) or (self.rules and rule.name not in self.rules):
            return False
        return not self.selectors or any(all_match(m, rule.labels) for m in self.selectors)


@dataclass(frozen=True, slots=True)
class _Page:
    """Which groups are asked for: at most `limit` (0: all), from the one `token` stands for."""

    limit: int
    token: str

    @classmethod
    def of(cls, form: Form) -> _Page:
        """Read `group_limit` and `group_next_token`. Raises Refusal(400)."""
        text, token = form.get("group_limit"), form.get("group_next_token")
        if token and not text:
            reason = "group_limit needs to be present in order to paginate over the groups"
            raise bad_parameter("group_next_token", reason)
        try:
            limit = whole_number(text) if text else 0
        except InvalidInput as error:
            reason = f"group_limit needs to be a valid number: strconv.ParseInt: {error}"
            raise bad_parameter("group_limit", reason) from error
        if text and not 0 < limit <= _MOST_GROUPS:
            raise bad_parameter("group_limit", "group_limit needs to be greater than 0")
        return cls(limit, token)

    def of_groups(
        self, all_groups: list[GroupView], wanted: _Wanted
    ) -> tuple[list[GroupView], str]:
        """Return the groups of this page, and the token of the next; "" on the last."""
        found: list[GroupView] = []
        for group in self._from_token(all_groups):
            shown = wanted.narrowed(group)
            if shown is None:
                continue
            if self.limit and len(found) == self.limit:
                return found, _token(group)
            found.append(shown)
        return found, ""

    def _from_token(self, groups: list[GroupView]) -> Iterator[GroupView]:
        if not self.token:
            return iter(groups)
        for index, group in enumerate(groups):
            if _token(group) == self.token:
                return iter(groups[index:])
        reason = f"invalid group_next_token '{self.token}'. were rule groups changed?"
        raise bad_parameter("group_next_token", reason)


def _token(group: GroupView) -> str:
    """Return what stands for a group: the hash Prometheus uses, no secret."""
    name = f"{group.file};{group.name}".encode(errors="surrogatepass")
    return hashlib.sha1(name, usedforsecurity=False).hexdigest()
