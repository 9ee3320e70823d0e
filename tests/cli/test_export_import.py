from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from observability.cli import main
from observability.collect.serving import serving
from observability.store.write import Writer
from tests.spans import (
    NOON,
    batch,
    counts,
    decision,
    decision_span,
    outcome_span,
    review_span,
    rows,
    span,
)
from tests.strategies import STORED, decisions, otlp_spans, outcomes, reviews
from traces import Decision, Outcome, Review
from traces.codec import encode_decision
from traces.codec_later import encode_outcome, encode_review
from traces.otlp import key_values

GOLDEN = Path(__file__).parents[1] / "golden"
HOUR = 3600 * 10**9


@pytest.fixture(scope="module")
def _sent_once(_made_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three devices, two types, an hour apart; outcomes, reviews, other spans and forms of other SDKs."""
    store = shutil.copytree(_made_once, tmp_path_factory.mktemp("sent") / "fleet")
    with Writer(store) as writer:
        for number, device in enumerate(["a", "b", "c"]):
            at = {
                "start_time_unix_nano": NOON + number * HOUR,
                "end_time_unix_nano": NOON + number * HOUR + 7,
            }
            stop = decision_span(decision(inputs={"t": float(number), "u": float("nan")}), **at)
            opened = decision_span(
                decision("valve.open", context={"mode": "auto", "load": 0.5}), **at
            )
            foreign = span(
                encode_decision(decision())
                | {"decision.input.t": number, "decision.input.valve": "open"},
                "decide",
                events=[{"name": "0", "time_unix_nano": 1}],
                **at,
            )
            child = span(
                {"http.route": "/", "blob": b"\xff"},
                trace_id=stop.trace_id,
                parent_span_id=stop.span_id,
            )
            outcome = outcome_span(
                stop, start_time_unix_nano=NOON + 9 * HOUR, end_time_unix_nano=NOON + 9 * HOUR
            )
            review = review_span(
                opened, start_time_unix_nano=NOON + 8 * HOUR, end_time_unix_nano=NOON + 8 * HOUR
            )
            unrelated = span({"of": "another trace"})
            writer.write(
                batch(stop, opened, foreign, child, outcome, review, unrelated, device=device)
            )
    return store


@pytest.fixture
def fleet(_sent_once: Path, tmp_path: Path) -> Path:
    return shutil.copytree(_sent_once, tmp_path / "fleet")


def exported(whence: Any, store: Path, name: str, *options: str) -> bytes:
    output = store.parent / name
    said = whence("export", "--store", store, "-o", output, *options)
    assert (said.status, said.err) == (0, "")
    return output.read_bytes()


def test_export_import_export_is_identical(whence: Any, fleet: Path, tmp_path: Path) -> None:
    first = exported(whence, fleet, "first.jsonl")
    said = whence("import", tmp_path / "first.jsonl", "--store", tmp_path / "other")
    assert said == (
        0,
        "9 decisions, 3 outcomes, 3 reviews and 3 other spans stored; "
        "0 were stored already, 0 conflict, 0 rejected\n",
        "",
    )
    assert exported(whence, tmp_path / "other", "second.jsonl") == first
    assert rows(tmp_path / "other", "SELECT DISTINCT origin FROM decisions") == [("import",)]


def test_importing_what_is_stored_already_changes_nothing(
    whence: Any, fleet: Path, tmp_path: Path
) -> None:
    exported(whence, fleet, "first.jsonl")
    before = counts(fleet)
    said = whence("import", tmp_path / "first.jsonl", "--json", "--store", fleet)
    assert said.status == 0
    assert json.loads(said.out) == {
        "decisions": 0, "outcomes": 0, "reviews": 0, "spans": 0, "rejects": 0, "repeats": 18,
        "conflicts": 0,
    }  # fmt: skip
    assert counts(fleet) == before


def test_a_device_that_sends_again_after_an_import_is_no_conflict(
    whence: Any, store: Path, tmp_path: Path
) -> None:
    attributes = encode_decision(decision()) | {"decision.input.t": 3, "decision.input.hot": True}
    sent = span(attributes, "decide")
    again = type(sent).FromString(sent.SerializeToString())
    with Writer(store) as writer:
        writer.write(batch(sent))
    exported(whence, store, "file.jsonl")
    whence("import", tmp_path / "file.jsonl", "--store", tmp_path / "other")
    with Writer(tmp_path / "other") as writer:
        receipt = writer.write(batch(again))
    assert (receipt.repeats, receipt.conflicts) == (1, 0)


def _sent(value: Decision | Outcome | Review) -> tuple[str, dict[str, Any]]:
    """The name and the attributes of its span."""
    if isinstance(value, Decision):
        return "decision", encode_decision(value)
    if isinstance(value, Outcome):
        return "decision.outcome", encode_outcome(value)
    return "decision.review", encode_review(value)


@settings(max_examples=2)
@given(
    st.lists(
        st.tuples(otlp_spans(), decisions(texts=STORED) | outcomes(STORED) | reviews(STORED)),
        min_size=12,
        max_size=12,
    )
)
def test_export_import_export_is_identical_whatever_was_sent(
    _made_once: Path,
    tmp_path_factory: pytest.TempPathFactory,
    sent: list[tuple[Span, Decision | Outcome | Review]],
) -> None:
    folder = tmp_path_factory.mktemp("any")
    one, two = (shutil.copytree(_made_once, folder / name) for name in ("one", "two"))
    spans = []
    for number, (frame, value) in enumerate(sent * 4, start=1):
        name, attributes = _sent(value)
        frame.trace_id, frame.span_id = number.to_bytes(16, "big"), number.to_bytes(8, "big")
        frame.start_time_unix_nano, frame.end_time_unix_nano = NOON, NOON + number
        frame.name = name
        del frame.attributes[:]
        attributes |= {"decision.input.z": -0.0} if number % 5 == 0 and name == "decision" else {}
        frame.attributes.extend(key_values(attributes))
        spans.append(Span.FromString(frame.SerializeToString()))
    with Writer(one) as writer:
        writer.write(batch(*spans))
    files = folder / "1.jsonl", folder / "2.jsonl"
    main(["export", "--store", str(one), "-o", str(files[0])])
    assert main(["import", "--store", str(two), str(files[0])]) == 0
    assert main(["import", "--store", str(one), str(files[0])]) == 0
    main(["export", "--store", str(two), "-o", str(files[1])])
    assert not files[0].exists() or files[0].read_bytes() == files[1].read_bytes()


def test_a_zero_of_either_sign_is_exported_as_the_same_zero(
    whence: Any, store: Path, tmp_path: Path
) -> None:
    zeros = [decision(inputs={"a": (0.0, -0.0)[number % 2]}) for number in range(60)]
    with Writer(store) as writer:
        writer.write(batch(*map(decision_span, zeros)))
    first = exported(whence, store, "first.jsonl")
    assert b":-0" not in first
    assert whence("import", tmp_path / "first.jsonl", "--store", store).status == 0


def test_an_export_of_a_known_store_stays_as_it_is(whence: Any, known: Path) -> None:
    assert exported(whence, known, "out.jsonl") == (GOLDEN / "export.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("options", "devices"),
    [
        (["--device", "b"], "b"),
        (["--type", "valve.open"], "abc"),
        (["--type", "valve.open", "--device", "c"], "c"),
        (["--from", "2026-01-01T13:00:00Z"], "bc"),
        (["--to", "2026-01-01T13:00:00Z"], "a"),
        (["--from", "2026-01-01T14:00:00+01:00", "--to", "2026-01-01T13:30:00Z"], "b"),
    ],
)
def test_each_option_narrows_what_is_exported(
    whence: Any, fleet: Path, options: list[str], devices: str
) -> None:
    lines = json.loads(exported(whence, fleet, "some.jsonl", *options))
    found = {
        pair["value"]["stringValue"]
        for resource in lines["resourceSpans"]
        for pair in resource["resource"]["attributes"]
        if pair["key"] == "device.id"
    }
    assert found == set(devices)


def test_one_decision_is_exported_by_its_id_with_what_belongs_to_it(
    whence: Any, fleet: Path
) -> None:
    ((key,),) = rows(fleet, "SELECT decision_id FROM outcomes ORDER BY 1 LIMIT 1")
    text = exported(whence, fleet, "one.jsonl", "--id", key)
    said = whence(
        "export", "--store", fleet, "-o", fleet.parent / "one.jsonl", "--id", key, "--json"
    )
    assert json.loads(said.out) == {
        "file": str(fleet.parent / "one.jsonl"), "decisions": 1, "outcomes": 1, "reviews": 0,
        "spans": 1,
    }  # fmt: skip
    names = [
        each["name"]
        for resource in json.loads(text)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for each in scope["spans"]
    ]
    assert sorted(names) == ["decision pump.stop", "decision.outcome", "work"]


def test_an_empty_selection_writes_nothing_and_says_so(
    whence: Any, fleet: Path, tmp_path: Path
) -> None:
    said = whence("export", "--store", fleet, "-o", tmp_path / "none.jsonl", "--device", "nobody")
    assert (said.status, said.out) == (1, "no decision matches; nothing written\n")
    assert not (tmp_path / "none.jsonl").exists()


def test_a_store_that_is_being_served_can_be_exported_and_imported_into(
    whence: Any, fleet: Path, tmp_path: Path
) -> None:
    first = exported(whence, fleet, "first.jsonl")
    with serving(fleet), serving(tmp_path / "other"):
        assert exported(whence, fleet, "again.jsonl") == first
        assert whence("import", tmp_path / "first.jsonl", "--store", tmp_path / "other").status == 0
        assert exported(whence, tmp_path / "other", "second.jsonl") == first


def test_bad_spans_and_conflicts_of_a_file_are_told_and_exit_with_1(
    whence: Any, fleet: Path, tmp_path: Path
) -> None:
    text = exported(whence, fleet, "first.jsonl", "--device", "a").decode()
    (tmp_path / "changed.jsonl").write_text(
        text.replace('"executed"', '"perhaps"', 1).replace('"run"', '"go"', 2)
    )
    said = whence("import", tmp_path / "changed.jsonl", "--json", "--store", fleet)
    told = json.loads(said.out)
    assert said.status == 1
    assert told["rejects"] == 1
    assert told["conflicts"] >= 1


def test_other_files_of_otlp_lines_can_be_imported(whence: Any, tmp_path: Path) -> None:
    said = whence("import", GOLDEN / "collector.jsonl", "--json", "--store", tmp_path / "new")
    assert said.status == 0
    assert json.loads(said.out)["spans"] == 2
    found = rows(tmp_path / "new", "SELECT name, device_id FROM spans ORDER BY name")
    assert found == [("I'm a client span", ""), ("I'm a server span", "")]


def test_a_large_file_is_imported_in_parts(
    whence: Any, fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from observability.commands import import_

    first = exported(whence, fleet, "first.jsonl")
    (tmp_path / "lines.jsonl").write_bytes(first * 5)
    monkeypatch.setattr(import_, "_BYTES_PER_COMMIT", len(first) + 1)
    said = whence("import", tmp_path / "lines.jsonl", "--json", "--store", tmp_path / "other")
    assert (json.loads(said.out)["decisions"], json.loads(said.out)["repeats"]) == (9, 72)
