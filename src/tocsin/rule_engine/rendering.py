"""Labels and annotations of alerts: Go templates over the element that made the alert.

A template may ask queries (`query`), but rendering is synchronous. So a text is rendered with
the answers known so far; what it asked in vain is then fetched, and it is rendered anew. A
text that asks nothing, which is nearly every one, is rendered once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tocsin.model.errors import InvalidInput, TocsinError
from tocsin.model.labels import Labels
from tocsin.model.tenant import TenantId
from tocsin.rule_engine.active import ActiveAlerts, Comparison, Found
from tocsin.rule_engine.alerting import Seen, alert_labels
from tocsin.rule_engine.definition import RuleDef
from tocsin.rule_engine.ports import Queries
from tocsin.rule_engine.quick_text import QuickText, Surroundings, quick_text
from tocsin.rule_engine.rounds import Round
from tocsin.rule_engine.rows import Row
from tocsin.rule_engine.texts import Depends, depends
from tocsin.templating.budget import Budget
from tocsin.templating.builtins import BUILTINS
from tocsin.templating.data import alert_data, rule_text
from tocsin.templating.engine import TemplateSet
from tocsin.templating.functions_prometheus import Query, QuerySample, prometheus_functions

_AT_ONCE = 64  # elements rendered without a pause
MAX_PASSES = 8  # how often a text may ask for what the answers before made it ask

Failed = Callable[[float], None]


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
        functions = prometheus_functions(query=query, external_url=external_url)
        self._templates = TemplateSet(functions, budget=Budget())
        every = {**BUILTINS, **functions}
        self._around = Surroundings(every, frozenset(every), external_labels, external_url)

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

    def depends(self, texts: Iterable[str]) -> Depends:
        """Return what any of `texts` depends on."""
        names = self._around.names
        return max((depends(text, names) for text in texts), default=Depends.LABELS)

    def taken_apart(self, text: str) -> QuickText | None:
        """Return the quick form of `text`, None when it has none."""
        return quick_text(text, self._around)


class Renderer:
    """Turns the elements of a rule's vector into alerts. Not for concurrent use."""

    def __init__(
        self, rule: RuleDef, external_labels: Labels, external_url: str, *, failed: Failed
    ) -> None:
        """Parse nothing yet; `failed` takes the number of texts that could not be rendered."""
        self._rule = rule
        self._failed = failed
        self._failures = 0
        self._lookups = Lookups()
        self._expander = Expander(rule.name, external_labels, external_url, query=self._lookups)

    @cached_property
    def _texts(self) -> dict[str, QuickText | None]:
        """Return the quick form of every text."""
        texts = {*dict(self._rule.labels).values(), *self._rule.annotations.values()}
        return {text: self._expander.taken_apart(text) for text in texts}

    @cached_property
    def identity(self) -> Depends:
        """Return what the labels of an alert depend on besides its element's."""
        return self._expander.depends(text for _, text in self._rule.labels)

    @cached_property
    def wording(self) -> Depends:
        """Return what its annotations depend on."""
        return self._expander.depends(self._rule.annotations.values())

    def wanted(self, new: Comparison, alerts: ActiveAlerts) -> list[int]:
        """Return the places of a vector that need rendering before the alerts move on."""
        if not new.answer.labels:
            return []
        if Depends.ROUND in (self.identity, self.wording):
            return list(range(len(new.answer.labels)))
        moved = alerts.moved(new) if self.identity is Depends.VALUE else []
        return new.appeared() + moved

    async def found(self, new: Comparison, places: Sequence[int], asked: Round) -> list[Found]:
        """Return the elements at `places` as alerts, without those that are as they were.

        A text that fails becomes `<error expanding template: …>`, as upstream.
        """
        self._lookups.reset()
        found: list[Found] = []
        for first in range(0, len(places), _AT_ONCE):
            found += await self._settled(new, places[first : first + _AT_ONCE], asked)
            await asked.turn.pause()
        return found

    def words(self, metric: Labels, value: float) -> Labels | None:
        """Return the annotations of an element that has another value; None: they stay."""
        if self.wording is not Depends.VALUE:
            return None
        before, self._failures = self._failures, 0  # a view may come between two passes
        words = self._words(metric, value)
        self._count_failures()
        self._failures = before
        return words

    async def _settled(
        self, new: Comparison, places: Sequence[int], asked: Round
    ) -> Sequence[Found]:
        """Render until everything that was asked for is answered."""
        found = self._found(new, places)
        for _ in range(MAX_PASSES):
            if not self._lookups.wanted:
                break
            await self._lookups.fetch(asked.tenant, asked.queries, at_ms=asked.at_ms)
            found = self._found(new, places)
        self._count_failures()
        return found

    def _found(self, new: Comparison, places: Sequence[int]) -> list[Found]:
        self._failures = 0
        labels, values = new.answer.labels, new.answer.values
        made = (self._one(at, new.rows[at], labels[at], float(values[at])) for at in places)
        return [each for each in made if each is not None]

    def _one(self, place: int, row: Row | None, metric: Labels, value: float) -> Found | None:
        """Return one element as an alert, None when it is the one it was."""
        if row is not None and self.identity is Depends.LABELS:
            labels = row.alert.labels
        else:
            own = {name: self._text(text, metric, value) for name, text in self._rule.labels}
            labels = alert_labels(metric, own, name=self._rule.name)
        same = row is not None and row.alert.labels == labels
        if same and self.wording is not Depends.ROUND:
            return None
        return Found(place, labels, Seen(self._words(metric, value), value))

    def _words(self, metric: Labels, value: float) -> Labels:
        pairs = self._rule.annotations.pairs
        return Labels([(name, self._text(text, metric, value)) for name, text in pairs])

    def _text(self, text: str, metric: Labels, value: float) -> str:
        if "{{" not in text:
            return text
        quick = self._texts[text]
        done = quick.render(metric, value) if quick else None
        if done is not None:
            return done
        try:
            return self._expander.expand(text, self._expander.data(metric, value))
        except InvalidInput as error:
            self._failures += 1
            return f"<error expanding template: {error}>"

    def _count_failures(self) -> None:
        if self._failures:
            self._failed(self._failures)
