"""What one load finds out besides the configuration: problems, warnings, files read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tocsin.config_loader.files import Files, Sources
from tocsin.config_loader.tree import ListNode, MapNode, Place, Section, places
from tocsin.model.errors import ConfigError, Problem
from tocsin.model.settings import Finding, PathPart

_Spot = tuple[str, int, int]


class Refused(ConfigError):
    """A load failed. `sources` is what it read: a change there may mend it, so watch them."""

    def __init__(self, problems: Iterable[Problem], sources: Sources) -> None:
        super().__init__(in_file_order(problems))
        self.sources = sources


@dataclass(slots=True)
class Report:
    """Collects over all files of one load; the loader raises once, with everything.

    What a stage finds where decoding has failed already is not told: it would be a
    consequence (a mistyped key, then "a required value is missing").
    """

    files: Files = field(default_factory=Files)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    _torn: set[_Spot] = field(default_factory=set)

    def broken(self, problems: Iterable[Problem]) -> None:
        """Note what could not be decoded; one problem a place is enough."""
        fresh = [p for p in problems if (p.file, p.line, p.column) not in self._torn]
        self.problems += fresh
        self._torn.update((p.file, p.line, p.column) for p in fresh)

    def fault(self, section: Section, message: str, *path: PathPart) -> None:
        """Note a problem at `path` below `section`."""
        self.take(section, [Finding(path, message)])

    def warn(self, section: Section, message: str, *path: PathPart) -> None:
        """Note a warning at `path` below `section`."""
        self.warnings.append(section.problem(Finding(path, message)))

    def take(self, section: Section, findings: Iterable[Finding], *under: PathPart) -> None:
        """Note what a stage found in the part of `section` at `under`."""
        for finding in findings:
            placed = finding.under(*under)
            if not self._is_torn(section.at(*placed.path)):
                self.problems.append(section.problem(placed))

    def sound(self, section: Section, key: str) -> bool:
        """Tell whether an entry of a mapping, and all below it, was decoded without a fault."""
        if not isinstance(section.node, MapNode):
            return False
        entry = section.node.entries.get(key)
        return entry is None or self._are_sound(section.file, (entry.key, *places(entry.value)))

    def _is_torn(self, section: Section) -> bool:
        """Tell whether a scalar, or an entry right below a mapping or list, failed to decode."""
        node, near = section.node, [section.node.place]
        if isinstance(node, MapNode):
            near += [p for e in node.entries.values() for p in (e.key, e.value.place)]
        elif isinstance(node, ListNode):
            near += [item.place for item in node.items]
        return not self._are_sound(section.file, near)

    def _are_sound(self, file: str, spots: Iterable[Place]) -> bool:
        return all((file, spot.line, spot.column) not in self._torn for spot in spots)

    def raise_if_any(self) -> None:
        """Raise Refused with every problem, in file order, if there is one."""
        if self.problems:
            raise self.refused()

    def refused(self, *more: Problem) -> Refused:
        """Return the error that ends the load, with `more` problems."""
        return Refused([*self.problems, *more], self.files.sources())


def in_file_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort by place; files stay in the order they first appear in. Repeats are dropped."""
    once = list(dict.fromkeys(problems))
    files = list(dict.fromkeys(problem.file for problem in once))
    return tuple(sorted(once, key=lambda p: (files.index(p.file), p.line, p.column)))
