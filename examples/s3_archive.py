"""Keep finished files in an S3 bucket: STEWARD_ARCHIVE_URL=s3://bucket/prefix. It needs boto3.

Key and region come from where boto3 finds them (AWS_ACCESS_KEY_ID, a role, ~/.aws); another server than Amazon's is
named by `?endpoint=http://127.0.0.1:9000`. The bucket keeps copies of its own (versions, replication), so a backup of
Steward holds the names and checksums of these files alone.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO
from urllib.parse import parse_qs, quote, urlsplit

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from steward import Archive, ArchivedFile, ArchiveOptions, ConfigurationError, StorageUnavailable, hookimpl

WAYS = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 3})
PARTS = TransferConfig(use_threads=False)  # a stream is read by one thread, 8 MB at a time


class S3Archive:
    """Keeps files as `prefix/task/name` in one bucket. S3 shows an object whole or not at all."""

    in_backup = False

    def __init__(self, options: ArchiveOptions) -> None:
        parts = urlsplit(options.url)
        if not parts.hostname or parts.username:
            why = "A bucket is named, and no key: boto3 finds that by itself"
            raise ConfigurationError("STEWARD_ARCHIVE_URL cannot be used", why, "For example s3://reports/steward")
        endpoint = parse_qs(parts.query).get("endpoint", [None])[0]
        self._bucket, self._prefix = parts.netloc, f"{parts.path.strip('/')}/".lstrip("/")
        self._s3: Any = boto3.client("s3", endpoint_url=endpoint, config=WAYS)

    def store(self, task_id: str, name: str, content: BinaryIO) -> ArchivedFile:
        """Upload what is left in `content`; it appears under its name when the last byte is there."""
        key, counted = self._folder(task_id) + _safe(name), _Counted(content)
        with _in_words("The file could not be kept"):
            self._s3.upload_fileobj(counted, self._bucket, key, Config=PARTS)
        return ArchivedFile(key, counted.size, counted.digest.hexdigest())

    def open(self, location: str) -> BinaryIO:
        """Return the object's body, which is read from the network as it is asked for."""
        if not re.fullmatch(rf"{re.escape(self._prefix)}[\w-]{{2,64}}/[^/]+", location, re.ASCII):
            raise StorageUnavailable("The file cannot be read", f"'{location}' is no place in this archive")
        with _in_words("The file cannot be read"):
            body: BinaryIO = self._s3.get_object(Bucket=self._bucket, Key=location)["Body"]
        return body

    def remove(self, task_id: str) -> int:
        """Delete the objects of the task, a thousand at a time."""
        count, whose = 0, {"Bucket": self._bucket, "Prefix": self._folder(task_id)}
        with _in_words(f"The files of the task {task_id} could not be deleted"):
            for page in self._s3.get_paginator("list_objects_v2").paginate(**whose):
                found = [{"Key": each["Key"]} for each in page.get("Contents", ())]
                if found:
                    self._s3.delete_objects(Bucket=self._bucket, Delete={"Objects": found, "Quiet": True})
                count += len(found)
        return count

    def sweep(self) -> int:
        """Leave it to the bucket, whose rule AbortIncompleteMultipartUpload ends uploads that were broken off."""
        return 0

    def close(self) -> None:
        """Free the connections."""
        self._s3.close()

    def _folder(self, task_id: str) -> str:
        if not re.fullmatch(r"[\w-]{2,64}", task_id, re.ASCII):
            raise StorageUnavailable("The file could not be kept", f"'{task_id}' cannot be the id of a task")
        return f"{self._prefix}{task_id}/"


class _Counted:
    """A stream that knows how much was read of it, and its checksum; boto3 asks for nothing but `read`."""

    def __init__(self, content: BinaryIO) -> None:
        self._content, self.size, self.digest = content, 0, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._content.read(size)
        self.digest.update(piece)
        self.size += len(piece)
        return piece


def _safe(name: str) -> str:
    """Return `name` as the last part of a key: as it is where that is plain and short, else known by its checksum."""
    if re.fullmatch(r"[\w][\w. -]{0,98}[\w]", name, re.ASCII):
        return name
    mark = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    return f"~{mark[:32]}-{quote(name.encode(errors='replace'), safe='')[-80:].replace('%', '_')}"


@contextmanager
def _in_words(what: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError, OSError) as error:
        why = error.response["Error"].get("Message", "") if isinstance(error, ClientError) else str(error)
        raise StorageUnavailable(what, why[:200], "See that the bucket is there, and that we may use it") from error


@hookimpl
def register_archives() -> Mapping[str, type[Archive]]:
    """Offer the archive for addresses that begin with s3://."""
    return {"s3": S3Archive}
