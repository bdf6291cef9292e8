"""docs/reference/cli.md says what the commands say; run this file as a program to write it anew."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from tocsin.cli.main import main

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "cli.md"
MARK = "<!-- Written by tests/integration/docs/test_cli_reference.py; do not edit below. -->"


def test_every_verb_and_option_is_in_the_reference() -> None:
    _, mark, generated = PAGE.read_text().partition(MARK)
    assert mark, "the mark that divides the page is gone"
    assert generated == rendered(), (
        "write it anew: python tests/integration/docs/test_cli_reference.py"
    )


def test_every_verb_has_its_exit_codes() -> None:
    by_hand = PAGE.read_text().partition(MARK)[0]
    table = by_hand.partition("## Exit codes")[2]
    listed = re.findall(r"^\| `([a-z ]+)` \|", table, re.MULTILINE)
    assert listed == [name for name, _ in verbs(main)]


def rendered() -> str:
    """Return the generated part of the page."""
    return "\n\n" + "\n".join(line for name, verb in verbs(main) for line in section(name, verb))


def verbs(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command that does something, with its full name, in alphabetical order."""
    context = click.Context(group)
    for name in sorted(group.list_commands(context)):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from verbs(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def section(name: str, command: click.Command) -> Iterator[str]:
    """Yield the lines about one command."""
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    options = [p for p in command.params if isinstance(p, click.Option)]
    yield f"### `tocsin {' '.join([name, *(_written(a) for a in arguments)])}`"
    yield ""
    yield " ".join((command.help or "").split())
    yield ""
    if options:
        yield "| option | default | meaning |"
        yield "|---|---|---|"
        yield from (row(option) for option in options)
        yield ""


def row(option: click.Option) -> str:
    """Return the table row of one option."""
    names = ", ".join(f"`{name}`" for name in option.opts)
    kind = _kind(option)
    default = _default(option)
    cells = (f"{names} {kind}".strip(), default, " ".join((option.help or "").split()))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _written(argument: click.Argument) -> str:
    name = argument.human_readable_name.upper()
    return f"{name}…" if argument.nargs == -1 else name


def _kind(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        return ", ".join(f"`{choice}`" for choice in option.type.choices)
    kind = option.metavar or option.type.name.upper().replace(" RANGE", "")
    return f"{kind}…" if option.multiple else kind


def _default(option: click.Option) -> str:
    value = option.get_default(click.Context(click.Command("any")), call=False)
    if option.is_flag or not isinstance(value, str | int | float | Path | tuple | list):
        return ""
    values = value if isinstance(value, tuple | list) else (value,)
    return ", ".join(f"`{each}`" for each in values if str(each))


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text().partition(MARK)[0] + MARK + rendered())
