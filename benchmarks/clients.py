"""Many clients in one process: each has a connection and asks again once it was answered.

They write and read bytes themselves, so that one process asks far more than a gateway can answer;
how much more is measured with servers that always say the same.
"""

import asyncio
import json
import re
import socket
from multiprocessing import get_context
from statistics import quantiles
from time import perf_counter

CLIENTS = 64
HEAD_END = b"\r\n\r\n"
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
SAID = b'{"id":"00000000-0000-7000-8000-000000000000","status":"QUEUED","title":"waits"}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"


def request(method, path, body=None, **headers):
    """Return a request as bytes, with the headers that HTTP clients send."""
    text = b"" if body is None else json.dumps(body).encode()
    headers = {
        "host": "127.0.0.1",
        "accept": "*/*",
        "accept-encoding": "gzip, deflate",
        "connection": "keep-alive",
        "user-agent": "benchmark",
        "content-type": "application/json",
        "content-length": len(text),
        **headers,
    }
    lines = [f"{name.replace('_', '-')}: {said}" for name, said in headers.items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines]).encode() + HEAD_END + text


class Load:
    """What came of many requests.

    Attributes:
        bodies: those of the answers, in the order in which they came.
        refused: how many answers were other than 200.
        latencies: seconds from each request to the end of its answer.
        seconds: from the first request to the last answer.
    """

    def __init__(self):
        self.bodies = []
        self.refused = 0
        self.latencies = []
        self.seconds = 0.0

    def measurements(self):
        """Return these as a record."""
        hundredths = quantiles(self.latencies, n=100)
        return {
            "tasks_per_second": len(self.bodies) / self.seconds,
            "tasks": len(self.bodies),
            "median_seconds": hundredths[49],
            "p99_seconds": hundredths[98],
        }


def ask(port, requests, *, clients=CLIENTS):
    """Send requests by so many clients, each its next one when its last was answered."""
    return asyncio.run(ask_all(port, iter(requests), clients))


async def ask_all(port, requests, clients):
    loop, load = asyncio.get_running_loop(), Load()
    connected = [
        await loop.create_connection(lambda: Client(requests, load), "127.0.0.1", port)
        for _ in range(clients)
    ]
    start = perf_counter()
    for _, client in connected:
        client.send()
    for _, client in connected:
        await client.ended
    load.seconds = perf_counter() - start
    return load


class Client(asyncio.Protocol):
    """One connection, kept open; it ends when there is nothing more to ask."""

    def __init__(self, requests, load):
        self.requests = requests
        self.load = load
        self.read = b""
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        """Keep the way to write."""
        self.transport = transport

    def send(self):
        """Ask the next of the requests, or end."""
        request = next(self.requests, None)
        if request is None:
            self.transport.close()
            return
        self.sent_at = perf_counter()
        self.transport.write(request)

    def data_received(self, data):
        """Ask again once the answer is complete."""
        self.read += data
        message = whole(self.read)
        if message is None:
            return
        head, body, self.read = message
        self.load.latencies.append(perf_counter() - self.sent_at)
        self.load.bodies.append(body)
        self.load.refused += not head.startswith(b"HTTP/1.1 200 ")
        self.send()

    def connection_lost(self, _error):
        """End, also where the server has closed it."""
        if not self.ended.done():
            self.ended.set_result(None)


def whole(read):
    """Return head, body and rest of what was read, or None if it is not complete."""
    head, end, rest = read.partition(HEAD_END)
    if not end:
        return None
    found = LENGTH.search(head)
    length = int(found[1]) if found else 0
    return None if len(rest) < length else (head, rest[:length], rest[length:])


class Same(asyncio.Protocol):
    """A server's side of a connection: always the same answer."""

    def connection_made(self, transport):
        """Keep the way to write."""
        self.transport = transport
        self.read = b""

    def data_received(self, data):
        """Answer each request that is complete."""
        self.read += data
        while (message := whole(self.read)) is not None:
            self.read = message[2]
            self.transport.write(ANSWER % (len(SAID), SAID))


def serve_same(listener):
    async def serve():
        server = await asyncio.get_running_loop().create_server(Same, sock=listener)
        await server.serve_forever()

    asyncio.run(serve())


def serve_same_by_uvicorn(listener):
    """Serve the same in the gateway's own server, with nothing behind it."""
    import uvicorn
    from starlette.requests import Request
    from starlette.responses import Response

    async def application(scope, receive, send):
        await Request(scope, receive).body()
        await Response(SAID, media_type="application/json")(scope, receive, send)

    config = uvicorn.Config(application, lifespan="off", log_level="error", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


class SameServer:
    """A server that always says the same, in a process of its own.

    It is asked as a gateway is, so that what the clients could do is known.
    """

    rss_mb = None

    def __init__(self, serve):
        # Where TCP is not named, asyncio leaves Nagle's algorithm on.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        listener.listen(2 * CLIENTS)
        self.port = listener.getsockname()[1]
        self.process = get_context("fork").Process(target=serve, args=(listener,), daemon=True)
        self.process.start()
        listener.close()

    def close(self):
        """End it."""
        self.process.kill()
        self.process.join()
