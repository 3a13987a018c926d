"""Wait until media are in the library."""

from __future__ import annotations

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

from airflow_provider_media._airflow.arguments import NOT_GIVEN, NotGiven, parse_token
from airflow_provider_media._airflow.retry_policy import set_default_retry_policy
from airflow_provider_media._airflow.templates import MediaTemplates
from airflow_provider_media._api.values import format_media, plural
from airflow_provider_media.links.media import MediaLink, library_link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media.hooks.media import MediaHook
    from airflow_provider_media.sensors._wait import Wait

_DEFERRAL_MARGIN = timedelta(minutes=5)
"""Airflow's own deferral timeout is this much later than the deadline; it applies while no triggerer runs."""


class MediaExistsSensor(MediaTemplates, BaseSensorOperator):
    """Wait until all requested media are in the library; also the check just before a send.

    Request media by ids or by names. Returns ``Media.to_dict()`` in the requested order: a dict for one id or one plain
    name, otherwise a list with one file for each id and each plain name (the oldest of that name), and all files that
    match a pattern. Found files are not requested again until the last one is found; then they are verified.

    The wait ends at ``needed_by`` or ``timeout`` after the task's first start, but not before the first poll. Then the
    task fails without retries (``AirflowSensorTimeout``). A rejected API key or an unknown connection fails it
    immediately; ``max_poll_failures`` consecutive failed polls fail it too. A rate limit is not a failure.

    :param media_id: the library's id. (templated)
    :param media_ids: several ids, or what earlier tasks returned: dicts of files, a sync's manifest. (templated)
    :param name: a name in the library; with ``*``, ``?`` or ``[...]`` it is a pattern. (templated)
    :param names: several names. (templated)
    :param wildcards: whether ``*``, ``?`` and ``[...]`` in names are wildcards; true by default. Names from
        ``upload.output["name"]`` are always matched literally. (templated)
    :param min_matches: the minimum number of files that match a pattern. (templated)
    :param folder_id: only files in this folder; a file without a known folder does not match. (templated)
    :param mime_type: only files of this type; wildcards are allowed (``image/*``). (templated)
    :param stored_after: only files stored at this time or later: a datetime with a time zone, or its string in ISO
        8601. A file without a known date does not match. (templated)
    :param pick: ``oldest`` or ``newest``: which file of a plain name is returned. (templated)
    :param channels: ``whatsapp``, ``rcs``: channels that must accept the files in the library, by type, size and the
        header that the URL serves. A violated limit fails the task; the error lists all files. The
        results have ``warnings``. (templated)
    :param check_url: whether each file's URL must serve it without the API key, with its type and length. A failure
        counts as a failed poll. (templated)
    :param needed_by: the deadline: a datetime with a time zone, or its string in ISO 8601. Omit it if there is no
        deadline. (templated)
    :param warn_before: log a warning this long before the deadline, and call ``on_warning``, if files are missing;
        once, after a poll.
    :param on_warning: a function, or its dotted path; called with the message and the task's context. Its errors do not
        fail the task.
    :param max_poll_failures: the number of consecutive failed polls that fails the task. (templated)
    :param deferrable: wait on a triggerer, without a worker slot; by default Airflow's setting
        ``operators.default_deferrable``. All deferred sensors of a connection share one poll.
    :param media_conn_id: the Airflow connection, of type ``media``. (templated)
    :raises MediaConfigurationError: neither ids nor names are given, or both, or one is empty.
    :raises AirflowSensorTimeout: the deadline has passed; names the limit and the missing files.
    """

    template_fields: Sequence[str] = (
        "media_id",
        "media_ids",
        "name",
        "names",
        "wildcards",
        "min_matches",
        "folder_id",
        "mime_type",
        "stored_after",
        "pick",
        "channels",
        "check_url",
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
        folder_id: int | str | NotGiven = NOT_GIVEN,
        mime_type: str | NotGiven = NOT_GIVEN,
        stored_after: datetime | str | NotGiven = NOT_GIVEN,
        pick: str = "oldest",
        channels: Iterable[str] | str = (),
        check_url: bool | str = False,
        needed_by: datetime | str | NotGiven = NOT_GIVEN,
        warn_before: timedelta | None = None,
        on_warning: Callable[[str, Context], object] | str | None = None,
        max_poll_failures: int | str = 5,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        media_conn_id: str = "media_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        set_default_retry_policy(self)
        self.media_id = media_id
        self.media_ids = media_ids
        self.name = name
        self.names = names
        self.wildcards = wildcards
        self.min_matches = min_matches
        self.folder_id = folder_id
        self.mime_type = mime_type
        self.stored_after = stored_after
        self.pick = pick
        self.channels = channels
        self.check_url = check_url
        self.needed_by = needed_by
        self.warn_before = warn_before
        self.on_warning = on_warning
        self.max_poll_failures = max_poll_failures
        self.deferrable = deferrable
        self.media_conn_id = media_conn_id
        self._wait: Wait | None = None
        self._logged = ""

    @cached_property
    def hook(self) -> MediaHook:
        """The hook, created when first used."""
        from airflow_provider_media.hooks.media import MediaHook

        return MediaHook(parse_token("media_conn_id", self.media_conn_id))

    def on_kill(self) -> None:
        """Abort the running request when the task is cancelled."""
        if "hook" in self.__dict__:
            self.hook.cancel()

    def execute(self, context: Context) -> Any:
        """Wait in this process (``mode="poke"``), or poll once and reschedule or defer the task."""
        if not self.deferrable:
            try:
                return super().execute(context)
            except AirflowSkipException as skip:  # whose message does not contain what is missing
                raise _skip(skip.__cause__ or skip) from skip.__cause__
        with self._soft_fail():
            result = self.poke(context, newest_only=True)
            return result.xcom_value if result.is_done else self._defer(context)

    def poke(self, context: Context, *, newest_only: bool = False) -> PokeReturnValue:
        """Poll once for the missing files.

        :param newest_only: read the whole list only if the newest files complete the wait, or at the deadline.
        """
        wait = self._load_wait(context)
        error = wait.poll(self.hook, newest_only=newest_only and not wait.is_over)
        is_over = wait.is_over
        if error:
            if wait.policy.is_permanent(error) or (wait.policy.ends_wait(wait.failures, error) and not is_over):
                wait.reset()
                raise error
            self.log.warning("Poll failed (%s): %s", plural(wait.failures, "consecutive failure"), error)
        elif not wait.missing:
            return PokeReturnValue(is_done=True, xcom_value=self._finish(context, wait))
        status = f"{wait.progress}; deadline: {wait.deadline.isoformat()}, poll interval: {self.poke_interval:g} s"
        if status != self._logged:
            self.log.info("Waiting: %s", status)
            self._logged = status
        if is_over:
            wait.state.delete()
            cause = f"; the last poll failed: {error}" if error else "."
            raise AirflowSensorTimeout(f"The deadline ({wait.limit}) has passed: {wait.progress}{cause}") from error
        if wait.newest is None:
            wait.warn_if_due(context, error)
        if self.reschedule:
            wait.save()
        return PokeReturnValue(is_done=False)

    def execute_complete(self, context: Context, event: Any, **deferral: Any) -> Any:
        """Return the files after the trigger's event, or defer again if some are missing.

        :param event: the trigger's event; the other arguments are those of :meth:`Wait.to_deferral`.
        :raises AirflowSensorTimeout: the deadline has passed, and a last poll did not find the missing files.
        """
        wait = self._load_wait(context)
        if wait.resume(event, deferral) == "warning":
            wait.warn_if_due(context)
            return self._defer(context)
        if not wait.missing and len(wait.criteria.keys) == 1 and wait.gate is None:
            return self._finish(context, wait)
        # Poll once more: at the deadline, or to verify the files that were found first.
        result = self.poke(context)
        delay = timedelta(seconds=self.poke_interval)
        return result.xcom_value if result.is_done else self._defer(context, delay=delay)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Treat Airflow's deferral timeout, which applies while no triggerer runs, as the deadline."""
        error = (next_kwargs or {}).get("error") if next_method == "__fail__" else None
        # Airflow 2 uses the second message for an execution_timeout too, which may be earlier.
        is_late = error == "Trigger/execution timeout" and self._load_wait(context).is_over
        if error == "Trigger timeout" or is_late:
            # Airflow does not pass on the arguments of the deferral.
            started = datetime.now(UTC) - timedelta(seconds=self.timeout)
            next_method = "execute_complete"
            next_kwargs = {"event": {"status": "deadline"}, "started": started.isoformat()}
        with self._soft_fail():
            # Skip BaseSensorOperator.resume_execution: it skips the task on more errors than the other modes do.
            return super(BaseSensorOperator, self).resume_execution(next_method, next_kwargs, context)

    @contextmanager
    def _soft_fail(self) -> Iterator[None]:
        """Skip the task as in the other modes: with soft_fail on permanent errors, with never_fail on all errors."""
        try:
            yield
        except AirflowSkipException:
            raise
        except Exception as error:
            is_permanent = isinstance(error, (AirflowSensorTimeout, AirflowFailException))
            if self.never_fail or (is_permanent and self.soft_fail):
                raise _skip(error) from error
            raise

    def _defer(self, context: Context, *, delay: timedelta = timedelta(0)) -> None:
        wait = self._load_wait(context)
        interval = timedelta(seconds=self.poke_interval)
        # After a failed check all files are found, so that the trigger would fire immediately.
        delay = max(delay if wait.missing else interval, timedelta(seconds=wait.retry_after))
        self.log.info("Deferring until the files are found")
        self.defer(
            trigger=wait.new_trigger(self.media_conn_id, interval, delay=delay),
            method_name="execute_complete",
            kwargs=wait.to_deferral(),
            timeout=max(wait.remaining, timedelta(0)) + _DEFERRAL_MARGIN,
        )

    def _load_wait(self, context: Context) -> Wait:
        """Validate the arguments, and load the state of earlier processes of the task."""
        from airflow_provider_media.sensors._wait import load_wait

        self._wait = self._wait or load_wait(self, context)
        return self._wait

    def _finish(self, context: Context, wait: Wait) -> Any:
        wait.state.delete()
        files = wait.criteria.in_order(wait.found)
        MediaLink.persist(context, library_link(self.media_conn_id, files[0] if len(files) == 1 else None))
        result = [media.to_dict() for media in files]
        for media, values in zip(files, result, strict=True):
            self.log.info("Found %r: %s", media.name, format_media(media))
            if wait.gate and wait.gate.channels:
                values["warnings"] = list(wait.warnings.get(media.id, ()))
                for warning in values["warnings"]:
                    self.log.warning("%r (id %s)  %s", media.name, media.id, warning)
        may_be_several = any(map(wait.criteria.is_pattern, wait.criteria.names))
        is_list = self.media_ids is not NOT_GIVEN or self.names is not NOT_GIVEN or may_be_several
        return result if is_list else result[0]

    def _get_next_poke_interval(
        self, started_at: datetime | float, run_duration: Callable[[], float], poke_count: int
    ) -> float:
        """Return the seconds until the next poll, which obeys ``Retry-After`` and the deadline."""
        interval = super()._get_next_poke_interval(started_at, run_duration, poke_count)
        return interval if self._wait is None else self._wait.next_interval(interval)


def _skip(error: BaseException) -> AirflowSkipException:
    return AirflowSkipException(f"Skipped instead of failed: {error}")
