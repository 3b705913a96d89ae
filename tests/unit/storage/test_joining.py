"""Handing over inside the caller's own transaction: it shares its fate, or is refused before anything is written."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from steward import Query
from steward.errors import InvalidOption, StorageUnavailable
from steward.installation.container import Steward

pytestmark = pytest.mark.slow

ADA = {"name": "Ada", "email": "ada@example.org"}
LATER = datetime.now(UTC) + timedelta(days=1)
RESET = {**ADA, "link": "https://members.example.org/reset/t"}


class Base(DeclarativeBase):
    pass


class Member(Base):
    __tablename__ = "members"
    name: Mapped[str] = mapped_column(primary_key=True)


@pytest.fixture
def engine(steward: Steward) -> Iterator[sa.Engine]:
    """The application's own engine, as an application makes it."""
    made = sa.create_engine(steward.ledger.engine.url)
    Base.metadata.create_all(made)
    yield made
    made.dispose()


def awaited(engine: sa.Engine) -> sa.URL:
    """The URL of the same database for SQLAlchemy's asyncio part: psycopg does both, SQLite has a driver for it."""
    return engine.url.set(drivername="sqlite+aiosqlite") if engine.name == "sqlite" else engine.url


def count(steward: Steward) -> int:
    return len(steward.service.find(Query()).tasks)


def members(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(sa.text("SELECT count(*) FROM members")) or 0


def test_a_session_carries_its_own_pending_objects_and_the_task(steward, engine):
    for commits in (False, True):
        with Session(engine) as session:
            session.add(Member(name="Ada"))
            steward.service.enqueue("welcome_email", ADA, connection=session)
            steward.service.enqueue("password_reset", RESET, connection=session, key="once")
            steward.service.enqueue_many("welcome_email", [ADA, ADA], connection=session)
            assert count(steward) == 0
            session.commit() if commits else session.rollback()
        assert (members(engine), count(steward)) == ((1, 4) if commits else (0, 0))


@pytest.mark.parametrize("ends_well", [True, False])
def test_a_connection_of_the_applications_own_engine_shares_one_fate(steward, engine, ends_well):
    with engine.connect() as connection:
        transaction = connection.begin()
        # A limit and a key: a savepoint comes before the first INSERT, and must not be a transaction of its own.
        steward.service.enqueue("password_reset", RESET, connection=connection, key="once")
        connection.execute(sa.insert(Member).values(name="Ada"))
        transaction.commit() if ends_well else transaction.rollback()
    assert (members(engine), count(steward)) == (ends_well, ends_well)


def test_a_registry_of_sessions_is_joined_too(steward, engine):
    registry = scoped_session(sessionmaker(engine))
    steward.service.enqueue("welcome_email", ADA, connection=registry)
    registry.commit()
    registry.remove()
    assert count(steward) == 1


def test_what_cannot_be_joined_is_refused_in_words_and_nothing_is_written(steward, engine, tmp_path):
    other = sa.create_engine(f"sqlite:///{tmp_path / 'other.sqlite3'}")
    steward.ledger.__class__(str(other.url)).open()  # it has a table of this name as well
    memory = sa.create_engine("sqlite://")
    closed = engine.connect()
    closed.close()
    with (
        engine.connect() as idle,
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as automatic,
        other.begin() as elsewhere,
        memory.begin() as nowhere,
        Session(other) as session_elsewhere,
        Session() as unbound,
        automatic.begin(),
    ):
        for given, words in (
            (idle, "no transaction open"),
            (automatic, "autocommit"),
            (elsewhere, "another database"),
            (nowhere, "another database"),
            (session_elsewhere, "another database"),
            (unbound, "cannot be joined"),
            (closed, "closed"),
            (engine, "of type sqlalchemy"),
            (sqlite3.connect(":memory:"), "of type sqlite3"),
            ("ledger", "of type"),
        ):
            for call in (
                lambda given=given: steward.service.enqueue("welcome_email", ADA, connection=given),
                lambda given=given: steward.service.enqueue_many("welcome_email", [ADA], connection=given),
            ):
                with pytest.raises(InvalidOption, match=words):
                    call()
        assert elsewhere.scalar(sa.text("SELECT count(*) FROM tasks")) == 0
    assert count(steward) == 0


def test_the_same_file_by_another_path_is_the_same_database(steward, engine, tmp_path):
    if not steward.ledger.is_sqlite:
        return  # a file is SQLite's
    link = tmp_path / "by another name"
    link.symlink_to(steward.settings.data_dir)
    with sa.create_engine(f"sqlite:///{link / 'ledger.sqlite3'}").begin() as connection:
        steward.service.enqueue("welcome_email", ADA, connection=connection)
    assert count(steward) == 1


def test_another_schema_and_another_database_of_the_same_server_are_not_the_ledgers(steward, engine, request):
    if steward.ledger.is_sqlite:
        return  # schemas are PostgreSQL's
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE SCHEMA mine CREATE TABLE tasks (LIKE public.tasks)"))
    elsewhere = sa.create_engine(
        request.getfixturevalue("postgres").create().replace("postgresql:", "postgresql+psycopg:")
    )
    for other in (elsewhere, sa.create_engine(engine.url, connect_args={"options": "-csearch_path=mine"})):
        with other.begin() as connection, pytest.raises(InvalidOption, match="another database"):
            steward.service.enqueue("welcome_email", ADA, connection=connection)
        other.dispose()


def test_a_transaction_that_has_failed_already_is_told_in_words(steward, engine):
    with engine.connect() as connection, connection.begin(), pytest.raises((StorageUnavailable, InvalidOption)):
        with pytest.raises(sa.exc.DBAPIError):
            connection.execute(sa.text("SELECT * FROM there_is_none"))
        if steward.ledger.is_sqlite:
            connection.close()
        steward.service.enqueue("welcome_email", ADA, connection=connection)
    assert count(steward) == 0


# Awaited


@contextmanager
def locked(steward: Steward) -> Iterator[threading.Event]:
    """Let another hold the store's lock while the block lasts, or until the event that is given is set."""
    taken, free = threading.Event(), threading.Event()

    def hold() -> None:
        with steward.ledger.write() as connection:
            if not steward.ledger.is_sqlite:
                connection.execute(sa.text("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE"))
            taken.set()
            free.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait(10)
    try:
        yield free
    finally:
        free.set()
        holder.join()


def test_what_is_awaited_never_holds_up_the_loop_even_while_the_store_is_locked(steward):
    service = steward.service

    async def main(free: threading.Event) -> list[str]:
        waiting = [
            asyncio.ensure_future(service.aenqueue("welcome_email", ADA)),
            asyncio.ensure_future(service.aenqueue_many("welcome_email", [ADA, ADA])),
        ]
        for _ in range(20):  # the loop turns while all of them wait
            await asyncio.sleep(0.01)
        assert not any(each.done() for each in waiting)
        free.set()
        one, many = await asyncio.gather(*waiting)
        return [one, *many]

    with locked(steward) as free:
        ids = asyncio.run(main(free))
    assert len(set(ids)) == count(steward) == 3
    assert asyncio.run(service.aget_status(ids[0])).id == ids[0]


def test_an_async_connection_and_session_share_the_fate_of_what_they_carry(steward, engine):
    service = steward.service

    async def main() -> None:
        application = create_async_engine(awaited(engine))
        with pytest.raises(RuntimeError):
            async with application.begin() as connection:
                await service.aenqueue("welcome_email", ADA, connection=connection)
                raise RuntimeError("the sign-up failed")
        async with application.begin() as connection:
            await service.aenqueue("password_reset", RESET, connection=connection, key="once")
            with pytest.raises(InvalidOption, match=r"await service\.aenqueue"):
                service.enqueue("welcome_email", ADA, connection=connection)
        async with AsyncSession(application) as session:
            session.add(Member(name="Ada"))
            await service.aenqueue("welcome_email", ADA, connection=session)
            await service.aenqueue_many("welcome_email", [ADA, ADA], connection=session)
            with pytest.raises(InvalidOption, match=r"await service\.aenqueue"):
                service.enqueue("welcome_email", ADA, connection=session)
            await session.commit()
        async with application.connect() as connection:
            with pytest.raises(InvalidOption, match="no transaction open"):
                await service.aenqueue("welcome_email", ADA, connection=connection)
        await application.dispose()

    asyncio.run(main())
    assert (members(engine), count(steward)) == (1, 4)


@pytest.mark.parametrize("ends_well", [True, False])
def test_an_async_session_s_pending_objects_and_its_tasks_share_one_fate(steward, engine, ends_well):
    async def main() -> None:
        application = create_async_engine(awaited(engine))
        async with AsyncSession(application) as session:
            session.add(Member(name="Ada"))
            await steward.service.aschedule("welcome_email", LATER, ADA, connection=session)
            await steward.service.aenqueue("password_reset", RESET, connection=session, key="once")
            assert await asyncio.to_thread(count, steward) == 0
            await (session.commit() if ends_well else session.rollback())
        registry = async_scoped_session(async_sessionmaker(application), asyncio.current_task)
        # A limit and a key: a savepoint comes before the first INSERT, and must be within a transaction.
        bob = {**RESET, "email": "bob@example.org"}
        await steward.service.aenqueue("password_reset", bob, connection=registry, key="twice")
        await (registry.commit() if ends_well else registry.rollback())
        await registry.remove()
        await application.dispose()

    asyncio.run(main())
    assert (members(engine), count(steward)) == ((1, 3) if ends_well else (0, 0))


def test_what_cannot_be_awaited_is_refused_in_words_and_nothing_is_written(steward, engine, tmp_path):
    other = f"sqlite:///{tmp_path / 'other.sqlite3'}"
    steward.ledger.__class__(other).open()  # it has a table of this name as well
    service = steward.service

    async def main() -> None:
        own, elsewhere = create_async_engine(awaited(engine)), create_async_engine(other.replace(":", "+aiosqlite:", 1))
        closed = await own.connect()
        await closed.close()
        async with (
            own.connect() as idle,
            own.connect() as automatic,
            elsewhere.begin() as away,
            AsyncSession(elsewhere) as session_away,
            AsyncSession() as unbound,
        ):
            await automatic.execution_options(isolation_level="AUTOCOMMIT")
            await automatic.begin()
            for given, words in (
                (idle, "no transaction open"),
                (automatic, "autocommit"),
                (away, "another database"),
                (session_away, "another database"),
                (unbound, "cannot be joined"),
                (closed, "cannot be joined"),
                (own, "of type|hold up the event loop"),
            ):
                for call in (
                    service.aenqueue("welcome_email", ADA, connection=given),
                    service.aschedule("welcome_email", LATER, ADA, connection=given),
                    service.aenqueue_many("welcome_email", [ADA], connection=given),
                ):
                    with pytest.raises(InvalidOption, match=words):
                        await call
                with pytest.raises(InvalidOption, match=r"await service\.aenqueue|of type"):
                    service.enqueue("welcome_email", ADA, connection=given)
            assert await away.scalar(sa.text("SELECT count(*) FROM tasks")) == 0
        await own.dispose()
        await elsewhere.dispose()

    asyncio.run(main())
    assert count(steward) == 0


def test_an_async_connection_that_waits_for_a_lock_never_holds_up_the_loop(steward, engine):
    async def main(free: threading.Event) -> None:
        application = create_async_engine(awaited(engine))
        async with application.begin() as connection:
            waiting = asyncio.ensure_future(steward.service.aenqueue("welcome_email", ADA, connection=connection))
            for _ in range(20):  # the loop turns while it waits
                await asyncio.sleep(0.01)
            assert not waiting.done()
            free.set()
            await waiting
        await application.dispose()

    with locked(steward) as free:
        asyncio.run(main(free))
    assert count(steward) == 1


def test_what_would_hold_up_the_loop_is_refused_where_it_is_awaited(steward, engine):
    with engine.begin() as connection, Session(engine) as session:
        for given in (connection, session):
            with pytest.raises(InvalidOption, match="hold up the event loop"):
                asyncio.run(steward.service.aenqueue("welcome_email", ADA, connection=given))
    assert count(steward) == 0


# In a plugin author's tests


@pytest.mark.parametrize("ends_well", [True, False])
def test_the_fixtures_perform_what_has_joined_a_transaction_when_it_is_committed(
    steward_service, steward_installation, outbox, ends_well
):
    engine = sa.create_engine(steward_installation.steward.ledger.engine.url)
    with engine.connect() as connection, connection.begin() as transaction:
        steward_service.enqueue("welcome_email", ADA, connection=connection)
        assert len(outbox) == 0
        transaction.commit() if ends_well else transaction.rollback()
    with Session(engine) as session:
        steward_service.enqueue_many("welcome_email", [ADA], connection=session)
        session.commit() if ends_well else session.rollback()
    engine.dispose()

    async def main() -> None:
        application = create_async_engine(awaited(engine))
        async with application.connect() as connection, connection.begin() as transaction:
            await steward_service.aenqueue("welcome_email", ADA, connection=connection)
            await (transaction.commit() if ends_well else transaction.rollback())
        async with AsyncSession(application) as session:
            await steward_service.aenqueue("welcome_email", ADA, connection=session)
            await (session.commit() if ends_well else session.rollback())
        await application.dispose()

    asyncio.run(main())
    assert [letter.to for letter in outbox] == ["ada@example.org"] * (4 if ends_well else 0)
    assert {task.state for task in steward_service.find(Query()).tasks} == ({"succeeded"} if ends_well else set())
