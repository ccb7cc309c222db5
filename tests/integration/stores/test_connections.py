"""What a connection does when the process is asked to end."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.stores.connections import connect, connect_arrow

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

SLEEPERS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"


def test_an_interrupt_during_a_statement_is_an_interrupt_and_no_failed_statement(database: Settings) -> None:
    deadline = time.monotonic() + 30

    def interrupt() -> None:
        with connect(database) as watcher:
            while watcher.execute(SLEEPERS).fetchone() == (0,) and time.monotonic() < deadline:
                watcher.rollback()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # where the tests run in the background, Python has none
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt), connect_arrow(database) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(2)")
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)
