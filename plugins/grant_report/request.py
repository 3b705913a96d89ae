"""What is asked for: which grant, which period, and where the report is to go."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator

from steward import EmailAddress

Format = Literal["pdf", "csv", "xlsx"]
GRANTS = """
    SELECT grant_number AS value, grant_number || ' – ' || name AS label FROM grants
    ORDER BY is_active DESC, grant_number
"""


class GrantReport(BaseModel):
    """Which grant, which period, and where the report is to go."""

    grant: str = Field(
        min_length=1,
        max_length=40,
        title="Grant",
        description="The grant to account for.",
        json_schema_extra={"choices_query": GRANTS},
    )
    start: date = Field(
        title="First day", description="The first day of the period.", json_schema_extra={"schedule_period": "first"}
    )
    end: date = Field(
        title="Last day",
        description="The last day of the period; it is included. If it is still to come, the report is provisional.",
        json_schema_extra={"schedule_period": "last"},
    )
    prepared_by: str = Field(
        "", max_length=120, title="Prepared by", description="The name on the cover; left empty, the organization's."
    )
    recipients: list[EmailAddress] = Field(
        default_factory=list, max_length=50, title="Send it to", description="Their e-mail addresses."
    )
    archive: bool = Field(True, title="Keep it here", description="So that it can be downloaded again.")
    formats: list[Format] = Field(
        ["pdf"], min_length=1, title="Formats", description="The tables can be had as spreadsheets, too."
    )
    even_if_empty: bool = Field(
        False, title="Even if nothing was entered", description="A report that says so, for funders who ask for one."
    )

    @field_validator("end")
    @classmethod
    def after_its_start(cls, value: date, info: ValidationInfo) -> date:
        """Return the last day if it does not lie before the first."""
        start = info.data.get("start")
        if start is not None and value < start:
            raise ValueError(f"the last day must not lie before the first, {start}")
        return value

    @model_validator(mode="after")
    def goes_somewhere(self) -> "GrantReport":
        """Return the request if the report would reach somebody."""
        if not self.archive and not self.recipients:
            raise ValueError("keep the report here, or name somebody to send it to")
        return self
