"""Where the company's books are, and to which accounts expenses go: environment variables `QUICKBOOKS_…`."""

from datetime import date

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from steward import Rejected


class Connection(BaseSettings):
    """What this plugin is told."""

    model_config = SettingsConfigDict(env_prefix="QUICKBOOKS_", extra="ignore")

    realm_id: str = Field(min_length=1, description="The company's id.")
    client_id: str = Field(min_length=1)
    client_secret: SecretStr
    refresh_token: SecretStr = Field(description="From connecting the company once; newer ones are kept by themselves.")
    bank_account: str = Field(
        min_length=1, description="Id of the account that cash, checks and transfers are paid from."
    )
    card_account: str = Field("", description="Id of the credit card's account; empty means the bank account.")
    expense_account: str = Field(min_length=1, description="Id of the account that expenses are booked to.")
    category_accounts: dict[str, str] = Field(default_factory=dict, description="Another account for some categories.")
    since: date = Field(date(2000, 1, 1), description="Expenses before this day are not exported.")
    batches_per_minute: float = Field(35, gt=0, description="QuickBooks takes 40.")
    discovery_url: str = Field("production", description="`production`, `sandbox`, or an address.")
    api_url: str = Field("https://quickbooks.api.intuit.com/v3")


def read() -> Connection:
    """Return the connection that the environment describes.

    Raises:
        Rejected: something is missing; the words name it.
    """
    try:
        return Connection()  # type: ignore[call-arg]  # read from the environment
    except ValidationError as error:
        names = ", ".join(f"QUICKBOOKS_{str(e['loc'][0]).upper()}" for e in error.errors())
        raise Rejected(
            "The export to QuickBooks is not set up", f"Missing or unusable: {names}", "See docs/synchronisation.md"
        ) from error
