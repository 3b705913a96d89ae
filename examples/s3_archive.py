"""Keep finished files in an S3 bucket: STEWARD_ARCHIVE_URL=s3://bucket/prefix. It needs boto3.

Key and region come from where boto3 finds them (AWS_ACCESS_KEY_ID, a role, ~/.aws); another server than Amazon's is
named by `?endpoint=http://127.0.0.1:9000`. The bucket keeps copies of its own (versions, replication), so a backup of
Steward holds the names and checksums of the files alone.
"""

import hashlib
from contextlib import contextmanager
from urllib.parse import parse_qs, quote, urlsplit

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from steward import hookimpl
from steward.storage.archive import PIECE, ArchiveOptions, Stored
from steward.errors import ConfigurationError, StorageUnavailable

WAYS = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 3})
PARTS = TransferConfig(use_threads=False)  # a stream is read by one thread, 8 MB at a time


class S3Archive:
    """Keeps files as `prefix/task/name` in one bucket. S3 shows an object whole or not at all."""

    in_backup = False

    def __init__(self, url):
        parts = urlsplit(url)
        if not parts.hostname or parts.password:
            raise ConfigurationError(
                "STEWARD_ARCHIVE_URL names no bucket", "A key does not belong in it", "For example s3://reports/steward"
            )
        endpoint = parse_qs(parts.query).get("endpoint", [None])[0]
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/")
        self._s3 = boto3.client("s3", endpoint_url=endpoint, config=WAYS)

    def store(self, task_id, name, content):
        """Upload what is left in `content`; it appears under its name when the last byte is there."""
        key, counted = self._key(task_id) + _safe(name), _Counted(content)
        with _in_words("The file could not be kept"):
            self._s3.upload_fileobj(counted, self._bucket, key, Config=PARTS)
        return Stored(key, counted.size, counted.digest.hexdigest())

    def open(self, location):
        """Return the object's body, which is read from the network as it is asked for."""
        # Only what `store` has named: a prefix, a task, a name; whatever else lies in the bucket is not ours.
        ours = location.startswith(f"{self._prefix}/" if self._prefix else "")
        if not ours or location[len(self._prefix) :].strip("/").count("/") != 1 or ".." in location.split("/"):
            raise StorageUnavailable("The file cannot be read", f"'{location}' is no place in this archive")
        with _in_words("The file cannot be read"):
            return self._s3.get_object(Bucket=self._bucket, Key=location)["Body"]

    def remove(self, task_id):
        """Delete the objects of the task, a thousand at a time."""
        count = 0
        with _in_words(f"The files of the task {task_id} could not be deleted"):
            pages = self._s3.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._key(task_id)):
                found = [{"Key": each["Key"]} for each in page.get("Contents", ())]
                if found:
                    self._s3.delete_objects(Bucket=self._bucket, Delete={"Objects": found, "Quiet": True})
                count += len(found)
        return count

    def sweep(self):
        """Leave it to the bucket: a rule of its own ends uploads that were broken off (AbortIncompleteMultipartUpload)."""
        return 0

    def close(self):
        """Free the connections."""
        self._s3.close()

    def _key(self, task_id):
        if not (2 <= len(task_id) <= 64 and task_id.replace("-", "").replace("_", "").isalnum() and task_id.isascii()):
            raise StorageUnavailable("The file could not be kept", f"'{task_id}' cannot be the id of a task")
        return f"{self._prefix}/{task_id}/".lstrip("/")


class _Counted:
    """A stream that knows how much was read of it, and its checksum; boto3 asks for nothing but `read`."""

    def __init__(self, content):
        self._content, self.size, self.digest = content, 0, hashlib.sha256()

    def read(self, size=PIECE):
        piece = self._content.read(size)
        self.digest.update(piece)
        self.size += len(piece)
        return piece


def _safe(name):
    """Return `name` as the last part of a key: its own text where that is short and plain, else known by its checksum."""
    mark = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    plain = quote(name.encode(errors="replace"), safe=" ").replace("%", "_")[-80:]
    return name if name == plain and name.strip(". ") == name else f"{mark[:32]}-{plain}"


@contextmanager
def _in_words(what):
    try:
        yield
    except (BotoCoreError, ClientError, OSError) as error:
        why = error.response["Error"].get("Message", "") if isinstance(error, ClientError) else str(error)
        raise StorageUnavailable(what, why[:200], "See that the bucket is there, and that this key may use it") from error


@hookimpl
def register_archives():
    """Offer the archive for addresses that begin with s3://."""
    return {"s3": lambda options: S3Archive(options.url)}
