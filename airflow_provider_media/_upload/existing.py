"""What must be known of a file that bears an upload's name before it is taken for that upload, or deleted for it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

from airflow_provider_media._api.flows import Flow, get_settled
from airflow_provider_media.exceptions import MediaConflictError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_media._upload.spec import UploadSpec
    from airflow_provider_media.models import Media


def fetch_details(upload: UploadSpec, found: Iterable[Media], *, settle_seconds: float = 0.0) -> Flow[list[Media]]:
    """Pick those of the files that may be the upload; ask for each of which the list does not tell what decides.

    One that is gone meanwhile is left out.

    :param settle_seconds: how long a listed file may take until a get by its id finds it.
    """
    listed = [media for media in found if upload.could_match_with_details(media)]
    unclear = [media.id for media in listed if upload.needs_details_for(media)]
    told = yield from get_settled(unclear, settle_seconds)
    full = [
        merge_details(media, told[str(media.id)]) if str(media.id) in told else media
        for media in listed
        if media.id not in unclear or str(media.id) in told
    ]
    return [media for media in full if upload.could_match(media)]


def merge_details(listed: Media, told: Media) -> Media:
    """Add to an entry of the list what getting the file by its id tells; what that leaves out stays as listed.

    So does the creation date, which may be written in another precision: baselines compare dates of the list.
    """
    known = {field.name: getattr(told, field.name) for field in fields(told) if field.name != "id"}
    if listed.created_at is not None:
        del known["created_at"]
    return replace(listed, **{name: value for name, value in known.items() if value is not None})


def of_unknown_folder(upload: UploadSpec, namesakes: Iterable[Media]) -> tuple[Media, ...]:
    """Pick the files that may be another folder's: they are reused, but never deleted."""
    return tuple(media for media in namesakes if upload.has_unknown_folder(media))


def check_folders(upload: UploadSpec, namesakes: Iterable[Media]) -> None:
    """See that all files that an upload is to replace are surely of its folder.

    :raises MediaConflictError: the folder of one is unknown.
    """
    unknown = of_unknown_folder(upload, namesakes)
    if unknown:
        raise MediaConflictError(
            f"Could not replace {upload.name!r} in folder {upload.folder_id}: {folders_untold(unknown)} or choose"
            " if_exists='upload'; nothing was deleted.",
        )


def folders_untold(unknown: Iterable[Media]) -> str:
    """Say that the files may be another folder's, and what to do about it."""
    ids = ", ".join(str(media.id) for media in unknown)
    return f"the API does not tell the folder of {ids}, so it may be another one's; delete it by its id if it is not,"
