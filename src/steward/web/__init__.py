"""The web door: the HTTP interface, the pages, health and metrics, also as a `router` for an application of yours."""

from steward.web.router import router as router
