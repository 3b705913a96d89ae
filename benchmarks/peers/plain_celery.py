"""Plain Celery: a task that does nothing, acknowledged late, as careful users set it."""

import os
import sys
import time
from pathlib import Path

from celery import Celery

app = Celery("plain_celery", broker=os.environ["BROKER"])
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=4, task_ignore_result=True)


@app.task
def nothing(n: int) -> None:
    with Path(os.environ["RECORD"]).open("a") as record:
        record.write(".")


if __name__ == "__main__":
    nothing.app.connection_for_write().ensure_connection()
    print("ready", flush=True)
    sys.stdin.readline()
    cpu = time.process_time()
    for n in range(int(sys.argv[1])):
        nothing.delay(n)
    print(time.process_time() - cpu)
