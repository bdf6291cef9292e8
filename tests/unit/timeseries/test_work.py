"""Items of work: they end when the store is closed, and closing waits for the one under way."""

from __future__ import annotations

import threading

import pytest

from tocsin.timeseries.work import REST, Kind, Stopped, Workshop


def test_an_item_does_its_work() -> None:
    done: list[int] = []
    item = Workshop().item(Kind.SEAL, lambda: done.append(1))
    assert (item.kind, done) == (Kind.SEAL, [])
    item.run()
    REST.run()
    assert done == [1]


def test_nothing_begins_once_the_workshop_is_closed() -> None:
    shop = Workshop()
    item = shop.item(Kind.MERGE, lambda: pytest.fail("began"))
    shop.close()
    shop.close()
    with pytest.raises(Stopped):
        item.run()


def test_closing_waits_for_the_item_under_way() -> None:
    shop, begun, ended = Workshop(), threading.Event(), list[str]()

    def work() -> None:
        begun.set()
        try:
            while True:
                shop.check()
        except Stopped:
            ended.append("item")

    thread = threading.Thread(target=shop.item(Kind.SEAL, work).run)
    thread.start()
    begun.wait()
    shop.close()
    ended.append("closed")
    thread.join()
    assert ended == ["item", "closed"]
