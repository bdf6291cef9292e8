"""What one load finds out besides the configuration: problems, warnings, files read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tocsin.config_loader.files import Files
from tocsin.config_loader.tree import MapNode, Section, places
from tocsin.model.errors import ConfigError, Problem
from tocsin.model.settings import Finding, PathPart


@dataclass(slots=True)
class Report:
    """Collects over all files of one load; the loader raises once, with everything."""

    files: Files = field(default_factory=Files)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def fault(self, section: Section, message: str, *path: PathPart) -> None:
        """Note a problem at `path` below `section`."""
        self.problems.append(section.problem(Finding(path, message)))

    def warn(self, section: Section, message: str, *path: PathPart) -> None:
        """Note a warning at `path` below `section`."""
        self.warnings.append(section.problem(Finding(path, message)))

    def take(self, section: Section, findings: Iterable[Finding], *under: PathPart) -> None:
        """Note what a stage found in the part of `section` at `under`."""
        self.problems += [section.problem(finding.under(*under)) for finding in findings]

    def sound(self, section: Section, *keys: str) -> bool:
        """Tell whether nothing was found so far in the entries `keys` of a mapping."""
        if not isinstance(section.node, MapNode):
            return False
        bad = {(p.line, p.column) for p in self.problems if p.file == section.file}
        entries = [section.node.entries[key] for key in keys if key in section.node.entries]
        within = (place for e in entries for place in (e.key, *places(e.value)))
        return not any((place.line, place.column) in bad for place in within)

    def raise_if_any(self) -> None:
        """Raise ConfigError with every problem, in file order, if there is one."""
        if self.problems:
            raise ConfigError(in_file_order(self.problems))


def in_file_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort by place; files stay in the order they first appear in. Repeats are dropped."""
    once = list(dict.fromkeys(problems))
    files = list(dict.fromkeys(problem.file for problem in once))
    return tuple(sorted(once, key=lambda p: (files.index(p.file), p.line, p.column)))
