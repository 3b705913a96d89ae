"""The hooks a plugin may implement: a signature and one line each."""

from __future__ import annotations

import pluggy

from steward.model.declaration.handler import Handler

NAMESPACE = "steward"
hookspec = pluggy.HookspecMarker(NAMESPACE)
hookimpl = pluggy.HookimplMarker(NAMESPACE)


@hookspec
def register_handlers() -> list[Handler]:  # type: ignore[empty-body]  # a hook specification has no body
    """Return the handlers that this plugin adds."""
