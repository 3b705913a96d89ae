"""django-post-office on SQLite: with its defaults, or tuned (WAL, threads, one insert for many)."""

import os
import sys
import time

import django
from django.conf import settings

tuned = os.environ["TUNED"] == "1"
options = {"timeout": 30}
if tuned:
    options |= {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", "transaction_mode": "IMMEDIATE"}
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE"], "OPTIONS": options}},
    INSTALLED_APPS=["django.contrib.contenttypes", "post_office"],
    EMAIL_BACKEND="post_office.EmailBackend",
    EMAIL_HOST="127.0.0.1",
    EMAIL_PORT=int(os.environ["SINK"]),
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    USE_TZ=True,
    LOGGING={"version": 1, "loggers": {"post_office": {"level": "ERROR"}}},
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
    POST_OFFICE={
        **({"BATCH_SIZE": 500, "THREADS_PER_PROCESS": 16} if tuned else {}),
        "MESSAGE_ID_ENABLED": True,
        "MESSAGE_ID_FQDN": "example.org",
    },
)
django.setup()

import jinja2  # noqa: E402
from django.core.management import call_command  # noqa: E402
from post_office import mail  # noqa: E402
from post_office.models import Email  # noqa: E402

templates = jinja2.Environment(
    loader=jinja2.FileSystemLoader(os.environ["TEMPLATES"]),
    autoescape=lambda name: ".html" in (name or ""),
    auto_reload=False,
)


def letter(n: int) -> dict[str, object]:
    values = {
        "name": f"Member {n}",
        "email": f"member{n}@example.org",
        "organization": "Local 214",
        "member_number": f"IB-{n}",
        "sign_in_url": "https://members.example.org/",
    }
    subject = templates.get_template("welcome_email/subject.txt.j2").render(values)
    return {
        "sender": "Local 214 <office@example.org>",
        "recipients": [values["email"]],
        "subject": subject,
        "message": templates.get_template("welcome_email/body.txt.j2").render(values),
        "html_message": templates.get_template("welcome_email/body.html.j2").render(values, subject=subject),
    }


if sys.argv[1] == "prepare":
    call_command("migrate", verbosity=0)
else:
    count = int(sys.argv[2])
    letter(0)
    print("ready", flush=True)
    sys.stdin.readline()
    started, cpu = time.perf_counter(), time.process_time()
    if tuned:
        mail.send_many([letter(n) for n in range(count)])
    else:
        for n in range(count):
            mail.send(**letter(n))
    call_command("send_queued_mail", processes=1, verbosity=0)
    took, used = time.perf_counter() - started, time.process_time() - cpu
    print(Email.objects.filter(status=0).count(), took, used)
