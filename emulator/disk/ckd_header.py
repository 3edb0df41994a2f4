"""The 512 bytes at the head of every Hercules CKD image file, and the URI keys of such images."""

import struct
from typing import Final, NamedTuple, NoReturn

from emulator.channel.geometry import Geometry, geometry, is_kind, smallest_model
from emulator.errors import BenchError, CorruptError
from emulator.uri import Uri

HEADER_BYTES: Final = 512
_HEADER: Final = struct.Struct("<8sIIBBH")

PLAIN: Final = b"CKD_P370"
COMPRESSED: Final = b"CKD_C370"
_OTHERS: Final = {
    PLAIN: "is not compressed; write ckd:",
    COMPRESSED: "is compressed; write cckd:",
    b"CKD_S370": "is a shadow file, which holds only changes; merge it into its base with cckd "
    "or Hercules' sf-merge, and name the base",
    b"CKD_P064": "has the 64-bit form of Hercules 4; convert it to the 32-bit form with dasdcopy",
    b"CKD_C064": "has the 64-bit form of Hercules 4; convert it with its convto64 -r or dasdcopy",
    b"CKD_S064": "is a shadow file of Hercules 4, which holds only changes; merge it into its base",
    b"FBA_C370": "holds a compressed fixed-block device; Hercules' dasdcopy makes it a plain one",
    b"FBA_S370": "is a shadow file of a fixed-block device",
}

KEYS: Final[dict[str, str]] = {
    "kind": "the model the image must be of, such as 3390-3",
    "cylinders": "the number of cylinders the image must have",
}


class Header(NamedTuple):
    """What the head of an image file says."""

    heads: int
    track_bytes: int
    type_byte: int
    sequence: int
    """0 for the only file of a volume, else its number from 1 on."""
    last_cylinder: int
    """The last one in this file; 0 in the last or only file."""

    def encode(self, identifier: bytes) -> bytes:
        """Return the bytes of the header."""
        return _HEADER.pack(identifier, *self).ljust(HEADER_BYTES, b"\0")


def decode_header(uri: Uri, data: bytes, identifier: bytes) -> Header:
    """Take the head of a file apart; refuse what is another kind of file."""
    if len(data) < HEADER_BYTES:
        raise CorruptError(uri.text, f"has {len(data)} bytes; the header alone has {HEADER_BYTES}")
    found, *fields = _HEADER.unpack_from(data)
    if found != identifier:
        if found in _OTHERS:
            uri.refuse(_OTHERS[found])
        uri.refuse(f"is no CKD image: it begins with {found!r}, not with {identifier.decode()}")
    return Header(*fields)


def header_of(model: Geometry, sequence: int = 0, last_cylinder: int = 0) -> Header:
    """Return the header that a volume of this geometry has."""
    return Header(model.heads, model.image_bytes, model.device_type & 0xFF, sequence, last_cylinder)


def checked_geometry(uri: Uri, header: Header, cylinders: int) -> Geometry:
    """Return the geometry of an image, after its header agreed with itself and with the URI."""
    try:
        model = smallest_model(header.type_byte, max(cylinders, 1))
    except BenchError as error:
        raise CorruptError(uri.text, f"header, offset 16: {error}") from error
    wanted = header_of(model)
    if cylinders < 1:
        _corrupt(uri, 12, "the file holds not even one cylinder")
    if header.heads != wanted.heads:
        _corrupt(uri, 8, f"{header.heads} heads, where a {model.kind} has {wanted.heads}")
    if header.track_bytes != wanted.track_bytes:
        _corrupt(
            uri,
            12,
            f"tracks of {header.track_bytes} bytes, where a {model.kind} has {wanted.track_bytes}",
        )
    asked = asked_geometry(uri)
    if asked is not None:
        same_type = asked.device_type == model.device_type
        if not same_type or ("cylinders" in uri.query and asked.cylinders != model.cylinders):
            uri.refuse(
                f"the image is a {model.device_type:X} of {model.cylinders} cylinders, "
                f"not a {asked.kind} of {asked.cylinders}"
            )
    return model


def asked_geometry(uri: Uri) -> Geometry | None:
    """Return the volume that the URI's `kind` and `cylinders` ask for, if it says a kind."""
    if "kind" not in uri.query:
        if "cylinders" in uri.query:
            uri.refuse("cylinders= needs kind= beside it, such as kind=3390-1")
        return None
    if not is_kind(uri.query["kind"]):
        try:
            geometry(uri.query["kind"])
        except BenchError as error:
            uri.refuse_value("kind", str(error))
    model = geometry(uri.query["kind"])
    most = model.cylinders
    return model.with_cylinders(uri.integer("cylinders", most, 1, most))


def new_geometry(uri: Uri, size_bytes: int | None) -> Geometry:
    """Return the geometry of an image to be made."""
    model = asked_geometry(uri)
    if model is None:
        uri.refuse("say of which kind: kind=3390-1, and cylinders= for a smaller volume")
    whole = model.tracks * model.slot_bytes
    if size_bytes is not None and size_bytes != whole:
        uri.refuse(
            f"{size_bytes} bytes were asked, and {model.cylinders} cylinders of a {model.kind} "
            f"have {whole}; leave the size out"
        )
    return model


def _corrupt(uri: Uri, offset: int, problem: str) -> NoReturn:
    raise CorruptError(uri.text, f"header, offset {offset}: {problem}")
