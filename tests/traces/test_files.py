from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from tests.strategies import envelopes, otlp_spans
from traces.errors import TraceFileError
from traces.files import SPANS_PER_LINE, read_trace_file, write_trace_file

INVALID = Path(__file__).parents[1] / "invalid"


def read(path: Path) -> list[tuple[str, str]]:
    return [
        (repr(group.envelope), repr(span))
        for _, groups in read_trace_file(path)
        for group in groups
        for span in group.spans
    ]


@given(st.lists(st.tuples(st.integers(0, 1), otlp_spans()), max_size=6), envelopes(), envelopes())
def test_a_file_gives_back_its_spans_in_their_order(
    tmp_path_factory: pytest.TempPathFactory,
    spans: list[tuple[int, Span]],
    one: ResourceSpans,
    two: ResourceSpans,
) -> None:
    path = tmp_path_factory.mktemp("file") / "traces.jsonl"
    pairs = [((one, two)[index], span) for index, span in spans]
    write_trace_file(path, pairs)
    assert read(path) == [(repr(envelope), repr(span)) for envelope, span in pairs]


def test_a_long_file_has_several_lines(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    envelope = ResourceSpans()
    write_trace_file(path, ((envelope, Span(name=str(n))) for n in range(SPANS_PER_LINE * 2 + 1)))
    assert len(path.read_text().splitlines()) == 3
    assert len(read(path)) == SPANS_PER_LINE * 2 + 1


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    def broken():
        yield ResourceSpans(), Span(name="first")
        raise KeyboardInterrupt

    (tmp_path / "traces.jsonl").write_text("the former\n")
    with pytest.raises(KeyboardInterrupt):
        write_trace_file(tmp_path / "traces.jsonl", broken())
    assert [path.name for path in tmp_path.iterdir()] == ["traces.jsonl"]
    assert (tmp_path / "traces.jsonl").read_text() == "the former\n"


@pytest.mark.parametrize("place", ["absent/traces.jsonl", "file/traces.jsonl", "folder"])
def test_a_place_that_cannot_be_written_is_named_in_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(TraceFileError, match="cannot be written: "):
        write_trace_file(tmp_path / place, [])


@pytest.mark.parametrize("path", sorted(INVALID.glob("trace_file_*")), ids=lambda path: path.name)
def test_a_line_that_is_no_trace_is_named_with_its_number(path: Path) -> None:
    with pytest.raises(
        TraceFileError, match=r"^found line 2 of .*; expected one TracesData object a line$"
    ):
        read(path)


def test_empty_lines_are_nothing(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_bytes(b'\n{"resourceSpans": []}\r\n\n')
    assert read(path) == []
