"""Times survive the way into a database and back."""

from datetime import UTC, datetime, timezone

from hypothesis import given
from hypothesis import strategies as st

from tocsin.storage.micros import from_micros, to_micros


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_time_comes_back_exactly(at: datetime) -> None:
    assert from_micros(to_micros(at)) == at


def test_the_zone_does_not_matter() -> None:
    at = datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert to_micros(at.astimezone(timezone.max)) == to_micros(at)
