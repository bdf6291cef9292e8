"""Whether a sentence of PromQL means something: types and numbers of operands, selectors.

What is wrong is said in the words of Prometheus (`promql/parser/parse.go`, `checkAST`), about
the same place, children before the node that holds them.
"""

from __future__ import annotations

from typing import TypeAlias

from tocsin.model.labels import METRIC_NAME
from tocsin.promql import ast
from tocsin.promql.errors import ParseError
from tocsin.promql.lexer import error_at
from tocsin.promql.literals import go_quoted
from tocsin.promql.reader import TOO_DEEP
from tocsin.promql.signatures import SIGNATURES, Signature, Type

# The Python frames that evaluating a node takes, measured; the interpreter allows 1,000 in all.
_FRAMES: dict[type, int] = {ast.Call: 6, ast.Aggregate: 5, ast.Subquery: 4, ast.Negation: 4}
_MOST_FRAMES = 800
_NUMERIC = (Type.SCALAR, Type.VECTOR)
_Leaf: TypeAlias = (
    ast.NumberLiteral | ast.StringLiteral | ast.VectorSelector | ast.MatrixSelector | ast.Subquery
)


class Places:
    """Where the nodes of one tree begin, and where the signs of its operations stand."""

    def __init__(self, text: str) -> None:
        """Remember places in `text`."""
        self._text = text
        self._starts: dict[int, tuple[int, ast.Expr]] = {}
        self._operators: dict[int, int] = {}

    def mark(self, node: ast.Expr, start: int) -> None:
        """Remember where a node begins; it is kept alive, so that its id stays its own."""
        self._starts[id(node)] = (start, node)

    def operator(self, node: ast.Binary, at: int) -> None:
        """Remember where the sign of an operation stands."""
        self._operators[id(node)] = at

    def start(self, node: ast.Expr) -> int:
        """Return where a node begins, in characters from 0."""
        return self._starts[id(node)][0]

    def error(self, node: ast.Expr, reason: str) -> ParseError:
        """Return an error about a node."""
        return error_at(self._text, self.start(node), reason)

    def error_of_sign(self, node: ast.Binary, reason: str) -> ParseError:
        """Return an error about the sign of an operation."""
        return error_at(self._text, self._operators[id(node)], reason)


def check_types(tree: ast.Expr, places: Places) -> Type:
    """Return the type of `tree`. Raises ParseError when a part of it makes no sense."""
    return _Checker(places).check(tree)


def type_of(expr: ast.Expr) -> Type:
    """Return the type of an expression that was checked."""
    match expr:
        case ast.NumberLiteral():
            return Type.SCALAR
        case ast.StringLiteral():
            return Type.STRING
        case ast.MatrixSelector() | ast.Subquery():
            return Type.MATRIX
        case ast.Paren() | ast.Negation():
            return type_of(expr.expr)
        case ast.Call():
            return SIGNATURES[expr.func].gives
    scalars = isinstance(expr, ast.Binary) and _are_scalars(expr)
    return Type.SCALAR if scalars else Type.VECTOR


def _are_scalars(expr: ast.Binary) -> bool:
    return type_of(expr.left) is Type.SCALAR and type_of(expr.right) is Type.SCALAR


class _Checker:
    """Walks over one tree; each method returns the type of a node, its children checked."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._frames = 0

    def check(self, node: ast.Expr) -> Type:
        frames = _FRAMES.get(type(node), 3)
        self._frames += frames
        if self._frames > _MOST_FRAMES:
            raise self._places.error(node, TOO_DEEP)
        found = self._node(node)
        self._frames -= frames
        return found

    def _node(self, node: ast.Expr) -> Type:
        match node:
            case ast.Binary():
                return self._binary(node)
            case ast.Aggregate():
                return self._aggregate(node)
            case ast.Call():
                return self._call(node)
            case ast.Paren(plus=False, expr=inner):
                return self.check(inner)
            case ast.Paren() | ast.Negation():
                return self._signed(node)
        return self._leaf(node)

    def _leaf(self, node: _Leaf) -> Type:
        match node:
            case ast.NumberLiteral():
                return Type.SCALAR
            case ast.StringLiteral():
                return Type.STRING
            case ast.VectorSelector():
                return self._selector(node)
            case ast.MatrixSelector(selector=selector):
                self._selector(selector)
                return Type.MATRIX
            case ast.Subquery():
                return self._subquery(node)

    def _selector(self, node: ast.VectorSelector, *, free: bool = False) -> Type:
        """Check that something is selected; `free` labels may be anything (see `info`)."""
        if node.name:
            for other in node.matchers[1:]:
                if other.name == METRIC_NAME:
                    names = f"{go_quoted(node.name)} or {go_quoted(other.value)}"
                    reason = f"metric name must not be set twice: {names}"
                    raise self._places.error(node, reason)
        elif not free and all(matcher.matches("") for matcher in node.matchers):
            reason = "vector selector must contain at least one non-empty matcher"
            raise self._places.error(node, reason)
        return Type.VECTOR

    def _subquery(self, node: ast.Subquery) -> Type:
        kind = self.check(node.expr)
        if kind is not Type.VECTOR:
            reason = f"subquery is only allowed on instant vector, got {kind.short} instead"
            raise self._places.error(node, reason)
        return Type.MATRIX

    def _signed(self, node: ast.Paren | ast.Negation) -> Type:
        kind = self.check(node.expr)
        if kind not in _NUMERIC:
            reason = "unary expression only allowed on expressions of type scalar or instant vector"
            raise self._places.error(node, f'{reason}, got "{kind}"')
        return kind

    def _aggregate(self, node: ast.Aggregate) -> Type:
        self._expect(node.expr, Type.VECTOR, "aggregation expression")
        if node.param is not None:
            wanted = Type.STRING if node.op == "count_values" else Type.SCALAR
            self._expect(node.param, wanted, "aggregation parameter")
        return Type.VECTOR

    def _expect(self, node: ast.Expr, wanted: Type, context: str) -> None:
        kind = self.check(node)
        if kind is not wanted:
            reason = f"expected type {wanted} in {context}, got {kind}"
            raise self._places.error(node, reason)

    def _binary(self, node: ast.Binary) -> Type:
        left, right = self.check(node.left), self.check(node.right)
        scalars = left is Type.SCALAR and right is Type.SCALAR
        if node.return_bool and not node.op.is_comparison:
            reason = "bool modifier can only be used on comparison operators"
            raise self._places.error_of_sign(node, reason)
        if node.op.is_comparison and scalars and not node.return_bool:
            reason = "comparisons between scalars must use BOOL modifier"
            raise self._places.error_of_sign(node, reason)
        self._check_clauses(node)
        for kind, operand in ((left, node.left), (right, node.right)):
            if kind not in _NUMERIC:
                reason = "binary expression must contain only scalar and instant vector types"
                raise self._places.error(operand, reason)
        if reason := _matching_fault(node, vectors=left is right is Type.VECTOR):
            raise self._places.error(node, reason)
        return Type.SCALAR if scalars else Type.VECTOR

    def _check_clauses(self, node: ast.Binary) -> None:
        for label in node.matching.labels if node.matching.on else ():
            if label in node.matching.include:
                reason = f"label {go_quoted(label)} must not occur in ON and GROUP clause at once"
                raise self._places.error_of_sign(node, reason)

    def _call(self, node: ast.Call) -> Type:
        signature = SIGNATURES[node.func]
        if reason := _count_fault(node, signature):
            raise self._places.error(node, reason)
        context = f'call to function "{node.func}"'
        for index, argument in enumerate(node.args):
            if node.func == "info" and index == 1:
                self._labels_alone(node, argument, context)
            else:
                self._expect(argument, signature.argument(index), context)
        return signature.gives

    def _labels_alone(self, call: ast.Call, argument: ast.Expr, context: str) -> None:
        """Check the second argument of `info()`: braces without a metric's name."""
        if not isinstance(argument, ast.VectorSelector):
            self._expect(argument, Type.VECTOR, context)
            raise self._places.error(argument, "expected label selectors only")
        if argument.name:
            reason = "expected label selectors only, got vector selector instead"
            raise self._places.error(argument, reason)
        self._selector(argument, free=True)


def _matching_fault(node: ast.Binary, *, vectors: bool) -> str:
    """Return what is wrong with how two operands shall match, "" when nothing is."""
    found = node.matching
    fills = found.fill_left is not None or found.fill_right is not None
    if not vectors and found.labels:
        return "vector matching only allowed between instant vectors"
    if not vectors and fills:
        return "filling in missing series only allowed between instant vectors"
    if node.op.is_set and not vectors:
        return f'set operator "{node.op}" not allowed in binary scalar expression'
    if node.op.is_set and found.cardinality is not ast.Cardinality.MANY_TO_MANY:
        return f'no grouping allowed for "{node.op}" operation'
    if node.op.is_set and fills:
        return "filling in missing series not allowed for set operators"
    return ""


def _count_fault(node: ast.Call, signature: Signature) -> str:
    """Return what is wrong with the number of arguments, "" when nothing is."""
    least, most, given = signature.least, signature.most, len(node.args)
    call = f'argument(s) in call to "{node.func}", got {given}'
    if least == most:
        return "" if given == least else f"expected {least} {call}"
    if given < least:
        return f"expected at least {least} {call}"
    return f"expected at most {most} {call}" if most is not None and given > most else ""
