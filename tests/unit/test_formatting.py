import pytest

from airflow_provider_media._api.values import format_ids, format_media, format_size, plural
from airflow_provider_media.models import Media


@pytest.mark.parametrize(
    ("count", "noun", "expected"),
    [(0, "file", "0 files"), (1, "entry", "1 entry"), (2, "invalid entry", "2 invalid entries")],
)
def test_plural_counts_the_noun(count, noun, expected):
    assert plural(count, noun) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (None, "unknown size"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (81_674, "81.7 kB"),
        (999_960, "1.0 MB"),
        (12_100_000, "12.1 MB"),
        (5 * 10**15, "5000.0 TB"),
    ],
)
def test_sizes_are_human(size, expected):
    assert format_size(size) == expected


def test_ids_and_urls_stay_on_one_line():
    media = Media(id="a\nb", size=1, url="http://x/\x1b[31m\n")
    assert format_media(media) == r"id 'a\nb', 1 byte, 'http://x/\x1b[31m\n'"
    assert format_ids([media], with_sizes=True) == r"a\nb (1 byte)"


def test_ids_may_show_sizes():
    found = [Media(id=17, size=81_674), Media(id="med_7")]
    assert format_ids(found) == "17, med_7"
    assert format_ids(found, with_sizes=True) == "17 (81.7 kB), med_7 (unknown size)"
