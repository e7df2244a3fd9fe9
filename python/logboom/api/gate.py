"""The token that whoever comes over TCP must show (RFC 6750, section 2.1)."""

import contextlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from logboom.api.answers import Problem
from logboom.api.router import Router
from logboom.asgi import ClientGoneError, Receive, Scope, Send, read_body
from logboom.errors import RequestError

__all__ = ["TOKEN_FILE", "Gate", "read_token"]

TOKEN_FILE: Final = "token"  # noqa: S105  (the name of the file)

TOKEN_LIMIT_BYTES: Final = 1024
"""A longer file holds no token."""

_TOKEN_BYTES: Final = 32


class Gate:
    """Lets in who shows the token; what is open needs none.

    Args:
        router: what is behind it.
        token: what must be shown.
    """

    def __init__(self, router: Router, token: bytes) -> None:
        self._router = router
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and not self._router.is_open(scope["path"]):
            given = dict(scope["headers"]).get(b"authorization", b"")
            scheme, _, shown = given.partition(b" ")
            is_right = hmac.compare_digest(shown.strip(), self._token)
            if scheme.lower() != b"bearer" or not is_right:
                # As everywhere to its end, or the client may see no answer; there is none that could be too long.
                with contextlib.suppress(ClientGoneError, RequestError):
                    await read_body(receive, limit_bytes=0)
                detail = "show the content of the file `token` in the data folder: Authorization: Bearer TOKEN"
                await Problem("unauthorized", detail, [(b"www-authenticate", b"Bearer")]).send(send)
                return
        await self._router(scope, receive, send)


def read_token(folder: Path) -> bytes:
    """The token of a data folder, made when there is none. May block.

    Raises:
        OSError: it cannot be read or made.
        ValueError: the file holds none.
    """
    path = folder / TOKEN_FILE
    try:
        return _parse_token(path)
    except FileNotFoundError:
        _make_token(path)
        return _parse_token(path)


def _make_token(path: Path) -> None:
    partial = path.with_name(f"{path.name}.tmp")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w") as file:  # noqa: PTH123  (a descriptor)
        file.write(f"{secrets.token_urlsafe(_TOKEN_BYTES)}\n")
    # Whole, or not there.
    partial.replace(path)


def _parse_token(path: Path) -> bytes:
    with path.open("rb") as file:
        token = file.read(TOKEN_LIMIT_BYTES + 1).strip()
    if not token or len(token) > TOKEN_LIMIT_BYTES or not token.isascii() or len(token.split()) > 1:
        raise ValueError(f"{path} holds no token; remove it, and another one is made")
    return token
