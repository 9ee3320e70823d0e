from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import VALUES
from traces.chain import ChainHead
from traces.checkpoint import (
    UNSIGNED,
    Checkpoint,
    checkpoint_attributes,
    key_id,
    read_checkpoint,
    signed,
)
from traces.conventions import REGISTRY

CHAIN = "2b1c3e9e-7a55-4a7e-9d0c-6a4a7d1f5f11"
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = PRIVATE.public_key().public_bytes_raw()
HEAD = ChainHead(CHAIN, 41, b"h" * 32)
NEXT = b"n" * 32


def full() -> dict[str, Any]:
    plain = checkpoint_attributes(HEAD, 7, lost=[(8, 9), (12, 12)], predecessor="before")
    return signed(plain, CHAIN, PUBLIC, PRIVATE.sign, NEXT)


def test_a_checkpoint_is_read_as_it_was_stated() -> None:
    assert read_checkpoint(full(), CHAIN) == Checkpoint(
        seq_from=7,
        seq_to=41,
        head=b"h" * 32,
        lost=((8, 9), (12, 12)),
        predecessor="before",
        key_id=key_id(PUBLIC),
        next_key_id=key_id(NEXT),
        fault="",
    )
    assert full().keys() == {a.name for a in REGISTRY if a.on == "checkpoint"}


def test_a_checkpoint_without_a_signature_says_so() -> None:
    read = read_checkpoint(checkpoint_attributes(HEAD, 0), CHAIN)
    assert read == Checkpoint(0, 41, b"h" * 32, fault=UNSIGNED)


@given(st.sampled_from(sorted(full())), VALUES)
def test_no_part_of_a_checkpoint_can_be_altered_unnoticed(name: str, value: Any) -> None:
    altered = full() | {name: value}
    read = read_checkpoint(altered, CHAIN)
    assert read is None or read.fault or read == read_checkpoint(full(), CHAIN)


@pytest.mark.parametrize("name", sorted(full()))
def test_no_part_of_a_checkpoint_can_be_left_out_unnoticed(name: str) -> None:
    left = {key: value for key, value in full().items() if key != name}
    read = read_checkpoint(left, CHAIN)
    assert read is None or read.fault


def test_a_checkpoint_holds_for_its_own_chain_only() -> None:
    read = read_checkpoint(full(), CHAIN.upper())
    assert read is not None
    assert read.fault == "a signature that does not hold"
