"""A row is in one pair of hands at a time."""

from datetime import UTC, datetime, timedelta

from tocsin.storage.sqlite.leases import Leases

T0 = datetime(2026, 1, 1, tzinfo=UTC)
END = T0 + timedelta(minutes=1)


def test_a_taken_row_is_held_until_it_is_released() -> None:
    leases = Leases()
    assert leases.take("n", END)
    assert leases.held(T0) == leases.ids() == ["n"]
    leases.release("n")
    assert leases.held(T0) == []


def test_a_lease_ends_by_itself() -> None:
    leases = Leases()
    leases.take("n", END)
    assert leases.first_end() == END
    assert leases.held(END - timedelta(microseconds=1)) == ["n"]
    assert leases.held(END) == []
    assert leases.first_end() is None


async def test_a_row_settled_while_a_claim_reads_is_not_handed_out_by_it() -> None:
    leases = Leases()
    leases.take("n", END)
    async with leases.claiming:
        leases.held(T0)
        leases.release("n")
        assert not leases.take("n", END)
    async with leases.claiming:
        leases.held(T0)
        assert leases.take("n", END)
