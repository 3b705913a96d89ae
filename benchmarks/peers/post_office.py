"""django-post-office on SQLite: with its defaults, or tuned (WAL, threads)."""

import os
import sys
import time

import django
from django.conf import settings

tuned = os.environ["TUNED"] == "1"
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["DATABASE"],
            "OPTIONS": {
                "timeout": 30,
                **(
                    {
                        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
                        "transaction_mode": "IMMEDIATE",
                    }
                    if tuned
                    else {}
                ),
            },
        }
    },
    INSTALLED_APPS=["django.contrib.contenttypes", "post_office"],
    EMAIL_BACKEND="post_office.EmailBackend",
    EMAIL_HOST="127.0.0.1",
    EMAIL_PORT=int(os.environ["SINK"]),
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    USE_TZ=True,
    TEMPLATES=[
        {"BACKEND": "django.template.backends.jinja2.Jinja2", "DIRS": [os.environ["TEMPLATES"]], "NAME": "post_office"}
    ],
    POST_OFFICE={
        "BATCH_SIZE": 500 if tuned else 100,
        "THREADS_PER_PROCESS": 16 if tuned else 5,
        "TEMPLATE_ENGINE": "post_office",
        "DEFAULT_PRIORITY": "medium",
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
    loader=jinja2.FileSystemLoader(os.environ["TEMPLATES"]), autoescape=lambda n: n.endswith(".html")
)

if sys.argv[1] == "prepare":
    call_command("migrate", verbosity=0)
else:
    count = int(sys.argv[2])
    started = time.perf_counter()
    mails = []
    for n in range(count):
        values = {"name": f"Member {n}", "email": f"member{n}@example.org"}
        mails.append(
            {
                "sender": "Local 214 <office@example.org>",
                "recipients": [values["email"]],
                "subject": templates.get_template("subject.txt").render(values),
                "message": templates.get_template("body.txt").render(values),
                "html_message": templates.get_template("body.html").render(values),
            }
        )
    mail.send_many(mails) if tuned else [mail.send(**m) for m in mails]
    call_command("send_queued_mail", processes=1, verbosity=0)
    sent = Email.objects.filter(status=0).count()
    took = time.perf_counter() - started
    times = os.times()
    print(sent, took, times.user + times.system + times.children_user + times.children_system)
