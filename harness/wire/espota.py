"""espota, the over-the-air protocol of the Arduino core 2.0.x: what is said on UDP and TCP, and nothing about sockets.

The client invites by UDP (``command port size md5``), answers a password challenge, and then the device connects back
by TCP and pulls the image: it acknowledges what it has read by decimal counts without separators, so counts may come
split or merged. After the last byte it says ``OK``, or why not, in words.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from harness.errors import K1HilError

FLASH, FILE_SYSTEM, AUTHENTICATE = 0, 100, 200
CHUNK_BYTES = 1024
DEFAULT_PORT = 3232
_NONCE_DIGITS = 32
_SHA256_NONCE_DIGITS = 64
_HEX = re.compile(rb"[0-9a-fA-F]+")
_MOST_WORDS = 256


class EspotaError(K1HilError):
    """The other end said something that is not espota."""

    blame = "dut"


@dataclass(frozen=True)
class Accepted:
    """The device takes the invitation and will connect."""


@dataclass(frozen=True)
class Challenge:
    """The device wants a password: ``nonce`` is 32 hex digits (MD5), or 64 with core 3.3 and later (SHA-256)."""

    nonce: str

    @property
    def is_md5(self) -> bool:
        """Whether this is the challenge of core 2.0.x, the only one answered here."""
        return len(self.nonce) == _NONCE_DIGITS


@dataclass(frozen=True)
class Refused:
    """The device says no, in words."""

    words: str


Answer = Accepted | Challenge | Refused


def invitation(tcp_port: int, size: int, md5_hex: str, command: int = FLASH) -> bytes:
    """The datagram that starts an update of ``size`` bytes, to be pulled from ``tcp_port``."""
    return f"{command} {tcp_port} {size} {md5_hex}\n".encode()


def parse_answer(datagram: bytes) -> Answer:
    """What the device says to an invitation or to a password.

    Raises:
        EspotaError: neither ``OK`` nor ``AUTH`` nor readable words.
    """
    text = datagram.strip()
    if text == b"OK":
        return Accepted()
    if text.startswith(b"AUTH "):
        nonce = text[5:].strip()
        if len(nonce) in (_NONCE_DIGITS, _SHA256_NONCE_DIGITS) and _HEX.fullmatch(nonce):
            return Challenge(nonce.decode().lower())
        raise EspotaError("a password challenge without a nonce", expected="32 hex digits", got=repr(datagram[:80]))
    words = words_of(text)
    if not words:
        raise EspotaError("an answer that is not espota", expected="OK or AUTH …", got=repr(datagram[:80]))
    return Refused(words)


def password_answer(password: str, nonce: str, cnonce: str) -> bytes:
    """Answer to a challenge: md5(md5(password):nonce:cnonce), all hex and lower case."""
    secret = hashlib.md5(password.encode()).hexdigest()
    proof = hashlib.md5(f"{secret}:{nonce}:{cnonce}".encode()).hexdigest()
    return f"{AUTHENTICATE} {cnonce} {proof}\n".encode()


def client_nonce(file_name: str, size: int, md5_hex: str, host: str) -> str:
    """The client's own nonce, as the stock client makes it."""
    return hashlib.md5(f"{file_name}{size}{md5_hex}{host}".encode()).hexdigest()


def words_of(data: bytes) -> str:
    """Printable words in what a device sent, at most 256 characters."""
    text = data.decode("ascii", "replace")
    return "".join(c for c in text if c.isprintable()).strip()[:_MOST_WORDS]


class Transfer:
    """What the device says while it pulls: counts, then the end. Any split of its bytes gives the same.

    Attributes:
        heard: bytes of acknowledgement so far; growing means that the device is alive.
        words: what came after the counts, cleaned.
    """

    def __init__(self) -> None:
        self.heard = 0
        self._other = bytearray()

    def feed(self, data: bytes) -> None:
        """Bytes of the device."""
        self.heard += len(data)
        # Counts come first; from the first letter on it is words, and words may hold digits ("MD5").
        self._other += data if self._other else data.lstrip(b"0123456789")
        del self._other[_MOST_WORDS:]

    @property
    def words(self) -> str:
        return words_of(bytes(self._other))

    @property
    def succeeded(self) -> bool:
        """``OK`` and nothing else: an OK inside an error text is no success."""
        return self.words == "OK"

    @property
    def failed(self) -> bool:
        """Words that are not (the beginning of) OK."""
        return not "OK".startswith(self.words)
