"""Files of frames: what damage costs, and what is said of it."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from app.durable.framed_file import frame, read_frames
from app.durable.journal import Journal

payloads = st.lists(st.binary(min_size=1, max_size=40), min_size=2, max_size=8)


def written(path: Path, data: bytes) -> Path:
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return path


@given(payloads, st.data())
def test_a_damaged_byte_costs_its_own_frame_alone_and_is_said(
    tmp_path_factory, frames: list[bytes], data: st.DataObject
):
    path = tmp_path_factory.mktemp("framed") / "file"
    n = data.draw(st.integers(0, len(frames) - 2), label="damaged frame")
    raw = [bytearray(frame(payload)) for payload in frames]
    raw[n][data.draw(st.integers(0, len(raw[n]) - 1), label="byte")] ^= data.draw(st.integers(1, 255), label="bits")
    content = b"".join(raw)
    with capture_logs() as logs:
        assert list(read_frames(written(path, content))) == frames[:n] + frames[n + 1 :]
    [said] = logs
    position = sum(map(len, raw[:n]))
    assert (said["event"], said["log_level"], said["position"]) == ("file.damaged", "error", position)
    assert (said["bytes"], path.with_name("file.damaged").read_bytes()) == (len(raw[n]), content)


@given(payloads, st.data())
def test_a_torn_last_frame_is_dropped_with_a_warning(tmp_path_factory, frames: list[bytes], data: st.DataObject):
    path = tmp_path_factory.mktemp("framed") / "file"
    whole, last = b"".join(map(frame, frames[:-1])), frame(frames[-1])
    torn = last[: data.draw(st.integers(1, len(last) - 1))]
    with capture_logs() as logs:
        assert list(read_frames(written(path, whole + torn))) == frames[:-1]
    [said] = logs
    assert (said["event"], said["position"], said["bytes"]) == ("file.torn", len(whole), len(torn))
    assert not path.with_name("file.damaged").exists()


async def test_p4_answers_behind_a_damaged_one_in_the_journal_are_kept(tmp_path: Path):
    path = tmp_path / "answers.journal"
    journal = Journal(path)
    for name in ("one", "two", "three"):
        await journal.keep(name, name.encode() * 50)
    journal.close()
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"twotwo")] ^= 1
    path.write_bytes(raw)
    kept = Journal(path)
    assert [name for name, _ in kept.pending()] == ["one", "three"]
    kept.close()
