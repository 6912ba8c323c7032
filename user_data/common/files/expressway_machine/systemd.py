"""Talking to the service manager."""

import os
import socket


def notify(message: str) -> None:
    """Tell the service manager, if it wants to be told: `READY=1`, `WATCHDOG=1`."""
    if path := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(message.encode(), path.replace("@", "\0", 1))
