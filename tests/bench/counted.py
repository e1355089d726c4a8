"""The embedded AWS behind a server that counts the calls of one process, and lets each take as long as on AWS.

The embedded AWS knows a function's call by its trace header, and the runtime interface emulator hands none to the
function.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lab.aws.calls import action_of, service_of

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = 60.0  # seconds for an answer
OF_A_CONNECTION = ("connection", "transfer-encoding", "content-length")  # headers that are not passed on


@contextmanager
def counted(endpoint_url: str, least: float) -> Iterator[tuple[str, Counter[str]]]:
    """Passes calls on until the block ends. Yields its URL, and the calls by API action, "ec2:DescribeImages".

    least: seconds that a call takes.
    """
    calls: Counter[str] = Counter()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(urlsplit(endpoint_url).netloc, calls, least))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="counted AWS", daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", calls
    finally:
        server.shutdown()
        server.server_close()


def _handler(at: str, calls: Counter[str], least: float) -> type[BaseHTTPRequestHandler]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            began = time.monotonic()
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                calls[f"{service_of(headers)}:{action_of(headers, body)}"] += 1
            connection = HTTPConnection(at, timeout=TIMEOUT)
            try:
                connection.request("POST", self.path, body, headers)
                answer = connection.getresponse()
                said = answer.read()
            finally:
                connection.close()
            time.sleep(max(0.0, began + least - time.monotonic()))
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in OF_A_CONNECTION:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
