"""What a portal lets a client carry between the rounds of one request, sealed so that it can only be carried.

A client of MCP 2026-07-28 sends ``requestState`` back as it got it, or as it pleases: the specification has servers
treat it as an attacker's (server/utilities/mrtr, security). It is encrypted, so that an upstream's own state is not
shown, and bound to the user, the portal and the request that it was made for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from portal.wire import INVALID_PARAMS, RpcError

if TYPE_CHECKING:
    from typegen import JsonObject

STATE_S: Final = 600.0
"""How long a client may take to come back: a person reads, thinks, and opens another page meanwhile."""
MAX_STATE_CHARS: Final = 2**20
"""An upstream's own state is part of ours, and some keep a whole conversation in it."""

ROUND_PARAMS: Final = frozenset({"inputResponses", "requestState", "_meta"})
"""Params that are of a round, or of an exchange, and not of what is asked."""

_VERSION: Final = "p1."
_NONCE_BYTES: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The request that a state belongs to: whose, at which portal, and all that it asks for.

    ``params`` is a digest of that, which took ``size`` bytes.
    """

    user: str
    portal: str
    method: str
    params: bytes
    size: int

    @classmethod
    def of(cls, params: JsonObject, *, user: str, portal: str, method: str) -> Binding:
        """Bind to the request with these params, those that differ from round to round aside."""
        asked = {name: value for name, value in params.items() if name not in ROUND_PARAMS}
        # Not orjson: it refuses integers beyond 64 bits and lone surrogates, which arguments may hold.
        text = json.dumps(asked, sort_keys=True).encode()
        digest = hashlib.sha256(text).digest()
        return cls(user=user, portal=portal, method=method, params=digest, size=len(text))

    def as_bytes(self) -> bytes:
        """Return what is authenticated beside the state."""
        named = [_VERSION, self.user, self.portal, self.method, self.params.hex()]
        return json.dumps(named).encode()


class StateSeal:
    """Seals and opens states under a key that lives as long as this process."""

    def __init__(self) -> None:
        self._cipher = AESGCM(os.urandom(32))

    def seal(self, content: JsonObject, binding: Binding) -> str:
        """Return ``content`` as a text that only ``open`` with the same binding reads, for ``STATE_S``."""
        nonce = os.urandom(_NONCE_BYTES)
        plain = json.dumps([time.monotonic() + STATE_S, content]).encode()
        sealed = nonce + self._cipher.encrypt(nonce, plain, binding.as_bytes())
        return _VERSION + base64.urlsafe_b64encode(sealed).decode()

    def open(self, state: object, binding: Binding) -> JsonObject:
        """Return what was sealed. Raises ``RpcError`` for a state that is altered, another request's, or too old."""
        if not isinstance(state, str) or not state.startswith(_VERSION) or len(state) > MAX_STATE_CHARS:
            raise refused_state()
        try:
            sealed = base64.b64decode(state.removeprefix(_VERSION), altchars=b"-_", validate=True)
            plain = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], binding.as_bytes())
        except (binascii.Error, InvalidTag, ValueError):
            raise refused_state() from None
        expires_at, content = json.loads(plain)
        if time.monotonic() > expires_at:
            raise refused_state()
        opened: JsonObject = content
        return opened


def refused_state() -> RpcError:
    """Return the one answer to every state that is not accepted: why is not the client's to know."""
    return RpcError(
        INVALID_PARAMS,
        "Invalid or expired requestState: send the request again without requestState and inputResponses",
    )
