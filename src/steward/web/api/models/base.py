"""The base of what the interface answers, as pydantic models: the description is made of them, and the answers are."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, WithJsonSchema

Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""A time as it is written already."""


def one_of(*words: str) -> WithJsonSchema:
    """Return what the description says of a text that is one of `words`.

    It is not checked: a row that another version wrote is shown as it is, and takes no list down.
    """
    return WithJsonSchema({"type": "string", "enum": list(words)})


def _untitled(schema: dict[str, Any]) -> None:
    """Leave out the titles that pydantic makes of names: they say nothing more than the names."""
    for each in (schema, *schema.get("properties", {}).values()):
        each.pop("title", None)


class AnswerModel(BaseModel):
    """The base. The description calls `TaskModel` what it shows, `Task`.

    An answer is built of values that are ours: they are written, not validated again (`model_construct`).
    """

    model_config = ConfigDict(json_schema_extra=_untitled)

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        cls.__qualname__ = cls.__name__.removesuffix("Model")
