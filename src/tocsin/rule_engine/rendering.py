"""Labels and annotations of alerts: Go templates over the element that made the alert.

A template may ask queries (`query`), but rendering is synchronous. So a text is rendered with
the answers known so far; what it asked in vain is then fetched, and it is rendered anew. A
text that asks nothing, which is nearly every one, is rendered once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tocsin.model.errors import InvalidInput, TocsinError
from tocsin.model.labels import Labels
from tocsin.model.tenant import TenantId
from tocsin.rule_engine.alerting import Seen, alert_labels, by_labels
from tocsin.rule_engine.definition import RuleDef
from tocsin.rule_engine.ports import Answer, Queries
from tocsin.templating.budget import Budget
from tocsin.templating.data import alert_data, rule_text
from tocsin.templating.engine import TemplateSet
from tocsin.templating.functions_prometheus import Query, QuerySample, prometheus_functions

MAX_PASSES = 8  # how often a text may ask for what the answers before made it ask

Failed = Callable[[float], None]
_Found = tuple[Labels, Seen]


@dataclass(slots=True)
class Lookups:
    """The `query` function: known answers; what is not known yet is noted in `wanted`."""

    answers: dict[str, Sequence[QuerySample] | str] = field(default_factory=dict)
    wanted: set[str] = field(default_factory=set)

    def __call__(self, expr: str) -> Sequence[QuerySample]:
        """Return the answer to `expr`, none for now if it was not asked. Raises InvalidInput."""
        found = self.answers.get(expr)
        if isinstance(found, str):
            raise InvalidInput(found)
        if found is None:
            self.wanted.add(expr)
            return ()
        return found

    async def fetch(self, tenant: TenantId, queries: Queries, *, at_ms: int) -> None:
        """Ask what is wanted; a failed query becomes the text of its error."""
        for expr in sorted(self.wanted):
            try:
                answer = await queries.instant(tenant, expr, at_ms=at_ms)
                self.answers[expr] = [QuerySample(*element) for element in answer.elements()]
            except TocsinError as error:
                self.answers[expr] = str(error)
        self.wanted.clear()

    def reset(self) -> None:
        """Forget every answer: another evaluation begins."""
        self.answers.clear()
        self.wanted.clear()


class Expander:
    """Expands the templates of one alerting rule over one element at a time."""

    def __init__(
        self,
        alert: str,
        external_labels: Labels,
        external_url: str,
        *,
        query: Query,
    ) -> None:
        """Offer the template functions of Prometheus, with this `query`."""
        self._name = f"__alert_{alert}"
        self._external_labels = external_labels
        self._external_url = external_url
        self._templates = TemplateSet(
            prometheus_functions(query=query, external_url=external_url), budget=Budget()
        )

    def data(self, metric: Labels, value: float) -> object:
        """Return what a template sees of one element: its labels and its value."""
        return alert_data(
            labels=metric,
            external_labels=self._external_labels,
            external_url=self._external_url,
            value=value,
        )

    def expand(self, text: str, data: object) -> str:
        """Return what `text` makes of `data`. Raises InvalidInput (a TemplateError)."""
        return self._templates.render(rule_text(text), data, name=self._name)

    def check(self, text: str) -> None:
        """Parse `text` only, as promtool does. Raises InvalidInput (a TemplateError)."""
        self._templates.check(rule_text(text), name=self._name)


class Renderer:
    """Turns the elements of a rule's vector into alerts. Not for concurrent use."""

    def __init__(
        self, rule: RuleDef, external_labels: Labels, external_url: str, *, failed: Failed
    ) -> None:
        """Parse nothing yet; `failed` takes the number of texts that could not be rendered."""
        self._rule = rule
        self._failed = failed
        self._failures = 0
        self._kept: dict[Labels, _Found] = {}
        texts = (*dict(rule.labels).values(), *rule.annotations.values())
        self._asks = any("query" in text for text in texts)
        self._lookups = Lookups()
        self._expander = Expander(rule.name, external_labels, external_url, query=self._lookups)

    async def alerts(
        self, tenant: TenantId, answer: Answer, *, queries: Queries, at_ms: int
    ) -> dict[Labels, Seen]:
        """Return the alerts that the elements stand for, by label set.

        A text that fails becomes `<error expanding template: …>`, as upstream. Raises
        InvalidInput when two elements became the same alert.
        """
        self._lookups.reset()
        found = self._all(answer)
        for _ in range(MAX_PASSES):
            if not self._lookups.wanted:
                break
            await self._lookups.fetch(tenant, queries, at_ms=at_ms)
            found = self._all(answer)
        if self._failures:
            self._failed(self._failures)
        return by_labels(found.values())

    def _all(self, answer: Answer) -> dict[Labels, _Found]:
        """Render every element; one that is as it was in the last round is not rendered anew."""
        self._failures = 0
        known = {} if self._asks else self._kept
        self._kept = {
            labels: self._same(known.get(labels), labels, value)
            for labels, value in answer.elements()
        }
        return self._kept

    def _same(self, before: _Found | None, metric: Labels, value: float) -> _Found:
        if before is not None and before[1].value == value:
            return before
        return self._alert(metric, value)

    def _alert(self, metric: Labels, value: float) -> _Found:
        data = self._expander.data(metric, value)
        own = {name: self._text(text, data) for name, text in self._rule.labels}
        texts = ((name, self._text(text, data)) for name, text in self._rule.annotations.pairs)
        labels = alert_labels(metric, own, name=self._rule.name)
        return labels, Seen(Labels(texts), value)

    def _text(self, text: str, data: object) -> str:
        if "{{" not in text:
            return text
        try:
            return self._expander.expand(text, data)
        except InvalidInput as error:
            self._failures += 1
            return f"<error expanding template: {error}>"
