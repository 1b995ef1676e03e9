"""Image files are recognised by their content, and their sizes are read."""

from __future__ import annotations

import struct
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images import png
from referral.core import image
from referral.core.image import ICO, PNG, SVG, WEBP

LOSSY = b64decode("UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA")
LOSSLESS = b64decode("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")
EXTENDED = b64decode(
    "UklGRlIAAABXRUJQVlA4WAoAAAASAAAAAAAAAAAAQU5JTQYAAAD/////AABBTk1GJgAAAAAAAAAAAAAAAAAAAGQA"
    "AABWUDhMDQAAAC8AAAAQBxAREYiI/gcA"
)


def ico(*sizes: int) -> bytes:
    """Return an icon with a square picture of each size."""
    files = [png(size, size) for size in sizes]
    entries, offset = b"", 6 + 16 * len(files)
    for size, file in zip(sizes, files, strict=True):
        entries += struct.pack("<BBBBHHII", size % 256, size % 256, 0, 0, 1, 32, len(file), offset)
        offset += len(file)
    return struct.pack("<HHH", 0, 1, len(files)) + entries + b"".join(files)


def svg(attributes: str, body: str = "") -> bytes:
    return f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}>{body}</svg>'.encode()


@pytest.mark.parametrize(
    ("content", "media_type", "size"),
    [
        (png(3, 2), PNG, (3, 2)),
        (ico(16), ICO, (16, 16)),
        (ico(16, 256, 32), ICO, (256, 256)),
        (LOSSY, WEBP, (1, 1)),
        (LOSSLESS, WEBP, (1, 1)),
        (EXTENDED, WEBP, (1, 1)),
        (svg('width="80" height="10"'), SVG, (80, 10)),
        (svg('width="80px" height=" 10.5 " viewBox="0 0 1 1"'), SVG, (80, 10.5)),
        (svg('width="1in" height="72pt"'), SVG, (96, 96)),
        (svg('viewBox="-1 -2 80 1e1"'), SVG, (80, 10)),
        (svg('viewBox="0,0,80,10"'), SVG, (80, 10)),
        (svg('width="100%" height="10" viewBox="0 0 80 10"'), SVG, (80, 10)),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a -->" + svg('viewBox="0 0 8 1"'), SVG, (8, 1)),
        (svg('viewBox="0 0 8 1"').decode().encode("utf-16"), SVG, (8, 1)),
        (
            b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://127.0.0.1:9/svg11.dtd">'
            + svg('viewBox="0 0 8 1"'),
            SVG,
            (8, 1),
        ),
    ],
)
def test_a_file_is_recognised(content: bytes, media_type: str, size: tuple[float, float]) -> None:
    found = image.parse(content)
    assert (found.media_type, (found.width, found.height)) == (media_type, size)
    assert found.content == content


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "must be an SVG, PNG, ICO or WebP file"),
        (b"<html><svg></svg></html>", "must be an SVG, PNG, ICO or WebP file"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "must be an SVG, PNG, ICO or WebP file"),
        (b"GIF89a", "must be an SVG, PNG, ICO or WebP file"),
        (b"\x1f\x8b\x08", "must be an SVG, PNG, ICO or WebP file"),
        (b"<svg width='1' height='1'/>", "lacks xmlns"),
        (svg('width="1" height="1"')[:-1], "not valid XML in line 1"),
        (svg('width="100%"'), "has no size"),
        (svg('viewBox="0 0 8"'), "has no size"),
        (svg('viewBox="0 0 0 10"'), "no usable size"),
        (svg('viewBox="0 0 nan nan"'), "no usable size"),
        (svg('viewBox="0 0 8 inf"'), "no usable size"),
        (svg('width="1e400" height="8"'), "no usable size"),
        (svg('width="1e-9" height="8"'), "no usable size"),
        (png(0, 2), "no usable size"),
        (png(3, 2)[:40], "is damaged"),
        (LOSSY[:-2], "is damaged"),
        (ico(16)[:-1], "is damaged"),
        (ico(), "is damaged"),
    ],
)
def test_another_file_is_refused(content: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        image.parse(content)


def test_an_svg_whose_entities_explode_is_refused() -> None:
    """Each refers to the one before it ten times."""
    entities = '<!ENTITY a0 "aaaaaaaaaa">' + "".join(
        f'<!ENTITY a{number} "{10 * f"&a{number - 1};"}">' for number in range(1, 10)
    )
    bomb = f"<!DOCTYPE svg [{entities}]>".encode() + svg('viewBox="0 0 8 1"', "&a9;")
    with pytest.raises(ValueError, match="not valid XML"):
        image.parse(bomb)


@given(
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\0\0\1\0", b"RIFF\0\0\0\0WEBPVP8 ", b"<svg "]),
    st.binary(max_size=80),
)
def test_any_bytes_are_parsed_or_refused(start: bytes, rest: bytes) -> None:
    try:
        found = image.parse(start + rest)
    except ValueError:
        return
    assert all(side > 0 for side in image.logo_size(found))


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (100, 100, (40, 40)),
        (400, 100, (160, 40)),
        (800, 100, (208, 26)),
        (100, 200, (28, 57)),
        (100, 1000, (6, 60)),
        (10_000, 1, (208, 1)),
    ],
)
def test_the_size_of_a_logo(width: int, height: int, size: tuple[int, int]) -> None:
    """Square ones are 40 px high; wide ones are lower, tall ones higher."""
    logo = image.parse(svg(f'viewBox="0 0 {width} {height}"'))
    assert image.logo_size(logo) == size
