"""The key that a device signs its checkpoints with: Ed25519, in the spool's folder, its owner's alone.

`key` signs. `key.next` waits: the recorder announces it in a checkpoint signed by `key` and then puts it
in that one's place, so that there is no instant without a key that the server knows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from traces.checkpoint import key_id
from traces.device import disk
from traces.errors import KeyFileError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FILE = "key"
NEXT = "key.next"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key's use: its public half (32 bytes) and `sign`, which returns 64 bytes."""

    public: bytes
    sign: Callable[[bytes], bytes]

    @property
    def key_id(self) -> str:
        """SHA-256 of the public key, hex: by this name the server knows it."""
        return key_id(self.public)


def create(folder: Path, private: Ed25519PrivateKey | None = None) -> SigningKey:
    """Keep a key for the device, a new one where none is given; durable on return.

    Raises KeyFileError where it has one.
    """
    if (folder / FILE).exists():
        raise KeyFileError(f"a key in {folder}", "none", "whence device keys rotate")
    return _write(folder, FILE, private)


def rotate(folder: Path) -> SigningKey:
    """Make the device's next key, durable on return; the recorder goes over to it with its next checkpoint.

    Raises KeyFileError where there is no key yet, or where a rotation is under way.
    """
    if not (folder / FILE).exists():
        raise KeyFileError(f"no key in {folder}", "one", "whence device keys create")
    if (folder / NEXT).exists():
        raise KeyFileError(
            f"a next key in {folder}",
            "none",
            "the recorder goes over to it with its next checkpoint",
        )
    return _write(folder, NEXT)


def load(folder: Path, name: str = FILE) -> SigningKey | None:
    """The device's key; None where it has none. Raises KeyFileError where the file is no Ed25519 key."""
    path = folder / name
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyFileError(f"{path} that cannot be read: {error.strerror}", "its owner") from error
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise KeyFileError(f"{path}, {len(data)} bytes", "an Ed25519 key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path}, {type(key).__name__}", "an Ed25519 key in PEM")
    return _signing(key)


def go_over(folder: Path) -> None:
    """Put the next key in the place of the key, which is gone then; durable on return. Raises OSError."""
    (folder / NEXT).replace(folder / FILE)
    disk.sync_folder(folder)


def _write(folder: Path, name: str, private: Ed25519PrivateKey | None = None) -> SigningKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = private or Ed25519PrivateKey.generate()
    try:
        disk.make_folder(folder)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        disk.replace(folder / name, pem)
    except OSError as error:
        raise KeyFileError(
            f"{folder} that cannot be written: {error.strerror}", "room and permission there"
        ) from error
    return _signing(key)


def _signing(key: Ed25519PrivateKey) -> SigningKey:
    return SigningKey(key.public_key().public_bytes_raw(), key.sign)
