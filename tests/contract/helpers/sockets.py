"""The sockets of this process."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path


def connections_to(port: int) -> set[str]:
    """Return this process's sockets that are connected to a port."""
    connections = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if (name := str(link.readlink())).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(link.name))) as copy:
                    if copy.getpeername()[1:2] == (port,):  # Unix sockets have no port
                        connections.add(name)
    return connections
