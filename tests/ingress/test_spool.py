"""The spool on a real disk: in order, across processes, with torn and damaged files, and never in plain text."""

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.durable.framed_file import read_frames
from app.ingress.durable import spool as module
from app.ingress.durable.record import LogRecord
from app.ingress.durable.spool import Spool
from app.records.seal import Sealer

SEALER = Sealer({"k1": b"k" * 32})
PLAIN = frozenset({"notify.requests"})


def spool(path: Path, sealer: Sealer = SEALER) -> Spool:
    return Spool(path, sealer, PLAIN)


def record(n: int, topic: str = "contacts", size: int = 20) -> LogRecord:
    return LogRecord(topic, b"key", f"{n:06d}".encode().ljust(size, b"."), [("ce_id", b"1")])


async def keep(kept: Spool, *records: LogRecord) -> None:
    await asyncio.gather(*(kept.append(one) for one in records))


def drain(kept: Spool, most: int | None = None) -> list[LogRecord]:
    found: list[LogRecord] = []
    while (chunk := kept.head(most)) is not None:
        found += chunk.records
        kept.sent(chunk)
    return found


async def test_what_is_appended_is_read_back_in_order_and_then_gone(tmp_path: Path) -> None:
    kept, records = spool(tmp_path), [record(n) for n in range(500)]
    await keep(kept, *records)
    assert not kept.empty and drain(kept) == records
    assert kept.empty and list(tmp_path.iterdir()) == []


async def test_a_record_is_on_disk_when_its_append_returns(tmp_path: Path) -> None:
    kept = spool(tmp_path)
    await kept.append(record(7))
    assert b"000007" in next(tmp_path.iterdir()).read_bytes()


async def test_what_comes_while_the_spool_is_read_goes_behind_what_is_in_it(tmp_path: Path) -> None:
    kept = spool(tmp_path)
    await keep(kept, record(1), record(2))
    chunk = kept.head()
    await keep(kept, record(3))
    assert chunk is not None and chunk.records == [record(1), record(2)]
    kept.sent(chunk)
    assert drain(kept) == [record(3)]


async def test_an_append_on_its_way_to_the_disk_keeps_the_spool_from_being_empty(tmp_path: Path) -> None:
    kept = spool(tmp_path)
    task = kept.append(record(1))
    await asyncio.sleep(0)
    assert not kept.empty
    await task
    assert not kept.empty and drain(kept) == [record(1)]


async def test_p4_the_next_process_takes_over_in_the_order_of_the_files(tmp_path: Path) -> None:
    for n in range(3):
        dead = spool(tmp_path / "copy")
        await keep(dead, record(2 * n), record(2 * n + 1))
        dead.close()
        for path in (tmp_path / "copy").glob("*.spool"):
            path.rename(tmp_path / f"{n:013d}-1-abcd.spool")
    heir = spool(tmp_path)
    await keep(heir, record(6))
    assert drain(heir) == [record(n) for n in range(7)]
    assert list(tmp_path.glob("*.spool")) == []


HOLD = """
import asyncio, sys
from pathlib import Path
from tests.ingress.test_spool import keep, record, spool
kept = spool(Path(sys.argv[1]))
asyncio.run(keep(kept, record(1), record(2)))
print("kept", flush=True)
sys.stdin.read()
"""


async def test_a_file_of_a_living_process_is_left_alone_and_taken_once_it_was_killed(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLD, str(tmp_path)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert process.stdout is not None and await process.stdout.readline() == b"kept\n"
    beside = spool(tmp_path)
    assert beside.empty
    process.kill()
    await process.wait()
    assert drain(spool(tmp_path)) == [record(1), record(2)]


async def test_p4_processes_that_come_and_go_on_one_directory_lose_nothing_between_them(tmp_path: Path) -> None:
    """Each file is read out by one of them, and one that goes while another opens it stops nobody."""
    over, found = threading.Event(), list[LogRecord]()

    def others() -> None:
        while not over.is_set():
            heir = spool(tmp_path)
            found.extend(drain(heir))
            heir.close()

    beside = asyncio.get_running_loop().run_in_executor(None, others)
    for n in range(300):
        here = spool(tmp_path)
        await keep(here, record(n))
        if n % 2:
            found.extend(drain(here))
        here.close()
    over.set()
    await beside
    found.extend(drain(spool(tmp_path)))
    assert {int(one.value[:6]) for one in found} == set(range(300)) and list(tmp_path.iterdir()) == []


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 200))
def test_a_torn_last_frame_is_dropped_and_all_before_it_is_kept(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("torn")
    asyncio.run(keep(dead := spool(path), *(record(n, size=100) for n in range(5))))
    dead.close()
    [file] = path.glob("*.spool")
    size = file.stat().st_size
    os.truncate(file, size - cut)
    heir = spool(path)
    whole = (size - cut) // (size // 5)
    assert drain(heir) == [record(n, size=100) for n in range(whole)]
    assert heir.empty and not list(path.glob("*.spool"))


async def test_what_is_damaged_is_set_aside_and_what_stands_in_other_files_still_goes_out(tmp_path: Path) -> None:
    dead = spool(tmp_path)
    await keep(dead, *(record(n, size=100) for n in range(5)))
    dead.close()
    [file] = tmp_path.glob("*.spool")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)
    heir = spool(tmp_path)
    await keep(heir, record(9))
    assert drain(heir) == [record(0, size=100), record(1, size=100), record(9)]
    [aside] = tmp_path.iterdir()
    assert aside.suffix == ".aside" and aside.read_bytes() == data


async def test_zeros_after_a_power_cut_are_no_records(tmp_path: Path) -> None:
    dead = spool(tmp_path)
    await keep(dead, record(1))
    dead.close()
    [file] = tmp_path.glob("*.spool")
    with file.open("ab") as end:
        end.write(bytes(4096))
    assert len(list(read_frames(file))) == 1
    assert drain(spool(tmp_path)) == [record(1)]


async def test_p8_a_request_is_sealed_on_disk_and_opened_on_its_way_out(tmp_path: Path) -> None:
    kept, asked = spool(tmp_path), LogRecord("notify.requests", b"k", b'{"to":"+14155550123","body":"my text"}')
    await keep(kept, asked)
    [file] = tmp_path.iterdir()
    assert b"4155550123" not in file.read_bytes() and b"my text" not in file.read_bytes()
    assert oct(file.stat().st_mode & 0o777) == "0o600"
    assert drain(kept) == [asked]


async def test_a_request_whose_seal_key_is_gone_is_set_aside_not_lost(tmp_path: Path) -> None:
    dead = spool(tmp_path)
    await keep(dead, LogRecord("notify.requests", b"k", b"{}"))
    dead.close()
    assert drain(spool(tmp_path, Sealer({"k2": b"x" * 32}))) == []
    [aside] = tmp_path.glob("*.aside")
    aside.rename(aside.with_suffix(".spool"))
    assert drain(spool(tmp_path)) == [LogRecord("notify.requests", b"k", b"{}")]


@pytest.mark.parametrize("most", [None, 1, 2])
@pytest.mark.parametrize("unreadable", [{0}, {0, 1, 2}, {2}, {1, 3}, {4}])
async def test_records_that_cannot_be_opened_are_set_aside_alone(
    tmp_path: Path, unreadable: set[int], most: int | None
) -> None:
    dead = spool(tmp_path)
    all_of = [LogRecord("notify.requests" if n in unreadable else "plain", b"k", b'{"n":%d}' % n) for n in range(5)]
    await keep(dead, *all_of)
    dead.close()
    other = spool(tmp_path, Sealer({"k2": b"x" * 32}))
    assert drain(other, most) == [one for n, one in enumerate(all_of) if n not in unreadable]
    assert other.empty and not list(tmp_path.glob("*.spool"))
    for aside in tmp_path.glob("*.aside"):
        aside.rename(aside.with_suffix(".spool"))
    assert drain(spool(tmp_path)) == [all_of[n] for n in sorted(unreadable)]


async def test_a_record_longer_than_a_chunk_is_read_whole(tmp_path: Path) -> None:
    kept = spool(tmp_path)
    records = [record(1), record(2, size=3 * module.READ_BYTES), record(3)]
    await keep(kept, *records)
    assert drain(kept) == records


async def test_a_full_file_is_followed_by_another_and_goes_once_it_is_read(tmp_path: Path) -> None:
    kept = spool(tmp_path)
    for n in range(3):
        await keep(kept, record(n, size=module.FILE_BYTES))
    assert len(list(tmp_path.iterdir())) == 3
    chunk = kept.head()
    assert chunk is not None
    kept.sent(chunk)
    assert len(list(tmp_path.iterdir())) == 2
    assert [one.value[:6] for one in drain(kept)] == [b"000001", b"000002"]


async def test_p4_a_disk_that_refuses_says_so_and_what_was_promised_before_stays(tmp_path: Path) -> None:
    """A file-size limit makes the disk full, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FULL, str(tmp_path)), stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."}
    )
    said, _ = await process.communicate()
    assert said.decode().split() == ["kept", "refused", "kept"]
    assert drain(spool(tmp_path)) == [record(1), record(3)]


FULL = """
import asyncio, resource, signal, sys
from pathlib import Path
from tests.ingress.test_spool import record, spool

async def main():
    kept = spool(Path(sys.argv[1]))
    await kept.append(record(1)); print("kept")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    try:
        await kept.append(record(2, size=2000)); print("kept")
    except OSError:
        print("refused")
    await kept.append(record(3)); print("kept", flush=True)

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
asyncio.run(main())
"""
