"""The severities Tocsin understands in a `severity` label, worst first."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """How bad it is. Unknown spellings count as WARNING, an absent label as INFO."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


_SPELLINGS = {
    "critical": Severity.CRITICAL,
    "page": Severity.CRITICAL,
    "emergency": Severity.CRITICAL,
    "error": Severity.CRITICAL,
    "warning": Severity.WARNING,
    "warn": Severity.WARNING,
    "info": Severity.INFO,
    "none": Severity.INFO,
    "": Severity.INFO,
}


def severity_of(label: str) -> Severity:
    """Return the severity a `severity` label stands for; case does not matter."""
    return _SPELLINGS.get(label.lower(), Severity.WARNING)
