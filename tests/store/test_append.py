from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import polars as pl
import pytest

from observability.collect.serving import serving
from observability.store.append import append, pack, unpack
from observability.store.write import Writer
from tests.spans import JSON, batch, decision_span, post, rows, span
from traces.errors import InvalidPayload, StoreError

MODEL = pl.DataFrame(
    {"name": ["guard"], "version": ["1"], "digest": ["sha256:0"], "threshold": [0.5]}
)


def models(store: Path) -> list[tuple]:
    return rows(store, "SELECT name, version, digest, threshold FROM models")


def test_rows_go_in_by_name_and_are_stamped(store: Path) -> None:
    assert append(store, {"models": MODEL}).stored == {"models": 1}
    assert models(store) == [("guard", "1", "sha256:0", 0.5)]
    assert rows(store, "SELECT count(received_at) FROM models") == [(1,)]
    assert append(store, {"models": MODEL}).stored == {}


def test_rows_are_handed_to_the_process_that_serves_the_store(store: Path) -> None:
    with serving(store):
        with pytest.raises(StoreError, match="in use"):
            Writer(store)
        receipt = append(store, {"models": MODEL, **batch(decision_span())})
        assert receipt.stored == {"models": 1, "decisions": 1, "layouts": 1, "resources": 1}
        assert models(store) == [("guard", "1", "sha256:0", 0.5)]
    assert not (store / "writer.json").exists()


def test_a_batch_larger_than_a_request_may_be_is_handed_over(store: Path) -> None:
    spans = [span({"blob": bytes([n % 256]) * 60_000}) for n in range(300)]
    with serving(store):
        assert append(store, batch(*spans)).stored["spans"] == 300


def test_only_the_token_opens_the_door(store: Path) -> None:
    body = pack(batch(decision_span()))
    with serving(store) as url:
        owner = json.loads((store / "writer.json").read_text())
        assert owner["url"] == url
        for given in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": f"Bearer {owner['token']}x"},
        ):
            answer = post(url, body, "application/zip", "/whence/append", **given)
            assert (answer.status, answer.headers["content-type"]) == (401, JSON)
        good = {"Authorization": f"Bearer {owner['token']}"}
        assert (
            post(url, body, "application/zip", "/whence/append", **good, Host="evil.example").status
            == 403
        )
        assert post(url, b"no zip", "application/zip", "/whence/append", **good).status == 400
        assert rows(store, "SELECT count(*) FROM decisions") == [(0,)]
        assert post(url, body, "application/zip", "/whence/append", **good).status == 200
    assert rows(store, "SELECT count(*) FROM decisions") == [(1,)]


def test_the_address_of_the_owner_is_for_its_user_only(store: Path) -> None:
    with serving(store):
        assert (store / "writer.json").stat().st_mode & 0o777 == 0o600


def test_an_address_left_by_a_killed_process_does_not_stop_a_writer(store: Path) -> None:
    (store / "writer.json").write_text(
        json.dumps({"url": "http://127.0.0.1:9", "pid": 1, "token": "t"})
    )
    assert append(store, {"models": MODEL}).stored == {"models": 1}


def test_an_owner_that_does_not_listen_yet_is_waited_for(store: Path) -> None:
    with Writer(store) as owner:
        owner.publish("http://127.0.0.1:9")
        results: list[object] = []
        waiting = threading.Thread(
            target=lambda: results.append(append(store, {"models": MODEL}).stored)
        )
        waiting.start()
        time.sleep(0.3)
        assert waiting.is_alive()
    waiting.join()
    assert results == [{"models": 1}]


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(InvalidPayload, match="table 'meta'; expected one of decisions, "):
        append(Path("unused"), {"meta": MODEL})


def test_a_batch_comes_out_of_its_body_as_it_went_in() -> None:
    sent = batch(decision_span(), span({}))
    assert {name: table.to_pylist() for name, table in unpack(pack(sent)).items()} == {
        name: table.to_pylist() for name, table in sent.items()
    }


@pytest.mark.parametrize("body", [b"", b"no zip", pack({})[:-1]])
def test_a_body_that_is_no_batch_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidPayload, match="a zip of Arrow files"):
        unpack(body)
