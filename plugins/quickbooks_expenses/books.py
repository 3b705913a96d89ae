"""QuickBooks Online through its client library: signing in, a batch of purchases, and asking what is there."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from intuitlib.client import AuthClient
from intuitlib.exceptions import AuthClientError
from quickbooks import QuickBooks
from quickbooks.objects.base import Ref
from quickbooks.objects.batchrequest import BatchItemRequest, BatchOperation, IntuitBatchRequest
from quickbooks.objects.detailline import AccountBasedExpenseLine, AccountBasedExpenseLineDetail
from quickbooks.objects.purchase import Purchase

from steward import Cursor, Record, Rejected, Secret

from .connection import Connection

PAYMENTS = {"check": "Check", "card": "CreditCard"}
TIME_LIMIT = 120
"""Seconds after which QuickBooks itself gives a request up."""
ASKED_TO_WAIT = 60
"""Seconds to wait after a 429 that does not say how long."""


class Throttled(Exception):
    """QuickBooks asks us to wait (HTTP 429)."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__("QuickBooks is busy and asked us to wait")


class Books(QuickBooks):  # type: ignore[misc]  # the library has no types
    """The library's client with a time limit, and an ear for 429."""

    address = ""

    @property
    def api_url(self) -> str:
        """The address of the interface."""
        return self.address

    def process_request(self, request_type: str, url: str, headers: Any = "", params: Any = "", data: Any = "") -> Any:
        """Send one request. Raises `Throttled`."""
        headers.update({"Authorization": f"Bearer {self.session.access_token}"})
        answer = self.session.request(request_type, url, headers=headers, params=params, data=data, timeout=TIME_LIMIT)
        if answer.status_code == 429:
            told = answer.headers.get("Retry-After", "")
            raise Throttled(min(float(told), 2 * ASKED_TO_WAIT) if told.isdigit() else ASKED_TO_WAIT)
        return answer

    def send(self, body: str, request_id: str) -> list[dict[str, Any]]:
        """Send a batch and return what became of each item. One request id, however often sent, is booked once."""
        address = f"{self.api_url}/company/{self.company_id}/batch"
        answer: list[dict[str, Any]] = self.post(address, body, request_id=request_id)["BatchItemResponse"]
        return answer

    def find(self, items: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return those of the expenses that are booked already: the expense's id to the purchase."""
        numbers = ", ".join(f"'{number_of(item)}'" for item in items)
        answer = self.query(f"select Id, DocNumber, TotalAmt from Purchase where DocNumber in ({numbers})")
        return {item_of(each["DocNumber"]): each for each in answer["QueryResponse"].get("Purchase", [])}


def sign_in(connection: Connection, cursor: Cursor) -> Books:
    """Return a client with a fresh access token; the refresh token that came with it is kept for the next time.

    Raises:
        Rejected: the refresh token is not accepted.
    """
    given = connection.refresh_token.reveal()
    origin = hashlib.sha256(given.encode()).hexdigest()
    kept = json.loads(cursor.secret.reveal()) if cursor.secret else {}
    # A token that was set anew, after connecting the company again, is newer than what came of the one before.
    token = kept["token"] if kept.get("origin") == origin else given
    secret = connection.client_secret.reveal()
    try:
        auth = AuthClient(
            connection.client_id, secret, "https://localhost/", connection.discovery_url, refresh_token=token
        )
        auth.refresh()
    except AuthClientError as error:
        if error.status_code not in (400, 401):
            raise
        raise Rejected(
            "QuickBooks does not let us in",
            "The refresh token was not accepted",
            "Connect the company again, and set QUICKBOOKS_REFRESH_TOKEN to the new token",
        ) from error
    cursor.keep(Secret(json.dumps({"origin": origin, "token": auth.refresh_token})))
    books = Books(auth_client=auth, company_id=connection.realm_id, minorversion=75, use_decimal=True)
    books.address = connection.api_url
    return books


def batch_of(rows: Sequence[Mapping[str, Any]], connection: Connection) -> str:
    """Return the body of a batch that books each of the expenses; `bId` is the expense's id."""
    batch = IntuitBatchRequest()
    for row in rows:
        request = BatchItemRequest()
        request.bId, request.operation = str(row["id"]), BatchOperation.CREATE
        request.set_object(purchase_of(row, connection))
        batch.BatchItemRequest.append(request)
    body: str = batch.to_json()
    return body


def purchase_of(row: Mapping[str, Any], connection: Connection) -> Purchase:
    """Return an expense as a purchase; its amount is a decimal to the cent."""
    found = Record("expenses", row)
    amount = found.decimal("total_price")
    purchase = Purchase()
    purchase.DocNumber = number_of(str(row["id"]))
    purchase.TxnDate = found.day("purchased_at").isoformat()
    purchase.PaymentType = PAYMENTS.get(found.text("payment_method"), "Cash")
    card = connection.card_account if purchase.PaymentType == "CreditCard" else ""
    purchase.AccountRef = _ref(card or connection.bank_account)
    purchase.TotalAmt = amount
    receipt = f"receipt {number}" if (number := found.words("receipt_number")) else ""
    grant = Record("grants", row, "grant_id").text("grant_number")
    purchase.PrivateNote = ", ".join(filter(None, (f"Grant {grant}", found.words("vendor"), receipt)))
    line = AccountBasedExpenseLine()
    line.Amount = amount
    line.Description = found.text("item")
    detail = line.AccountBasedExpenseLineDetail = AccountBasedExpenseLineDetail()
    detail.AccountRef = _ref(connection.category_accounts.get(found.text("category"), connection.expense_account))
    purchase.Line.append(line)
    return purchase


def number_of(item: str) -> str:
    """Return the document number under which an expense is booked."""
    return f"STW-{item}"


def item_of(number: str) -> str:
    """Return the expense that a document number stands for."""
    return number.removeprefix("STW-")


def _ref(account: str) -> Ref:
    ref = Ref()
    ref.value = account
    return ref
