"""A small server on this machine that answers as object storage does, and fails when it is told to."""

from __future__ import annotations

import hashlib
import re
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from time import time
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class ObjectStorage(ThreadingHTTPServer):
    """Buckets in memory.

    Attributes:
        buckets: By name, files by key: bytes, and seconds of the last change.
        refused: Method names, such as "PUT", that are answered with an error of the server.
        puts: Keys of files that were put whole, in order.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.buckets: dict[str, dict[str, tuple[bytes, float]]] = {}
        self.refused: set[str] = set()
        self.puts: list[str] = []
        self.parts: dict[str, dict[int, bytes]] = {}
        self.numbers = count(1)
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        """Listen no longer."""
        self.shutdown()
        self.thread.join(10)
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ObjectStorage
    timeout = 20

    def log_message(self, *args: object) -> None:
        """Say nothing."""

    def _parts(self):
        found = urlsplit(self.path)
        bucket, _, key = unquote(found.path).lstrip("/").partition("/")
        return bucket, key, parse_qs(found.query, keep_blank_values=True)

    def _body(self) -> bytes:
        if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            content = self._chunks()
        else:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        coded = "aws-chunked" in (self.headers.get("Content-Encoding") or "")
        if not coded and not (self.headers.get("x-amz-content-sha256") or "").startswith("STREAMING"):
            return content
        found, place = b"", 0
        while True:
            end = content.index(b"\r\n", place)
            size = int(content[place:end].split(b";")[0], 16)
            if not size:
                return found
            found += content[end + 2 : end + 2 + size]
            place = end + 4 + size

    def _chunks(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return found

    def _answer(self, code: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _error(self, code: int, name: str) -> None:
        text = f"<Error><Code>{name}</Code><Message>{name}</Message></Error>"
        self._answer(code, text.encode(), Content_Type="application/xml")

    def _xml(self, text: str) -> None:
        namespace = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
        head, rest = text.split(">", 1)
        whole = f'<?xml version="1.0" encoding="UTF-8"?>{head}{namespace}>{rest}'
        self._answer(200, whole.encode(), Content_Type="application/xml")

    def _is_refused(self, bucket: str) -> bool:
        if self.command in self.server.refused:
            self._error(400, "QuotaExceeded")
        elif bucket not in self.server.buckets:
            self._error(404, "NoSuchBucket")
        else:
            return False
        return True

    def do_PUT(self) -> None:
        bucket, key, query = self._parts()
        content = self._body()
        if not key:
            self.server.buckets.setdefault(bucket, {})
            self._answer(200)
        elif not self._is_refused(bucket):
            etag = f'"{hashlib.md5(content).hexdigest()}"'
            if "uploadId" in query:
                self.server.parts[query["uploadId"][0]][int(query["partNumber"][0])] = content
            else:
                self._keep(bucket, key, content)
            self._answer(200, ETag=etag)

    def do_POST(self) -> None:
        bucket, key, query = self._parts()
        self._body()
        if self._is_refused(bucket):
            return
        if "uploads" in query:
            name = f"u{next(self.server.numbers)}"
            self.server.parts[name] = {}
            self._xml(
                f"<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{escape(key)}</Key>"
                f"<UploadId>{name}</UploadId></InitiateMultipartUploadResult>"
            )
        elif "uploadId" in query:
            parts = self.server.parts.pop(query["uploadId"][0])
            self._keep(bucket, key, b"".join(parts[number] for number in sorted(parts)))
            self._xml(
                f"<CompleteMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{escape(key)}</Key>"
                '<ETag>"whole"</ETag></CompleteMultipartUploadResult>'
            )
        else:
            self._error(501, "NotImplemented")

    def _keep(self, bucket: str, key: str, content: bytes) -> None:
        self.server.buckets[bucket][key] = (content, time())
        self.server.puts.append(key)

    def do_GET(self) -> None:
        bucket, key, query = self._parts()
        if self._is_refused(bucket):
            return
        if not key:
            self._list(bucket, query)
            return
        found = self.server.buckets[bucket].get(key)
        if found is None:
            self._error(404, "NoSuchKey")
            return
        content, changed = found
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        dated = {"Last_Modified": formatdate(changed, usegmt=True), "ETag": '"x"'}
        if self.command == "HEAD":
            self._answer(200, Content_Length=str(len(content)), **dated)
        elif asked:
            first, last = int(asked[1]), int(asked[2] or len(content) - 1)
            span = f"bytes {first}-{min(last, len(content) - 1)}/{len(content)}"
            self._answer(206, content[first : last + 1], Content_Range=span, **dated)
        else:
            self._answer(200, content, **dated)

    def do_HEAD(self) -> None:
        bucket, key, _ = self._parts()
        if key:
            self.do_GET()
        elif not self._is_refused(bucket):
            self._answer(200)

    def do_DELETE(self) -> None:
        bucket, key, query = self._parts()
        if not self._is_refused(bucket):
            if "uploadId" in query:
                self.server.parts.pop(query["uploadId"][0], None)
            else:
                self.server.buckets[bucket].pop(key, None)
            self._answer(204)

    def _list(self, bucket: str, query: dict[str, list[str]]) -> None:
        prefix = query.get("prefix", [""])[0]
        delimiter = query.get("delimiter", [""])[0]
        files, folders = [], dict[str, None]()
        for key, (content, _) in sorted(self.server.buckets[bucket].items()):
            if not key.startswith(prefix):
                continue
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folders[prefix + rest.split(delimiter)[0] + delimiter] = None
                continue
            files.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                f'<ETag>"x"</ETag><Size>{len(content)}</Size></Contents>'
            )
        common = "".join(f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>" for f in folders)
        self._xml(
            f"<ListBucketResult><Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix>"
            f"<KeyCount>{len(files) + len(folders)}</KeyCount><MaxKeys>1000</MaxKeys>"
            f"<IsTruncated>false</IsTruncated>{''.join(files)}{common}</ListBucketResult>"
        )
