"""A file of messages is judged whole before anything is sent: the line, the field and the rule, never a traceback."""

import json
from pathlib import Path

import pytest

from tests.support.commands import faults, heliograph

BAD = {
    "not UTF-8": (b"to,body\n+14155550123,\xff\n", "{file}: is not text in UTF-8"),
    "a column that is not known": (b"to,text\n+14155550123,x\n", "column text: is not known; columns are to, body, "),
    "no body": (b"to,body\n+14155550123,\n", "line 1: body: is empty and there is no media"),
    "not JSON": (b'{"to":"+14155550123","body":"x"}\n{\n', "line 2: is not JSON"),
    "not an object": (b'{"to":"+14155550123","body":"x"}\n[1]\n', "line 2: must be an object"),
    "a number in place of a text": (
        b'{"to":14155550123,"body":"x"}\n',
        "line 1: to: expected `str | array`, got `int`",
    ),
    "a word on no list": (b'{"to":"+14155550123","body":"x","priority":"soon"}\n', "line 1: priority: is not one of"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_refused_with_line_field_and_rule(what: str, tmp_path: Path) -> None:
    content, told = BAD[what]
    (tmp_path / "people").write_bytes(content)
    done = heliograph("send", str(tmp_path / "people"))
    [fault] = faults(done)
    assert done.returncode == 2 and fault.startswith(told.format(file=tmp_path / "people"))


def test_a_file_with_a_byte_order_mark_is_read_and_a_dry_run_says_so_in_json(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_bytes(b"\xef\xbb\xbfto,body\r\n+14155550123,Build 742 deployed.\r\n")
    done = heliograph("send", str(tmp_path / "people.csv"), "--dry-run", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"sent": 0, "well_formed": 1})
