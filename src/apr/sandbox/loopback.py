"""The process that keeps a sandbox's network: a loopback and nothing else. Run as a script.

On standard input it has a Unix socket. It opens a port of the loopback, hands that out (whoever
holds a socket, it stays in the network it was made in), and waits until the other side is gone.
"""

import _socket  # socket itself takes 5 ms to import
import array
import os
import sys


def main(port: int) -> None:
    """Hand out a listening socket and wait."""
    listening = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    listening.bind(("127.0.0.1", port))
    listening.listen(128)
    control = _socket.socket(fileno=0)
    rights = array.array("i", [listening.fileno()])
    control.sendmsg([b"ready"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
    listening.close()
    while os.read(0, 1):
        pass


if __name__ == "__main__":
    main(int(sys.argv[1]))
