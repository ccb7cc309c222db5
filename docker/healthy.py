"""Exit code 0 when an address of this container answers: `healthy.py http://127.0.0.1:6566/health/live`, `healthy.py tcp://127.0.0.1:3001`.

For health checks, of which many run: the standard library alone, in a tenth of a second. Over HTTP, only 200 is well.
"""

from __future__ import annotations

import socket
import ssl
import sys
import urllib.request
from typing import Final
from urllib.parse import urlsplit

SECONDS: Final = 2.5


def healthy(url: str) -> bool:
    """Tell whether the address answers; the certificate's name is another one than this container's loopback address."""
    parts = urlsplit(url)
    try:
        if parts.scheme == "tcp":
            with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 0), SECONDS):
                return True
        context = ssl._create_unverified_context() if parts.scheme == "https" else None  # noqa: S323, SLF001
        with urllib.request.urlopen(url, timeout=SECONDS, context=context) as answer:  # noqa: S310 - given by whoever runs the container
            return bool(answer.status == 200)  # noqa: PLR2004
    except OSError:  # a refusal of HTTP is one too
        return False


if __name__ == "__main__":
    sys.exit(0 if healthy(sys.argv[1]) else 1)
