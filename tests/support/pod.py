"""Runs a command under a host name, as a pod of a StatefulSet does; needs a UTS namespace of its
own (`unshare --uts`)."""

from __future__ import annotations

import os
import socket
import sys

if __name__ == "__main__":
    name, *command = sys.argv[1:]
    socket.sethostname(name)
    os.execv(command[0], command)
