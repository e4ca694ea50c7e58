"""What can go wrong with a node beyond a silent or absent one; each message says the remedy."""

from __future__ import annotations

import os
import socket

import aiohttp

from bot.errors import HomingError, NodeError


class Untrusted(NodeError):
    """The other side did not prove the key that it must have: nothing it says counts."""


class Revoked(Untrusted):
    """This node's key was revoked, for ever: only a person can change that, on this machine."""


class StateDirBusy(HomingError):
    """Another node runs on this state directory."""


class NodeUnusable(HomingError):
    """The node cannot run here as it is set up: a directory, a key file, a system that lacks something."""


def words_of(fault: aiohttp.ClientError | OSError | TimeoutError) -> str:
    """Why there is no connection, in a few words of ours: the library's hold addresses and the names of its classes."""
    match fault:
        case TimeoutError():
            return "no answer in time"
        case aiohttp.ClientConnectorCertificateError():
            return "its TLS certificate is not one that this machine trusts for that name"
        case aiohttp.ClientConnectorSSLError():
            return "the gateway speaks no TLS there; put TLS in front of it, or use ws:// on the same machine"
        case aiohttp.WSServerHandshakeError():
            return f"what answers there is no gateway, or not at this path: HTTP status {fault.status}"
        case aiohttp.ClientConnectorError() | OSError():
            inner = fault.os_error if isinstance(fault, aiohttp.ClientConnectorError) else fault
            if isinstance(inner, socket.gaierror):
                return "its host's name is not known here"
            if isinstance(inner, ConnectionRefusedError):
                return "nothing listens there"
            return os.strerror(inner.errno).lower() if inner.errno else "the network failed"
        case _:
            said = str(fault).splitlines()
            return said[0][:200] if said else "the connection ended"
