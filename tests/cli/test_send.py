"""A file of messages is judged whole before anything is sent: the line, the field and the rule, never a traceback."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli.send.file import asked, read_lines
from app.cli.send.line_checks import DROPPED, REPEATED, RepeatedNumber, repeats, without
from tests.support.commands import faults, heliograph

BAD = {
    "not UTF-8": (b"to,body\n+14155550123,\xff\n", "{file}: is not text in UTF-8"),
    "no columns": (b"+14155550123,Hello\n", "the first line must name the columns, with commas between: to, body, "),
    "a column twice": (b"to,body,to\n", "column 3: to is there already"),
    "a JSON array": (b'[{"to":"+14155550123","body":"x"}]\n', "{file}: is a JSON array; one object per line is wanted"),
    "nothing": (b"", "nothing to send: {file} is empty"),
    "blanks": (b"\xef\xbb\xbf \n\n", "nothing to send: {file} is empty"),
    "columns alone": (b"to,body\n\n", "nothing to send: {file} has no line below its columns"),
    "a cell too many": (b"to,body\n+14155550123,Hello, you\n", "line 2: has more cells than the first line"),
    "a cell too long": (
        b"to,body\n\n+14155550123," + b"x" * 140_000,
        "line 3: a cell is longer than 131072 characters",
    ),
    "a mark not closed": (b'to,body\n+14155550123,"Hi\n+14155550124,Hi\n', "line 2: a quotation mark is not closed"),
    "an old end of line": (b"to,body\r+14155550123,Hi\r", "line 1: a line ends with a carriage return alone"),
    "a body missing below a text of two lines": (
        b'to,body\r\n\r\n+14155550123,"One\nTwo"\r\n+14155550124,\r\n',
        "line 5: body: is empty",
    ),
    "no https": (b"to,media\n+14155550123,https://a.test/1 ftp://a.test/2\n", "line 2: media[1]: is not an https URL"),
    "no body": (b"to,body\n+14155550123,\n", "line 2: body: is empty and there is no media"),
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
    assert "+1415" not in fault and "Hello" not in fault


def test_every_line_that_cannot_be_read_is_named_and_every_number_of_the_others(tmp_path: Path) -> None:
    rows = ["to,body", "+1415,Hi", "+14155550123,", "+14155550124,Hi", "+14155550125,"]
    (tmp_path / "people.csv").write_text("\n".join(rows))
    done = heliograph("send", str(tmp_path / "people.csv"), "--dry-run")
    told = faults(done)
    assert done.returncode == 2 and [line.partition(":")[0] for line in told] == ["line 2", "line 3", "line 5"]
    (tmp_path / "people.csv").write_text("\n".join([rows[0], *[rows[2]] * 30]))
    assert faults(heliograph("send", str(tmp_path / "people.csv")))[-1] == "10 more lines cannot be read"


@pytest.mark.parametrize(
    "words", [["--to", "+14155550123"], ["--body", "x"], ["--media", "https://a.test"], ["--key", "k"]]
)
def test_what_makes_one_message_does_not_go_with_a_file(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("to,body\n+14155550123,Hi\n")
    done = heliograph("send", str(tmp_path / "people.csv"), *words, "--dry-run")
    assert (done.returncode, faults(done)) == (2, [f"{words[0]}: is for one message and does not go with FILE"])


def test_one_message_is_judged_without_a_line() -> None:
    done = heliograph("send", "--body", "Hi")
    assert (done.returncode, faults(done)) == (2, ["to: must name at least one recipient"])


def test_options_beside_a_file_are_for_lines_that_do_not_say_it() -> None:
    content = b"to,body,campaign\n+14155550123,Hi,\n+14155550124,Hi,spring\n"
    lines = read_lines("people.csv", content, {"campaign": "autumn", "tenant": "acme"})
    assert [(line.event["campaign"], line.event["tenant"]) for line in lines] == [
        ("autumn", "acme"),
        ("spring", "acme"),
    ]


def test_a_cloud_event_takes_options_and_key_where_its_fields_are() -> None:
    content = b'{"specversion":"1.0","type":"notify.requested.v1","data":{"to":"+14155550123","body":"Hi"}}'
    [line] = read_lines("events", content, {"tenant": "acme"})
    assert line.event["data"]["tenant"] == "acme" and line.event["data"]["idempotency_key"].startswith("send-")


def test_media_are_urls_with_blanks_between() -> None:
    [line] = read_lines("people.csv", b"to,media\n+14155550123,https://a.test/1  https://a.test/2\n", {})
    assert line.event["media"] == ["https://a.test/1", "https://a.test/2"]


def test_equal_lines_get_keys_of_their_own_and_the_same_file_the_same_keys() -> None:
    content = b"to,body\n+14155550123,Hi\n+14155550123,Hi\n"
    keys = [[line.event["idempotency_key"] for line in read_lines("people.csv", content, {})] for _ in range(2)]
    assert keys[0] == keys[1] and len(set(keys[0])) == 2


@given(st.lists(st.tuples(st.text(max_size=20), st.integers(0, 2)), min_size=1, max_size=8))
def test_a_line_has_the_number_it_has_in_the_file(texts: list[tuple[str, int]]) -> None:
    rows = [
        json.dumps({"to": "+14155550123", "body": text}, ensure_ascii=False).encode("utf-8", "replace")
        for text, _ in texts
    ]
    content = b"".join(b"\n" * blank + row + b"\r\n" for row, (_, blank) in zip(rows, texts, strict=True))
    lines = read_lines("people", content, {})
    assert [json.loads(content.split(b"\n")[line.number - 1])["body"] for line in lines] == [
        line.event["body"] for line in lines
    ]


def test_a_file_with_a_byte_order_mark_is_read_and_a_dry_run_says_so_in_json(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_bytes(b"\xef\xbb\xbfto,body\r\n+14155550123,Build 742 deployed.\r\n")
    done = heliograph("send", str(tmp_path / "people.csv"), "--dry-run", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"sent": 0, "well_formed": 1})


LIMIT = "Twilio takes at most 500 kB of it"
UNKNOWN = "does not tell a type that Twilio is known to take; unless it is jpeg, png or gif, at most 500 kB"
PICTURES = "to,body,media\n+14155550123,a,https://a.test/1.pdf\n+14155550124,b,https://a.test/2.pdf https://a.test/3\n"


def test_media_that_twilio_may_refuse_are_warned_of_with_their_lines_and_sent_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(PICTURES + "+14155550125,c,https://a.test/4.png\n")
    words = ["send", str(tmp_path / "people.csv"), "--dry-run"]
    plain, told = heliograph(*words), heliograph(*words, "--json")
    assert (plain.returncode, plain.stdout) == (0, "3 lines are well formed; nothing was sent\n")
    assert plain.stderr.splitlines() == [
        f"warning: lines 2, 3: media[0]: is pdf: {LIMIT}",
        f"warning: line 3: media[1]: {UNKNOWN}",
    ]
    assert (told.returncode, told.stderr, json.loads(told.stdout)) == (
        0,
        "",
        {
            "sent": 0,
            "well_formed": 3,
            "warnings": [
                {"lines": [2, 3], "warning": f"media[0]: is pdf: {LIMIT}"},
                {"lines": [3], "warning": f"media[1]: {UNKNOWN}"},
            ],
        },
    )


def test_one_message_is_warned_of_without_a_line_and_many_lines_are_counted(tmp_path: Path) -> None:
    one = heliograph("send", "--to", "+14155550123", "--media", "https://a.test/1.webp", "--dry-run")
    assert one.stderr == f"warning: media[0]: is webp: {LIMIT}\n"
    (tmp_path / "people.csv").write_text("to,media\n" + "+14155550123,https://a.test/1.webp\n" * 8)
    many = heliograph("send", str(tmp_path / "people.csv"), "--dry-run", "--once-per-person", "--json")
    assert json.loads(many.stdout)["warnings"][1]["lines"] == [3, 4, 5, 6, 7, 8, 9]
    rows = "".join(f"+1415555012{n},https://a.test/1.webp\n" for n in range(8))
    (tmp_path / "people.csv").write_text("to,media\n" + rows)
    many = heliograph("send", str(tmp_path / "people.csv"), "--dry-run")
    assert many.stderr == f"warning: lines 2, 3, 4, 5, 6 and 3 more: media[0]: is webp: {LIMIT}\n"


def test_a_dry_run_checks_every_number_and_a_real_one_warns_of_it(tmp_path: Path) -> None:
    rows = ["1.4155550123E+10,a", "(415) 555-0123,b", "+14155550123,c", '"+49 1512 345678O",d', "415-555-0124,e"]
    (tmp_path / "people.csv").write_text("\n".join(["to,body", *rows]))
    plain, told = (heliograph("send", str(tmp_path / "people.csv"), "--dry-run", *more) for more in ([], ["--json"]))
    assert (plain.returncode, told.returncode) == (1, 1)
    assert plain.stdout == "1 line is well formed; nothing was sent\n"
    spreadsheet = "to: was turned into a floating point number by a spreadsheet: format the column as text"
    assert faults(plain) == [
        f"line 2: {spreadsheet}",
        "lines 3, 6: to: is not a phone number with + and country code",
        "line 5: to: has letters among its digits",
    ]
    assert json.loads(told.stdout)["problems"][0] == {"lines": [2], "problem": spreadsheet}
    assert "555" not in plain.stderr + told.stderr + told.stdout


def test_columns_that_are_not_known_are_named_and_ignored(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("To,Body,text,+14155550199,\n+14155550123,Hi,x,y,z\n")
    done = heliograph("send", str(tmp_path / "people.csv"), "--dry-run")
    known = "is not known and is ignored; columns are to, body, media"
    assert done.returncode == 0 and done.stdout == "1 line is well formed; nothing was sent\n"
    first, second = done.stderr.splitlines()
    assert first.startswith(f"warning: line 1: column 3 (text) {known}")
    assert second.startswith(f"warning: line 1: column 4 {known}") and "+1415" not in second


def test_empty_rows_are_skipped_and_empty_cells_beyond_the_columns_too() -> None:
    content = b"to,body\n,\n+14155550123,Hi,,\n , \n,,,\n"
    assert [line.number for line in read_lines("people.csv", content, {})] == [3]


def test_columns_of_metadata_are_entries_of_it() -> None:
    content = b"to,body,metadata.order,Metadata.Ship To\n+14155550123,Hi,A-1,Oslo\n+14155550124,Hi,,\n"
    one, two = read_lines("people.csv", content, {})
    assert one.event["metadata"] == {"order": "A-1", "Ship To": "Oslo"} and "metadata" not in two.event


REPEATS = (
    "to,body,send_at\n+14155550123,Hi,\n+1 (415) 555-0123,Hi,\n+14155550123,Hi,2099-01-01T00:00:00Z\n+14155550124,Hi,\n"
)


def test_the_same_text_to_one_person_on_several_lines_is_warned_of_and_dropped_on_demand(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(REPEATS)
    words = ["send", str(tmp_path / "people.csv"), "--dry-run", "--json"]
    kept, dropped = (json.loads(heliograph(*words, *more).stdout) for more in ([], ["--once-per-person"]))
    assert (kept["well_formed"], kept["warnings"]) == (4, [{"lines": [3], "warning": REPEATED}])
    assert (dropped["well_formed"], dropped["warnings"]) == (3, [{"lines": [3], "warning": DROPPED}])


def test_a_line_of_several_people_loses_those_who_get_its_text_already_and_keeps_its_key() -> None:
    events = [
        {"to": "+14155550123", "body": "Hi", "idempotency_key": "a"},
        {"to": ["+14155550123", "+14155550124"], "body": "Hi", "idempotency_key": "b"},
        {"to": "+14155550124", "body": "Hi", "idempotency_key": "b"},
    ]
    lines = read_lines("people", "\n".join(map(json.dumps, events)).encode(), {})
    found = repeats(asked(lines))
    assert found == [RepeatedNumber(2, "+14155550123")], "the third line is the same message as the second"
    kept = list(without(found, lines))
    assert [(line.event["to"], line.event["idempotency_key"]) for line in kept] == [
        ("+14155550123", "a"),
        (["+14155550124"], "b"),
        ("+14155550124", "b"),
    ]


def test_a_cut_emoji_and_byte_order_marks_between_lines_are_read() -> None:
    content = b'\xef\xbb\xbf{"to":"+14155550123","body":"Hi \\ud83d"}\n\xef\xbb\xbf{"to":"+14155550123","body":"Ho"}\n'
    warned: list[int] = []
    lines = read_lines("people", content, {}, lambda line, what: warned.append(line))
    assert [line.event["body"] for line in lines] == ["Hi \ufffd", "Ho"] and warned == [1]


def test_arguments_that_are_no_text_are_repaired() -> None:
    done = heliograph("send", "--to", "+14155550123", "--body", "caf\udce9", "--campaign", "\udce9", "--dry-run")
    assert (done.returncode, faults(done)) == (0, [])
