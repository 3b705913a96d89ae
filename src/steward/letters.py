"""Writes letters from templates: subject, text, HTML with its styles inlined, one message for each recipient."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from email.utils import parseaddr
from functools import lru_cache

import css_inline

from steward.addresses import address
from steward.compose import Message
from steward.errors import TemplateError
from steward.templates import Templates
from steward.values import Attachment, Email

_inliner = css_inline.CSSInliner(load_remote_stylesheets=False, keep_style_tags=True, keep_at_rules=True)
_SPACE = re.compile(r"[\t\r\n]+")


class Letters:
    """Turns an `Email` into messages."""

    def __init__(self, templates: Templates, *, sender: str, organization: str, public_url: str, domain: str) -> None:
        self._templates, self._sender, self._public_url, self._domain = templates, sender, public_url, domain
        self.organization = organization
        self.envelope_sender = address(parseaddr(sender)[1])

    def write(
        self,
        email: Email,
        *,
        task_id: str,
        created_at: datetime,
        first: int = 0,
        attachments: Sequence[Attachment] = (),
    ) -> list[Message]:
        """Return one message per recipient; `first` numbers them within the task.

        Message-ID and Date follow from the task, so that a repeat is the same to the byte.

        Raises:
            Rejected: a recipient is not exactly one address.
            TemplateError: the template has no subject or text, or cannot be rendered.
        """
        recipients = [address(recipient) for recipient in email.recipients]
        if not self._templates.exists(f"{email.template}/body.txt.j2"):
            raise TemplateError(
                f"The letter '{email.template}' has no text part",
                "Every letter needs one, for readers without HTML and for spam filters",
                f"Add {email.template}/body.txt.j2",
            )
        given = {"organization": self.organization, "public_url": self._public_url}
        subject = self._templates.render(f"{email.template}/subject.txt.j2", email.context, **given)
        subject = _SPACE.sub(" ", subject).strip()
        given["subject"] = subject
        text = self._templates.render(f"{email.template}/body.txt.j2", email.context, **given)
        html = None
        if self._templates.exists(f"{email.template}/body.html.j2"):
            html = inlined(self._templates.render(f"{email.template}/body.html.j2", email.context, **given))
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
                reply_to=reply_to,
                unsubscribe=email.unsubscribe,
            )
            for n, recipient in enumerate(recipients)
        ]


def inlined(html: str) -> str:
    """Return `html` with its style rules written into the elements: many mail readers drop style sheets."""
    return _inlined(html)


@lru_cache(maxsize=64)
def _inlined(html: str) -> str:
    return _inliner.inline(html)
