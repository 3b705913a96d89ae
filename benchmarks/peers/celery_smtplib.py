"""What many run today: Celery on Redis with late acknowledgement, smtplib on a connection that is kept."""

import os
import smtplib
import sys
import time
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path

import jinja2
from celery import Celery

app = Celery("celery_smtplib", broker=os.environ["BROKER"])
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=4, task_ignore_result=True)
templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(os.environ["TEMPLATES"]),
    autoescape=lambda name: ".html" in (name or ""),
    auto_reload=False,
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
    message["Subject"] = templates.get_template("welcome_email/subject.txt.j2").render(values)
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain="example.org")
    message.set_content(templates.get_template("welcome_email/body.txt.j2").render(values))
    message.add_alternative(
        templates.get_template("welcome_email/body.html.j2").render(values, subject=message["Subject"]), subtype="html"
    )
    client().sendmail("office@example.org", [values["email"]], message.as_bytes())
    with Path(os.environ["RECORD"]).open("a") as record:
        record.write(".")


if __name__ == "__main__":
    send.app.connection_for_write().ensure_connection()
    print("ready", flush=True)
    sys.stdin.readline()
    cpu = time.process_time()
    for n in range(int(sys.argv[1])):
        send.delay(
            {
                "name": f"Member {n}",
                "email": f"member{n}@example.org",
                "organization": "Local 214",
                "member_number": f"IB-{n}",
                "sign_in_url": "https://members.example.org/",
            }
        )
    print(time.process_time() - cpu)
