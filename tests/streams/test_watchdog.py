"""Liveness: only work without progress is a stall."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import httpx

from app.streams.engine.crash_marker import CrashMarker
from app.streams.engine.engine import PROGRESS_ROWS, Engine, EngineHealth
from app.streams.engine.poison_guard import PoisonGuard
from app.streams.engine.process_context import ProcessContext
from app.streams.engine.watchdog import Pulse, Stall
from app.streams.monitoring import health as worker_health


def _health(*, waiting: int = 0, progress: int = 7, restoring: bool = False, lease_s: float = 8.0) -> EngineHealth:
    return EngineHealth(
        assigned=8,
        recovering=restoring,
        restoring=restoring,
        waiting=waiting,
        lease_s=lease_s,
        progress=progress,
        idle_s=99.0,
    )


def _looks(stall: Stall, seen: Sequence[EngineHealth], from_s: float = 0.0) -> list[bool]:
    return [stall.look(from_s + second, health) for second, health in enumerate(seen)]


def test_slices_that_wait_without_progress_beyond_the_limit_are_a_stall() -> None:
    looks = _looks(Stall(30.0), [_health(waiting=1)] * 40)
    assert not any(looks[:31])
    assert all(looks[32:])


def test_a_quiet_worker_is_not_stalled_when_its_first_slice_comes() -> None:
    stall = Stall(30.0)
    _looks(stall, [_health()] * 300)
    assert not stall.look(300.0, _health(waiting=1))
    assert not stall.look(301.0, _health(waiting=1))


def test_to_read_many_rows_at_the_start_is_a_progress_all_along(tmp_path: Path) -> None:
    shared = ProcessContext(producer=None, marker=CrashMarker(tmp_path), guard=PoisonGuard(tmp_path))  # type: ignore[arg-type] # it is not asked
    engine = Engine([], None, shared)  # type: ignore[arg-type] # nor is the lease
    seen: list[int] = []

    def watermark(row: bytes) -> int:
        seen.append(engine.progress())
        return int(row)

    rows = SimpleNamespace(items=lambda: ((b"key", b"%d" % (n % 7)) for n in range(3 * PROGRESS_ROWS)))
    assert engine._read_highest(watermark, rows) == 6  # type: ignore[arg-type] # rows of a store
    assert (seen[1], seen[-1]) == (1, 3)


def test_progress_begins_the_time_anew() -> None:
    looks = _looks(Stall(30.0), [_health(waiting=3, progress=second // 25) for second in range(200)])
    assert not any(looks)


def test_a_recovery_that_advances_passes_and_one_that_stands_still_does_not() -> None:
    assert not any(_looks(Stall(30.0), [_health(restoring=True, progress=n) for n in range(600)]))
    assert _looks(Stall(30.0), [_health(restoring=True)] * 60)[-1]


def test_while_the_broker_is_away_waiting_is_right() -> None:
    assert not any(_looks(Stall(30.0), [_health(waiting=1, lease_s=-5.0)] * 600))


def test_a_process_that_was_paused_gets_its_time_to_go_on() -> None:
    stall = Stall(30.0)
    _looks(stall, [_health(waiting=1)] * 5)
    assert not stall.look(3600.0, _health(waiting=1))
    assert not any(_looks(stall, [_health(waiting=1)] * 20, from_s=3601.0))


def test_a_loop_that_does_not_turn_for_longer_than_the_limit_is_blocked_and_a_turn_begins_the_time_anew() -> None:
    pulse = Pulse(3.0, lambda: 7)
    assert [pulse.blocked() for _ in range(5)] == [False, False, False, False, True]
    pulse.beat()
    assert [pulse.blocked() for _ in range(5)] == [False, False, False, False, True]


def test_rows_of_one_partition_after_another_may_hold_the_loop_for_longer() -> None:
    advancing = iter(range(1_000))
    pulse = Pulse(3.0, lambda: next(advancing))
    assert not any(pulse.blocked() for _ in range(100))


async def test_a_stalled_worker_fails_its_health_and_one_that_advances_again_passes() -> None:
    stall = Stall(30.0)
    served = await worker_health.serve(SimpleNamespace(stall=stall), (), "127.0.0.1", 0)  # type: ignore[arg-type]
    await served.listening()
    async with httpx.AsyncClient(base_url=served.url) as client:
        answers = [await client.get("/healthz")]
        _looks(stall, [_health(waiting=1)] * 40)
        answers.append(await client.get("/healthz"))
        stall.look(41.0, _health(waiting=1, progress=8))
        answers.append(await client.get("/healthz"))
    await served.stop()
    assert [answer.status_code for answer in answers] == [200, 503, 200] and answers[1].text == "no progress"
