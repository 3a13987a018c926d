"""A transfer that is aborted shuts down the socket that it uses, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_media._api.protocol import build_list
from airflow_provider_media._transports.rate_limit import Turn
from tests.contract.helpers.sockets import connections_to

if TYPE_CHECKING:
    from tests.contract.helpers.sandbox_library import SandboxLibrary


def test_a_connection_back_in_its_pool_is_not_shut_down(
    connect: Any, library: SandboxLibrary, monkeypatch: Any
) -> None:
    before = connections_to(library.sandbox.port)
    transport = connect(library.sandbox.base_url).get_conn()
    transfer = transport.new_transfer()
    whole = type(transport)._exchange

    def abort_late(self: Any, *arguments: Any) -> Any:
        reply = whole(self, *arguments)
        transfer.abort()  # the response has come, and others may have the connection by now
        return reply

    with monkeypatch.context() as patched:
        patched.setattr(type(transport), "_exchange", abort_late)
        transport.exchange(build_list(), transport.new_retry_state(), Turn(), transfer)
    used = connections_to(library.sandbox.port) - before
    assert len(used) == 1
    transport.send(build_list())
    assert connections_to(library.sandbox.port) - before == used
