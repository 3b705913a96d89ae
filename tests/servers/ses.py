"""A mail service behind an HTTP interface like Amazon's (SES, version 2); it takes no signature but the right one."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY, SECRET, REGION = "AKIAEXAMPLE", "s3cret/with+signs", "local"


class Ses:
    """Use it with `with`. `sent` are the messages taken, each as sender, recipients and bytes; `answer` may say no."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, list[str], bytes]] = []
        self.answer: Callable[[list[str]], tuple[int, str, str] | None] = lambda recipients: None
        """Asked for each message: status, kind and words of a refusal; None if it is taken. It may raise to drop it."""
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._serve(b"")

            def do_POST(self) -> None:
                self._serve(self.rfile.read(int(self.headers["Content-Length"])))

            def _serve(self, body: bytes) -> None:
                status, kind, said = outer._judge(self.command, self.path, dict(self.headers.items()), body)
                if status == 0:
                    self.close_connection = True
                    return
                text = json.dumps(said).encode()
                self.send_response(status)
                if kind:
                    self.send_header("x-amzn-ErrorType", kind)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def url(self, secret: str = SECRET) -> str:
        """Its address as STEWARD_MAIL_URL takes it."""
        quoted = secret.replace("/", "%2F").replace("+", "%2B")
        return f"ses://{KEY}:{quoted}@127.0.0.1:{self.port}?region={REGION}"

    def _judge(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, dict[str, str]]:
        if self._signature(method, path, headers, body) != headers.get("Authorization"):
            return 403, "SignatureDoesNotMatchException", {"message": "The signature does not match"}
        if (method, path) == ("GET", "/v2/email/account"):
            return 200, "", {"SendingEnabled": "true"}
        if (method, path) != ("POST", "/v2/email/outbound-emails"):
            return 404, "NotFoundException", {"message": "There is nothing here"}
        asked = json.loads(body)
        recipients = asked["Destination"]["ToAddresses"]
        try:
            refused = self.answer(recipients)
        except ConnectionError:
            return 0, "", {}
        if refused is not None:
            return refused[0], refused[1], {"message": refused[2]}
        with self._lock:
            wire = base64.b64decode(asked["Content"]["Raw"]["Data"], validate=True)
            self.sent.append((asked["FromEmailAddress"], recipients, wire))
            return 200, "", {"MessageId": f"0102-{len(self.sent)}"}

    def _signature(self, method: str, path: str, headers: dict[str, str], body: bytes) -> str:
        """Return what Amazon's own library signs for this request, at the moment that it names."""
        request = AWSRequest(method, f"http://{headers['Host']}{path}", data=body)
        request.headers["Host"] = headers["Host"]
        request.context["timestamp"] = headers["X-Amz-Date"]
        request.headers["X-Amz-Date"] = headers["X-Amz-Date"]
        signer = SigV4Auth(Credentials(KEY, SECRET), "ses", REGION)
        canonical = signer.canonical_request(request)
        signature = signer.signature(signer.string_to_sign(request, canonical), request)
        names = signer.signed_headers(signer.headers_to_sign(request))
        return f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={names}, Signature={signature}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="ses server", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
