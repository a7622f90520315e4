"""Exit 0 once each pod behind each name answers /readyz with 200: `ready.py SECONDS HOST:PORT…`."""

import http.client
import socket
import sys
import time


def ready(name: str) -> bool:
    """Whether every pod behind the name does its work."""
    host, _, port = name.rpartition(":")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        print(name, error, flush=True)
        return False
    said = [answers(name, place[4][0], int(port)) for place in found]  # each, to be printed
    return all(said)


def answers(name: str, address: str, port: int) -> bool:
    """Whether one pod does."""
    connection = http.client.HTTPConnection(address, port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        said = f"{answer.status} {answer.read().decode('utf-8', 'replace')}"
    except (OSError, http.client.HTTPException) as error:
        print(name, address, error, flush=True)
        return False
    print(name, address, said, flush=True)
    return answer.status == http.client.OK


until = time.monotonic() + float(sys.argv[1])
waiting = set(sys.argv[2:])
while waiting and time.monotonic() < until:
    waiting -= {name for name in sorted(waiting) if ready(name)}
    if waiting:
        time.sleep(1)
sys.exit(1 if waiting else 0)
