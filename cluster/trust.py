"""Whether a cluster may be given work: it is on this machine, or it asks those who come for a token.

Whoever reaches a Ray cluster that asks for none can run anything there, read what it is given, and answer a driver with
what he likes, which the driver unpickles.
"""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address

from cluster.base import BackendUnavailable

# A variable by which the user insists on a cluster that asks nobody for a token, with the value 1.
INSECURE = "MMM_INSECURE"
_SECONDS = 5.0
# Harmless calls, without arguments: of the head itself, and of the server for Ray Client.
_HEAD_CALL, _CLIENT_CALL = "/ray.rpc.NodeInfoGcsService/CheckAlive", "/ray.rpc.RayletDriver/ClusterInfo"


def is_loopback_host(host: str) -> bool:
    """Whether a host can only be reached from this machine."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def asks_for_token(address: str) -> bool:
    """Whether a cluster turns away a call without a token.

    Args:
        address: host:port of the head, or ray://host:port of its server for Ray Client.
    """
    import grpc

    call = _CLIENT_CALL if address.startswith("ray://") else _HEAD_CALL
    with grpc.insecure_channel(address.removeprefix("ray://")) as channel:
        try:
            channel.unary_unary(call)(b"", timeout=_SECONDS)
        except grpc.RpcError as error:
            return bool(error.code() == grpc.StatusCode.UNAUTHENTICATED)
    return False


def check_trust(address: str) -> None:
    """Refuse a cluster elsewhere that asks nobody for a token.

    Raises:
        BackendUnavailable: one sentence with the remedy.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal() or is_loopback_host(host.strip("[]")) or asks_for_token(address):
        return
    raise BackendUnavailable(
        f"the Ray cluster at {address} asks nobody for a token: whoever reaches it can run anything there, and read "
        f"and change what is computed; start it with RAY_AUTH_MODE=token, or insist with {INSECURE}=1"
    )
