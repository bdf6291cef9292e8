"""A long round lets others work in between."""

import asyncio
import time

from tocsin.rule_engine.rounds import Turn


async def worked_meanwhile(turn: Turn) -> bool:
    done: list[bool] = []
    asyncio.get_running_loop().call_soon(done.append, True)
    await turn.pause()
    return bool(done)


async def test_a_task_that_worked_for_long_makes_way() -> None:
    turn = Turn(time.perf_counter() - 1)
    assert await worked_meanwhile(turn)


async def test_a_task_that_has_just_begun_goes_on() -> None:
    turn = Turn(time.perf_counter() + 1000)
    assert not await worked_meanwhile(turn)
