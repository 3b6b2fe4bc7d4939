"""The HTTP tap: exchanges are whole however their bytes are cut, and paired in order."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ops.chaos.tap import Exchange, HttpTap, header

UP = (
    b"POST /a?m=x HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nfirst"
    b"POST /b HTTP/1.1\r\ncontent-length: 6\r\n\r\nsecond"
)
DOWN = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 204 No Content\r\n\r\n"


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]


@given(st.lists(st.integers(0, 1000)), st.lists(st.integers(0, 1000)))
def test_exchanges_are_whole_however_the_bytes_are_cut(ups, downs):
    asked: list[Exchange] = []
    answered: list[Exchange] = []
    tap = HttpTap(asked.append, answered.append)
    for data in pieces(UP, ups):
        tap.up(data)
    assert [(e.method, e.target, e.body) for e in asked] == [("POST", "/a?m=x", b"first"), ("POST", "/b", b"second")]
    for data in pieces(DOWN, downs):
        tap.down(data)
    assert [(e.target, e.status, e.answer) for e in answered] == [("/a?m=x", 201, b"ok"), ("/b", 204, b"")]
    assert all(e.answered_ms >= e.asked_ms for e in answered)


def test_a_request_without_an_answer_is_asked_and_not_answered():
    asked: list[Exchange] = []
    answered: list[Exchange] = []
    tap = HttpTap(asked.append, answered.append)
    tap.up(UP)
    tap.down(DOWN[:30])
    assert len(asked) == 2
    assert answered == [] and asked[0].answered_ms == 0


def test_the_headers_of_a_request_are_kept_and_found_by_name():
    seen = []
    tap = HttpTap(seen.append, lambda _: None)
    tap.up(b"POST /x HTTP/1.1\r\nHost: a\r\nX-Twilio-Signature:  s=\r\nContent-Length: 2\r\n\r\nab")
    assert header(seen[0].head, "x-twilio-signature") == "s=" and header(seen[0].head, "nothing") == ""
