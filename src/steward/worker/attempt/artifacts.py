"""Lays out the documents of an attempt and keeps them: each file known again by what it was made from.

Never by its name: three statements may all be called "statement", and a handler that is asked again may give them in
another order, or from other figures. What an earlier attempt has kept is used if it was made from the very same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from steward.documents.pdf import glyphs
from steward.documents.pdf.renderer import Layout, Renderer
from steward.errors import LateWriter, StorageUnavailable
from steward.mail.message.message import MessageAttachment
from steward.model.results import Artifact
from steward.model.states import Task
from steward.plugins.run_result import PDF, ReportDocument
from steward.storage.archive import Archive, pieces
from steward.storage.database.group_commit import GroupCommit
from steward.storage.tasks import artifacts, attempts
from steward.system.clock import moment, now
from steward.system.filenames import apart

_PIECE: Final = 1 << 20


@dataclass(slots=True)
class _Wanted:
    """A file that a document asks for: where what it is made from lies, and the SHA-256 of that."""

    name: str
    media_type: str
    path: Path
    source: str
    kept: Artifact | None = None
    boxes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ArtifactKeeper:
    """Keeps the files of one attempt. `sent`: a letter of the task may have gone out, with files of an earlier one."""

    task: Task
    claim: str
    writer: GroupCommit
    archive: Archive
    renderer: Renderer
    is_lost: Callable[[], bool]
    earlier: Sequence[Artifact] = ()
    sent: bool = False
    boxes: set[str] = field(default_factory=set)
    """The scripts that stand as boxes in what was laid out, now or at an earlier attempt that kept it."""

    def produce(self, documents: Sequence[ReportDocument]) -> list[list[MessageAttachment]]:
        """Return the files of each document; those of documents that are to be kept are archived and recorded.

        Raises:
            LateWriter: the task was cancelled, or another worker has it.
            RenderFailed, RenderLimitExceeded, StorageUnavailable: as the renderer and the archive.
        """
        wanted = [[*self._wanted(document)] for document in documents]
        kept = [file for document, files in zip(documents, wanted, strict=True) if document.kept for file in files]
        left = list(self.earlier)
        for file in kept:
            file.kept = next((a for a in left if a.source == file.source), None)
            if file.kept is not None:
                left.remove(file.kept)
        # What was never sent to anybody and is not asked for any more makes room; what was sent stays on record.
        stays = [file.kept for file in kept if file.kept is not None] + (left if self.sent else [])
        self.boxes.update(*(artifact.boxes for artifact in stays))
        made = []
        for document, files in zip(documents, wanted, strict=True):
            for file in files:
                if file.kept is None:
                    self._make(document, file)
                    if document.kept:
                        file.kept = self._keep(file, stays)
                        stays.append(file.kept)
                self.boxes.update(file.boxes)
            made.append([self._enclosed(file) for file in files])
        self._forget({a.n for a in left} - {a.n for a in stays})
        return made

    def noted(self, note: str | None) -> str | None:
        """Return what is to be said of the task: `note`, and which scripts stand as boxes in its documents."""
        return " ".join(filter(None, (note, glyphs.note(self.boxes)))) or None

    def _wanted(self, document: ReportDocument) -> Iterable[_Wanted]:
        if document.html is not None:
            named = (document.name, PDF, document.title, str(self.task.date))
            yield _Wanted(document.name, PDF, document.html, _digest(named, document.html))
        for name, media_type, path in document.files:
            yield _Wanted(name, media_type, path, _digest((name, media_type), path))

    def _make(self, document: ReportDocument, file: _Wanted) -> None:
        if file.media_type != PDF:
            return  # the handler's process has written it
        self.writer.submit(lambda c: attempts.say_progress(c, self.task.id, self.claim, 0.7, "Laying out the document"))
        html, file.path = file.path, file.path.with_suffix(".pdf")
        layout = Layout(html.read_text(encoding="utf-8"), document.title, moment(self.task.date))
        lacking: set[str] = set()
        self.renderer.render(layout, file.path, cancelled=self.is_lost, lacking=lacking.update)
        file.boxes = glyphs.scripts(lacking)

    def _keep(self, file: _Wanted, others: Sequence[Artifact]) -> Artifact:
        # The place names the content: one that is written anew never lies where another's record points.
        with file.path.open("rb") as content:
            stored = self.archive.store(self.task.id, f"{file.source[:16]}-{file.name}", content)
        name = apart(file.name, [other.name for other in others])
        taken = {other.n for other in others}
        n = next(n for n in range(1, len(taken) + 2) if n not in taken)
        artifact = Artifact(
            n, name, file.media_type, stored.size, stored.sha256, stored.location, file.source, file.boxes
        )
        if not self.writer.apply(lambda c: artifacts.record(c, self.task.id, self.claim, artifact, now())):
            raise LateWriter(f"The task {self.task.id} was cancelled, or another worker has taken it over")
        return artifact

    def _enclosed(self, file: _Wanted) -> MessageAttachment:
        if file.kept is not None and file.media_type == PDF and file.path.suffix != ".pdf":
            file.path = self._fetched(file.kept, file.path.with_suffix(".pdf"))
        return MessageAttachment(file.name, file.media_type.partition(";")[0], file.path)

    def _fetched(self, kept: Artifact, target: Path) -> Path:
        """Bring a document that an earlier attempt has kept into this one's folder, and return where it lies now."""
        digest = hashlib.sha256()
        with target.open("xb") as file:
            for piece in pieces(self.archive, kept.location):
                file.write(piece)
                digest.update(piece)
        if digest.hexdigest() != kept.sha256:
            what = f"The file '{kept.name}' was altered in the archive"
            raise StorageUnavailable(what, "It is not what was kept", "Restore it from a backup")
        return target

    def _forget(self, numbers: set[int]) -> None:
        if numbers and not self.sent:
            self.writer.apply(lambda c: artifacts.forget(c, self.task.id, self.claim, sorted(numbers)))


def told_apart(files: Sequence[MessageAttachment]) -> tuple[MessageAttachment, ...]:
    """Return `files` with names of which none is another's, for one letter."""
    found: list[MessageAttachment] = []
    for file in files:
        name = apart(file.name, [other.name for other in found])
        found.append(file if name == file.name else replace(file, name=name))
    return tuple(found)


def _digest(named: Sequence[str], path: Path) -> str:
    digest = hashlib.sha256("\0".join(named).encode(errors="surrogatepass") + b"\0")
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
