"""Builds syntax trees from a template text: the text itself and every template it defines.

Source: Go's text/template documentation, "Actions", "Arguments", "Pipelines", "Variables",
"Nested template definitions".
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field

from tocsin.model.errors import InvalidInput
from tocsin.templating import literals
from tocsin.templating.errors import TemplateError
from tocsin.templating.lexer import T, Token, tokens
from tocsin.templating.nodes import (
    Action,
    Block,
    Branch,
    Call,
    Chain,
    Command,
    Dot,
    Field,
    Jump,
    Literal,
    Name,
    Nil,
    Operand,
    Pipe,
    Range,
    Statement,
    Template,
    Text,
    Variable,
)

_DEPTH = 100  # nested blocks and parentheses in the text; the run has its own budget
_OPERANDS = (
    T.BOOL, T.CHAR, T.DOT, T.FIELD, T.NAME, T.NUMBER, T.STRING, T.VARIABLE, T.OPEN,
)  # fmt: skip
_CONSTANTS = (Dot, Literal, Nil)


@dataclass(slots=True)
class _Scope:
    """The variables and loops around the present place."""

    names: list[str] = field(default_factory=lambda: ["$"])
    loops: int = 0


@dataclass(frozen=True, slots=True)
class _Stop:
    """What ended a block: `end`, or `else` with the rest of its action still to read."""

    word: str
    line: int


class Parser:
    """Reads one text; use `parse`."""

    def __init__(self, text: str, name: str, functions: Container[str]) -> None:
        """Cut `text` into tokens; `functions` are the names that may be called."""
        self._name = name
        self._functions = functions
        self._tokens = tokens(text, name)
        self._at = 0
        self._depth = 0
        self._scope = _Scope()
        self._found: dict[str, Template] = {}

    def run(self, root: str) -> dict[str, Template]:
        """Return every template of the text; the text outside of defines is called `root`."""
        body: list[Statement] = []
        while self._peek().kind is not T.END:
            if self._starts_define():
                self._define()
                continue
            node = self._text_or_action()
            if isinstance(node, _Stop):
                raise self._error(f"unexpected {{{{{node.word}}}}}", node.line)
            body += node
        self._keep(Template(root, self._name, tuple(body)))
        return self._found

    # ---- templates

    def _starts_define(self) -> bool:
        if self._peek().kind is not T.LEFT:
            return False
        at = self._at + 1
        at += self._tokens[at].kind is T.SPACE
        return self._tokens[at].text == "define" and self._tokens[at].kind is T.KEYWORD

    def _define(self) -> None:
        self._next()
        self._solid()
        name = self._template_name("define clause")
        self._expect(T.RIGHT, "define clause")
        self._keep(Template(name, self._name, self._fresh_body()))

    def _fresh_body(self) -> Block:
        """Read a body that sees no variable of its surroundings."""
        outer, self._scope = self._scope, _Scope()
        body, stop = self._block()
        self._scope = outer
        if stop.word != "end":
            raise self._error("unexpected {{else}}", stop.line)
        return body

    def _keep(self, template: Template) -> None:
        old = self._found.get(template.name)
        if old is None or old.is_blank:
            self._found[template.name] = template
        elif not template.is_blank:
            raise self._error(f"multiple definition of template {template.name!r}")

    # ---- statements

    def _block(self) -> tuple[Block, _Stop]:
        """Read statements up to `end` or `else`."""
        self._deeper()
        body: list[Statement] = []
        while self._peek().kind is not T.END:
            node = self._text_or_action()
            if isinstance(node, _Stop):
                self._depth -= 1
                return tuple(body), node
            body += node
        raise self._error("unexpected EOF")

    def _text_or_action(self) -> tuple[Statement, ...] | _Stop:
        token = self._next()
        if token.kind is T.TEXT:
            return (Text(token.text),)
        if token.kind is not T.LEFT:
            raise self._unexpected(token, "input")
        word = self._solid_peek()
        if word.kind is not T.KEYWORD or word.text == "nil":
            return (Action(word.line, self._pipeline("command", T.RIGHT)),)
        self._solid()
        return self._control(word)

    def _control(self, word: Token) -> tuple[Statement, ...] | _Stop:
        if word.text == "end":
            self._expect(T.RIGHT, "end")
        if word.text in ("end", "else"):
            return _Stop(word.text, word.line)
        readers: Mapping[str, Callable[[Token], Statement]] = {
            "if": self._branch,
            "with": self._branch,
            "range": self._range,
            "template": self._call,
            "block": self._inline,
            "break": self._jump,
            "continue": self._jump,
        }
        if word.text not in readers:
            raise self._unexpected(word, "command")
        return (readers[word.text](word),)

    def _branch(self, word: Token) -> Branch:
        mark = len(self._scope.names)
        arms: list[tuple[Pipe, Block]] = []
        otherwise: Block = ()
        more = True
        while more:
            pipe = self._pipeline(word.text, T.RIGHT)
            body, stop = self._block()
            arms.append((pipe, body))
            more = stop.word == "else" and self._another_arm(word.text)
            if stop.word == "else" and not more:
                otherwise = self._otherwise()
        del self._scope.names[mark:]
        return Branch(word.line, word.text == "with", tuple(arms), otherwise)

    def _another_arm(self, word: str) -> bool:
        """Step over the `if` of an `else if`, the `with` of an `else with`."""
        token = self._solid_peek()
        if token.kind is T.KEYWORD and token.text == word:
            self._solid()
            return True
        return False

    def _otherwise(self) -> Block:
        self._expect(T.RIGHT, "else")
        body, stop = self._block()
        if stop.word != "end":
            raise self._error("expected end; found {{else}}", stop.line)
        return body

    def _range(self, word: Token) -> Range:
        mark = len(self._scope.names)
        pipe = self._pipeline("range", T.RIGHT)
        self._scope.loops += 1
        body, stop = self._block()
        self._scope.loops -= 1
        otherwise = self._otherwise() if stop.word == "else" else ()
        del self._scope.names[mark:]
        return Range(word.line, pipe, body, otherwise)

    def _jump(self, word: Token) -> Jump:
        self._expect(T.RIGHT, word.text)
        if not self._scope.loops:
            raise self._error(f"{{{{{word.text}}}}} outside {{{{range}}}}", word.line)
        return Jump(word.line, word.text == "break")

    def _call(self, word: Token) -> Call:
        name = self._template_name("template clause")
        return Call(word.line, name, self._optional_pipe("template clause"))

    def _inline(self, word: Token) -> Call:
        name = self._template_name("block clause")
        pipe = self._pipeline("block clause", T.RIGHT)
        self._keep(Template(name, self._name, self._fresh_body()))
        return Call(word.line, name, pipe)

    def _optional_pipe(self, context: str) -> Pipe | None:
        if self._solid_peek().kind is T.RIGHT:
            self._solid()
            return None
        return self._pipeline(context, T.RIGHT)

    def _template_name(self, context: str) -> str:
        token = self._solid()
        if token.kind is not T.STRING:
            raise self._unexpected(token, context)
        return str(self._literal(token).value)

    # ---- pipelines

    def _pipeline(self, context: str, end: T) -> Pipe:
        line = self._solid_peek().line
        names, assign = self._declarations(context)
        commands: list[Command] = []
        while self._solid_peek().kind is not end:
            token = self._solid_peek()
            if token.kind not in _OPERANDS and token.text != "nil":
                raise self._unexpected(self._solid(), context)
            commands.append(self._command(first=not commands))
        self._solid()
        if not commands:
            raise self._error(f"missing value for {context}")
        return Pipe(line, tuple(commands), names, assign)

    def _declarations(self, context: str) -> tuple[tuple[str, ...], bool]:
        names: list[str] = []
        while self._solid_peek().kind is T.VARIABLE:
            mark = self._at
            name = self._solid().text
            operator = self._solid_peek().kind
            if operator in (T.DECLARE, T.ASSIGN):
                return self._declared([*names, name], operator is T.ASSIGN)
            if operator is not T.COMMA:
                self._at = mark
                break
            self._solid()
            names.append(name)
            if context != "range" or len(names) > 1:
                raise self._error(f"too many declarations in {context}")
        if names:
            raise self._error("range can only initialize variables")
        return (), False

    def _declared(self, names: list[str], assign: bool) -> tuple[tuple[str, ...], bool]:  # noqa: FBT001
        self._solid()
        for name in names:
            if assign and name not in self._scope.names:
                raise self._error(f"undefined variable {name!r}")
        if not assign:
            self._scope.names += names
        return tuple(names), assign

    def _command(self, *, first: bool) -> Command:
        args: list[Operand] = []
        while True:
            self._solid_peek()
            operand = self._operand()
            if operand is not None:
                args.append(operand)
            token = self._peek()
            if token.kind is T.SPACE:
                continue
            if token.kind is T.PIPE:
                self._next()
            elif token.kind not in (T.RIGHT, T.CLOSE):
                raise self._unexpected(token, "operand")
            break
        if not args:
            raise self._error("empty command")
        if not first and isinstance(args[0], _CONSTANTS):
            raise self._error("non executable command in pipeline: a stage must be a function")
        return Command(tuple(args))

    def _operand(self) -> Operand | None:
        base = self._term()
        if base is None or self._peek().kind is not T.FIELD:
            return base
        path: list[str] = []
        while self._peek().kind is T.FIELD:
            path.append(self._next().text[1:])
        return self._chained(base, tuple(path))

    def _chained(self, base: Operand, path: tuple[str, ...]) -> Operand:
        if isinstance(base, Field):
            return Field(base.path + path)
        if isinstance(base, Variable):
            return Variable(base.name, base.path + path)
        if isinstance(base, _CONSTANTS):
            raise self._error(f"unexpected .{path[0]} after a constant")
        return Chain(base, path)

    def _term(self) -> Operand | None:
        token = self._solid()
        term: Operand
        match token.kind:
            case T.NAME:
                term = self._function(token)
            case T.DOT:
                term = Dot()
            case T.FIELD:
                term = Field((token.text[1:],))
            case T.VARIABLE:
                term = self._variable(token)
            case T.BOOL | T.NUMBER | T.CHAR | T.STRING:
                term = self._literal(token)
            case T.OPEN:
                term = self._parenthesised()
            case T.KEYWORD if token.text == "nil":
                term = Nil()
            case _:
                self._at -= token.kind is not T.END
                return None
        return term

    def _parenthesised(self) -> Pipe:
        self._deeper()
        pipe = self._pipeline("parenthesized pipeline", T.CLOSE)
        self._depth -= 1
        return pipe

    def _function(self, token: Token) -> Name:
        if token.text not in self._functions:
            raise self._error(f"function {token.text!r} not defined", token.line)
        return Name(token.text)

    def _variable(self, token: Token) -> Variable:
        if token.text not in self._scope.names:
            raise self._error(f"undefined variable {token.text!r}", token.line)
        return Variable(token.text)

    def _literal(self, token: Token) -> Literal:
        try:
            match token.kind:
                case T.BOOL:
                    return Literal(token.text == "true")
                case T.NUMBER:
                    return literals.number(token.text)
                case T.CHAR:
                    return literals.character(token.text)
            return Literal(literals.unquote(token.text))
        except InvalidInput as error:
            raise self._error(str(error), token.line) from error

    # ---- tokens

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._tokens[self._at]
        if token.kind is not T.END:
            self._at += 1
        return token

    def _solid_peek(self) -> Token:
        """Step over white space and return the token after it."""
        while self._tokens[self._at].kind is T.SPACE:
            self._at += 1
        return self._tokens[self._at]

    def _solid(self) -> Token:
        self._solid_peek()
        return self._next()

    def _expect(self, kind: T, context: str) -> None:
        token = self._solid()
        if token.kind is not kind:
            raise self._unexpected(token, context)

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEPTH:
            raise self._error(f"nested deeper than {_DEPTH} levels")

    def _unexpected(self, token: Token, context: str) -> TemplateError:
        shown = "EOF" if token.kind is T.END else repr(token.text[:40])
        return self._error(f"unexpected {shown} in {context}", token.line)

    def _error(self, message: str, line: int = 0) -> TemplateError:
        at = line or self._tokens[min(self._at, len(self._tokens) - 1)].line
        return TemplateError(message, template=self._name, line=at)


def parse(text: str, name: str, *, root: str, functions: Container[str]) -> dict[str, Template]:
    """Return the templates of `text`: each define, and the text around them as `root`.

    Raises TemplateError naming `name` and the line.
    """
    return Parser(text, name, functions).run(root)
