"""Loopback datagrams."""

import threading

from steward.tasks.wakeup import WakeupReceiver, WakeupSender


def test_a_nudge_ends_the_wait_and_many_count_as_one():
    receiver = WakeupReceiver()
    sender = WakeupSender(lambda: [receiver.port])
    for _ in range(5):
        sender.send()
    assert receiver.wait(5)
    assert not receiver.wait(0.01)
    threading.Timer(0.05, sender.send).start()
    assert receiver.wait(5)
    receiver.close()


def test_nobody_listening_is_no_error():
    def broken() -> list[int]:
        raise OSError

    WakeupSender(broken).send()
    WakeupSender(lambda: [1]).send()
