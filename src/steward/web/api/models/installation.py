"""What an installation can do, as it is answered: its kinds of tasks, and its plugins."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field

from steward.model.caller import AUDIENCES, INTERNAL
from steward.model.declaration.handler import Handler
from steward.plugins.registry import Plugin
from steward.web.api.models.base import AnswerModel, one_of
from steward.web.api.models.schedules import MISSED
from steward.web.api.openapi import example, payload_schema


class DeclaredScheduleModel(AnswerModel):
    """A schedule that a plugin declares with its handler."""

    cron: str
    zone: str
    missed: Annotated[str, MISSED]


class HandlerModel(AnswerModel):
    """A kind of task: what it takes, an example of it, and who may ask for it."""

    name: str
    title: str
    summary: str
    description: str
    lane: str
    scope: Annotated[str, one_of(*(each for each in AUDIENCES if each != INTERNAL))]
    staff: bool
    important: bool
    schedules: list[DeclaredScheduleModel]
    json_schema: dict[str, Any] = Field(alias="schema")
    example: Any

    @classmethod
    def of(cls, handler: Handler) -> Self:
        """Return what a caller needs to know of `handler`."""
        return cls.model_construct(
            name=handler.name,
            title=handler.title,
            summary=handler.summary,
            description=handler.description,
            lane=handler.lane,
            scope=handler.scope,
            staff=handler.staff,
            important=handler.important,
            schedules=[
                DeclaredScheduleModel.model_construct(cron=each.cron, zone=each.zone, missed=each.missed)
                for each in handler.schedules
            ],
            schema=payload_schema(handler),
            example=example(handler),
        )


class HandlersModel(AnswerModel):
    """The kinds of tasks that a key may ask for, by name."""

    handlers: list[HandlerModel]


class PluginModel(AnswerModel):
    """A plugin as it was found; `error` says why it cannot be used."""

    name: str
    origin: str
    handlers: list[str]
    error: str | None

    @classmethod
    def of(cls, plugin: Plugin) -> Self:
        """Return `plugin` as it is answered."""
        return cls.model_construct(
            name=plugin.name, origin=plugin.origin, handlers=list(plugin.handlers), error=plugin.error or None
        )


class PluginsModel(AnswerModel):
    """Every plugin, broken ones too."""

    plugins: list[PluginModel]
