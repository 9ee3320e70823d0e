"""The codec of frames: what was written is read, and nothing that is not whole is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from traces.device.frames import Form, Frame, Priority, Record, encode, kind_of, scan, whole

frames = st.builds(
    Frame,
    st.sampled_from(Priority),
    st.none() | st.integers(0, 2**62),
    st.just(b"") | st.binary(min_size=32, max_size=32),
    st.binary(max_size=300),
)


def written(frame: Frame) -> bytes:
    return encode(kind_of(Form.FRAME, frame.priority), frame.seq, frame.digest, frame.span)


def read(record: Record) -> Frame:
    return Frame(Priority(record.priority), record.seq, record.digest, record.payload)


@given(st.lists(frames, max_size=8))
def test_frames_are_read_as_they_were_written(made: list[Frame]) -> None:
    assert [read(record) for record in scan(b"".join(map(written, made)))] == made


@given(st.lists(frames, min_size=1, max_size=5), st.data())
def test_a_cut_at_any_byte_keeps_every_whole_frame(made: list[Frame], data: st.DataObject) -> None:
    parts = list(map(written, made))
    cut = data.draw(st.integers(0, sum(map(len, parts))))
    kept, end = 0, 0
    while kept < len(parts) and end + len(parts[kept]) <= cut:
        end += len(parts[kept])
        kept += 1
    left = b"".join(parts)[:cut]
    assert [read(record) for record in scan(left)] == made[:kept]
    assert whole(left) == end


@given(st.lists(frames, min_size=1, max_size=5), st.binary(max_size=400))
def test_what_is_garbled_behind_whole_frames_is_not_read(made: list[Frame], tail: bytes) -> None:
    parts = b"".join(map(written, made))
    found = [read(record) for record in scan(parts + tail)]
    assert found[: len(made)] == made
    assert whole(parts + tail) >= len(parts)
    assert len(found) == len(made) or tail.startswith(written(found[len(made)]))


@given(frames, st.data())
def test_a_single_changed_byte_is_seen(frame: Frame, data: st.DataObject) -> None:
    record = bytearray(written(frame))
    place = data.draw(st.integers(0, len(record) - 1))
    record[place] ^= data.draw(st.integers(1, 255))
    assert list(scan(bytes(record))) == []


def test_a_tail_of_zeros_as_power_loss_leaves_it_is_no_frame() -> None:
    frame = Frame(Priority.ROUTINE, 1, b"", b"span")
    assert whole(written(frame) + bytes(4096)) == len(written(frame))
