"""Where the company's books are, and to which accounts expenses go: settings `QUICKBOOKS_…`."""

from datetime import date

from pydantic import Field

from steward import PluginSettings, Secret


class Connection(PluginSettings, env_prefix="QUICKBOOKS_"):
    """What this plugin is told."""

    realm_id: str = Field(min_length=1, description="The company's id.")
    client_id: str = Field(min_length=1)
    client_secret: Secret
    refresh_token: Secret = Field(description="From connecting the company once; newer ones are kept by themselves.")
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
