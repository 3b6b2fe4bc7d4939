"""The poison guard: a record that ends the process again and again is set aside instead of being read for ever.

A death that the crash marker blames on records makes them suspects. Suspects are taken one record at a time, so that
the next death names one record. The third death that a record is part of sets it aside: it becomes a dead letter at
the next start, and its contact is frozen. A record that gets through is suspect no longer once that is committed.
Counts are kept in the data directory, and travel with the partition in the metadata of its commits, so that a
rebalance does not begin anew.
"""

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import structlog

from app.durable.atomic_file import write_durably
from app.streams.engine.crash_marker import Death, Work, WorkStage

DEATHS = 3
# What fits the metadata of a commit (4,096 bytes by the broker's default): a suspect takes about 80.
MOST = 24

_log = structlog.get_logger("app.streams.engine")
Place = tuple[str, int]


class Suspect(msgspec.Struct, frozen=True, array_like=True):
    """Offsets `first` to `last` of a partition, in hand at `deaths` deaths; `at_ms`: log time of the first, which tells
    a re-created topic from the one that was meant. `reading`: as a batch that was read, else as records that were
    folded; a batch that is set aside has no keys, so that no contact could freeze for a record of it."""

    first: int
    last: int
    at_ms: int
    deaths: int
    reading: bool = False

    def holds(self, other: "Suspect") -> bool:
        """Whether the other's offsets lie within, and the same was done to them."""
        return self.reading == other.reading and self.first <= other.first and other.last <= self.last


_Kept = list[tuple[str, int, list[Suspect]]]


class PoisonGuard:
    """`directory`: the data directory, where counts survive a restart."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "suspects.json"
        self._suspects: dict[Place, list[Suspect]] = {}
        # Commits happen in the consumer's thread; lists are replaced, never changed, so that readers need no lock.
        self._changes = threading.Lock()
        for topic, partition, suspects in self._kept():
            self._suspects[topic, partition] = suspects

    def _kept(self) -> _Kept:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Kept) if self._path.exists() else []
        except (msgspec.DecodeError, RecursionError) as error:
            # Counts begin anew: a start must not fail for them.
            _log.error("suspects.unreadable", error=type(error).__name__)
            return []

    def count(self, deaths: Iterable[Death], trace: Sequence[str] = ()) -> None:
        """Deaths of an earlier process; `trace`: where its interpreter crashed, for the log."""
        for death in deaths:
            suspect = self._counted(death)
            where = {"topic": death.work.topic, "partition": death.work.partition, "stage": death.stage.name.lower()}
            counted = {"first": suspect.first, "last": suspect.last, "deaths": suspect.deaths}
            cause = death.cause.name.lower()
            _log.error("process.died_at_records", cause=cause, trace=list(trace), **where, **counted)
            self._save()

    def _counted(self, death: Death) -> Suspect:
        _, _, first, last, at_ms = death.work
        place = death.work[:2]
        one = Suspect(first, last, at_ms, 1, death.stage is WorkStage.READ)
        suspects = self._suspects.setdefault(place, [])
        before = max((wider.deaths for wider in suspects if wider.holds(one)), default=0)
        suspect = msgspec.structs.replace(one, deaths=1 + before)
        self._suspects[place] = [suspect, *(other for other in suspects if not suspect.holds(other))][:MOST]
        return suspect

    def watches(self, topic: str, partition: int) -> bool:
        """Whether any record of the partition is suspect: then it is read record by record, so that each of them can be
        committed by itself."""
        return (topic, partition) in self._suspects

    def careful(self, topic: str, partition: int, offset: int) -> bool:
        """Whether the record must be taken alone: it, or one before whose fate it may share, was part of a death."""
        return any(offset <= one.last for one in self._suspects.get((topic, partition), ()))

    def condemned(self, topic: str, partition: int, offset: int, at_ms: int) -> int:
        """How many deaths the fold of this record alone caused, if they set it aside; else 0."""
        return self._deadly(Suspect(offset, offset, at_ms, DEATHS), (topic, partition))

    def committed(self, topic: str, partition: int, offset: int) -> None:
        """What lies before `offset` is committed: folded and durable, or set aside, and never read again."""
        with self._changes:
            suspects = self._suspects.get((topic, partition), [])
            left = [one for one in suspects if one.last >= offset]
            if left != suspects:
                self._put((topic, partition), left)

    def _put(self, place: Place, suspects: list[Suspect]) -> None:
        self._suspects[place] = suspects
        if not suspects:
            del self._suspects[place]
        self._save()

    def metadata(self, topic: str, partition: int, offset: int) -> str:
        """For the commit of `offset`: what is suspect from there on; empty without suspects."""
        suspects = [one for one in self._suspects.get((topic, partition), ()) if one.last >= offset]
        return msgspec.json.encode(suspects).decode() if suspects else ""

    def condemned_batch(self, work: Work) -> int:
        """How many deaths the reading of this batch caused, if they set it aside; else 0."""
        return self._deadly(Suspect(*work[2:], deaths=DEATHS, reading=True), (work.topic, work.partition))

    def _deadly(self, wanted: Suspect, place: Place) -> int:
        for one in self._suspects.get(place, ()):
            if one.deaths >= DEATHS and msgspec.structs.replace(one, deaths=DEATHS) == wanted:
                return one.deaths
        return 0

    def learn(self, topic: str, partition: int, metadata: str, begin: int) -> None:
        """What the last commit of the partition says, perhaps another worker's; `begin`: the first offset to be read.

        Metadata that other software wrote says nothing. Suspects before `begin` were completed by another owner.
        """
        try:
            told = msgspec.json.decode(metadata or "[]", type=list[Suspect])
        except (msgspec.DecodeError, RecursionError):
            return
        with self._changes:
            known = {_what(one): one for one in self._suspects.get((topic, partition), ())}
            for one in told:
                if (mine := known.get(_what(one))) is None or mine.deaths < one.deaths:
                    known[_what(one)] = one
            if known:
                self._put((topic, partition), [one for one in known.values() if one.last >= begin][:MOST])

    def forget(self, topic: str, partition: int) -> None:
        """The partition is somebody else's: the commit told them, and what stays here would be out of date."""
        with self._changes:
            if self._suspects.pop((topic, partition), None):
                self._save()

    def _save(self) -> None:
        """Atomically: a counter that a power cut empties would begin anew."""
        kept = [(topic, partition, suspects) for (topic, partition), suspects in self._suspects.items()]
        write_durably(self._path, msgspec.json.encode(kept))


def _what(suspect: Suspect) -> tuple[int, int, bool]:
    return suspect.first, suspect.last, suspect.reading
