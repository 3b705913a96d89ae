"""The example that keeps files in a bucket keeps what every archive promises."""

from __future__ import annotations

import io
from collections.abc import Callable
from urllib.parse import urlsplit

import boto3
import pytest
from tests.examples.loading import load_example

from steward import Archive, ArchiveOptions, ConfigurationError, StorageUnavailable
from steward.contracts import ArchiveContract

s3_archive = load_example("s3_archive")


def archive_at(url: str) -> Archive:
    made: Archive = s3_archive.register_archives()["s3"](ArchiveOptions(url))
    return made


class TestS3Archive(ArchiveContract):
    @pytest.fixture
    def make(self, bucket_url: str) -> Callable[[], Archive]:
        return lambda: archive_at(bucket_url)


def test_what_else_lies_in_the_bucket_is_neither_read_nor_removed(bucket_url: str, s3_server: str) -> None:
    client = boto3.client("s3", endpoint_url=s3_server)
    bucket = urlsplit(bucket_url).netloc
    for key in ("salaries.csv", "other/01hx7m4d2k/a.csv", "steward/a/b/c.csv"):
        client.put_object(Bucket=bucket, Key=key, Body=b"secret")
    archive = archive_at(bucket_url)
    stored = archive.store("01hx7m4d2k", "a.csv", io.BytesIO(b"x"))
    assert stored.location == "steward/01hx7m4d2k/a.csv"
    for key in ("salaries.csv", "other/01hx7m4d2k/a.csv", "steward/a/b/c.csv"):
        with pytest.raises(StorageUnavailable, match="no place in this archive"):
            archive.open(key)
    assert archive.remove("01hx7m4d2k") == 1
    assert {each["Key"] for each in client.list_objects_v2(Bucket=bucket)["Contents"]} == {
        "salaries.csv",
        "other/01hx7m4d2k/a.csv",
        "steward/a/b/c.csv",
    }


def test_more_than_a_thousand_files_are_removed(bucket_url: str) -> None:
    archive = archive_at(bucket_url)
    for n in range(1001):
        archive.store("01hx7m4d2k", f"{n}.csv", io.BytesIO(b"x"))
    assert archive.remove("01hx7m4d2k") == 1001
    assert archive.remove("01hx7m4d2k") == 0


def test_a_bucket_that_is_not_there_is_told_in_words(bucket_url: str) -> None:
    archive = archive_at(bucket_url.replace("reports-", "nothing-"))
    with pytest.raises(StorageUnavailable, match=r"could not be kept.*See that the bucket is there"):
        archive.store("01hx7m4d2k", "a.csv", io.BytesIO(b"x"))


@pytest.mark.parametrize("url", ["s3://", "s3://KEY:SECRET@bucket", "s3:///folder"])
def test_an_address_that_names_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="A bucket is named, and no key"):
        archive_at(url)
