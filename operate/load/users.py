"""Who asks: users with their sessions, and what each of them asks next."""

import base64
import json
import math
import random
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar, DefaultCookiePolicy
from itertools import accumulate
from typing import Any, Final

from operate.load.mix import PLACEHOLDER, Mix, Request

AT_A_TIME: Final = 8
"""Users who log in."""
LOGIN_SECONDS: Final = 15.0


class LoginError(Exception):
    """A session could not be opened."""


class Users:
    """The users of a mix. Without a session they have nothing of their own."""

    def __init__(self, mix: Mix, url: str, *, insecure: bool = False, seed: int = 1) -> None:
        """`url` is the site's. The same `seed` draws the same requests."""
        self._mix = mix
        self._url = url.rstrip("/")
        self._insecure = insecure
        self._random = random.Random(seed)  # noqa: S311, the same load each time
        self._weights = list(accumulate(each.weight for each in mix.routes))
        self._jars: list[CookieJar] = []
        self._cookies: dict[tuple[int, str], str] = {}

    def needed(self, rate: float) -> int:
        """How many users ask `rate` times a second."""
        return math.ceil(rate * self._mix.think_time) if self._mix.think_time else 1

    def log_in(self, count: int) -> None:
        """Open sessions until there are `count`. LoginError."""
        if self._mix.session is None or count <= len(self._jars):
            return
        login = self._mix.session.login
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            self._jars += pool.map(lambda user: self._log_in(login, user), range(len(self._jars), count))

    def ask(self, requests: int, users: int) -> Iterator[bytes]:
        """So many requests, as lines of vegeta's JSON; the users take turns, so each waits for its think time."""
        routes = self._mix.routes
        for number in range(requests):
            route = self._random.choices(routes, cum_weights=self._weights)[0]
            method, url, body, headers = self._drawn(route, number % users)
            target: dict[str, Any] = {"method": method, "url": url}
            if cookie := self._cookie(number % users, url, route):
                headers = {**headers, "Cookie": "; ".join(filter(None, (headers.get("Cookie"), cookie)))}
            if body is not None:
                target["body"] = base64.b64encode(body).decode()
            if headers:
                target["header"] = {name: [value] for name, value in headers.items()}
            yield json.dumps(target).encode() + b"\n"

    def _drawn(self, request: Request, user: int) -> tuple[str, str, bytes | None, dict[str, str]]:
        headers, body = dict(request.headers), request.body
        if body is not None and not isinstance(body, str):
            body = json.dumps(body)
            if not any(name.lower() == "content-type" for name in headers):
                headers["Content-Type"] = "application/json"
        url = self._url + self._filled(request.path, user)
        return request.method, url, None if body is None else self._filled(body, user).encode(), headers

    def _filled(self, text: str, user: int) -> str:
        if "{" not in text:
            return text
        return PLACEHOLDER.sub(
            lambda found: str(self._random.randint(int(found[1]), int(found[2])) if found[1] else user), text
        )

    def _cookie(self, user: int, url: str, route: Request) -> str:
        if not self._jars:
            return ""
        # By the path as the mix has it: cookies are for folders, not for one item of many.
        key = (user, route.path)
        if key not in self._cookies:
            asked = urllib.request.Request(url)  # noqa: S310, the site's own URL, which the command line checks
            self._jars[user].add_cookie_header(asked)
            self._cookies[key] = asked.get_header("Cookie", "")
        return self._cookies[key]

    def _log_in(self, login: Request, user: int) -> CookieJar:
        jar = CookieJar(DefaultCookiePolicy(rfc2965=False))
        context = ssl._create_unverified_context() if self._insecure else None  # noqa: S323  # pyright: ignore[reportPrivateUsage]
        opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(jar), urllib.request.HTTPSHandler(context=context), _NoRedirect()
        )
        method, url, body, headers = self._drawn(login, user)
        asked = urllib.request.Request(url, body, headers, method=method)  # noqa: S310, as above
        problem = ""
        try:
            with opener.open(asked, timeout=LOGIN_SECONDS) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            with error:
                problem = f"answered {error.code}" if error.code >= 400 else ""
        except OSError as error:
            problem = f"failed: {error}"
        if problem or not len(jar):
            raise LoginError(
                f"session.login: {login.method} {login.path} {problem or 'set no cookie'} (user {user}): "
                "correct it in the mix file"
            )
        return jar


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The answer to a login is often a redirect: its cookies count, the page behind it is none of the mix."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Follow none; urllib then raises HTTPError, with the cookies taken."""
