"""A hook that is closed holds no connection any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_media.exceptions import MediaRequestError
from tests.contract.helpers.sockets import connections_to

if TYPE_CHECKING:
    from airflow_provider_media.hooks.media import MediaHook
    from tests.contract.helpers.sandbox_library import SandboxLibrary


def check_that_closing_closes(hook: MediaHook, port: int, before: set[str]) -> None:
    assert len(connections_to(port) - before) == 1
    hook.close()
    assert connections_to(port) <= before


def test_closing_closes_the_idle_connection_although_an_error_still_refers_to_it(
    hook: MediaHook, library: SandboxLibrary
) -> None:
    before = connections_to(library.sandbox.port)  # of other tests
    with pytest.raises(MediaRequestError) as caught:
        hook.get_media(404)
    check_that_closing_closes(hook, library.sandbox.port, before)
    assert caught.value.status == 404  # it is kept until here, and its traceback with it


def test_closing_closes_the_connection_to_a_proxy(connect: Any, library: SandboxLibrary) -> None:
    """The sandbox is none, and says so; it keeps the connection open."""
    before = connections_to(library.sandbox.port)  # of other tests
    hook = connect("http://media.example", proxy=library.sandbox.base_url)
    with pytest.raises(MediaRequestError) as caught:
        hook.list_page()
    check_that_closing_closes(hook, library.sandbox.port, before)
    assert caught.value.status == 404


def test_close_may_be_called_early_twice_and_before_use(hook: MediaHook) -> None:
    hook.close()
    assert hook.list_page().items == ()
    hook.close()
    hook.close()
    assert hook.list_page().items == ()
