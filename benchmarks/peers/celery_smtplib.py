"""What many run today: Celery on Redis with late acknowledgement, smtplib on a connection that is kept."""

import os
import smtplib
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path

import jinja2
from celery import Celery

app = Celery("peer", broker=os.environ["BROKER"])
app.conf.update(
    task_acks_late=True, worker_prefetch_multiplier=int(os.environ.get("PREFETCH", "4")), task_ignore_result=True
)
templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(os.environ["TEMPLATES"]), autoescape=lambda n: n.endswith(".html")
)
connection: smtplib.SMTP | None = None


def client() -> smtplib.SMTP:
    global connection
    if connection is None:
        connection = smtplib.SMTP("127.0.0.1", int(os.environ["SINK"]))
    return connection


@app.task
def send(values: dict[str, str]) -> None:
    message = EmailMessage()
    message["From"] = "Local 214 <office@example.org>"
    message["To"] = values["email"]
    message["Subject"] = templates.get_template("subject.txt").render(values)
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain="example.org")
    message.set_content(templates.get_template("body.txt").render(values))
    message.add_alternative(templates.get_template("body.html").render(values), subtype="html")
    client().sendmail("office@example.org", [values["email"]], message.as_bytes())
    with Path(os.environ["RECORD"]).open("a") as record:
        record.write(".")
