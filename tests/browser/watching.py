"""What goes wrong in a browser without anybody looking: errors, failures, requests to elsewhere."""

import re
from urllib.parse import urlsplit

from playwright.async_api import BrowserContext, ConsoleMessage, Dialog, Request, WebError

#: The page itself, or its end, has broken off what it had asked for: a search that goes on, a stream that is left.
BROKEN_OFF = "net::ERR_ABORTED"
#: Nothing is asked of anybody.
LOCAL_SCHEMES = {"data", "blob", "about"}


class Watch:
    """Keeps what goes wrong in the pages of contexts and in their workers.

    The browser writes violations of a page's Content-Security-Policy to its console, also those of styles and pictures.
    Only what a worker is forbidden to fetch, and does not complain of, is seen by nobody.
    """

    def __init__(self, home: str) -> None:
        """`home` is the only address that may be asked, as http://host:port."""
        self._home = home
        self._seen: list[str] = []
        self._allowed: list[re.Pattern[str]] = []

    def over(self, context: BrowserContext) -> None:
        """Begin, before the context has a page."""
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("request", self._request)
        context.on("requestfailed", self._failed)
        context.on("dialog", self._dialog)

    def allow(self, pattern: str) -> None:
        """Let go wrong what this test is about: a regular expression, searched for in each line of `troubles`."""
        self._allowed.append(re.compile(pattern))

    @property
    def troubles(self) -> list[str]:
        """What has gone wrong and is not allowed, a line each."""
        return [line for line in self._seen if not any(pattern.search(line) for pattern in self._allowed)]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            place = message.location
            self._seen.append(f"console: {message.text} ({place.get('url')}:{place.get('lineNumber')})")

    def _error(self, error: WebError) -> None:
        self._seen.append(f"error: {error.error.stack or error.error}")

    async def _dialog(self, dialog: Dialog) -> None:
        self._seen.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in LOCAL_SCHEMES and f"{parts.scheme}://{parts.netloc}" != self._home:
            self._seen.append(f"elsewhere: {request.method} {request.url}")

    def _failed(self, request: Request) -> None:
        if request.failure != BROKEN_OFF:
            self._seen.append(f"failed: {request.method} {request.url} {request.failure}")
