"""The least that keeps anything: a FastAPI route that commits one row to SQLite, with the settings of the ledger."""

import os
import sqlite3
import threading

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "secure_delete=ON", "wal_autocheckpoint=4000")


class Nothing(BaseModel):
    n: int = 0


app = FastAPI()
local = threading.local()


def connection() -> sqlite3.Connection:
    if not hasattr(local, "connection"):
        local.connection = sqlite3.connect(os.environ["DATABASE"], isolation_level=None, timeout=30)
        for pragma in PRAGMAS:
            local.connection.execute(f"PRAGMA {pragma}")
        local.connection.execute("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, payload TEXT NOT NULL)")
    return local.connection


@app.post("/v1/tasks/nothing", status_code=202)
def accept(payload: Nothing) -> dict[str, int | None]:
    found = connection().execute("INSERT INTO rows (payload) VALUES (?)", (payload.model_dump_json(),))
    return {"id": found.lastrowid}


@app.get("/livez")
def live() -> dict[str, bool]:
    return {"ok": True}


uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="error", access_log=False)
