"""P8's searcher finds what it is there to find: a leak test that cannot fail would promise nothing."""

import base64
import json
import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.leaks import CHUNK, Canary, Searcher, of_key, of_number

NUMBER, TEXT, KEY = "+12125550177", 'Grüße "0815" from/to €', "9f" * 32
CANARIES = [*of_number(NUMBER), Canary("text", TEXT), *of_key("key", KEY)]
SAID = {
    "a log line": f'{{"event":"x","to":"{NUMBER}"}}',
    "a number without +": "contact 12125550177 unknown",
    "a number as people write it": "call (212) 555-0177 now",
    "a query": "GET /status?" + urlencode({"To": NUMBER}),
    "a form": urlencode({"Body": TEXT}),
    "a form of another writer": re.sub("%..", lambda found: found[0].lower(), urlencode({"Body": TEXT})),
    "JSON in ASCII": json.dumps({"body": TEXT}),
    "JSON in UTF-8": json.dumps({"body": TEXT}, ensure_ascii=False),
    "an exception": str(ValueError([TEXT])),
    "an exception over bytes": str(ValueError(TEXT.encode())),
    "a key in capitals": KEY.upper(),
}


def found(data: bytes) -> set[str]:
    searcher = Searcher(CANARIES)
    searcher.look("somewhere", data)
    return {leak.kind for leak in searcher.leaks}


@pytest.mark.parametrize("where", SAID)
def test_a_canary_is_found_as_it_would_be_said(where: str) -> None:
    assert len(found(SAID[where].encode())) == 1


@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be", "utf-16"])
def test_a_canary_is_found_in_utf_16(coding: str) -> None:
    assert found(f"to {NUMBER}".encode(coding)) == {"number"}


@given(st.binary(max_size=9), st.binary(max_size=9), st.sampled_from([base64.b64encode, base64.urlsafe_b64encode]))
def test_a_canary_is_found_in_base64_wherever_it_begins(before: bytes, after: bytes, encode) -> None:  # type: ignore[no-untyped-def]
    for kind, secret in (("number", NUMBER.encode()), ("text", TEXT.encode()), ("key", bytes.fromhex(KEY))):
        assert kind in found(encode(before + secret + after))


@given(st.binary(max_size=200))
def test_what_holds_no_canary_is_no_leak(data: bytes) -> None:
    assert found(data) == set()


def test_a_canary_is_found_in_a_file_across_pieces_behind_a_hole_and_in_a_name(tmp_path: Path) -> None:
    (tmp_path / "big.log").write_bytes(b"x" * (CHUNK - 5) + NUMBER.encode() + b"x" * 100)
    with (tmp_path / "sparse.index").open("wb") as sparse:
        sparse.seek(64 << 20)
        sparse.write(TEXT.encode())
        sparse.truncate(128 << 20)
    (tmp_path / f"{KEY}.txt").touch()
    searcher = Searcher(CANARIES)
    searcher.look_at_files(tmp_path)
    seen = {(leak.kind, leak.place) for leak in searcher.leaks}
    assert seen == {("number", "big.log"), ("text", "sparse.index"), ("key", f"{KEY}.txt")}
    assert searcher.looked["sparse.index"] < 1 << 20


def test_a_file_that_may_hold_it_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "requests-0").mkdir()
    (tmp_path / "requests-0" / "0.log").write_text(NUMBER)
    searcher = Searcher(CANARIES)
    searcher.look_at_files(tmp_path, but=r"^requests-\d+/")
    assert (searcher.leaks, searcher.looked) == (set(), {})
