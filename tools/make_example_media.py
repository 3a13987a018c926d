"""Generate the images and the video of the example DAGs: the summer week of a fictional coffee shop.

All files are drawn by this script, so that they are free of rights and their changes can be reviewed. Requires Pillow,
and ffmpeg for the video: ``python tools/make_example_media.py``.
"""

from __future__ import annotations

import itertools
import math
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MEDIA = Path(__file__).parent.parent / "example_dags" / "media"

BANNER_SIZE = (1440, 720)  # 2:1, recommended for a standalone RCS card
CARD_SIZE = (960, 720)  # 4:3, recommended for a carousel
VIDEO_SIZE = (720, 720)
VIDEO_SECONDS = 3
FRAMES_PER_SECOND = 24

INK = (61, 36, 28)
CREAM = (255, 248, 236)
CORAL = (240, 96, 77)

Color = tuple[int, int, int]
Stops = tuple[tuple[float, Color], ...]

_FINER = 2
"""Scale of the drawing; scaling it down smooths the edges."""


@dataclass(frozen=True, kw_only=True)
class Drink:
    """The colors of a drink, from the surface (0.0) to the bottom (1.0)."""

    stops: Stops
    straw: Color
    garnish: Color | None = None


LATTE = Drink(stops=((0.0, (246, 225, 196)), (0.35, (222, 178, 132)), (1.0, (134, 82, 50))), straw=CORAL)
COLD_BREW = Drink(stops=((0.0, (122, 66, 36)), (0.5, (84, 42, 24)), (1.0, (48, 24, 16))), straw=(66, 160, 152))
TONIC = Drink(
    stops=((0.0, (112, 58, 30)), (0.28, (206, 128, 52)), (0.5, (252, 214, 120)), (1.0, (255, 240, 190))),
    straw=(236, 118, 142),
    garnish=(255, 205, 66),
)


def main() -> None:
    """Generate all files and print their sizes."""
    MEDIA.mkdir(exist_ok=True)
    _save(_banner(), "banner.jpg", quality=88)
    cards = {
        "card-latte.jpg": _card(LATTE, "Iced latte", "with oat milk", ((255, 226, 190), (255, 187, 150))),
        "card-cold-brew.jpg": _card(COLD_BREW, "Cold brew", "steeped for 18 hours", ((205, 238, 230), (139, 206, 196))),
        "card-tonic.png": _card(TONIC, "Espresso tonic", "with a slice of lemon", ((255, 243, 190), (255, 214, 112))),
    }
    for name, card in cards.items():
        _save(card, name, quality=88)
    _video(MEDIA / "pour.mp4")
    for path in sorted(MEDIA.iterdir()):
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def _save(image: Image.Image, name: str, *, quality: int) -> None:
    if name.endswith(".jpg"):
        image.save(MEDIA / name, optimize=True, quality=quality, progressive=True)
    else:
        image.save(MEDIA / name, optimize=True)


def _banner() -> Image.Image:
    canvas = _gradient(_finer(BANNER_SIZE), ((0.0, (255, 236, 200)), (0.55, (255, 196, 142)), (1.0, (250, 138, 104))))
    _sun(canvas, (1074, 330), 265)
    _counter(canvas, top=600, color=(226, 102, 82))
    _glass(canvas, (872, 640), 300, LATTE)
    _glass(canvas, (1278, 640), 300, TONIC)
    _glass(canvas, (1074, 664), 380, COLD_BREW)
    _text(canvas, (96, 128), "S U M M E R   W E E K", 30, CORAL, weight=1)
    _text(canvas, (91, 182), "Iced days,", 104, INK, weight=3)
    _text(canvas, (91, 292), "sunny prices", 104, INK, weight=3)
    _pill(canvas, (92, 440), "20% off every cold drink", 36)
    return _coarser(canvas)


def _card(drink: Drink, title: str, line: str, sky: tuple[Color, Color]) -> Image.Image:
    canvas = _gradient(_finer(CARD_SIZE), ((0.0, sky[0]), (1.0, sky[1])))
    _sun(canvas, (660, 320), 230)
    _counter(canvas, top=612, color=_mix(sky[1], INK, 0.22))
    _glass(canvas, (660, 662), 430, drink)
    _text(canvas, (70, 220), "S U M M E R   W E E K", 22, _mix(sky[1], INK, 0.6), weight=1)
    first, _, second = title.partition(" ")
    _text(canvas, (66, 258), first, 84, INK, weight=2)
    _text(canvas, (66, 346), second, 84, INK, weight=2)
    _text(canvas, (70, 456), line, 30, _mix(sky[1], INK, 0.75))
    return _coarser(canvas)


def _video(target: Path) -> None:
    """Encode the frames as H.264 and a chord as AAC with ffmpeg; the result is reproducible."""
    width, height = VIDEO_SIZE
    command = ["ffmpeg", "-v", "error", "-y"]
    command += [
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{width}x{height}",
        "-r",
        str(FRAMES_PER_SECOND),
        "-i",
        "-",
    ]
    chord = "+".join(f"sin({hertz}*2*PI*t)" for hertz in (261.63, 329.63, 392.0, 493.88))
    fade = f"min(1,t*2)*min(1,({VIDEO_SECONDS}-t))"
    command += ["-f", "lavfi", "-t", str(VIDEO_SECONDS), "-i", f"aevalsrc='0.05*({chord})*{fade}':s=44100"]
    command += ["-c:v", "libx264", "-preset", "veryslow", "-crf", "27", "-pix_fmt", "yuv420p", "-threads", "1"]
    command += ["-profile:v", "main", "-bf", "0"]  # with faststart, as Meta recommends for WhatsApp
    command += ["-c:a", "aac", "-b:a", "64k", "-movflags", "+faststart", "-shortest"]
    command += ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact", "-map_metadata", "-1"]
    with subprocess.Popen([*command, str(target)], stdin=subprocess.PIPE) as ffmpeg:
        if ffmpeg.stdin is None:
            raise RuntimeError("ffmpeg has no input")
        for frame in _frames():
            ffmpeg.stdin.write(frame.tobytes())
    if ffmpeg.returncode:
        raise SystemExit(f"ffmpeg failed ({ffmpeg.returncode})")


def _frames() -> Iterator[Image.Image]:
    """Yield the frames: a glass fills while the sun rises behind it."""
    count = VIDEO_SECONDS * FRAMES_PER_SECOND
    background = _gradient(_finer(VIDEO_SIZE), ((0.0, (255, 236, 200)), (1.0, (255, 176, 126))))
    for number in range(count):
        progress = number / (count - 1)
        canvas = background.copy()
        _sun(canvas, (360, round(520 - 190 * _ease(progress * 1.3))), 215)
        _counter(canvas, top=612, color=(226, 102, 82))
        sway = math.sin(progress * 9) * (1 - progress)
        _glass(canvas, (360, 660), 350, LATTE, filled=_ease(min(1.0, progress * 1.5)), sway=sway)
        if progress < _POUR_ENDS:
            _stream(canvas, filled=_ease(min(1.0, progress * 1.5)))
        _text(canvas, (360, 58), "Summer week", 64, INK, weight=2, centered=True)
        _pill(canvas, (360, 138), "20% off every cold drink", 28, centered=True)
        yield _coarser(canvas)


_POUR_ENDS = 0.58


def _stream(canvas: Image.Image, *, filled: float) -> None:
    """Draw the stream down to the surface; the pill covers its upper end."""
    surface = 645 - filled * 273
    brush = ImageDraw.Draw(canvas)
    brush.rounded_rectangle(_box(340, 170, 354, surface + 10), 7 * _FINER, fill=(120, 70, 42))


def _glass(
    canvas: Image.Image, foot: tuple[int, int], height: int, drink: Drink, *, filled: float = 1.0, sway: float = 0.0
) -> None:
    """Draw a tumbler on ``foot`` (the middle of its bottom)."""
    x, bottom = foot
    top, half_top, half_bottom = bottom - height, height * 0.31, height * 0.225
    _shadow(canvas, (x, bottom), half_bottom)
    if drink.garnish:
        _slice(canvas, (x + half_top * 0.8, top + height * 0.02), height * 0.17, drink.garnish)
    _line(canvas, (x - half_top * 0.1, bottom - height * 0.2), (x + half_top * 0.55, top - height * 0.2),
          height * 0.042, drink.straw)  # fmt: skip

    def silhouette(inset: float) -> Image.Image:
        mask = Image.new("L", canvas.size, 0)
        corners = [(x - half_top + inset, top), (x + half_top - inset, top),
                   (x + half_bottom - inset, bottom - inset), (x - half_bottom + inset, bottom - inset)]  # fmt: skip
        ImageDraw.Draw(mask).polygon([(a * _FINER, b * _FINER) for a, b in corners], fill=255)
        return mask

    canvas.paste(Image.new("RGB", canvas.size, CREAM), mask=silhouette(0).point(lambda value: value * 90 // 255))
    surface = bottom - height * (0.06 + 0.78 * filled)
    inside = silhouette(height * 0.02)
    ImageDraw.Draw(inside).rectangle((0, 0, canvas.width, surface * _FINER), fill=0)
    rows = (surface * _FINER, (bottom - height * 0.02) * _FINER)
    canvas.paste(_gradient(canvas.size, drink.stops, rows=rows), mask=inside)
    for column, row, angle in ((-0.42, 0.02, 14), (0.3, 0.05, -21), (-0.08, 0.2, 33)):
        place = (x + column * half_top, surface + row * height + sway * height * 0.02)
        _ice(canvas, place, height * 0.15, angle + sway * 12, silhouette(height * 0.03))
    _shine(canvas, silhouette(height * 0.06), (x - half_top * 0.62, x - half_top * 0.4))
    rim = _box(x - half_top, top - height * 0.012, x + half_top, top + height * 0.012)
    ImageDraw.Draw(canvas).rounded_rectangle(rim, height * 0.012 * _FINER, fill=CREAM)


def _ice(canvas: Image.Image, place: tuple[float, float], side: float, angle: float, inside: Image.Image) -> None:
    corners = _turned(place, side, angle)
    cube = Image.new("L", canvas.size, 0)
    brush = ImageDraw.Draw(cube)
    brush.polygon(corners, fill=105)
    brush.line([*corners, corners[0]], fill=190, width=round(side * 0.07 * _FINER), joint="curve")
    canvas.paste(Image.new("RGB", canvas.size, (255, 255, 255)), mask=ImageChops.multiply(cube, inside))


def _slice(canvas: Image.Image, middle: tuple[float, float], radius: float, color: Color) -> None:
    """Draw a slice of lemon: rind, flesh, and the lines between its segments."""
    brush = ImageDraw.Draw(canvas)
    for share, fill in ((1.0, color), (0.86, CREAM), (0.78, _mix(color, (255, 255, 255), 0.35))):
        brush.ellipse(_around(middle, radius * share), fill=fill)
    for step in range(4):
        angle = math.pi * step / 4
        across = (math.cos(angle) * radius * 0.8, math.sin(angle) * radius * 0.8)
        _line(canvas, (middle[0] - across[0], middle[1] - across[1]), (middle[0] + across[0], middle[1] + across[1]),
              radius * 0.05, CREAM)  # fmt: skip


def _sun(canvas: Image.Image, middle: tuple[int, int], radius: int) -> None:
    for share, opacity in ((1.32, 46), (1.14, 70), (1.0, 190)):
        mask = Image.new("L", canvas.size, 0)
        ImageDraw.Draw(mask).ellipse(_around(middle, radius * share), fill=opacity)
        canvas.paste(Image.new("RGB", canvas.size, (255, 250, 226)), mask=mask)


def _counter(canvas: Image.Image, *, top: int, color: Color) -> None:
    """Draw the table below the glasses, with a wavy edge."""
    width = canvas.width // _FINER
    edge = [(x * _FINER, (top + 12 * math.sin(x / 150)) * _FINER) for x in range(0, width + 8, 8)]
    ImageDraw.Draw(canvas).polygon([*edge, (canvas.width, canvas.height), (0, canvas.height)], fill=color)


def _shadow(canvas: Image.Image, foot: tuple[int, int], half: float) -> None:
    mask = Image.new("L", canvas.size, 0)
    ImageDraw.Draw(mask).ellipse(
        _box(foot[0] - half * 1.25, foot[1] - 14, foot[0] + half * 1.45, foot[1] + 16), fill=90
    )
    canvas.paste(Image.new("RGB", canvas.size, INK), mask=mask.filter(ImageFilter.GaussianBlur(7 * _FINER)))


def _shine(canvas: Image.Image, inside: Image.Image, columns: tuple[float, float]) -> None:
    strip = Image.new("L", canvas.size, 0)
    ImageDraw.Draw(strip).rectangle((columns[0] * _FINER, 0, columns[1] * _FINER, canvas.height), fill=70)
    canvas.paste(Image.new("RGB", canvas.size, (255, 255, 255)), mask=ImageChops.multiply(strip, inside))


def _pill(canvas: Image.Image, corner: tuple[int, int], text: str, size: int, *, centered: bool = False) -> None:
    font = ImageFont.load_default(size * _FINER)
    width = font.getlength(text) / _FINER + size * 1.6
    left = corner[0] - (width / 2 if centered else 0)
    ImageDraw.Draw(canvas).rounded_rectangle(
        _box(left, corner[1], left + width, corner[1] + size * 2), size * _FINER, fill=INK
    )
    _text(canvas, (left + size * 0.8, corner[1] + size * 0.46), text, size, CREAM)


def _text(
    canvas: Image.Image,
    corner: tuple[float, float],
    text: str,
    size: int,
    color: Color,
    *,
    weight: int = 0,
    centered: bool = False,
) -> None:
    """Draw text in Pillow's font, which has one weight; a stroke makes it bolder."""
    ImageDraw.Draw(canvas).text(
        (corner[0] * _FINER, corner[1] * _FINER),
        text,
        fill=color,
        font=ImageFont.load_default(size * _FINER),
        stroke_width=weight,
        stroke_fill=color,
        anchor="ma" if centered else "la",
    )


def _gradient(size: tuple[int, int], stops: Stops, *, rows: tuple[float, float] | None = None) -> Image.Image:
    first, last = rows or (0, size[1] - 1)
    column = Image.new("RGB", (1, size[1]))
    for row in range(size[1]):
        share = min(1.0, max(0.0, (row - first) / max(1.0, last - first)))
        column.putpixel((0, row), _color_at(stops, share))
    return column.resize(size)


def _color_at(stops: Stops, share: float) -> Color:
    for (start, before), (end, after) in itertools.pairwise(stops):
        if share <= end:
            return _mix(before, after, (share - start) / (end - start))
    return stops[-1][1]


def _mix(one: Color, other: Color, share: float) -> Color:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _line(
    canvas: Image.Image, start: tuple[float, float], end: tuple[float, float], width: float, color: Color
) -> None:
    points = [(x * _FINER, y * _FINER) for x, y in (start, end)]
    ImageDraw.Draw(canvas).line(points, fill=color, width=round(width * _FINER))


def _turned(middle: tuple[float, float], side: float, angle: float) -> Sequence[tuple[float, float]]:
    turn = math.radians(angle)
    reach = side / math.sqrt(2)
    angles = (turn + math.pi / 4 + math.pi / 2 * corner for corner in range(4))
    return [((middle[0] + reach * math.cos(a)) * _FINER, (middle[1] + reach * math.sin(a)) * _FINER) for a in angles]


def _around(middle: tuple[float, float], radius: float) -> tuple[float, float, float, float]:
    return _box(middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius)


def _box(left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
    return left * _FINER, top * _FINER, right * _FINER, bottom * _FINER


def _ease(share: float) -> float:
    share = min(1.0, share)
    return share * share * (3 - 2 * share)


def _finer(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] * _FINER, size[1] * _FINER


def _coarser(canvas: Image.Image) -> Image.Image:
    return canvas.resize((canvas.width // _FINER, canvas.height // _FINER), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
