"""A fork, a copy and a pickle of a hook have connections and locks of their own, and no secrets of the first."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import pickle
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import SyncToAsync

from airflow_provider_media.hooks.media import MediaAsyncHook, MediaHook
from airflow_provider_media.operators.media import (
    MediaCleanupOperator,
    MediaGetOperator,
    MediaListOperator,
    MediaUploadOperator,
)
from airflow_provider_media.sensors.media import MediaExistsSensor
from tests.contract.helpers.blocking import BlockingHook, both_hooks
from tests.contract.helpers.sockets import connections_to

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.contract.helpers.sandbox_library import SandboxLibrary

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

PNG = b"\x89PNG\r\n\x1a\n"
SECONDS = 20


def in_child(work: Callable[[], object]) -> Callable[[], None]:
    """Fork, and do something in the child; return what waits until it has succeeded."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # pytest's own time limit is the parent's
        signal.alarm(SECONDS)  # what hangs is killed
        status = 1
        try:
            work()
            status = 0
        except BaseException as error:  # noqa: BLE001 - sent to the parent
            os.write(2, f"in the child: {error!r}\n".encode())
        os._exit(status)

    def succeeds() -> None:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    return succeeds


@both_hooks
def test_child_has_its_own_connections(connect: Any, library: SandboxLibrary) -> None:
    of_others = connections_to(library.sandbox.port)
    hook = connect(library.sandbox.base_url)
    hook.list_page()
    of_parent = connections_to(library.sandbox.port) - of_others

    def work() -> None:
        used = connect_again(hook)
        used.list_page()
        of_child = connections_to(library.sandbox.port) - of_others - of_parent
        assert len(of_child) == 1

    in_child(work)()
    hook.list_page()
    assert connections_to(library.sandbox.port) - of_others == of_parent


def connect_again(hook: Any) -> Any:
    """Use the same hook in a child: with a loop of the child's own, where it needs one."""
    if not isinstance(hook, BlockingHook):
        return hook
    # The thread in which Airflow itself reads connections is asgiref's, and does not survive a fork.
    SyncToAsync.single_thread_executor = ThreadPoolExecutor(1)
    return BlockingHook(hook._hook)


@both_hooks
def test_parent_and_child_get_their_own_responses(connect: Any, library: SandboxLibrary) -> None:
    ids = [library.store(f"file {number}", PNG) for number in range(2)]
    hook = connect(library.sandbox.base_url)
    hook.list_page()

    def ask(used: Any, media_id: int | str) -> None:
        for _ in range(50):
            assert used.get_media(media_id).id == media_id

    succeeds = in_child(lambda: ask(connect_again(hook), ids[1]))
    ask(hook, ids[0])
    succeeds()


@both_hooks
def test_a_child_inherits_no_held_lock_of_the_rate_limiter(connect: Any, library: SandboxLibrary) -> None:
    hook = connect(library.sandbox.base_url, requests_per_second=1000)
    hook.list_page()
    transport = hook.get_conn() if isinstance(hook, MediaHook) else hook._hook._transport._sessions[-1]
    with transport.limiter._lock:
        in_child(lambda: connect_again(hook).list_page())()


def test_child_inherits_no_cancellation_and_no_turns(connect: Any, library: SandboxLibrary) -> None:
    hook = connect(library.sandbox.base_url, requests_per_second=0.01)
    hook.list_page()
    hook.cancel()
    started = time.monotonic()
    in_child(hook.list_page)()
    assert time.monotonic() - started < SECONDS


def test_fork_during_requests_of_other_threads(connect: Any, library: SandboxLibrary) -> None:
    media_id = library.store("a", PNG)
    hook = connect(library.sandbox.base_url, requests_per_second=10_000)
    hook.get_media(media_id)  # a fork while another thread imports a module for the first time is beyond us
    over = threading.Event()

    def ask_on() -> None:
        while not over.is_set():
            hook.get_media(media_id)

    threads = [threading.Thread(target=ask_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            in_child(lambda: [hook.get_media(media_id) for _ in range(5)])()
    finally:
        over.set()
        for thread in threads:
            thread.join()


def pickled_and_back(hook: Any) -> Any:
    return pickle.loads(pickle.dumps(hook))  # noqa: S301 - our own


COPIES = pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickled_and_back])


@COPIES
def test_copy_of_a_used_hook_has_its_own_connections(connect: Any, library: SandboxLibrary, copied: Any) -> None:
    hook = connect(library.sandbox.base_url)
    hook.list_page()
    hook.log.info("used")
    other = copied(hook)
    assert other.media_conn_id == hook.media_conn_id
    assert other.list_page().total == 0
    assert other.get_conn() is not hook.get_conn()
    hook.close()
    hook.cancel()
    assert other.list_page().total == 0
    other.close()


@COPIES
def test_a_copy_of_a_used_async_hook_is_one_for_another_loop(define: Any, copied: Any) -> None:
    async def use(hook: MediaAsyncHook) -> None:
        async with hook:
            assert (await hook.list_page()).total == 0

    hook = MediaAsyncHook(define())
    asyncio.run(use(hook))
    hook.log.info("used")
    asyncio.run(use(copied(hook)))


def test_a_pickle_holds_no_secret(connect: Any, library: SandboxLibrary, define: Any) -> None:
    async def use(hook: MediaAsyncHook) -> bytes:
        async with hook:
            await hook.list_page()
            return pickle.dumps(hook)

    hook = connect(library.sandbox.base_url, "key-of-the-tests")
    hook.list_page()
    for pickled in (pickle.dumps(hook), asyncio.run(use(MediaAsyncHook(define())))):
        assert b"key-of-the-tests" not in pickled


def test_the_repr_names_the_connection(connect: Any, library: SandboxLibrary) -> None:
    assert repr(MediaHook()) == "MediaHook('media_default')"
    assert repr(MediaAsyncHook("media_eu")) == "MediaAsyncHook('media_eu')"
    hook = connect(library.sandbox.base_url)
    before = repr(hook)
    hook.list_page()
    assert repr(hook) == before


OPERATORS: dict[str, Callable[[str, Path], Any]] = {
    "upload": lambda conn_id, file: MediaUploadOperator(task_id="t", media_conn_id=conn_id, file=str(file)),
    "get": lambda conn_id, _: MediaGetOperator(task_id="t", media_conn_id=conn_id, media_id="{{ media_id }}"),
    "list": lambda conn_id, _: MediaListOperator(task_id="t", media_conn_id=conn_id),
    "cleanup": lambda conn_id, _: MediaCleanupOperator(task_id="t", media_conn_id=conn_id, name="nobody"),
    "sensor": lambda conn_id, _: MediaExistsSensor(task_id="t", media_conn_id=conn_id, names=["there"]),
}


@pytest.mark.parametrize("kind", OPERATORS)
def test_a_copy_and_a_child_of_an_operator_that_was_run_can_run(
    define: Any, library: SandboxLibrary, image: Path, kind: str
) -> None:
    operator = OPERATORS[kind](define(), image)
    context: dict[str, Any] = {"media_id": library.store("there", PNG)}
    operator.render_template_fields(context)

    def run(operator: Any) -> None:
        operator.execute(context)
        operator.hook.close()

    operator.execute(context)
    kept = connections_to(library.sandbox.port)
    try:
        for other in (copy.deepcopy(operator), pickled_and_back(operator)):
            assert other.hook is not operator.hook
            run(other)
        in_child(lambda: run(operator))()
        assert connections_to(library.sandbox.port) == kept
        operator.execute(context)
    finally:
        operator.hook.close()


def test_a_dag_that_holds_a_hook_is_serialized_the_same_at_each_parse() -> None:
    from airflow.providers.common.compat.sdk import DAG
    from airflow.providers.common.compat.standard.operators import PythonOperator
    from airflow.serialization import serialized_objects

    serialization: Any = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG

    def parse() -> str:
        hook = MediaHook("media_eu")
        with DAG("holds_a_hook", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
            PythonOperator(task_id="t", python_callable=print, op_args=[hook], op_kwargs={"hook": MediaAsyncHook()})
        parsed.append(dag)
        return json.dumps(serialization.to_dict(dag), sort_keys=True, default=str)

    parsed: list[Any] = []  # kept, so that no two hooks have one address
    assert len({parse() for _ in range(3)}) == 1
