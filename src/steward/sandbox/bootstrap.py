"""The first lines of a child process: take over the parent's import path, then serve. Run as a script."""

import json
import os
import sys

if __name__ == "__main__":
    os.umask(0o077)  # as `private_files.begin`, which cannot be imported yet: what is made here is this user's alone
    name, channel, place, parent = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    os.set_inheritable(channel, False)
    os.set_inheritable(place, False)
    path = b""
    while not path.endswith(b"\n"):
        letter = os.read(channel, 1)
        if not letter:  # the parent is gone
            os._exit(0)
        path += letter
    sys.path[:] = json.loads(path)

    from steward.sandbox.server import serve

    serve(name, channel, place, parent)
