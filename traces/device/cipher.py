"""AES-GCM for the payloads of a spool: what is at rest on a device is unreadable without its key."""

from __future__ import annotations

import itertools
import os

from traces.errors import SpoolError

_LENGTHS = (16, 24, 32)
_NONCE_BYTES = 12
_PER_PREFIX = 2**32


class Cipher:
    """Encrypts payloads under one key (16, 24 or 32 bytes).

    A nonce is 8 random bytes of this process and a count, so that none is used twice under a key.
    Raises SpoolError where the key has another length.
    """

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if len(key) not in _LENGTHS:
            raise SpoolError(f"a key of {len(key)} bytes", "16, 24 or 32 bytes for AES-GCM")
        self._aes = AESGCM(key)
        self._nonces = _nonces()

    def encrypt(self, payload: bytes, about: bytes) -> bytes:
        """Nonce, ciphertext and tag; `about` is authenticated with it and not kept in it."""
        nonce = next(self._nonces)
        return nonce + self._aes.encrypt(nonce, payload, about)

    def decrypt(self, payload: bytes, about: bytes) -> bytes:
        """The inverse of `encrypt`. Raises SpoolError where key or content is another one."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._aes.decrypt(payload[:_NONCE_BYTES], payload[_NONCE_BYTES:], about)
        except (InvalidTag, ValueError) as error:
            raise SpoolError(
                "a frame that this key does not open", "the key that the spool was written with"
            ) from error


def _nonces():
    while True:
        prefix = os.urandom(8)
        for number in itertools.islice(itertools.count(), _PER_PREFIX):
            yield prefix + number.to_bytes(4, "big")
