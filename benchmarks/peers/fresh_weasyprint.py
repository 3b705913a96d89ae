"""A fresh process that calls WeasyPrint once: what a script that makes a report does."""

import json
import os
import sys
from pathlib import Path
from urllib.parse import unquote

import weasyprint
from weasyprint.urls import URLFetcher, URLFetcherResponse

assets = json.loads(os.environ["ASSETS"])


class Assets(URLFetcher):
    def fetch(self, url, headers=None):  # noqa: ANN001, ANN201
        scheme, _, rest = url.partition(":")
        if scheme == "asset":
            return URLFetcherResponse(url, Path(assets[unquote(rest).lstrip("/")]).read_bytes())
        return super().fetch(url, headers)


html = Path(sys.argv[1]).read_text(encoding="utf-8")
weasyprint.HTML(string=html, url_fetcher=Assets()).write_pdf(sys.argv[2], pdf_tags=True)
