"""Whether an address is free. Apart from the servers, so that a start that can't work fails before moto is loaded."""

import errno
import socket


class PortInUseError(Exception):
    """Another program listens on the address."""


def refuse_busy(address: str, port: int) -> None:
    """PortInUseError when somebody listens there, OSError when this host doesn't have the address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortInUseError(f"{address}:{port} is in use by another program") from error
