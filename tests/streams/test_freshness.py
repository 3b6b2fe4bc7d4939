"""Which stores are read on and which are restored in full: by the broker's time, whatever our own clock says."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
import rocksdict
from hypothesis import given
from hypothesis import strategies as st

from app import clock
from app.streams.engine import freshness
from app.streams.engine.freshness import ASKED, Freshness, StoreFacts, followed_ms, why_in_full
from app.streams.engine.producer import AppendResult
from app.streams.engine.store import ChangelogProgress, followed_of, is_new, offset_of, wipe, write_rows

PLACE, DAY_MS, NOW_MS = ("changelog", 3), 86_400_000, 1_800_000_000_000
FACTS = StoreFacts({"changelog": "id1"}, {"changelog": DAY_MS})


class Broker:
    """The leader of the changelog, by its own clock."""

    def __init__(self) -> None:
        self.appended: list[Any] = []

    async def changelog(self, topic: str, partition: int, rows: Sequence[Any]) -> AppendResult:
        self.appended.append((topic, partition, *rows))
        return AppendResult(100, NOW_MS)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Any]:
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    made = rocksdict.Rdict(str(tmp_path / "db"), options)
    yield made
    made.close()


def filled(db: Any, age_ms: int, log_id: str = "id1", offset: int = 7) -> Any:
    write_rows(db, [(b"a", b"row"), (b"\xfe" * 20, b"row")], offset, ChangelogProgress(NOW_MS - age_ms, log_id))
    return db


async def look(db: Any, end: int, facts: StoreFacts = FACTS) -> tuple[list[Any], Freshness, Broker]:
    broker = Broker()
    made = Freshness(broker)  # type: ignore[arg-type] # all that is used
    return await made.look({PLACE: db}, {PLACE: end}, facts), made, broker


@pytest.mark.parametrize("skew_ms", [-365 * DAY_MS, 0, 365 * DAY_MS])
@pytest.mark.parametrize(("age_ms", "wiped"), [(DAY_MS // 2, False), (DAY_MS * 91 // 100, True), (3 * DAY_MS, True)])
async def test_a_store_that_is_behind_for_almost_as_long_as_tombstones_are_kept_is_wiped_whatever_our_clock_says(
    age_ms: int, wiped: bool, skew_ms: int, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now_ms", lambda: NOW_MS + skew_ms)
    found, made, broker = await look(filled(db, age_ms), end=12)
    assert found == ([PLACE] if wiped else [])
    assert (is_new(db), dict(db.items()) == {}) == (wiped, wiped)
    assert broker.appended == [(*PLACE, (ASKED, None))] and made.read_ms == {PLACE: NOW_MS}


async def test_one_that_lacks_nothing_is_not_asked_about_however_old(db: Any) -> None:
    found, made, broker = await look(filled(db, 365 * DAY_MS), end=8)
    assert (found, made.read_ms, broker.appended) == ([], {}, []) and offset_of(db) == 7


async def test_a_new_one_is_read_from_the_beginning_and_notes_since_when(db: Any) -> None:
    """So that a restore which a crash ends in the middle goes on where it was: what it read was as of then."""
    found, made, _ = await look(db, end=12)
    assert (found, made.read_ms) == ([], {PLACE: NOW_MS})


async def test_one_of_an_older_build_and_one_whose_retention_kafka_does_not_tell_are_wiped(db: Any) -> None:
    filled(db, 0)
    assert (await look(db, 12, StoreFacts({}, {})))[0] == [PLACE]
    filled(db, 0)
    db.delete(b"__faust\0followed__")
    assert (await look(db, 12))[0] == [PLACE]


async def test_one_of_another_changelog_of_that_name_ends_the_process(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(why: str, code: int) -> NoReturn:
        raise SystemExit(f"{code} {why}")

    monkeypatch.setattr(freshness, "die", die)
    with pytest.raises(SystemExit, match="78 the rows of changelog-3 are of a former one"):
        await look(filled(db, 0, log_id="id0"), end=8)
    assert (await look(filled(db, 0, log_id=""), end=8))[0] == []


def test_wiping_leaves_nothing_and_what_is_written_after_it_stays(db: Any) -> None:
    wipe(filled(db, 0))
    assert followed_of(db) is None and offset_of(db) == -1 and dict(db.items()) == {}
    filled(db, 5, offset=2)
    assert (followed_of(db), offset_of(db), db.get(b"a")) == (ChangelogProgress(NOW_MS - 5, "id1"), 2, b"row")


@given(st.integers(0, 10**13), st.integers(0, 10**13), st.integers(1, 10**12))
def test_no_store_is_read_on_that_followed_for_the_last_time_before_tombstones_could_have_gone(now, at, kept):
    if now - at >= kept:
        assert why_in_full(ChangelogProgress(at, "id1"), now, kept)
    if why_in_full(ChangelogProgress(at, "id1"), now, kept):
        assert now - at >= kept * 0.9


def test_a_restore_that_was_cut_short_followed_until_its_last_record_and_not_until_now() -> None:
    """A tombstone that it did not reach may be hardly younger than that record, and be compacted away soon."""
    old_ms = NOW_MS - DAY_MS
    assert followed_ms(6, old_ms, 9, NOW_MS) == followed_ms(6, old_ms, None, NOW_MS) == old_ms
    assert why_in_full(ChangelogProgress(old_ms, "id1"), NOW_MS, DAY_MS) != ""


def test_a_whole_restore_followed_until_its_reading_began() -> None:
    assert followed_ms(9, NOW_MS - DAY_MS, 9, NOW_MS) == NOW_MS
    assert followed_ms(9, NOW_MS + 5, 9, NOW_MS) == NOW_MS + 5
