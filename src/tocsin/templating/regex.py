"""Regular expressions inside templates: RE2, unanchored, metered.

Source: Go's regexp package documentation (ReplaceAllString, Expand). RE2 runs in linear time; the
meter bounds what a replacement may make.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from tocsin.model.pattern import compiled
from tocsin.templating.budget import Meter

_LONGEST = 1_000  # characters of a pattern
_MAX_MEM = 1 << 20  # bytes RE2 may use for one program
_LOOK = 256  # matches between two looks at the clock
_REFERENCE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})", re.ASCII)


def matches(pattern: str, text: str) -> bool:
    """Tell whether `pattern` matches anywhere in `text`. Raises InvalidInput."""
    return _compiled(pattern).search(text) is not None


def replace_all(pattern: str, replacement: str, text: str, meter: Meter) -> str:
    """Return `text` with every match replaced; `$1`, `${name}` and `$$` as in Go."""
    out: list[str] = []
    at, last = 0, -1
    for turn, found in enumerate(_compiled(pattern).finditer(text)):
        if turn % _LOOK == 0:
            meter.look_at_clock()
        start, end = found.span()
        if start == end == last:
            continue
        piece = text[at:start] + _expanded(replacement, found)
        meter.made(len(piece))
        out.append(piece)
        at = last = end
    return "".join(out) + text[at:]


def _expanded(replacement: str, found: Any) -> str:
    if "$" not in replacement:
        return replacement
    return _REFERENCE.sub(lambda reference: _group(reference, found), replacement)


def _group(reference: re.Match[str], found: Any) -> str:
    dollar, bare, braced = reference.groups()
    if dollar:
        return "$"
    name = bare or braced
    if name.isdigit():
        number = int(name[:9])
        return (found.group(number) or "") if number <= found.re.groups else ""
    return (found.group(name) or "") if name in found.re.groupindex else ""


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:  # re2 has no types
    return compiled(pattern, shown=pattern, longest=_LONGEST, max_mem=_MAX_MEM)
