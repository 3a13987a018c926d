"""Wait until media are in the library."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_media import exceptions
from airflow_provider_media._airflow.arguments import (
    NOT_GIVEN,
    NotGiven,
    parse_datetime,
    parse_media_ids,
    parse_name,
    parse_names,
    parse_str,
    takes_literally,
)
from airflow_provider_media._airflow.templates import MediaTemplates
from airflow_provider_media._api.values import parse_bool, parse_int, refuse_none
from airflow_provider_media.exceptions import (
    MediaAuthError,
    MediaConfigurationError,
    MediaError,
    MediaRateLimitError,
)
from airflow_provider_media.links.media import MediaLink, library_link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media._polling.lookup import Found, WaitCriteria
    from airflow_provider_media.hooks.media import MediaHook
    from airflow_provider_media.sensors._wait import Wait

MIN_INTERVAL_SECONDS = 0.5
"""No look follows the last one sooner, whatever ``poke_interval`` says."""

_MOMENT = timedelta(milliseconds=20)
"""So much early a deadline is over: Airflow's own check of the timeout comes next, and would say less."""

_BACKSTOP = timedelta(minutes=5)
"""Airflow's own deferral time-out comes so much after our deadline: when no triggerer was there to see it pass."""


class MediaExistsSensor(MediaTemplates, BaseSensorOperator):
    """Wait until all that is asked for is in the library; also the gate just before a send.

    Ask by ids or by names. Returns ``Media.to_dict()`` in the order asked: a dict for one id or one plain name, a list
    otherwise: one file for each id and each plain name (the oldest of that name), and all that match a pattern. What
    was found is not asked for again until the last one is there; then a closing look makes sure of those found earlier.

    The wait ends at ``needed_by`` or when ``timeout`` is over, counted from the task's first start, whichever comes
    first; it looks once at least. Then it fails for good (``AirflowSensorTimeout``), or is skipped with ``soft_fail``.
    A rejected key or address fails at once; a rate limit is waited out; other failures fail the task when
    ``max_poll_failures`` looks in a row met one, or never with ``silent_fail``.

    :param media_id: the library's id. (templated)
    :param media_ids: several of them. (templated)
    :param name: a human-readable name; with ``*``, ``?`` or ``[...]`` it is a pattern. (templated)
    :param names: several of them. (templated)
    :param wildcards: whether ``*``, ``?`` and ``[...]`` in names are wildcards; true by default. Names that come from
        ``upload.output["name"]`` are always taken literally. (templated)
    :param min_matches: how many files must match a pattern. (templated)
    :param needed_by: when they must be there at the latest: a datetime with a time zone, or its text in ISO 8601;
        leave it out if there is no such moment. (templated)
    :param max_poll_failures: how many looks in a row may fail. (templated)
    :param deferrable: wait on a triggerer, without a worker slot; by default as Airflow's setting
        ``operators.default_deferrable`` says. There, all sensors of one connection share one poll.
    :param media_conn_id: the Airflow connection, of type ``media``. (templated)
    :raises MediaConfigurationError: neither ids nor names are given, or both, or one came out empty.
    :raises AirflowSensorTimeout: the time is over; says which limit ended it, what is missing and what is there.
    """

    template_fields: Sequence[str] = (
        "media_id",
        "media_ids",
        "name",
        "names",
        "wildcards",
        "min_matches",
        "needed_by",
        "max_poll_failures",
        "media_conn_id",
    )
    operator_extra_links = (MediaLink(),)
    ui_color = "#e9f0d5"

    def __init__(
        self,
        *,
        media_id: int | str | NotGiven = NOT_GIVEN,
        media_ids: Any = NOT_GIVEN,
        name: str | NotGiven = NOT_GIVEN,
        names: Any = NOT_GIVEN,
        wildcards: bool | str = True,
        min_matches: int | str = 1,
        needed_by: datetime | str | NotGiven = NOT_GIVEN,
        max_poll_failures: int | str = 5,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        media_conn_id: str = "media_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.media_id = media_id
        self.media_ids = media_ids
        self.name = name
        self.names = names
        self.wildcards = wildcards
        self.min_matches = min_matches
        self.needed_by = needed_by
        self.max_poll_failures = max_poll_failures
        self.deferrable = deferrable
        self.media_conn_id = media_conn_id
        self._wait: Wait | None = None
        self._told: list[str] | None = None
        self._asked_to_wait = 0.0

    @cached_property
    def hook(self) -> MediaHook:
        """The connection, made when first used."""
        from airflow_provider_media.hooks.media import MediaHook

        return MediaHook(parse_str("media_conn_id", self.media_conn_id))

    def on_kill(self) -> None:
        """Break off promptly when the task is cancelled."""
        if "hook" in self.__dict__:
            self.hook.cancel()

    def execute(self, context: Context) -> Any:
        """Wait in this process (poke), or look once and be rescheduled or deferred.

        :raises AirflowSensorTimeout: the time is over.
        """
        if not self.deferrable:
            try:
                return super().execute(context)
            except AirflowSkipException as skip:
                # Airflow's own sentence names soft_fail, and leaves out what was missing.
                raise _skip_instead_of(skip.__cause__ or skip) from skip.__cause__
        with self._skipping_instead():
            answer = self.poke(context)
            return answer.xcom_value if answer.is_done else self._defer(context)

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once for what is still missing."""
        wanted, wait = self._wanted(), self._loaded(context)
        deadline, limit = self._deadline(wait)
        most_failures = self._most_failures()
        before, failures_before = dict(wait.found), wait.failures
        self._asked_to_wait = 0.0
        failure: Exception | None = None
        try:
            self._look(wanted, wanted.missing(before), wait.found, deadline)
            if before and not wanted.missing(wait.found):
                # The last one is there: are those found earlier still there, too?
                for key in before:
                    del wait.found[key]
                self._look(wanted, tuple(before), wait.found, deadline)
        except Exception as error:  # noqa: BLE001 - also those of a connection that cannot be read
            failure = error
        is_over = datetime.now(UTC) >= deadline - _MOMENT
        if failure:
            self._count(failure, wait, most_failures, is_over=is_over)
        else:
            wait.failures = 0
            if not wanted.missing(wait.found):
                return PokeReturnValue(is_done=True, xcom_value=self._finish(wanted, wait, context))
        self._log_progress(wanted, wait.found)
        if is_over:
            wait.delete()
            because = f"; the last look failed: {failure}" if failure else "."
            raise AirflowSensorTimeout(f"{limit} is over: {wanted.progress(wait.found)}{because}") from failure
        if self.reschedule and (wait.found != before or wait.failures != failures_before):
            wait.save()
        return PokeReturnValue(is_done=False)

    def execute_complete(
        self,
        context: Context,
        event: Any,
        found: dict[str, Any] | None = None,
        started: str | None = None,
        failures: int = 0,
    ) -> Any:
        """Go on after the trigger's event.

        :param event: what the trigger sent.
        :param found: what was there before the task was deferred.
        :param started: when the task first started.
        :param failures: how many of the task's own looks in a row had failed.
        :raises AirflowSensorTimeout: the time is over, and a last look did not find the rest.
        """
        from airflow_provider_media._polling.lookup import WaitEvent, found_from_dicts

        outcome = WaitEvent.from_dict(event)
        wanted, wait = self._wanted(), self._loaded(context)
        wait.found |= found_from_dicts(found or {}) | outcome.found
        wait.failures = failures
        if started:
            wait.started = min(wait.started, datetime.fromisoformat(started))
        if outcome.status == "failed":
            error = getattr(exceptions, outcome.error or "", None)
            if not (isinstance(error, type) and issubclass(error, MediaError)):  # of Airflow's own, say
                error = MediaError
            progress = wanted.progress(wait.found)
            wait.save_start()
            raise error(f"{outcome.message} ({progress})")
        if not wanted.missing(wait.found) and len(wanted.keys) == 1:
            return self._finish(wanted, wait, context)
        # A last look, at the deadline, or at all of them: those found first may be gone again.
        answer = self.poke(context)
        return (
            answer.xcom_value if answer.is_done else self._defer(context, pause=timedelta(seconds=self.poke_interval))
        )

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Take Airflow's own deferral time-out, which comes when no triggerer saw the deadline, for the deadline."""
        error = (next_kwargs or {}).get("error") if next_method == "__fail__" else None
        if error == "Trigger timeout":
            # What the task knew when it was deferred is not among these, but its timeout is over.
            started = datetime.now(UTC) - timedelta(seconds=self.timeout)
            next_method = "execute_complete"
            next_kwargs = {"event": {"status": "deadline"}, "started": started.isoformat()}
        elif error == "Trigger/execution timeout" and self._is_over(context):
            # Airflow 2 says the same of an execution_timeout, which may pass long before.
            next_method, next_kwargs = "execute_complete", {"event": {"status": "deadline"}}
        with self._skipping_instead():
            # Past the sensors' base class, which skips more after a deferral than its other modes do.
            return super(BaseSensorOperator, self).resume_execution(next_method, next_kwargs, context)

    def _is_over(self, context: Context) -> bool:
        deadline, _ = self._deadline(self._loaded(context))
        return datetime.now(UTC) >= deadline

    @contextmanager
    def _skipping_instead(self) -> Iterator[None]:
        """Skip where the base class does in its own modes: what is final with soft_fail, all with never_fail."""
        try:
            yield
        except AirflowSkipException:
            raise
        except Exception as error:
            final = isinstance(error, (AirflowSensorTimeout, AirflowFailException))
            if self.never_fail or (final and self.soft_fail):
                raise _skip_instead_of(error) from error
            raise

    def _defer(self, context: Context, *, pause: timedelta = timedelta(0)) -> None:
        from airflow_provider_media._polling.lookup import found_to_dicts
        from airflow_provider_media.triggers.media import MediaExistsTrigger

        wanted, wait = self._wanted(), self._loaded(context)
        missing = wanted.missing(wait.found)
        deadline, _ = self._deadline(wait)
        self.defer(
            trigger=MediaExistsTrigger(
                media_conn_id=self.media_conn_id,
                media_ids=missing if wanted.ids else (),
                names=missing if wanted.names else (),
                exact_names=[name for name in missing if name in wanted.exact],
                min_matches=wanted.min_matches,
                poll_interval=self.poke_interval,
                deadline=deadline.isoformat(),
                max_poll_failures=self._most_failures(),
                not_before=(datetime.now(UTC) + pause).isoformat() if pause else None,
            ),
            method_name="execute_complete",
            # Airflow before 3.3 has nothing else that would outlast the deferral.
            kwargs={
                "found": found_to_dicts(wait.found),
                "started": wait.started.isoformat(),
                "failures": wait.failures,
            },
            timeout=max(deadline - datetime.now(UTC), timedelta(0)) + _BACKSTOP,
        )

    def _wanted(self) -> WaitCriteria:
        """Check the arguments.

        :raises MediaConfigurationError: with one sentence; nothing is sent.
        """
        from airflow_provider_media._polling.lookup import WaitCriteria

        refuse_none("media_conn_id", self.media_conn_id)
        wildcards = parse_bool("wildcards", self.wildcards)
        min_matches = parse_int("min_matches", self.min_matches)
        refuse_none("name", self.name)
        refuse_none("names", self.names)
        by_id = self.media_id is not NOT_GIVEN or self.media_ids is not NOT_GIVEN
        by_name = self.name is not NOT_GIVEN or self.names is not NOT_GIVEN
        if by_id == by_name:
            raise MediaConfigurationError("Give either media_id or media_ids, or else name or names.")
        if by_id:
            ids = parse_media_ids(self.media_id, self.media_ids, ignore_none=False)
            return WaitCriteria(ids=tuple(str(media_id) for media_id in ids))
        names = [] if self.name is NOT_GIVEN else [parse_name("name", self.name)]
        names += [] if self.names is NOT_GIVEN else parse_names("names", self.names)
        return WaitCriteria(
            names=tuple(dict.fromkeys(map(str, names))),
            exact=frozenset(str(name) for name in names if takes_literally(name, wildcards=wildcards)),
            min_matches=min_matches,
        )

    def _loaded(self, context: Context) -> Wait:
        from airflow_provider_media.sensors._wait import Wait

        if self._wait is None:
            self._wait = Wait.of_task(context, task_id=self.task_id, library=self._library())
        return self._wait

    def _library(self) -> str | None:
        """Return the connection and its base address; None when the connection cannot be read, which a poll reports."""
        try:
            return f"{self.media_conn_id} {self.hook.settings.base_url}"
        except Exception as error:  # noqa: BLE001 - whatever a secrets backend raises
            self.log.debug("The connection cannot be read: %s", error)
            return None

    def _deadline(self, wait: Wait) -> tuple[datetime, str]:
        """Tell when the wait ends, and by which limit."""
        ends = [(wait.started + timedelta(seconds=self.timeout), f"The sensor's timeout of {self.timeout:g} s")]
        if self.needed_by is not NOT_GIVEN:
            needed_by = parse_datetime("needed_by", self.needed_by)
            ends.append((needed_by, f"The time until needed_by, {needed_by.isoformat()},"))
        return min(ends)

    def _most_failures(self) -> int:
        """Tell how many looks in a row may fail: with Airflow's ``silent_fail``, as many as there are."""
        most = parse_int("max_poll_failures", self.max_poll_failures)
        return sys.maxsize if self.silent_fail else most

    def _count(self, error: Exception, wait: Wait, most: int, *, is_over: bool) -> None:
        """Take note of a look that failed; raise the error when it ends the wait before the deadline does."""
        self._asked_to_wait = (isinstance(error, MediaError) and error.retry_after) or 0.0
        if not isinstance(error, MediaRateLimitError):
            wait.failures += 1
        if isinstance(error, MediaError):
            final = isinstance(error, (MediaAuthError, MediaConfigurationError))
            ends = wait.failures >= most
        else:
            final = isinstance(error, (AirflowFailException, AirflowSkipException))
            ends = not self.silent_fail  # such as an unknown connection, which waiting seldom mends
        if final or (ends and not is_over):
            wait.save_start()
            raise error
        self.log.warning("A look failed (%d in a row): %s", wait.failures, error)

    def _look(self, wanted: WaitCriteria, keys: tuple[str, ...], found: Found, deadline: datetime) -> None:
        """Look once; add what is there to the found, even when the look fails half-way."""
        from airflow_provider_media._api.flows import with_time_limit
        from airflow_provider_media._polling.lookup import LookupResult, look
        from airflow_provider_media.triggers._subscription import FIRST_POLL_SECONDS

        end = max(deadline, datetime.now(UTC) + timedelta(seconds=FIRST_POLL_SECONDS))

        def seconds_remaining() -> float:
            return (end - datetime.now(UTC)).total_seconds()

        seen = LookupResult()
        ids, names = (keys, ()) if wanted.ids else ((), keys)
        try:
            looking = with_time_limit(look(ids, names, size=self._size, seen=seen), seconds_remaining)
            self.hook.run_flow(looking, seconds=seconds_remaining())
        finally:
            found |= wanted.satisfied_by(seen)

    @cached_property
    def _size(self) -> Any:
        from airflow_provider_media._polling.lookup import LibrarySize

        return LibrarySize()

    def _finish(self, wanted: WaitCriteria, wait: Wait, context: Context) -> Any:
        wait.delete()
        media = wanted.in_order(wait.found)
        MediaLink.persist(context, library_link(self.media_conn_id, media[0] if len(media) == 1 else None))
        for one in media:
            self.log.info("Found %r: id %s, %s bytes, %s", one.name, one.id, one.size, one.url)
        given_several = self.media_ids is not NOT_GIVEN or self.names is not NOT_GIVEN
        several = given_several or any(map(wanted.is_pattern, wanted.names))
        dicts = [one.to_dict() for one in media]
        return dicts if several else dicts[0]

    def _log_progress(self, wanted: WaitCriteria, found: Found) -> None:
        missing = list(wanted.missing(found))
        if missing != self._told:
            self._told = missing
            self.log.info("Waiting: %s", wanted.progress(found))

    def _get_next_poke_interval(
        self, started_at: datetime | float, run_duration: Callable[[], float], poke_count: int
    ) -> float:
        """Wait as long as the server asks, but not beyond the deadline, so that the last look comes in time."""
        interval = max(
            super()._get_next_poke_interval(started_at, run_duration, poke_count),
            self._asked_to_wait,
            MIN_INTERVAL_SECONDS,
        )
        if self._wait is None:
            return interval
        deadline, _ = self._deadline(self._wait)
        return min(interval, max((deadline - datetime.now(UTC)).total_seconds(), MIN_INTERVAL_SECONDS))


def _skip_instead_of(error: BaseException) -> AirflowSkipException:
    return AirflowSkipException(f"Skipped instead of failed: {error}")
