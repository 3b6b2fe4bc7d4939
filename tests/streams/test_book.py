"""The commit book: nothing is committed beyond what is done without a hole."""

from app.streams.engine.offset_tracker import OffsetTracker


def test_slices_done_out_of_order_are_committed_only_as_far_as_none_before_is_open():
    book = OffsetTracker()
    first, second, third = (book.delivered(start, start + 9) for start in (0, 10, 20))
    book.done(third)
    book.done(second)
    assert (book.committable(), len(book)) == (None, 3)
    book.done(first)
    assert (book.committable(), len(book)) == (30, 0)


def test_what_was_told_once_is_not_told_again():
    book = OffsetTracker()
    book.done(book.delivered(0, 9))
    assert [book.committable(), book.committable()] == [10, None]


def test_the_record_after_the_last_delivered_is_expected():
    book = OffsetTracker()
    assert book.expected is None
    book.delivered(5, 9)
    assert book.expected == 10
