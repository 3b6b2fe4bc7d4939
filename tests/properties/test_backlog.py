"""What waits for its cycle: nothing is lost, doubled or reordered, however it is taken."""

from hypothesis import given
from hypothesis import strategies as st

from app.streams.engine.agent import Input
from app.streams.engine.backlog import Backlog, Slice

SIZES = st.lists(st.integers(0, 5), max_size=8)
STEPS = st.lists(st.tuples(st.integers(1, 7), st.booleans()), max_size=30)


def slices(sizes: list[int], acked: list[int]) -> list[Slice]:
    made, offset = [], 0
    for number, size in enumerate(sizes):
        records = [Input("in", 0, offset + n, 0, None, b"", []) for n in range(size)]
        made.append(Slice(records, offset, offset + size - 1, lambda number=number: acked.append(number)))
        offset += size
    return made


@given(SIZES, STEPS)
def test_records_come_in_order_and_slices_are_acked_once_all_of_theirs_are_settled(sizes, steps):
    acked, backlog, settled = list[int](), Backlog(), list[int]()
    for piece in slices(sizes, acked):
        backlog.add(piece)
    for count, fails in [*steps, *[(7, False)] * 10]:
        records = backlog.next(count)
        backlog.taken += len(records)
        assert [record.offset for record in backlog.in_hand()] == [record.offset for record in records]
        assert backlog.last_in_hand() == (records[-1].offset if records else -1)
        if fails:
            backlog.rewind()
            continue
        settled += [record.offset for record in records]
        for piece in backlog.settle():
            piece.ack()
        done = [n for n in range(len(sizes)) if sum(sizes[: n + 1]) <= len(settled)]
        assert acked == done
    assert settled == list(range(sum(sizes))) and len(backlog) == 0
