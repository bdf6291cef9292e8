"""Runs files of Prometheus' promqltest format: `python tests/conformance/promqltest.py FILE…`.

The last line is `N passed, M failed`; a line before it counts what was skipped, by reason. Skipped
is what cannot hold here, and nothing else:

- a case whose data, result or expression has native histograms, when it does not pass without
  them: they are not supported, and the parser says so of their syntax;
- a case whose expression has a modifier that the parser names and refuses, such as `anchored`.

Besides each case as written, an instant case is run again with `@ <time>` on every selector at
five other times, and, when it is an unordered vector, as the middle step of a range query and as
a rule that has been evaluated in the twenty minutes before.
"""

from __future__ import annotations

import functools
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "src"))
sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from warm_rules import fits, warm_result

from tocsin.model.duration import parse_duration
from tocsin.model.errors import InvalidInput, TocsinError
from tocsin.model.labels import METRIC_NAME, Labels
from tocsin.model.matchers import Matcher, all_match
from tocsin.model.sample import is_stale
from tocsin.model.series import Series
from tocsin.model.tenant import TenantId
from tocsin.promql import ast
from tocsin.promql.engine import Engine
from tocsin.promql.errors import ParseError
from tocsin.promql.fakes import MemorySeries
from tocsin.promql.literals import number, unquote
from tocsin.promql.options import Options
from tocsin.promql.result import Matrix, Result, Scalar, String, Vector
from tocsin.promql.series_notation import Point, read_metric, read_points

TENANT = TenantId("promqltest")
_NATIVE = "native histogram"
_REFUSED = {  # what the parser says of what it knows and does not support: why a case is skipped
    r"native histogram": _NATIVE,
    r"\b(anchored|smoothed) modifier is not supported": "anchored or smoothed range",
    r"fill modifiers are experimental": "fill modifier",
}
_EPSILON = 1e-6
_TICK_MS = 60_000
_TICKS = 20
_EVER_MS = 2**53


class Skipped(Exception):
    """The case needs what is not supported; the argument says what."""


class Failed(Exception):
    """The case does not hold; the argument says how."""


@dataclass(slots=True)
class Case:
    """One eval block."""

    line: int
    expr: str
    start_ms: int = 0
    end_ms: int = 0
    step_ms: int = 0
    ordered: bool = False
    expects: list[tuple[str, str, str]] = field(default_factory=list)  # kind, how, text
    string: str | None = None
    matrix: tuple[int, int, int] | None = None
    rows: list[str] = field(default_factory=list)

    @property
    def instant(self) -> bool:
        """Tell whether the case is an instant query."""
        return self.step_ms == 0

    def wants(self, kind: str) -> list[tuple[str, str]]:
        """Return how and text of each expectation of a kind."""
        return [(how, text) for k, how, text in self.expects if k == kind]


@dataclass(slots=True)
class Report:
    """How the cases of some files went."""

    passed: int = 0
    failures: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


class Loaded(MemorySeries):
    """The series loaded so far, floats only; remembers whether a query asked for another kind."""

    def __init__(self) -> None:
        super().__init__()
        self.native: set[Labels] = set()
        self.asked_for_native = False

    def clear(self) -> None:
        """Forget all series."""
        super().clear()
        self.native.clear()

    def select(
        self, tenant: TenantId, matchers: Sequence[Matcher], *, start_ms: int, end_ms: int
    ) -> list[Series]:
        """Return series as the port says; note whether a native histogram matches."""
        self.asked_for_native |= any(all_match(matchers, labels) for labels in self.native)
        return super().select(tenant, matchers, start_ms=start_ms, end_ms=end_ms)


def run(paths: Iterable[Path], *, known: dict[str, str] | None = None) -> Report:
    """Run files. `known` maps `file:line` of cases that may fail to the reason."""
    report = Report()
    options = Options(experimental=True, delayed_name_removal=True)
    for path in paths:
        _File(path, report, known or {}, World(options)).run()
    return report


class World:
    """The series of a file, and who answers questions about them."""

    def __init__(self, options: Options) -> None:
        self.series = Loaded()
        self.engine = Engine(self.series, options=options)
        self._options = options

    def held(self) -> list[Series]:
        """Return all there is, whether or not a query asks for it."""
        return MemorySeries.select(self.series, TENANT, (), start_ms=-_EVER_MS, end_ms=_EVER_MS)

    def as_rule(self, expr: str, at_ms: int) -> Result:
        """Return the value of a rule that has been evaluated in the minutes before."""
        times = range(at_ms - _TICKS * _TICK_MS, at_ms + 1, _TICK_MS)
        return warm_result(expr, self.held(), times, self._options)


class _File:
    """Runs one file, command by command."""

    def __init__(self, path: Path, report: Report, known: dict[str, str], world: World) -> None:
        self._path = path
        self._report = report
        self._known = known
        self._world = world
        self._series = world.series

    def run(self) -> None:
        """Run every command of the file."""
        for line, command, block in _commands(self._path.read_text(encoding="utf-8")):
            if command == "clear":
                self._series.clear()
            elif command.startswith("load"):
                _load(self._series, command, block)
            elif command.startswith("eval"):
                self._judge(_case(line, command, block))
            else:
                raise ValueError(f"{self._path}:{line}: unknown command {command!r}")

    def _judge(self, case: Case) -> None:
        place = f"{self._path.name}:{case.line}"
        known = self._known.get(place)
        self._series.asked_for_native = False
        try:
            _check(self._world, case)
        except Skipped as reason:
            self._report.skipped[str(reason)] += 1
        except Failed as reason:
            if known is None and self._series.asked_for_native:
                known = _NATIVE
            if known is None:
                self._report.failures.append(f"{place}: {case.expr}\n    {reason}")
            else:
                self._report.skipped[known] += 1
        else:
            if known is None:
                self._report.passed += 1
            else:
                self._report.failures.append(f"{place}: on the skip list, but passes")


_COMMAND = re.compile(r"(?:clear|load(?:_with_nhcb)?|eval(?:_\w+)?)\b")


def _commands(text: str) -> Iterator[tuple[int, str, list[str]]]:
    """Yield line number, command and the lines that belong to it."""
    current: tuple[int, str, list[str]] | None = None
    for number_, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if line.startswith("#"):
            continue
        if current is not None and (not line or _COMMAND.match(raw)):
            yield current
            current = None
        if not line:
            continue
        if current is None:
            current = (number_, line, [])
        else:
            current[2].append(line)
    if current is not None:
        yield current


# --- loading ---------------------------------------------------------------------------------


def _load(series: Loaded, command: str, block: list[str]) -> None:
    name, step = command.split()
    step_ms = _ms(step)
    for line in block:
        metric = read_metric(line)
        labels, points = metric.labels, read_points(metric.rest)
        if any(point is Point.NATIVE for point in points):
            series.native.add(labels)
        samples = [(i * step_ms, p) for i, p in enumerate(points) if isinstance(p, float)]
        series.add(TENANT, labels, samples)
        bucket = labels.value(METRIC_NAME)
        if name == "load_with_nhcb" and bucket.endswith("_bucket"):
            converted = {METRIC_NAME: bucket.removesuffix("_bucket"), "le": ""}
            series.native.add(labels.merged(converted))


def _float(text: str) -> float:
    if text.lower().lstrip("+-") in ("inf", "nan"):
        return float(text)
    sign = -1.0 if text.startswith("-") else 1.0
    return sign * number(text.lstrip("+-"))


def _ms(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    bare = text.lstrip("+-")
    try:
        return sign * round(parse_duration(bare).total_seconds() * 1000)
    except InvalidInput:
        return sign * round(float(bare) * 1000)


# --- cases -----------------------------------------------------------------------------------

_INSTANT = re.compile(r"(eval(?:_\w+)?)\s+instant(?:\s+at\s+(\S+))?\s+(.+)")
_RANGE = re.compile(r"(eval(?:_\w+)?)\s+range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)\s+(.+)")
_EXPECT = re.compile(
    r"expect\s+(?P<kind>fail|warn|info|no_warn|no_info|ordered)"
    r"(?:\s+(?P<how>msg|regex)\s*:(?P<text>.*))?"
)
_EXPECT_MATRIX = re.compile(r"expect\s+range\s+vector\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)")


def _case(line: int, command: str, block: list[str]) -> Case:
    if hit := _INSTANT.fullmatch(command):
        at = _ms(hit[2] or "0")
        case = Case(line, hit[3], at, at)
    elif hit := _RANGE.fullmatch(command):
        case = Case(line, hit[5], _ms(hit[2]), _ms(hit[3]), _ms(hit[4]))
    else:
        raise ValueError(f"line {line}: bad command {command!r}")
    _old_form(case, hit[1])
    for text in block:
        _expectation(case, text)
    return case


def _old_form(case: Case, verb: str) -> None:
    kind = verb.removeprefix("eval").removeprefix("_")
    case.ordered = kind == "ordered"
    if kind in ("fail", "warn", "info"):
        case.expects.append((kind, "", ""))


def _expectation(case: Case, text: str) -> None:
    if hit := _EXPECT.fullmatch(text):
        case.ordered |= hit["kind"] == "ordered"
        case.expects.append((hit["kind"], hit["how"] or "", (hit["text"] or "").strip()))
    elif hit := re.fullmatch(r"expected_fail_(message|regexp)\s+(.*)", text):
        how = "msg" if hit[1] == "message" else "regex"
        case.expects = [e for e in case.expects if e[0] != "fail"] + [("fail", how, hit[2])]
    elif hit := re.fullmatch(r"expect\s+string\s+(.*)", text):
        case.string = unquote(hit[1])
    elif hit := _EXPECT_MATRIX.fullmatch(text):
        case.matrix = (_ms(hit[1]), _ms(hit[2]), _ms(hit[3]))
    else:
        case.rows.append(text)


# --- judging ---------------------------------------------------------------------------------


def _check(world: World, case: Case) -> None:
    engine = world.engine
    tree = _parsed(engine, case)
    if any("{{" in row for row in case.rows):
        raise Skipped(_NATIVE)
    if tree is None:
        return
    _compare(case, lambda: _evaluated(engine, case, tree))
    if not case.instant:
        return
    _recheck_with_at(engine, case, tree)
    _recheck_as_range(engine, case, tree)
    _recheck_as_rule(world, case, tree)


def _parsed(engine: Engine, case: Case) -> ast.Expr | None:
    try:
        return engine.parse(case.expr)
    except ParseError as error:
        if case.wants("fail"):
            _match_error(case, str(error))
            return None
        for said, reason in _REFUSED.items():
            if re.search(said, str(error)):
                raise Skipped(reason) from error
        raise Failed(f"not parsed: {error}") from error


def _evaluated(engine: Engine, case: Case, tree: ast.Expr) -> Result:
    if case.instant:
        return engine.instant(TENANT, tree, at_ms=case.start_ms)
    return engine.range(
        TENANT, tree, start_ms=case.start_ms, end_ms=case.end_ms, step_ms=case.step_ms
    )


def _compare(case: Case, evaluate: Callable[[], Result]) -> None:
    try:
        result = evaluate()
    except TocsinError as error:
        if not case.wants("fail"):
            raise Failed(f"error: {error}") from error
        _match_error(case, str(error))
        return
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Failed(f"crash: {error!r}") from error
    if case.wants("fail"):
        raise Failed("expected an error, got a result")
    _match_notes(case, "warn", result.warnings)
    _match_notes(case, "info", result.infos)
    _match_value(case, result)


def _match_error(case: Case, message: str) -> None:
    for how, text in case.wants("fail"):
        if how and not _fits(how, text, message):
            raise Failed(f"error {message!r} is not {text!r}")


def _fits(how: str, text: str, message: str) -> bool:
    if how == "regex":
        return re.search(text, message) is not None
    return text == message if how == "msg" else True


def _match_notes(case: Case, kind: str, notes: tuple[str, ...]) -> None:
    wanted = case.wants(kind)
    if case.wants(f"no_{kind}") and notes:
        raise Failed(f"unexpected {kind}: {notes}")
    for how, text in wanted:
        if not any(_fits(how, text, note) for note in notes):
            raise Failed(f"expected {kind} {text!r}, got {notes}")
    if wanted:
        for note in notes:
            if not any(_fits(how, text, note) for how, text in wanted):
                raise Failed(f"unexpected {kind}: {note}")


def _match_value(case: Case, result: Result) -> None:
    match result.value:
        case String(value=text):
            if text != case.string:
                raise Failed(f"string {text!r}")
        case Scalar(value=value):
            _match_scalar(case, value)
        case Vector():
            _match_vector(case, result.value)
        case Matrix():
            _match_matrix(case, result.value)


def _match_scalar(case: Case, value: float) -> None:
    if len(case.rows) != 1 or not _equal(_float(case.rows[0]), value):
        raise Failed(f"scalar {value}, expected {case.rows}")


def _match_vector(case: Case, vector: Vector) -> None:
    expected = [_expected_row(row) for row in case.rows]
    got = list(zip(vector.labels, vector.values.tolist(), strict=True))
    if case.ordered:
        order = [labels for labels, _ in got]
        if order != [labels for labels, _ in expected]:
            raise Failed(f"order {order}")
    remaining = dict(got)
    if len(remaining) != len(got):
        raise Failed(f"duplicate labels in {got}")
    for labels, points in expected:
        value = remaining.pop(labels, None)
        if value is None or len(points) != 1 or not _equal(points[0], value):
            raise Failed(f"{labels}: expected {points}, got {value}; all: {got}")
    if remaining:
        raise Failed(f"unexpected {remaining}")


def _expected_row(row: str) -> tuple[Labels, list[float | Point]]:
    metric = read_metric(row)
    return metric.labels, read_points(metric.rest)


def _match_matrix(case: Case, matrix: Matrix) -> None:
    start, end, step = case.matrix or (case.start_ms, case.end_ms, case.step_ms)
    times = list(range(start, end + 1, step)) if step else [start]
    got = {
        s.labels: dict(zip(s.times.tolist(), s.values.tolist(), strict=True)) for s in matrix.series
    }
    if len(got) != len(matrix.series):
        raise Failed("duplicate labels")
    for row in case.rows:
        labels, points = _expected_range_row(row)
        found = got.pop(labels, {})
        wanted = {t: p for t, p in zip(times, points, strict=False) if p is not Point.GAP}
        if set(wanted) != set(found) or not all(_equal(wanted[t], found[t]) for t in wanted):
            raise Failed(f"{labels}: expected {wanted}, got {found}")
    if got:
        raise Failed(f"unexpected {got}")


def _expected_range_row(row: str) -> tuple[Labels, list[float | Point]]:
    if re.match(r"[\d.+-]|(?:nan|inf)\b", row, re.IGNORECASE):
        return Labels(), read_points(row)
    return _expected_row(row)


def _equal(expected: float | Point, got: float) -> bool:
    if isinstance(expected, Point):
        return False
    if is_stale(expected) or is_stale(got):
        return is_stale(expected) and is_stale(got)
    if np.isnan(expected) or np.isnan(got):
        return bool(np.isnan(expected) and np.isnan(got))
    if expected == got:
        return True
    gap, size = abs(expected - got), abs(expected) + abs(got)
    if expected == 0 or got == 0 or size < sys.float_info.min:
        return gap < _EPSILON * sys.float_info.min
    return gap / min(size, sys.float_info.max) < _EPSILON


# --- the same case asked in other ways ---------------------------------------------------------

_TIME_DEPENDENT = frozenset(
    (
        *("time", "timestamp", "predict_linear", "start", "end", "step", "range"),
        *("year", "month", "day_of_month", "day_of_year", "day_of_week", "days_in_month"),
        *("hour", "minute", "info"),
    )
)


def _calls(tree: ast.Expr) -> set[str]:
    return {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}


def _recheck_with_at(engine: Engine, case: Case, tree: ast.Expr) -> None:
    if _calls(tree) & _TIME_DEPENDENT or case.matrix is not None:
        return
    pinned = _pinned(tree, case.start_ms)
    for at in (-10 * case.start_ms, 0, case.start_ms // 5, case.start_ms, 10 * case.start_ms):
        try:
            _compare(case, functools.partial(engine.instant, TENANT, pinned, at_ms=at))
        except Failed as reason:
            raise Failed(f"with @ {case.start_ms} at {at}: {reason}") from reason


def _pinned(expr: ast.Expr, at_ms: int) -> ast.Expr:  # noqa: PLR0911  # one return per node
    """Return the tree with `@ at_ms` on every selector and subquery that has none."""
    match expr:
        case ast.VectorSelector() | ast.Subquery():
            return expr if expr.at else replace(expr, at=ast.At(ast.AtKind.TIME, at_ms))
        case ast.MatrixSelector(selector=selector) if selector.at is None:
            pinned = replace(selector, at=ast.At(ast.AtKind.TIME, at_ms))
            return replace(expr, selector=pinned)
        case ast.Negation() | ast.Paren():
            return replace(expr, expr=_pinned(expr.expr, at_ms))
        case ast.Binary():
            left, right = _pinned(expr.left, at_ms), _pinned(expr.right, at_ms)
            return replace(expr, left=left, right=right)
        case ast.Aggregate():
            param = None if expr.param is None else _pinned(expr.param, at_ms)
            return replace(expr, expr=_pinned(expr.expr, at_ms), param=param)
        case ast.Call():
            return replace(expr, args=tuple(_pinned(arg, at_ms) for arg in expr.args))
    return expr


def _recheck_as_range(engine: Engine, case: Case, tree: ast.Expr) -> None:
    bounds = any(
        node.at is not None and node.at.kind is not ast.AtKind.TIME
        for node in ast.walk(tree)
        if isinstance(node, ast.VectorSelector | ast.Subquery)
    )
    timed = _calls(tree) & {"range", "step", "start", "end"}
    if case.ordered or bounds or timed or case.matrix is not None or case.string is not None:
        return
    try:
        _compare(case, lambda: _middle_of_range(engine, case, tree))
    except Failed as reason:
        raise Failed(f"as a range: {reason}") from reason


def _middle_of_range(engine: Engine, case: Case, tree: ast.Expr) -> Result:
    at, minute = case.start_ms, 60_000
    instant = engine.instant(TENANT, tree, at_ms=at)
    if not isinstance(instant.value, Vector):
        return instant
    found = engine.range(TENANT, tree, start_ms=at - minute, end_ms=at + minute, step_ms=minute)
    assert isinstance(found.value, Matrix)
    here = [
        (series.labels, float(series.values[series.times == at][0]))
        for series in found.value.series
        if (series.times == at).any()
    ]
    values = np.array([value for _, value in here])
    return replace(instant, value=Vector(at, tuple(labels for labels, _ in here), values))


def _recheck_as_rule(world: World, case: Case, tree: ast.Expr) -> None:
    if case.wants("fail") or case.matrix is not None or case.string is not None:
        return
    nodes = list(ast.walk(tree))
    if any(map(_looks_ahead, nodes)):  # at what a rule cannot have
        return
    if not any(isinstance(node, ast.VectorSelector | ast.MatrixSelector) for node in nodes):
        return
    if not fits(world.held()):
        return
    try:
        _compare(case, lambda: world.as_rule(case.expr, case.start_ms))
    except Failed as reason:
        raise Failed(f"as a rule: {reason}") from reason


def _looks_ahead(node: ast.Expr) -> bool:
    return isinstance(node, ast.VectorSelector | ast.Subquery) and (
        node.at is not None or node.offset_ms < 0
    )


def main(arguments: Sequence[str]) -> int:
    """Run the files named; print failures, what was skipped, and the totals."""
    report = run(Path(argument) for argument in arguments)
    for failure in report.failures:
        print(f"FAIL {failure}")  # noqa: T201  # a script
    skipped = ", ".join(f"{count} ({reason})" for reason, count in sorted(report.skipped.items()))
    print(f"skipped: {skipped or '0'}")  # noqa: T201
    print(f"{report.passed} passed, {len(report.failures)} failed")  # noqa: T201
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
