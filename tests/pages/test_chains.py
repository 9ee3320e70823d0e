"""What the pages say of chains: complete or not, on the health, fleet, device and decision pages."""

from __future__ import annotations

import zipfile
from datetime import timedelta
from pathlib import Path

import pytest

from observability.store import lake
from observability.store.read import Window
from observability.store.read_attention import concerns
from observability.store.read_chains import as_text, chains, place
from observability.store.read_fleet import fleet
from observability.store.read_health import health
from observability.store.write import Writer
from tests.chains import Chain, key
from tests.pages.test_health import OUTAGE, START, at, write
from tests.pages.test_pages import title, words
from tests.store.test_chains import send
from traces.decision import ChainPosition

SOON = timedelta(minutes=1)


def numbered(chain: Chain, hours: range) -> list:
    """A decision of each hour."""
    return [chain.decide(**at(timedelta(hours=hour))) for hour in hours]


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pump-1 is whole and signed, of pump-2 numbers 3 to 5 and 7 are missing, pump-3 has a fork."""
    store = tmp_path_factory.mktemp("chains") / "fleet"
    whole, holey, forked = (Chain(f"c-{number}", key(number + 1)) for number in range(3))
    for chain in (whole, holey, forked):
        numbered(chain, range(10))
        chain.checkpoint()
    later = timedelta(hours=10)
    write(
        store,
        ("pump-1", whole.sent, later),
        ("pump-2", [one for seq, one in enumerate(holey.sent) if seq not in (3, 4, 5, 7)], later),
        ("pump-3", [*forked.sent, forked.forged(2)], later),
    )
    return store


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pump-1 is whole but for two numbers that it declared lost."""
    store = tmp_path_factory.mktemp("whole") / "fleet"
    chain = Chain("c-1")
    numbered(chain, range(8))
    chain.checkpoint()
    sent = [*chain.sent[:3], chain.tombstone(3, 4), *chain.sent[5:]]
    write(store, ("pump-1", sent, timedelta(hours=8)))
    return store


def test_health_names_what_is_missing_and_whose_record_does_not_hold(open_page, troubled) -> None:
    app = open_page("health", troubled)
    assert not app.exception
    assert title(app).startswith(
        "Trust this screen with care: 4 numbered decisions missing; a device's record that does not"
    )
    said = words(app)
    assert "4 are missing from pump-2: 3-5, 7, since 2026-01-01 22:00:00 UTC." in said
    assert "**pump-3**: 1 span of another content than was here first" in said


def test_health_says_when_everything_is_here_and_what_was_dropped(open_page, whole) -> None:
    said = words(open_page("health", whole))
    assert (
        "Every numbered decision of 1 device is here; 2 were declared lost on the device." in said
    )


def test_health_does_not_claim_to_know_without_numbers(open_page, seeded) -> None:
    assert "No device numbers what it sends" in words(open_page("health", seeded.store))


def test_a_device_says_how_far_its_chain_verifies(open_page, whole) -> None:
    app = open_page("device", whole, id="pump-1")
    assert not app.exception
    assert (
        "Chain: verified to 7, signed just now; nothing missing; 2 declared lost on the device;"
        " key pinned on first use." in words(app)
    )


def test_a_device_names_its_missing_numbers(open_page, troubled) -> None:
    said = words(open_page("device", troubled, id="pump-2"))
    assert "**4 missing: 3-5, 7**" in said


def test_a_device_without_a_chain_says_nothing_of_it(open_page, seeded) -> None:
    assert "Chain:" not in words(open_page("device", seeded.store, id="pump-1"))


def test_a_decision_tells_its_place_and_whether_it_is_verified(open_page, troubled, seeded) -> None:
    with lake.connect(troubled) as con:
        query = "SELECT decision_id FROM decisions WHERE device_id = ? AND seq = ? ORDER BY ALL"
        (good,) = con.execute(query, ["pump-1", 4]).fetchone() or ("",)
        (bad,) = con.execute(query, ["pump-3", 2]).fetchone() or ("",)
    assert "number 4 of `c-0`, ● verified" in words(open_page("decision", troubled, id=good))
    assert "forked: other content came under this number" in words(
        open_page("decision", troubled, id=bad)
    )
    plain = words(open_page("decision", seeded.store, id=seeded.blocked))
    assert "not numbered by its device" in plain


def test_the_standing_of_a_place(troubled: Path) -> None:
    with lake.connect(troubled) as con:
        for device, chain_id, seq, standing in (
            ("pump-1", "c-0", 9, "verified"),
            ("pump-1", "c-0", 10, "not signed yet"),
            ("pump-2", "c-1", 2, "not signed yet"),
            ("pump-3", "c-2", 2, "forked"),
        ):
            found = place(con, device, ChainPosition(chain_id, seq, "0" * 64))
            assert found is not None
            assert found.standing == standing, (device, seq)
        assert place(con, "pump-1", None) is None


def test_missing_numbers_are_to_look_at_after_a_quarter_of_an_hour_and_forks_are_wrong(
    troubled: Path,
) -> None:
    came = START + timedelta(hours=10)
    with lake.connect(troubled) as con:
        found = fleet(con, Window())
    early, later = (
        [one for one in concerns(found, came + after, recorded=False) if one.kind == "chain"]
        for after in (timedelta(minutes=14), timedelta(minutes=16))
    )
    assert [(one.title, one.wrong) for one in early] == [
        ("The record of pump-3 does not hold together", True)
    ]
    assert [(one.title, one.wrong) for one in later[1:]] == [
        ("4 numbers are missing from pump-2", False)
    ]
    assert later[1].reason.startswith("3-5, 7, since 2026-01-01 22:00 UTC")


@pytest.mark.parametrize("gone", [(), (5,), (3,), (7,), (1,)], ids=str)
def test_late_arrivals_are_complete_when_no_number_is_missing_among_them(
    tmp_path: Path, gone: tuple[int, ...]
) -> None:
    """Hours 4 to 7 arrive late; a hole anywhere in or beside them counts, one before them does not."""
    chain = Chain()
    sent = numbered(chain, range(12))
    cut = range(OUTAGE[0] // timedelta(hours=1), OUTAGE[1] // timedelta(hours=1))
    write(
        tmp_path / "fleet",
        *(
            ("pump-1", [one], (OUTAGE[1] if hour in cut else timedelta(hours=hour)) + SOON)
            for hour, one in enumerate(sent)
            if hour not in gone
        ),
    )
    with lake.connect(tmp_path / "fleet") as con:
        (complete,) = health(con, tmp_path / "fleet", Window()).late.blocks["complete"]
    assert complete is (gone in ((), (1,)))


def test_a_store_of_before_chains_is_read_without_them(tmp_path: Path) -> None:
    fixture = Path(__file__).parents[1] / "store" / "fixtures" / "v1.zip"
    with zipfile.ZipFile(fixture) as archive:
        archive.extractall(tmp_path)
    store = next(path.parent for path in tmp_path.rglob("store.toml"))
    with lake.connect(store) as con:
        assert chains(con).devices == 0
    with Writer(store) as writer:
        chain = Chain()
        chain.run(2)
        send(writer, chain.sent[1])
    with lake.connect(store) as con:
        assert as_text(chains(con).gaps.iter_rows(named=True)) == "0"


def test_ranges_are_cut_short_where_there_are_many() -> None:
    many = [{"seq_from": n, "seq_to": n} for n in range(0, 20, 2)]
    assert as_text(many) == "0, 2, 4 and 7 more"
