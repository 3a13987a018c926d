"""The public error tree."""

from __future__ import annotations

import pickle

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_media import exceptions
from airflow_provider_media._api.problem import Kind, Problem
from airflow_provider_media.exceptions import MediaError, public_errors

ERRORS = [value for value in vars(exceptions).values() if isinstance(value, type) and issubclass(value, MediaError)]
LASTING = {exceptions.MediaError, exceptions.MediaRateLimitError, exceptions.MediaUnavailableError}


def raised_for(problem: Problem) -> MediaError:
    with pytest.raises(MediaError) as raised, public_errors():
        raise problem
    return raised.value


def test_there_are_as_many_classes_as_the_tree_draws() -> None:
    drawn = [word for word in (exceptions.__doc__ or "").split() if word.startswith("Media") and word.endswith("Error")]
    public = {error.__name__ for error in ERRORS if not error.__name__.startswith("_")}
    assert public == set(drawn)


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_is_an_airflow_exception_and_none_an_os_error(error: type[MediaError]) -> None:
    assert issubclass(error, AirflowException)
    assert not issubclass(error, OSError)


@pytest.mark.parametrize("error", ERRORS)
def test_only_what_asking_again_can_mend_leaves_a_task_its_retries(error: type[MediaError]) -> None:
    assert issubclass(error, AirflowFailException) is (error not in LASTING)
    assert error.retryable is (error in LASTING)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (Kind.CONFIGURATION, exceptions.MediaConfigurationError),
        (Kind.FILE, exceptions.MediaFileError),
        (Kind.REQUEST, exceptions.MediaRequestError),
        (Kind.AUTH, exceptions.MediaAuthError),
        (Kind.NOT_FOUND, exceptions.MediaNotFoundError),
        (Kind.CONFLICT, exceptions.MediaConflictError),
        (Kind.RATE_LIMIT, exceptions.MediaRateLimitError),
        (Kind.UNAVAILABLE, exceptions.MediaUnavailableError),
        (Kind.RESPONSE, exceptions.MediaResponseError),
        (Kind.CANCELLED, exceptions.MediaError),
    ],
)
def test_each_kind_of_problem_has_its_error(kind: Kind, error: type[MediaError]) -> None:
    assert type(raised_for(Problem(kind, "why"))) is error


def test_every_kind_has_an_error() -> None:
    assert all(isinstance(raised_for(Problem(kind, "why")), MediaError) for kind in Kind)


def test_auth_and_not_found_are_request_errors_and_a_wrong_argument_is_a_value_error() -> None:
    assert issubclass(exceptions.MediaAuthError, exceptions.MediaRequestError)
    assert issubclass(exceptions.MediaNotFoundError, exceptions.MediaRequestError)
    assert issubclass(exceptions.MediaConfigurationError, ValueError)


def test_an_error_carries_all_that_is_known() -> None:
    cause = ConnectionError("down")
    problem = Problem(Kind.REQUEST, "why", status=400, server_message="said", request_id="r-7")
    problem.__cause__ = cause
    error = raised_for(problem)
    assert (str(error), error.status, error.server_message, error.request_id) == ("why", 400, "said", "r-7")
    assert error.__cause__ is cause


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_survives_pickling(error: type[MediaError]) -> None:
    given = error("why", status=400, server_message="said", request_id="r-7")
    copy = pickle.loads(pickle.dumps(given))  # noqa: S301 - our own bytes
    assert (type(copy), str(copy), vars(copy)) == (error, "why", vars(given))


def test_other_exceptions_pass_unchanged() -> None:
    with pytest.raises(KeyError), public_errors():
        raise KeyError("a")
