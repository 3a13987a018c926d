"""The state of a sensor's wait, and its polls in the worker; the sensor's arguments."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_media import exceptions
from airflow_provider_media._airflow.arguments import (
    NOT_GIVEN,
    parse_callable,
    parse_choice,
    parse_datetime,
    parse_interval,
    parse_list,
    parse_media_ids,
    parse_name,
    parse_names,
    parse_nullable,
    parse_optional,
    parse_token,
    takes_literally,
)
from airflow_provider_media._airflow.task_state import TaskState, first_try_number
from airflow_provider_media._api.flows import with_time_limit
from airflow_provider_media._api.values import parse_bool, parse_int, plural, refuse_none
from airflow_provider_media._polling.criteria import (
    LookupResult,
    Progress,
    WaitCheckpoint,
    WaitCriteria,
    WaitEvent,
    found_from_dicts,
)
from airflow_provider_media._polling.lookup import lookup
from airflow_provider_media.exceptions import MediaConfigurationError, MediaError
from airflow_provider_media.triggers import _poller

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_media.hooks.media import MediaHook
    from airflow_provider_media.models import Media
    from airflow_provider_media.sensors._gate import Gate
    from airflow_provider_media.triggers.media import MediaExistsTrigger

log = logging.getLogger(__name__)

_MAX_BYTES = 48 * 1024
"""Airflow warns about values above 64 KiB; a larger wait is saved without the files found."""

_TOLERANCE = timedelta(milliseconds=20)
"""A wait ends this much early, because Airflow checks the timeout after each poll without reporting what is missing."""


@dataclass(kw_only=True, eq=False)
class Wait(WaitCheckpoint, Progress):
    """The state of a wait; saved in Airflow's task state store, where it exists.

    :ivar newest: what the last poll found, if it searched only the newest files.
    :ivar warnings: the channels' recommendations that found files do not meet, by id.
    """

    policy: _poller.PollPolicy
    state: TaskState[WaitCheckpoint]
    timeout: float
    needed_by: datetime | None = None
    warn_before: float | None = None
    on_warning: Callable[..., object] | None = None
    gate: Gate | None = None
    retry_after: float = field(default=0.0, init=False)
    newest: Progress | None = field(default=None, init=False)
    warnings: dict[int | str, tuple[str, ...]] = field(default_factory=dict, init=False)
    _details: dict[Media, Media] = field(default_factory=dict, init=False)

    @property
    def progress(self) -> str:
        """The number of found ids or names, and which are found and missing."""
        return f"{self.newest.progress}, among the newest files" if self.newest else super().progress

    @property
    def deadline(self) -> datetime:
        """The end of the wait: ``needed_by``, or the timeout since the first start, if that is earlier."""
        end = self.started + timedelta(seconds=self.timeout)
        return min(end, self.needed_by) if self.needed_by else end

    @property
    def limit(self) -> str:
        """The argument that sets the deadline, for error messages."""
        if self.needed_by and self.needed_by == self.deadline:
            return f"needed_by={self.needed_by.isoformat()}"
        return f"timeout={self.timeout:g} s"

    @property
    def remaining(self) -> timedelta:
        """The time until the deadline; negative after it."""
        return self.deadline - datetime.now(UTC)

    @property
    def warn_at(self) -> datetime | None:
        """The time of the warning, or None if there is none, or it was given."""
        return None if self.warn_before is None or self.warned else self.deadline - timedelta(seconds=self.warn_before)

    def warn_if_due(self, context: Context, error: Exception | None = None) -> None:
        """Warn, once, if the time has come."""
        if self.warn_at is None or datetime.now(UTC) < self.warn_at:
            return
        self.warned = True
        minutes = plural(max(0, round(self.remaining.total_seconds() / 60)), "minute")
        missing = self.list_missing() if self.missing else error
        number = f"{len(self.missing)} of {len(self.criteria.keys)} missing"
        message = f"{number}, {minutes} until the deadline ({self.limit}): {missing}"
        log.warning(message)
        try:
            if self.on_warning:
                self.on_warning(message, context)
        except Exception:  # a callback may raise anything, and must not end the wait
            log.exception("on_warning failed")

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return self.remaining <= _TOLERANCE

    def poll(self, hook: MediaHook, *, newest_only: bool = False) -> Exception | None:
        """Request the missing files; return the error if the lookup fails.

        If they complete the wait, verify the files that earlier polls found, because they may have been deleted, and
        check all of them. See :meth:`MediaExistsSensor.poke` for ``newest_only``.
        """
        before = dict(self.found)
        error: Exception | None = None
        try:
            self._lookup(hook, self.missing, newest_only=newest_only and bool(self.criteria.names) and not before)
            if before and not self.missing:
                self.found = {key: files for key, files in self.found.items() if key not in before}
                self._lookup(hook, tuple(before))
            if self.gate and not self.missing:
                self.warnings = self.gate.check(self.criteria.in_order(self.found))
        except Exception as raised:  # noqa: BLE001 - also errors of a connection that cannot be read
            error = raised
        self.failures = self.policy.count(self.failures, error)
        self.retry_after = _poller.retry_after(error)
        return error

    def _lookup(self, hook: MediaHook, keys: tuple[str, ...], *, newest_only: bool = False) -> None:
        """Find ids or names within the time that remains."""
        end = max(self.deadline, datetime.now(UTC) + timedelta(seconds=_poller.FIRST_POLL_SECONDS))

        def remaining_seconds() -> float:
            return (end - datetime.now(UTC)).total_seconds()

        self.newest = None
        result, is_whole = LookupResult(), not newest_only
        ids, names = (keys, ()) if self.criteria.ids else ((), keys)
        needs = dict.fromkeys(keys, self.criteria.needs) if self.criteria.needs else {}
        flow = lookup(ids, names, result=result, needs=needs, details=self._details, newest_only=newest_only)
        try:
            is_whole = hook.run_flow(with_time_limit(flow, remaining_seconds), seconds=remaining_seconds())
        finally:
            found = self.criteria.satisfied_by(result)
            self.counts |= {key: count for key, count in self.criteria.counts(result).items() if key in keys}
            if is_whole:
                self.found |= found
        if not is_whole:
            self.newest = Progress(criteria=self.criteria, found=found, counts=self.counts)
            if self.is_over or not self.newest.missing:
                self._lookup(hook, keys)

    def next_interval(self, interval: float) -> float:
        """Return the seconds until the next poll: at least ``Retry-After``, at most until the deadline."""
        if self.warn_at:
            interval = min(interval, (self.warn_at - datetime.now(UTC)).total_seconds())
        interval = max(interval, self.retry_after, _poller.MIN_INTERVAL_SECONDS)
        return min(interval, max(self.remaining.total_seconds(), _poller.MIN_INTERVAL_SECONDS))

    def new_trigger(self, media_conn_id: str, interval: timedelta, *, delay: timedelta) -> MediaExistsTrigger:
        """Return a trigger that waits for the missing files."""
        from airflow_provider_media.triggers.media import MediaExistsTrigger

        criteria, missing = self.criteria, self.missing
        return MediaExistsTrigger(
            media_conn_id=media_conn_id,
            media_ids=missing if criteria.ids else (),
            names=missing if criteria.names else (),
            exact_names=[name for name in missing if name in criteria.exact],
            min_matches=criteria.min_matches,
            folder_id=criteria.folder_id,
            mime_type=criteria.mime_type,
            stored_after=criteria.stored_after.isoformat() if criteria.stored_after else None,
            pick=criteria.pick,
            found_before=len(criteria.keys) - len(missing),
            poll_interval=interval.total_seconds(),
            deadline=self.deadline.isoformat(),
            warn_at=self.warn_at.isoformat() if self.warn_at else None,
            max_poll_failures=self.policy.max_failures,
            not_before=(datetime.now(UTC) + delay).isoformat() if delay else None,
        )

    def resume(self, event: Any, deferral: Mapping[str, Any]) -> str:
        """Continue after a deferral; return the status of the trigger's event.

        :param deferral: what :meth:`to_deferral` returned; older releases stored less.
        :raises MediaError: polling failed.
        """
        wait_event = WaitEvent.from_dict(event)
        self.found |= found_from_dicts(deferral.get("found") or {}) | wait_event.found
        self.counts |= wait_event.counts
        self.failures, self.warned = deferral.get("failures", 0), self.warned or deferral.get("warned", False)
        if started := deferral.get("started"):
            self.started = min(self.started, datetime.fromisoformat(started))
        if wait_event.status == "failed":
            kind = getattr(exceptions, wait_event.error or "", None)
            kind = kind if isinstance(kind, type) and issubclass(kind, MediaError) else MediaError
            error = kind(f"{wait_event.message} ({self.progress})")
            self.reset()
            raise error
        return wait_event.status

    def to_deferral(self) -> dict[str, Any]:
        """Return what :meth:`resume` receives; before Airflow 3.3 a deferral keeps nothing else."""
        deferral = self.to_dict()
        del deferral["library"]
        return deferral

    def save(self) -> None:
        """Save the state for the task's later processes, where Airflow supports it."""
        is_large = len(json.dumps(self.to_dict())) > _MAX_BYTES
        self.state.save(replace(self, found={}) if is_large else self)

    def reset(self) -> None:
        """Save only the first start, because a retry gets the remaining time."""
        self.found.clear()
        self.failures = 0
        self.save()


def _first_start(context: Context) -> datetime | None:
    """Return the task's first start: Airflow stores it with reschedules, and keeps the start over deferrals."""
    ti: Any = context.get("ti")
    if ti is None:
        return None
    if hasattr(ti, "get_first_reschedule_date"):  # Airflow 3
        started = ti.get_first_reschedule_date(context)
    else:
        from airflow.sensors.base import _orig_start_date  # Airflow 2 only

        started = _orig_start_date(ti.dag_id, ti.task_id, ti.run_id, ti.map_index, first_try_number(context))
    return next((start for start in (started, ti.start_date) if isinstance(start, datetime)), None)


def _last_reschedule(context: Context) -> datetime | None:
    """Return the end of a rescheduled task's last poll, which Airflow 2 stores."""
    ti: Any = context.get("ti")
    if ti is None or hasattr(ti, "get_first_reschedule_date"):  # Airflow 3
        return None
    from airflow.models.taskreschedule import TaskReschedule
    from airflow.utils.session import create_session

    with create_session() as session:
        last = session.scalar(TaskReschedule.stmt_for_task_instance(ti, descending=True).limit(1))
        return last.end_date if last else None


def load_wait(sensor: Any, context: Context) -> Wait:
    """Parse a sensor's arguments, and load the state that earlier processes of the task saved.

    A cleared task starts over. Files found in another library are ignored.
    """
    max_failures = parse_int("max_poll_failures", sensor.max_poll_failures)
    parse_interval("poke_interval", sensor.poke_interval, may_be_zero=True)
    if sensor.on_warning is not None and sensor.warn_before is None:
        raise MediaConfigurationError("on_warning requires warn_before, the time before the deadline.")
    state = TaskState(context, WaitCheckpoint, task_id=sensor.task_id)
    checkpoint = state.load()
    wait = Wait(
        started=checkpoint.started if checkpoint else _first_start(context) or datetime.now(UTC),
        library=_library_of(sensor),
        criteria=_parse_criteria(sensor),
        policy=_poller.PollPolicy(_poller.UNLIMITED_FAILURES if sensor.silent_fail else max_failures),
        timeout=parse_interval("timeout", sensor.timeout, may_be_zero=True),
        needed_by=parse_optional(parse_datetime, "needed_by", sensor.needed_by),
        warn_before=parse_nullable(parse_interval, "warn_before", sensor.warn_before),
        on_warning=parse_nullable(parse_callable, "on_warning", sensor.on_warning),
        gate=_parse_gate(sensor),
        state=state,
    )
    if wait.warn_at and not state.is_kept:
        last_poll = _last_reschedule(context)
        wait.warned = last_poll is not None and last_poll >= wait.warn_at
    if checkpoint and checkpoint.library == wait.library:
        wait.found, wait.failures, wait.warned = checkpoint.found, checkpoint.failures, checkpoint.warned
    else:
        wait.save()
    return wait


def _parse_gate(sensor: Any) -> Gate | None:
    channels, check_url = parse_list("channels", sensor.channels), parse_bool("check_url", sensor.check_url)
    if not channels and not check_url:
        return None
    from airflow_provider_media._channels.rules import channels_of
    from airflow_provider_media.sensors._gate import Gate

    return Gate(channels_of(channels), check_url=check_url)


def _library_of(sensor: Any) -> str | None:
    """Return a sensor's connection and base address; None if the connection cannot be read, which the poll reports."""
    try:
        return f"{sensor.media_conn_id} {sensor.hook.settings.base_url}"
    except Exception as error:  # noqa: BLE001 - a secrets backend may raise anything
        sensor.log.debug("Could not read the connection %r: %s", sensor.media_conn_id, error)
        return None


def _parse_criteria(sensor: Any) -> WaitCriteria:
    has_wildcards = parse_bool("wildcards", sensor.wildcards)
    refuse_none("name", sensor.name)
    refuse_none("names", sensor.names)
    options: dict[str, Any] = {
        "min_matches": parse_int("min_matches", sensor.min_matches),
        "folder_id": parse_optional(parse_token, "folder_id", sensor.folder_id),
        "mime_type": parse_optional(parse_token, "mime_type", sensor.mime_type),
        "stored_after": parse_optional(parse_datetime, "stored_after", sensor.stored_after),
        "pick": parse_choice("pick", sensor.pick, ("oldest", "newest")),
    }
    by_id = sensor.media_id is not NOT_GIVEN or sensor.media_ids is not NOT_GIVEN
    by_name = sensor.name is not NOT_GIVEN or sensor.names is not NOT_GIVEN
    if by_id == by_name:
        raise MediaConfigurationError("Set either media_id or media_ids, or else name or names.")
    if by_id:
        ids = parse_media_ids(sensor.media_id, sensor.media_ids, ignore_none=False)
        criteria = WaitCriteria(ids=tuple(map(str, ids)), **options)
    else:
        parsed = [] if sensor.name is NOT_GIVEN else [parse_name("name", sensor.name)]
        parsed += [] if sensor.names is NOT_GIVEN else parse_names("names", sensor.names)
        exact = frozenset(str(each) for each in parsed if takes_literally(each, wildcards=has_wildcards))
        criteria = WaitCriteria(names=tuple(dict.fromkeys(map(str, parsed))), exact=exact, **options)
    if criteria.min_matches > 1 and not any(map(criteria.is_pattern, criteria.keys)):
        raise MediaConfigurationError(
            f"min_matches={criteria.min_matches} requires a name with wildcards, such as 'banner-*', because an id or a"
            " plain name needs one file."
        )
    return criteria
