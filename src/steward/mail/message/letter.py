"""Writes letters from templates: subject, text, HTML with its styles inlined, one message for each recipient."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from steward.documents.templates import Templates
from steward.errors import Rejected, TemplateError
from steward.mail.message import message
from steward.mail.message.inline_css import inlined
from steward.mail.message.message import Message, MessageAttachment
from steward.mail.message.mime import neutral
from steward.mail.message.pictures import shown_within
from steward.model.content import Attachment, Email
from steward.model.email_address import address, normal


class MessageComposer:
    """Turns an `Email` into messages."""

    def __init__(self, templates: Templates, *, sender: str, organization: str, public_url: str, domain: str) -> None:
        self._templates, self._public_url = templates, public_url
        self.organization = organization
        self._sender, self.envelope_sender = message.sender(sender)
        self._domain = domain if domain.isascii() else self.envelope_sender.rpartition("@")[2]

    def write(
        self,
        email: Email,
        *,
        task_id: str,
        created_at: datetime,
        first: int = 0,
        attachments: Sequence[Attachment | MessageAttachment] = (),
    ) -> list[Message]:
        """Return one message per recipient; `first` numbers them within the task.

        Message-ID and Date follow from the task (`created_at` is when it was due first), so that a repeat is the same
        to the byte.

        Raises:
            Rejected: there is no recipient, or one is not exactly one address.
            TemplateError: the template has no subject or text, or cannot be rendered.
        """
        # One mailbox gets one copy, in however many ways its address is written.
        mailboxes: dict[str, str] = {}
        for recipient in email.recipients:
            mailboxes.setdefault(normal(recipient), address(recipient))
        recipients = list(mailboxes.values())
        if not recipients:
            raise Rejected(
                f"The letter '{email.template}' has no recipient",
                "A task that sends to nobody would look as if it had succeeded",
                "Return no Email where there is nobody to write to",
            )
        if not self._templates.exists(f"{email.template}/body.txt.j2"):
            raise TemplateError(
                f"The letter '{email.template}' has no text part",
                "Every letter needs one, for readers without HTML and for spam filters",
                f"Add {email.template}/body.txt.j2",
            )
        given = {"organization": self.organization, "public_url": self._public_url}
        subject = self._templates.render(f"{email.template}/subject.txt.j2", email.context, **given)
        subject = neutral(subject)
        if not subject:
            raise TemplateError(
                f"The letter '{email.template}' has an empty subject",
                "Readers and spam filters take such a letter for junk",
                f"Let {email.template}/subject.txt.j2 say something in every case",
            )
        given["subject"] = subject
        text = self._templates.render(f"{email.template}/body.txt.j2", email.context, **given)
        html = None
        if self._templates.exists(f"{email.template}/body.html.j2"):
            html = inlined(self._templates.render(f"{email.template}/body.html.j2", email.context, **given))
        pictures: tuple[MessageAttachment, ...] = ()
        if html is not None and "asset:" in html:
            html, pictures = shown_within(html, self._templates.assets, f"{task_id}.{{}}@{self._domain}")
        reply_to = address(email.reply_to) if email.reply_to else None
        return [
            Message(
                sender=self._sender,
                recipient=recipient,
                subject=subject,
                text=text,
                html=html,
                message_id=f"<{task_id}.{first + n}@{self._domain}>",
                date=created_at,
                attachments=tuple(attachments),
                pictures=pictures,
                reply_to=reply_to,
                unsubscribe=email.unsubscribe,
            )
            for n, recipient in enumerate(recipients)
        ]
