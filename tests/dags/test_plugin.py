"""Airflow finds the plugin of the Media Library page, where it has a place for it; elsewhere it is quiet."""

from __future__ import annotations

import airflow
import pytest

from tests.helpers.warm_python import run_airflow

VERSION = tuple(map(int, airflow.__version__.split(".")[:2]))
HAS_PLACE = VERSION >= (3, 1)


def test_airflow_loads_it_without_a_complaint() -> None:
    done = run_airflow("plugins", "-o", "plain")
    assert done.returncode == 0, done.stderr
    assert "media_library" in done.stdout
    assert "Traceback" not in done.stderr
    assert ("/media-library" in done.stdout) is HAS_PLACE


@pytest.mark.skipif(not HAS_PLACE, reason="there is no place for the page before Airflow 3.1")
def test_the_page_is_in_the_navigation_of_airflow() -> None:
    from airflow_provider_media.plugins.media_library import MediaLibraryPlugin

    view, *tabs = MediaLibraryPlugin.external_views
    assert (view["destination"], view["category"], view["href"]) == ("nav", "browse", "media-library/")
    assert [(tab["destination"], tab["applies_to"]) for tab in tabs] == (
        [("task_instance", {"operator": [cls.__name__ for cls in with_link()]})] if VERSION >= (3, 4) else []
    )


def with_link() -> list[type]:
    from airflow_provider_media.operators import media
    from airflow_provider_media.sensors.media import MediaExistsSensor

    classes = [media.MediaUploadOperator, media.MediaGetOperator, media.MediaSyncOperator, MediaExistsSensor]
    others = [getattr(media, name) for name in dir(media) if name.startswith("Media") and name.endswith("Operator")]
    assert {cls for cls in others if cls.operator_extra_links} == set(classes[:-1])
    return classes
