"""Serve and ask, for a test that runs this where there is no network."""

import json
import os
import socket
import sys
from pathlib import Path

from tests.apr.serve.servers import HELLO, chat, serving


def main() -> None:
    """Print what there is and what was answered."""
    image = {"type": "image_url", "image_url": {"url": "http://127.0.0.1:9/x.png"}}
    with serving(Path(os.environ["HOME"])) as server:
        told = {
            "interfaces": [name for _, name in socket.if_nameindex()],
            "answered": chat(server).status,
            "image": chat(server, [*HELLO, {"role": "user", "content": [image]}]).status,
        }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
