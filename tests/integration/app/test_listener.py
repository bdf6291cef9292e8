"""The listener says where it listens, or why it cannot, and leaves no socket behind."""

from __future__ import annotations

import asyncio
import socket

import pytest
from house import answers
from starlette.responses import PlainTextResponse

from tocsin.app.clock import SystemClock
from tocsin.app.server import CannotListen, Listener

APP = PlainTextResponse("here")


async def test_several_addresses_are_listened_on_and_a_free_port_is_told() -> None:
    listener = Listener(APP)
    await listener.start(["127.0.0.1:0", "127.0.0.1:0"])
    assert len(set(listener.addresses)) == 2
    for address in listener.addresses:
        assert await asyncio.to_thread(answers, f"http://{address}/") == (200, "here")
    assert listener.url == f"http://{listener.addresses[0]}"
    await listener.stop()
    await listener.stop()
    assert (await asyncio.to_thread(answers, f"{listener.url}/"))[0] == 0


async def test_an_ipv6_address_is_written_with_brackets() -> None:
    listener = Listener(APP)
    try:
        await listener.start(["[::1]:0"])
    except CannotListen:
        pytest.skip("this machine has no IPv6")
    assert listener.url.startswith("http://[::1]:")
    assert (await asyncio.to_thread(answers, f"{listener.url}/"))[0] == 200
    await listener.stop()


async def test_every_interface_is_called_by_the_hosts_name() -> None:
    listener = Listener(APP)
    await listener.start([":0"])
    assert listener.url.split(":")[1] == f"//{socket.gethostname()}"
    await listener.stop()


async def test_a_listener_that_never_started_stops() -> None:
    await Listener(APP).stop()


async def test_a_port_in_use_is_said_and_the_ports_before_it_are_free_again() -> None:
    first, second = Listener(APP), Listener(APP)
    await first.start(["127.0.0.1:0"])
    with pytest.raises(CannotListen, match=f"cannot listen on {first.addresses[0]}: "):
        await second.start(["127.0.0.1:0", first.addresses[0]])
    await second.stop()
    await first.stop()


async def test_a_host_that_does_not_exist_is_said() -> None:
    with pytest.raises(CannotListen, match=r"cannot listen on 192\.0\.2\.1:0: "):
        await Listener(APP).start(["192.0.2.1:0"])


async def test_the_clock_goes_on_and_sleeps_until_it_is_time() -> None:
    clock = SystemClock()
    before = clock.now()
    await clock.sleep_until(before)
    due = before.fromtimestamp(before.timestamp() + 0.02, before.tzinfo)
    await clock.sleep_until(due)
    assert clock.now() >= due
