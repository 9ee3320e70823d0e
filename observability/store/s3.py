"""S3 as the usual AWS_* environment variables give it, for DuckDB and for Arrow alike."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from traces.errors import StoreError


@dataclass(frozen=True, slots=True)
class S3:
    """Credentials and endpoint. An empty `endpoint` is AWS itself; `token` is that of a session."""

    key_id: str = field(repr=False)
    secret: str = field(repr=False)
    token: str = field(repr=False)
    region: str
    endpoint: str

    def duckdb_secret(self) -> str:
        """The statement that gives them to a DuckDB connection. Not to be shown."""
        options = {"KEY_ID": self.key_id, "SECRET": self.secret, "REGION": self.region}
        if self.token:
            options["SESSION_TOKEN"] = self.token
        if self.endpoint:
            address = urlsplit(self.endpoint)
            options |= {"ENDPOINT": address.netloc + address.path, "URL_STYLE": "path"}
            options["USE_SSL"] = str(address.scheme == "https").lower()
        said = ", ".join(
            f"{name} '{value.replace(chr(39), chr(39) * 2)}'" for name, value in options.items()
        )
        return f"CREATE SECRET (TYPE s3, {said})"

    def arrow_filesystem(self) -> Any:
        """They as an Arrow file system; its paths are `bucket/key`."""
        from pyarrow.fs import S3FileSystem

        return S3FileSystem(
            access_key=self.key_id,
            secret_key=self.secret,
            session_token=self.token or None,
            region=self.region,
            endpoint_override=self.endpoint or None,
        )


def s3_here() -> S3:
    """S3 as the environment gives it. Raises StoreError where it gives no credentials or a wrong endpoint."""
    found = os.environ.get
    key_id, secret = found("AWS_ACCESS_KEY_ID", ""), found("AWS_SECRET_ACCESS_KEY", "")
    if not key_id or not secret:
        raise StoreError(
            "files in S3 without credentials", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    endpoint = found("AWS_ENDPOINT_URL_S3") or found("AWS_ENDPOINT_URL") or ""
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise StoreError(f"AWS_ENDPOINT_URL {endpoint!r}", "http:// or https:// and a host")
    region = found("AWS_REGION") or found("AWS_DEFAULT_REGION") or "us-east-1"
    return S3(key_id, secret, found("AWS_SESSION_TOKEN", ""), region, endpoint.rstrip("/"))
