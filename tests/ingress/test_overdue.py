"""One timer for many waits: what ends in time is given, what does not raises, and a cancel from outside stays one."""

import asyncio

import pytest

from app.ingress.overdue import Overdue


async def given(value: int) -> int:
    return value


async def test_what_ends_in_time_is_given_and_its_own_fault_is_its_own() -> None:
    limit = Overdue(30.0)
    assert await asyncio.gather(*(limit.wait(given(n)) for n in range(5))) == list(range(5))
    future = asyncio.get_running_loop().create_future()
    future.set_exception(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await limit.wait(future)


async def test_what_does_not_end_raises_and_the_task_goes_on() -> None:
    limit = Overdue(0.05)

    async def late() -> str:
        try:
            await limit.wait(asyncio.Event().wait())
        except TimeoutError:
            return await limit.wait(asyncio.sleep(0, "on"))
        return "never"

    assert await asyncio.gather(*(late() for _ in range(3))) == ["on"] * 3
    task = asyncio.current_task()
    assert task is not None and task.cancelling() == 0


async def test_a_cancel_from_outside_stays_a_cancel() -> None:
    task = asyncio.create_task(Overdue(30.0).wait(asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
