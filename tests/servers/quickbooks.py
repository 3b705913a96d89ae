"""A QuickBooks Online that answers as its public documentation says: discovery, tokens, batch, query, throttling."""

from __future__ import annotations

import base64
import json
import re
import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

CLIENT, SECRET, REALM = "client-1", "secret-1", "4620816365"
MOST_ITEMS = 30


class QuickBooks:
    """Use it with `with`. What it was asked and what it holds stand in attributes; `hold` lets a batch wait.

    `throttle` is how many batches are answered with 429 first; `unknown_account` is refused in any line.
    """

    def __init__(self) -> None:
        self.refresh_token, self.access_token = "refresh-1", ""
        self.signed_in = 0
        self.purchases: dict[str, dict[str, Any]] = {}
        self.answers: dict[str, str] = {}
        self.batches: list[list[str]] = []
        self.requests: list[str] = []
        self.throttle = 0
        self.retry_after = "1"
        self.unknown_account = ""
        self.remembers_requests = True
        self.hold: threading.Event | None = None
        self.hold_before = False
        self.arrived = threading.Event()
        self.waiting = 0
        self.queries = 0
        self._made = 0
        self._lock = threading.Lock()
        books = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path == "/discovery":
                    names = ("authorization", "token", "revocation", "userinfo")
                    document = {f"{name}_endpoint": f"{books.url}/{name}" for name in names}
                    self._say(200, document | {"issuer": books.url, "jwks_uri": f"{books.url}/jwks"})
                else:
                    self._say(404, {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode()
                parts = urlsplit(self.path)
                if parts.path == "/token":
                    self._say(*books.sign_in(self.headers.get("authorization", ""), body))
                elif self.headers.get("authorization") != f"Bearer {books.access_token}" or not books.access_token:
                    fault = {"type": "AUTHENTICATION", "error": [{"message": "Token expired", "code": "3200"}]}
                    self._say(401, {"fault": fault})
                elif parts.path == f"/v3/company/{REALM}/batch":
                    status, answer = books.batch(parse_qs(parts.query), body)
                    self._say(status, answer)
                elif parts.path == f"/v3/company/{REALM}/query":
                    self._say(200, books.query(body))
                else:
                    self._say(404, {})

            def _say(self, status: int, answer: Any) -> None:
                content = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(content)))
                    if status == 429:
                        self.send_header("Retry-After", books.retry_after)
                    self.end_headers()
                    self.wfile.write(content)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # whoever asked was killed

            def log_message(self, *words: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which the plugin finds it."""
        return {
            "QUICKBOOKS_REALM_ID": REALM,
            "QUICKBOOKS_CLIENT_ID": CLIENT,
            "QUICKBOOKS_CLIENT_SECRET": SECRET,
            "QUICKBOOKS_REFRESH_TOKEN": "refresh-1",
            "QUICKBOOKS_BANK_ACCOUNT": "35",
            "QUICKBOOKS_CARD_ACCOUNT": "42",
            "QUICKBOOKS_EXPENSE_ACCOUNT": "7",
            "QUICKBOOKS_CATEGORY_ACCOUNTS": '{"tools": "61"}',
            "QUICKBOOKS_DISCOVERY_URL": f"{self.url}/discovery",
            "QUICKBOOKS_API_URL": f"{self.url}/v3",
            "QUICKBOOKS_BATCHES_PER_MINUTE": "6000",
            "OAUTHLIB_INSECURE_TRANSPORT": "1",  # the library refuses to send a token without TLS, rightly
        }

    def sign_in(self, authorization: str, body: str) -> tuple[int, Any]:
        """Answer a refresh (RFC 6749, section 6); the refresh token is exchanged, the one before ends."""
        form = {name: values[0] for name, values in parse_qs(body).items()}
        wanted = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        with self._lock:
            if authorization != wanted or form.get("refresh_token") != self.refresh_token:
                return 400, {"error": "invalid_grant"}
            self.signed_in += 1
            self.access_token = f"access-{self.signed_in}"
            self.refresh_token = f"refresh-{self.signed_in + 1}"
            return 200, {
                "token_type": "bearer",
                "access_token": self.access_token,
                "refresh_token": self.refresh_token,
                "expires_in": 3600,
                "x_refresh_token_expires_in": 8726400,
            }

    def batch(self, query: dict[str, list[str]], body: str) -> tuple[int, Any]:
        """Answer a batch; one with a `requestid` that was answered before gets the same answer, and does nothing."""
        with self._lock:
            if self.throttle > 0:
                self.throttle -= 1
                error = {"Message": "message=ThrottleExceeded; errorCode=003001; statusCode=429", "code": "3001"}
                return 429, {"Fault": {"Error": [error], "type": "THROTTLED"}}
        if self.hold is not None and self.hold_before:
            self.waiting += 1
            self.arrived.set()
            self.hold.wait(60)
        with self._lock:
            request = query.get("requestid", [""])[0]
            self.requests.append(request)
            if request in self.answers and self.remembers_requests:
                return 200, self.answers[request]
            items = json.loads(body, parse_float=Decimal)["BatchItemRequest"]
            if len(items) > MOST_ITEMS:
                error = {"Message": "The batch has too many items", "code": "1040"}
                return 400, {"Fault": {"Error": [error], "type": "ValidationFault"}}
            self.batches.append([item["bId"] for item in items])
            answer = json.dumps({"BatchItemResponse": [self._create(i) for i in items], "time": "2026-11-24T06:00:00Z"})
            if request:
                self.answers[request] = answer
        if self.hold is not None and not self.hold_before:
            self.arrived.set()
            self.hold.wait(30)
        return 200, answer

    def query(self, statement: str) -> Any:
        """Answer `select … from Purchase where DocNumber in (…)`."""
        self.queries += 1
        numbers = set(re.findall(r"'([^']*)'", statement))
        found = [p for p in self.purchases.values() if p["DocNumber"] in numbers]
        return {"QueryResponse": {"Purchase": found, "maxResults": len(found)} if found else {}}

    def totals(self) -> dict[str, Decimal]:
        """Return what it holds: document number to amount."""
        return {each["DocNumber"]: Decimal(str(each["TotalAmt"])) for each in self.purchases.values()}

    def numbers(self) -> list[str]:
        """Return every document number, one for each purchase."""
        return [each["DocNumber"] for each in self.purchases.values()]

    def _create(self, item: dict[str, Any]) -> dict[str, Any]:
        purchase = item["Purchase"]
        lines = purchase["Line"]
        accounts = [line["AccountBasedExpenseLineDetail"]["AccountRef"]["value"] for line in lines]
        if self.unknown_account and self.unknown_account in accounts:
            detail = f"Invalid Reference Id : Accounts element id {self.unknown_account} not found"
            error = {"Message": "Invalid Reference Id", "Detail": detail, "code": "2500", "element": ""}
            return {"Fault": {"Error": [error], "type": "ValidationFault"}, "bId": item["bId"]}
        self._made += 1
        made = str(100 + self._made)
        total = sum(Decimal(str(line["Amount"])) for line in lines)
        self.purchases[made] = purchase | {"Id": made, "SyncToken": "0", "TotalAmt": str(total)}
        return {"Purchase": self.purchases[made], "bId": item["bId"]}

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.hold is not None:
            self.hold.set()
        self._server.shutdown()
        self._server.server_close()
