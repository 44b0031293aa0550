"""The few XML documents of S3 that a client of the built-in store reads and writes. Pure text in, text out."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser
from xml.sax.saxutils import escape

from luml_app.storage.errors import MalformedXML
from luml_app.storage.multipart import ListedPart

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PART_NUMBER = re.compile(r"\s*[0-9]{1,5}\s*")


def initiate_result(bucket: str, key: str, upload_id: str) -> str:
    """The answer to POST `?uploads`."""
    fields = {"Bucket": bucket, "Key": key, "UploadId": upload_id}
    return _document(f'InitiateMultipartUploadResult xmlns="{NAMESPACE}"', fields)


def complete_result(location: str, bucket: str, key: str, etag: str) -> str:
    """The answer to a completed multipart upload, without the XML declaration (which may have been sent before)."""
    fields = {"Location": location, "Bucket": bucket, "Key": key, "ETag": f'"{etag}"'}
    return _document(f'CompleteMultipartUploadResult xmlns="{NAMESPACE}"', fields)


def error(code: str, message: str, resource: str) -> str:
    """S3's form of an error, without the XML declaration."""
    return _document("Error", {"Code": code, "Message": message, "Resource": resource})


def parse_complete(body: bytes) -> list[ListedPart]:
    """The parts that a CompleteMultipartUpload document lists, in its order. Raises `MalformedXML`.

    Clients write it with and without S3's namespace, and ETags with and without their quotes.
    """
    root = _parse(body)
    if _local_name(root) != "CompleteMultipartUpload":
        raise MalformedXML
    return [_listed_part(child) for child in root if _local_name(child) == "Part"]


class _WithoutDoctype(TreeBuilder):
    """A document type is where entity bombs and references to files live; no client has a use for one here."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise MalformedXML


def _parse(body: bytes) -> Element:
    parser = XMLParser(target=_WithoutDoctype())  # noqa: S314 - document types are refused above
    try:
        parser.feed(body)
        root: Element = parser.close()
    except (ParseError, ValueError, LookupError) as fault:
        raise MalformedXML from fault
    return root


def _listed_part(element: Element) -> ListedPart:
    fields = {_local_name(child): child.text or "" for child in element}
    number, etag = fields.get("PartNumber", ""), fields.get("ETag", "")
    if not _PART_NUMBER.fullmatch(number):
        raise MalformedXML
    return ListedPart(number=int(number), etag=etag.strip().strip('"').lower())


def _local_name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _document(root: str, fields: dict[str, str]) -> str:
    inner = "".join(f"<{name}>{_text(value)}</{name}>" for name, value in fields.items())
    return f"<{root}>{inner}</{root.partition(' ')[0]}>"


def _text(value: str) -> str:
    """A key may hold characters that XML cannot carry at all."""
    return escape(_NOT_XML.sub("\ufffd", value), {'"': "&quot;"})
