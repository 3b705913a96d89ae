"""Tasks as they are answered, with their deliveries and files."""

from __future__ import annotations

from typing import Annotated, Any, Final, Self

from pydantic import Field, WithJsonSchema

from steward.model.results import Artifact, Delivery, Outcome, TaskResult
from steward.model.service import Page
from steward.model.states import State
from steward.web.api.models.base import AnswerModel, Time, one_of

FIGURE: Final = WithJsonSchema({"type": ["number", "string", "boolean", "null"]})


class DeliveryModel(AnswerModel):
    """What is known of one recipient's copy."""

    to: str
    outcome: Annotated[str, one_of(*Outcome)]
    code: int | None
    reply: str
    message_id: str
    subject: str
    possible_duplicate: bool
    at: Time | None

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """Return `delivery` as it is answered."""
        return cls.model_construct(**delivery.as_json())


class ArtifactModel(AnswerModel):
    """A file of a task."""

    n: int
    name: str
    media_type: str
    size: int
    sha256: str

    @classmethod
    def of(cls, artifact: Artifact) -> Self:
        """Return `artifact` as it is answered."""
        return cls.model_construct(**artifact.as_json())


class TaskModel(AnswerModel):
    """A task as it stands."""

    id: str
    name: str
    state: Annotated[str, one_of(*State)]
    attempt: int
    created_at: Time
    due_at: Time
    started_at: Time | None
    finished_at: Time | None
    expires_at: Time | None
    progress: Annotated[float, Field(ge=0, le=1)] | None
    progress_text: str
    error: str | None
    note: str | None
    figures: dict[str, Annotated[Any, FIGURE]]
    deliveries: list[DeliveryModel]
    artifacts: list[ArtifactModel]

    @classmethod
    def of(cls, task: TaskResult) -> Self:
        """Return `task` as it is answered."""
        shown = task.as_json()
        shown["deliveries"] = [DeliveryModel.of(each) for each in task.deliveries]
        shown["artifacts"] = [ArtifactModel.of(each) for each in task.artifacts]
        return cls.model_construct(**shown)


class TasksModel(AnswerModel):
    """One page of tasks, newest first."""

    tasks: list[TaskModel]
    next_cursor: str | None

    @classmethod
    def of(cls, page: Page) -> Self:
        """Return `page` as it is answered."""
        return cls.model_construct(tasks=[TaskModel.of(each) for each in page.tasks], next_cursor=page.next_cursor)


class IdsModel(AnswerModel):
    """The ids of tasks that were accepted together, in the order in which they came."""

    ids: list[str]
    count: int
