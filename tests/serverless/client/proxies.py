"""A line between a client and a gateway that breaks when it is told to."""

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes on, and cuts a line when an answer is on its way.

    Attributes:
        host: The address to give to clients.
        cuts: How often a line was cut.
    """

    def __init__(self, host):
        parts = urlsplit(host)
        self.gateway = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._planned = []
        self.cuts = 0
        self._threads = []
        self._lines = []
        self._start(self._accept)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for line in self._lines:
            line.end()
        for thread in self._threads:
            thread.join()

    def cut(self, request, after_bytes=0):
        """Plans a cut: within the answer to the next request that begins so."""
        self._planned.append((request.encode(), after_bytes))

    def plan_for(self, data):
        """After how many bytes of the answer to this request to cut; None is never."""
        for plan in self._planned:
            if data.startswith(plan[0]):
                self._planned.remove(plan)
                return plan[1]
        return None

    def _start(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                line = Line(self, peer, socket.create_connection(self.gateway))
                self._lines.append(line)
                self._start(line.ask)
                self._start(line.answer)


class Line:
    """One connection of a client, and the one to the gateway that it stands for."""

    def __init__(self, proxy, client, gateway):
        self._proxy = proxy
        self._client = client
        self._gateway = gateway
        self._left = None

    def ask(self):
        """Passes on what the client says."""
        with suppress(OSError):
            while data := self._client.recv(65536):
                planned = self._proxy.plan_for(data)
                self._left = planned if planned is not None else self._left
                self._gateway.sendall(data)
        self.end()

    def answer(self):
        """Passes on what the gateway says, as far as it is planned."""
        with suppress(OSError):
            while data := self._gateway.recv(65536):
                if self._left is not None:
                    self._client.sendall(data[: self._left])
                    self._left -= len(data)
                    if self._left <= 0:
                        self._proxy.cuts += 1
                        break
                else:
                    self._client.sendall(data)
        self.end()
        self._client.close()
        self._gateway.close()

    def end(self):
        """Cuts it."""
        for each in (self._client, self._gateway):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
