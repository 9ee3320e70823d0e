from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from traces.device import keys
from traces.errors import KeyFileError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_its_owners_alone_and_signs(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    made = keys.create(folder)
    assert (mode(folder / keys.FILE), mode(folder)) == (0o600, 0o700)
    assert [path.name for path in folder.iterdir()] == [keys.FILE]
    loaded = keys.load(folder)
    assert loaded is not None
    assert loaded.key_id == made.key_id
    Ed25519PublicKey.from_public_bytes(made.public).verify(loaded.sign(b"content"), b"content")


def test_a_next_key_waits_beside_the_one_that_signs(tmp_path: Path) -> None:
    old = keys.create(tmp_path)
    new = keys.rotate(tmp_path)
    assert mode(tmp_path / keys.NEXT) == 0o600
    assert [k and k.public for k in (keys.load(tmp_path), keys.load(tmp_path, keys.NEXT))] == [
        old.public,
        new.public,
    ]
    keys.go_over(tmp_path)
    loaded = keys.load(tmp_path)
    assert loaded is not None
    assert loaded.public == new.public
    assert keys.load(tmp_path, keys.NEXT) is None


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="no key in"):
        keys.rotate(tmp_path)
    made = keys.create(tmp_path)
    with pytest.raises(KeyFileError, match="rotate"):
        keys.create(tmp_path)
    keys.rotate(tmp_path)
    with pytest.raises(KeyFileError, match="a next key in"):
        keys.rotate(tmp_path)
    loaded = keys.load(tmp_path)
    assert loaded is not None
    assert loaded.public == made.public


def test_a_place_that_cannot_be_written_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KeyFileError, match="cannot be written"):
        keys.create(tmp_path / "file" / "spool")


@pytest.mark.parametrize("content", [b"", b"no key", b"\xff" * 100])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / keys.FILE).write_bytes(content)
    with pytest.raises(KeyFileError, match="an Ed25519 key in PEM"):
        keys.load(tmp_path)


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = X25519PrivateKey.generate()
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / keys.FILE).write_bytes(pem)
    with pytest.raises(KeyFileError, match="an Ed25519 key in PEM"):
        keys.load(tmp_path)


def test_where_there_is_no_key_there_is_none(tmp_path: Path) -> None:
    assert keys.load(tmp_path) is None
