"""Hands letters or empty tasks over to a Steward, as application code does, and prints the CPU seconds it took."""

import sys
import time

from steward.installation.container import Steward
from steward.installation.settings import load


def payload(name: str, n: int) -> dict[str, object]:
    """Return the payload of the `n`-th task."""
    if name != "welcome_email":
        return {"n": n}
    return {
        "name": f"Member {n}",
        "email": f"member{n}@example.org",
        "member_number": f"IB-{n}",
        "sign_in_url": "https://members.example.org/",
    }


def main(name: str, count: int, how: str) -> None:
    """Wait for a line, then hand over `count` tasks: `together` in one commit, or `singly`."""
    service = Steward(load()).service
    service.registry.get(name)
    print("ready", flush=True)
    sys.stdin.readline()
    cpu = time.process_time()
    if how == "together":
        service.enqueue_many(name, (payload(name, n) for n in range(count)))
    else:
        for n in range(count):
            service.enqueue(name, payload(name, n))
    print(time.process_time() - cpu)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
