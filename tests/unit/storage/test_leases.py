"""A row is in one pair of hands at a time."""

from datetime import UTC, datetime, timedelta

from tocsin.storage.sqlite.leases import LEASE, Leases

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_taken_row_is_held_until_it_is_released() -> None:
    leases = Leases()
    assert leases.take("n", T0)
    assert leases.held(T0) == leases.ids() == ["n"]
    leases.release("n")
    assert leases.held(T0) == []


def test_a_lease_ends_by_itself() -> None:
    leases = Leases()
    leases.take("n", T0)
    assert leases.first_end() == T0 + LEASE
    assert leases.held(T0 + LEASE - timedelta(microseconds=1)) == ["n"]
    assert leases.held(T0 + LEASE) == []
    assert leases.first_end() is None


async def test_a_row_settled_while_a_claim_reads_is_not_handed_out_by_it() -> None:
    leases = Leases()
    leases.take("n", T0)
    async with leases.claiming:
        leases.held(T0)
        leases.release("n")
        assert not leases.take("n", T0)
    async with leases.claiming:
        leases.held(T0)
        assert leases.take("n", T0)
