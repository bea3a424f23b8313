"""Writes image files that Pillow reads and cannot write, for image_decode_goldens.py."""

import io
import struct
import zlib

import numpy as np


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack_row(row, depth):
    """One row of samples as PNG stores it."""
    if depth == 16:
        return row.astype(">u2").tobytes()
    if depth == 8:
        return row.astype(np.uint8).tobytes()
    bits = ((row.reshape(-1, 1) >> np.arange(depth - 1, -1, -1)) & 1).astype(np.uint8)
    return np.packbits(bits.reshape(-1)).tobytes()


def png(samples, depth, color_type, interlaced=False, chunks=()):
    """A PNG file from samples (height x width x channels), filter 0; what Pillow cannot write."""
    height, width, _ = samples.shape
    passes = [(0, 0, 1, 1)]
    if interlaced:  # Adam7: first row, first column, row step, column step.
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2),
                  (0, 1, 2, 2), (1, 0, 2, 1)]  # fmt: skip
    raw = b""
    for y, x, dy, dx in passes:
        part = samples[y::dy, x::dx]
        if part.size:
            raw += b"".join(b"\0" + pack_row(row.reshape(-1), depth) for row in part)
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, int(interlaced))
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + b"".join(png_chunk(kind, data) for kind, data in chunks)
        + png_chunk(b"IDAT", zlib.compress(raw, 9))
        + png_chunk(b"IEND", b"")
    )


def bmp(rows, bits, size, compression=0, palette=b"", masks=b"", core=False):
    """A BMP file from packed rows, bottom row first unless the height is negative."""
    width, height = size
    if core:
        header = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    body = header + masks + palette
    data = b"".join(row + b"\0" * (-len(row) % 4) for row in rows)
    offset = 14 + len(body)
    return b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + body + data


def exif_block(orientation, big_endian):
    order = ">" if big_endian else "<"
    return (
        (b"MM" if big_endian else b"II")
        + struct.pack(order + "HI", 42, 8)
        + struct.pack(order + "H", 2)
        + struct.pack(order + "HHII", 0x0100, 4, 1, 7)
        + struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
        + struct.pack(order + "I", 0)
    )


def exif_without_orientation():
    return b"II" + struct.pack("<HIHHHIII", 42, 8, 1, 0x0100, 4, 1, 7, 0)


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_sampling(data, component, factors):
    """Another sampling factor in a JPEG's frame header."""
    at = data.index(b"\xff\xc0") + 10 + component * 3 + 1
    return data[:at] + bytes([factors]) + data[at + 1 :]


def xmp_packet(orientation, as_element=False):
    """An XMP packet with the orientation as an attribute or as an element."""
    name = "tiff:Orientation"
    inside = f"><{name}>{orientation}</{name}></rdf:Description>"
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        'xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
        + (inside if as_element else f' {name}="{orientation}"/>')
        + '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def raw_profile(block, name="exif"):
    """ImageMagick's text form of a profile."""
    digits = block.hex()
    lines = [digits[i : i + 72] for i in range(0, len(digits), 72)]
    return f"\n{name}\n{len(block):8}\n".encode() + "\n".join(lines).encode() + b"\n"


def text_chunk(key, value):
    return (b"tEXt", key + b"\0" + value)


def packed_text_chunk(key, value):
    return (b"zTXt", key + b"\0\0" + zlib.compress(value))


def unicode_chunk(key, value, packed=False):
    if packed:
        return (b"iTXt", key + b"\0\x01\0en\0\0" + zlib.compress(value))
    return (b"iTXt", key + b"\0\0\0\0\0" + value)


def jpeg_segment(kind, data):
    return b"\xff" + bytes([kind]) + struct.pack(">H", len(data) + 2) + data


def with_segments(jpeg, *segments):
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def gif_of(frame, size, place=(0, 0), local=None, transparent=None, palette=b"", interlace=0):
    """A GIF with one image from Pillow's compressed data, on a canvas of any size."""
    data = saved(frame, "GIF", interlace=interlace)
    at = data.index(b",", 13 + (3 << ((data[10] & 7) + 1) if data[10] & 128 else 13))
    flags = data[at + 9] & 0x40
    body = data[at + 10 : -1]
    if data[at + 9] & 128:
        body = body[3 << ((data[at + 9] & 7) + 1) :]
    control = b""
    if transparent is not None:
        control = b"!\xf9\4" + bytes([1, 5, 0, transparent]) + b"\0"
    table = 0x80 | (len(palette) // 3).bit_length() - 2 if palette else 0
    local_table = 0x80 | (len(local) // 3).bit_length() - 2 if local else 0
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", *size, table, 0, 0)
        + palette
        + b"!\xfe\5hello\0"
        + control
        + b","
        + struct.pack("<HHHHB", *place, *frame.size, flags | local_table)
        + (local or b"")
        + body
        + b";"
    )


def tiff(
    samples, bits, photometric, *, order="<", tags=(), rows=5, tile=None, planar=False, big=False
):
    """An uncompressed TIFF from samples (height x width x channels); what Pillow cannot write."""
    height, width, channels = samples.shape
    dtype = order + {8: "u1", 16: "u2", 32: "u4"}.get(bits, "u1")

    def pack(block):
        if bits >= 8:
            return block.astype(dtype).tobytes()
        return b"".join(pack_row(row.reshape(-1), bits) for row in block)

    planes = [samples[:, :, c : c + 1] for c in range(channels)] if planar else [samples]
    if tile:
        padded = [np.pad(p, ((0, -height % tile), (0, -width % tile), (0, 0))) for p in planes]
        blocks = [
            pack(p[y : y + tile, x : x + tile])
            for p in padded
            for y in range(0, height, tile)
            for x in range(0, width, tile)
        ]
    else:
        blocks = [pack(p[y : y + rows]) for p in planes for y in range(0, height, rows)]
    start = 16 if big else 8
    offsets = [start + sum(map(len, blocks[:i])) for i in range(len(blocks))]
    body = b"".join(blocks)
    body += b"\0" * (-len(body) % 8)
    entries = {256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * channels), 259: (3, [1])}
    entries |= {262: (3, [photometric]), 277: (3, [channels]), 284: (3, [2 if planar else 1])}
    place = (324, 325) if tile else (273, 279)
    entries |= {place[0]: (4, offsets), place[1]: (4, [len(b) for b in blocks])}
    entries |= {322: (4, [tile]), 323: (4, [tile])} if tile else {278: (4, [rows])}
    entries |= dict(tags)
    count, entry, room, pointer = ("Q", "HHQ", 8, "Q") if big else ("H", "HHI", 4, "I")
    directory = struct.pack(order + count, len(entries))
    at = start + len(body)
    extra_at = at + struct.calcsize(order + count) + len(entries) * (20 if big else 12) + room
    extra = b""
    for tag, (kind, values) in sorted(entries.items()):
        if isinstance(values, bytes):
            data, length = values, len(values)
        else:
            letter = {1: "B", 3: "H", 4: "I"}[kind]
            data, length = struct.pack(f"{order}{len(values)}{letter}", *values), len(values)
        if len(data) > room:
            place = struct.pack(order + pointer, extra_at + len(extra))
            extra += data + b"\0" * (len(data) % 2)
            data = place
        directory += struct.pack(order + entry, tag, kind, length) + data.ljust(room, b"\0")
    mark = b"II" if order == "<" else b"MM"
    if big:
        head = mark + struct.pack(order + "HHHQ", 43, 8, 0, at)
    else:
        head = mark + struct.pack(order + "HI", 42, at)
    return head + body + directory + b"\0" * room + extra


def placed_frame(still):
    """An animation of one frame in the middle of a larger canvas."""

    def chunk(kind, data):
        return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)

    def three(value):
        return struct.pack("<I", value)[:3]

    frame = three(4) + three(3) + three(11) + three(8) + three(50) + b"\0" + still[12:]
    body = (
        chunk(b"VP8X", b"\2\0\0\0" + three(29) + three(21))
        + chunk(b"ANIM", b"\x10\x20\x30\xff\0\0")
        + chunk(b"ANMF", frame)
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
