"""Carry calls with httpx on an event loop; the same tries as the blocking transport's, carried out by tenacity."""

from __future__ import annotations

import asyncio
import copy
import ipaddress
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import certifi
import httpx
from tenacity import AsyncRetrying

from airflow_provider_media._api.flows import Pause
from airflow_provider_media._api.problem import Kind, Problem
from airflow_provider_media._api.protocol import Reply
from airflow_provider_media._api.settings import read_proxy
from airflow_provider_media._transports import clock
from airflow_provider_media._transports.pace import pace_of
from airflow_provider_media._transports.trying import (
    CONNECTIONS,
    REPLY_TIMEOUTS,
    IncomingReply,
    causes_of,
    check_bundle,
    failed_handshake,
    new_retries,
    reason_of,
    request_headers,
    tenacity_options,
    trusted_bundle,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_media._api.flows import Flow
    from airflow_provider_media._api.protocol import Call
    from airflow_provider_media._api.retry import Retries
    from airflow_provider_media._api.settings import Settings

T = TypeVar("T")

UNAUTHORIZED = 401


class AsyncTransport:
    """One session with the server, for calls without a body: what waiting needs.

    :param read_settings: reads the connection; asked when first used, and once more after each rejected key.
    """

    def __init__(self, read_settings: Callable[[], Awaitable[Settings]]) -> None:
        """Prepare; the connection is not read yet."""
        self._read_settings = read_settings
        self._sessions: list[_Session] = []
        self._opening = asyncio.Lock()
        self._resume_at = 0.0

    async def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end.

        :raises Problem: what the flow does not handle.
        """
        try:
            command = next(flow)
            while True:
                try:
                    reply = await self._perform(command)
                except Problem as problem:
                    command = flow.throw(problem)
                else:
                    command = flow.send(reply)
        except StopIteration as end:
            result: T = end.value
            return result

    async def send(self, call: Call) -> Reply:
        """Send one call until it succeeds or trying again cannot help, or is used up.

        A rejected key is read again once: it may have been rotated since the connection was read.

        :raises Problem: for the last failure.
        """
        session = await self._current()
        try:
            return await self._try(session, call)
        except Problem as problem:
            if problem.status != UNAUTHORIZED:
                raise
            renewed = await self._current(rejected=session)
            if renewed.settings == session.settings:
                raise
            return await self._try(renewed, call)

    async def close(self) -> None:
        """Close the connections."""
        while self._sessions:
            await self._sessions.pop().client.aclose()

    async def _perform(self, command: Call | Pause) -> Reply:
        if isinstance(command, Pause):
            await clock.sleep(command.seconds)
            return Reply(status=0, headers={})
        return await self.send(command)

    async def _current(self, *, rejected: _Session | None = None) -> _Session:
        """Return the session; a new one when the server rejected the key of the present one.

        The one before is not closed yet: other calls may be under way on it.
        """
        async with self._opening:
            if self._sessions and self._sessions[-1] is not rejected:
                return self._sessions[-1]
            settings = await self._read_settings()
            if rejected and rejected.settings == settings:
                # Known from now on as one that is not worth reading again for the calls rejected with this one.
                self._sessions[-1] = copy.copy(rejected)
            else:
                # Reading the certificates takes long enough to hold up everything else on the loop.
                context = await asyncio.to_thread(_ssl_context, settings)
                self._sessions.append(_Session(settings, context))
            return self._sessions[-1]

    async def _try(self, session: _Session, call: Call) -> Reply:
        retries = call.retries or new_retries(session.settings, call)
        return await AsyncRetrying(sleep=clock.sleep, **tenacity_options(call, retries))(
            self._attempt, session, call, retries
        )

    async def _attempt(self, session: _Session, call: Call, retries: Retries) -> Reply:
        with session.pace.turn() as seconds:
            await clock.sleep(seconds)
        await clock.sleep(max(0.0, self._resume_at - clock.now()))
        try:
            return await session.exchange(call)
        except Problem as problem:
            # What the server asks one caller to wait, it asks all callers that share the key.
            if problem.retry_after and problem.retry_after <= retries.budget_seconds:
                self._resume_at = max(self._resume_at, clock.now() + problem.retry_after)
            raise


class _Session:
    """One httpx client with the settings that it was made of.

    :param settings: the connection's settings.
    :param context: how certificates are checked.
    """

    def __init__(self, settings: Settings, context: ssl.SSLContext) -> None:
        self.settings = settings
        self.pace = pace_of(settings.base_url, settings.api_key, settings.requests_per_second)
        self._proxy = settings.proxy or _environment_proxy(settings.base_url)
        try:
            self.client = httpx.AsyncClient(
                headers=request_headers(settings),
                timeout=httpx.Timeout(settings.timeout, connect=settings.connect_timeout, pool=None),
                limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
                verify=context,
                proxy=self._proxy
                and httpx.Proxy(self._proxy, ssl_context=context if self._proxy.startswith("https:") else None),
                trust_env=False,  # what it says is read as requests reads it
                follow_redirects=False,
                event_hooks={"response": [_set_headers_aside]},
            )
        except (httpx.InvalidURL, ValueError):
            # Not repeated: it may hold the proxy's password.
            raise Problem(Kind.CONFIGURATION, "The proxy's address is none that can be used.") from None

    async def exchange(self, call: Call) -> Reply:
        """Send one call once.

        :raises Problem: for a failure.
        """
        incoming: IncomingReply | None = None
        try:
            url = self.settings.media_url + call.path
            # httpx bounds each single read: an answer's head that drips, byte by byte, would have no end.
            async with (
                asyncio.timeout(REPLY_TIMEOUTS * self.settings.timeout) as time_for_head,
                self.client.stream(call.method, url, params=dict(call.params) or None) as response,
            ):
                time_for_head.reschedule(None)
                incoming = IncomingReply(call, response.status_code, response.extensions["headers"], self.settings)
                async for chunk in response.aiter_raw():  # as it arrives; a size would collect so much first
                    incoming.add(chunk)
            return incoming.whole()
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            problem = _as_problem(
                error, call, self.settings, answer_began=incoming is not None, by_proxy=self._proxy is not None
            )
            raise problem from (None if problem.kind is Kind.CONFIGURATION else error)


async def _set_headers_aside(response: httpx.Response) -> None:
    """Keep from httpx where a redirect points: it reads that although it is not to go there, and may fail over it."""
    response.extensions["headers"] = response.headers.copy()
    response.headers.pop("location", None)


def _ssl_context(settings: Settings) -> ssl.SSLContext:
    """Check certificates as the blocking transport does, by whose rules ``verify`` is explained."""
    verify = trusted_bundle(settings)
    if verify:
        return check_bundle(verify if isinstance(verify, str) else certifi.where())
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _environment_proxy(base_url: str) -> str | None:
    """Find the proxy that the environment names for an address, by the rules of requests."""
    parts, proxies = urlsplit(base_url), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc):
        return None
    for network in proxies.get("no", "").split(","):
        with suppress(ValueError):
            if ipaddress.ip_address(parts.hostname or "") in ipaddress.ip_network(network.strip(), strict=False):
                return None
    return read_proxy("The environment's proxy", proxy if "://" in proxy else f"http://{proxy}")


def _as_problem(error: Exception, call: Call, settings: Settings, *, answer_began: bool, by_proxy: bool) -> Problem:
    """Say what a failure of httpx means; the one place that knows its exceptions."""
    causes = causes_of(error)
    wrong = failed_handshake(causes, settings)
    if isinstance(error, (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError)):
        wrong = f"{settings.base_url}, or the proxy, is no address that can be used"
    elif isinstance(error, httpx.ProxyError) and str(error).startswith("4"):  # 403, 407
        wrong = f"the proxy refuses the way to {settings.base_url}; check the connection's extra 'proxy'"
    if wrong:
        return Problem(Kind.CONFIGURATION, f"Could not {call.purpose}: {wrong}.")
    address, reason = settings.base_url, reason_of(causes)
    kind, maybe_acted = Kind.UNAVAILABLE, False
    not_connected = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
    if isinstance(error, httpx.ProxyError) or (by_proxy and not_connected):
        sentence = f"the proxy on the way to {address} cannot be used ({reason})"
    elif any(isinstance(cause, socket.gaierror) for cause in causes):
        sentence = f"the address {address} is unknown; check the connection's host"
    elif not_connected:
        sentence = f"no connection to {address} ({reason})"
    elif isinstance(error, (httpx.TimeoutException, TimeoutError)):
        maybe_acted = True
        sentence = f"{address} did not answer for {settings.timeout:g} s"
    elif answer_began and isinstance(error, httpx.RemoteProtocolError):
        kind, maybe_acted = Kind.RESPONSE, True
        sentence = "the answer was cut off"
    else:
        maybe_acted = True
        sentence = f"the connection to {address} broke ({reason})"
    return Problem(kind, f"Could not {call.purpose}: {sentence}.", transient=True, maybe_acted=maybe_acted)
