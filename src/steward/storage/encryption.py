"""Encrypts what must not be readable in the store, and hashes what need only be recognised."""

from __future__ import annotations

import hashlib
import hmac
import json
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from steward.errors import ConfigurationError

_VERSION = b"\x01"
_NONCE = 12


class Seal:
    """AES-256-GCM (NIST SP 800-38D) under a key derived from the service's own, bound to the task it belongs to."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(self._derive(key, b"steward seal"))
        self._mac = self._derive(key, b"steward digest")

    @staticmethod
    def _derive(key: bytes, purpose: bytes) -> bytes:
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key)

    def close(self, content: bytes, owner: str) -> bytes:
        """Return `content` encrypted; only `open` with the same `owner` gives it back."""
        nonce = os.urandom(_NONCE)
        return _VERSION + nonce + self._cipher.encrypt(nonce, content, owner.encode())

    def open(self, sealed: bytes, owner: str) -> bytes:
        """Return the content of `sealed`.

        Raises:
            ConfigurationError: it was sealed with another key or for another owner, or was altered.
        """
        try:
            return self._cipher.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], owner.encode())
        except (InvalidTag, ValueError, IndexError) as error:
            raise ConfigurationError(
                "An encrypted value cannot be opened",
                "It was sealed with another secret key, or altered",
                "Set STEWARD_SECRET_KEY to the key that was in use when the task was accepted",
            ) from error

    def close_texts(self, texts: list[str], owner: str) -> bytes | None:
        """Return `texts` encrypted together, or None if there are none."""
        return self.close(json.dumps(texts).encode(), owner) if texts else None

    def open_texts(self, sealed: bytes | None, owner: str) -> list[str]:
        """Return the texts that `close_texts` sealed. Raises as `open`."""
        if sealed is None:
            return []
        texts: list[str] = json.loads(self.open(sealed, owner))
        return texts

    def digest(self, content: bytes) -> str:
        """Return a keyed fingerprint that tells equal contents without revealing them."""
        return hmac.new(self._mac, content, hashlib.sha256).hexdigest()


def token_hash(token: str) -> str:
    """Return what the ledger keeps of a random token; tokens hold 32 random bytes, so a plain hash suffices."""
    return hashlib.sha256(token.encode()).hexdigest()
