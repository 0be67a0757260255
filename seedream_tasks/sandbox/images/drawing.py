"""Drawing an image: a soft studio backdrop in a colour of the prompt, plainly marked SANDBOX.

The same brief gives the same bytes. Pillow releases the GIL for the heavy parts, so this runs in threads.
"""

import colorsys
import hashlib
import io
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from seedream_tasks.sandbox.image_sizes import Size

HUES = 24
"""How many backdrop colours there are."""

_LONGEST_PROMPT = 600
_MOST_LINES = 7
_QUALITY = 85

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """What the image shows."""

    size: Size
    image_format: str
    """`jpeg`, `png` or `webp`."""
    hue: int
    """0 to HUES - 1."""
    title: str
    """Gateway and model."""
    prompt: str
    note: str
    """The image's number, its task."""
    references: tuple[bytes | str, ...]
    """Thumbnails, or why there is none."""


def hue_of(prompt: str) -> int:
    """The backdrop's colour: the same prompt, the same colour."""
    return hashlib.blake2b(prompt.encode(errors="replace"), digest_size=2).digest()[0] % HUES


def draw(brief: Brief) -> bytes:
    """The whole image, encoded."""
    image = _backdrop(brief.size, brief.hue)
    unit = max(min(brief.size) / 100, 1.0)
    bottom = _panel(image, brief, unit)
    _tiles(image, brief, unit, bottom)
    return encode(image, brief.image_format)


def draw_plain(size: Size, hue: int, image_format: str) -> bytes:
    """A backdrop marked SANDBOX and nothing else: for benchmarks, drawn once per size and colour."""
    image = _backdrop(size, hue)
    unit = max(min(size) / 100, 1.0)
    pen = ImageDraw.Draw(image)
    pen.text((unit * 6, unit * 6), "SANDBOX", font=_font(unit * 9), fill=_tone(hue, 0.25, 0.55))
    return encode(image, image_format)


def encode(image: Image.Image, image_format: str) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    if image_format == "png":
        image.save(buffer, "PNG", compress_level=3)
    elif image_format == "webp":
        image.save(buffer, "WEBP", quality=_QUALITY, method=1)
    else:
        image.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _backdrop(size: Size, hue: int) -> Image.Image:
    """A wall that is lit from above, a floor, and a ball with its shadow. Drawn small: it has no edges to lose."""
    width, height = fit_small(size)
    light = Image.radial_gradient("L").resize((width * 2, height * 2), Image.Resampling.BICUBIC)
    light = light.crop((width // 2, int(height * 0.75), width // 2 + width, int(height * 0.75) + height))
    image = ImageOps.colorize(light, _tone(hue, 0.97, 0.10), _tone(hue, 0.62, 0.42))
    floor = ImageOps.colorize(Image.linear_gradient("L").resize((width, height)), _tone(hue, 0.72, 0.30), "white")
    fade = Image.new("L", (width, height))
    ImageDraw.Draw(fade).rectangle((0, int(height * 0.72), width, height), fill=150)
    image.paste(floor, (0, 0), fade.filter(ImageFilter.GaussianBlur(height * 0.05)))
    _ball(image, hue)
    return image.resize(size, Image.Resampling.BICUBIC)


def _ball(image: Image.Image, hue: int) -> None:
    width, height = image.size
    radius = max(1, int(min(width, height) * 0.15))
    x, y = int(width * 0.5), int(height * 0.73)
    shade = Image.new("L", image.size)
    ImageDraw.Draw(shade).ellipse((x - radius, y + radius * 0.75, x + radius * 1.3, y + radius * 1.15), fill=110)
    image.paste(_tone(hue, 0.25, 0.5), (0, 0, width, height), shade.filter(ImageFilter.GaussianBlur(radius * 0.12)))
    side = radius * 2
    glow = Image.radial_gradient("L").resize((side * 2, side * 2))
    glow = glow.crop((int(side * 0.7), int(side * 0.75), int(side * 0.7) + side, int(side * 0.75) + side))
    other = (hue + HUES // 2) % HUES
    ball = ImageOps.colorize(glow, _tone(other, 0.95, 0.15), _tone(other, 0.35, 0.75))
    outline = Image.new("L", (side * 2, side * 2))
    ImageDraw.Draw(outline).ellipse((2, 2, side * 2 - 2, side * 2 - 2), fill=255)
    image.paste(ball, (x - radius, y - radius), outline.resize((side, side), Image.Resampling.LANCZOS))


def _panel(image: Image.Image, brief: Brief, unit: float) -> float:
    """The card with the text; returns where it ends."""
    width = brief.size[0]
    margin, pad = unit * 5, unit * 3
    body, small = _font(unit * 3.2), _font(unit * 2.3)
    lines = _wrap(_printable(brief.prompt), body, width - 2 * (margin + pad))
    step = unit * 4.4
    bottom = margin + pad * 2 + unit * 10 + step * len(lines) + unit * 4
    card = Image.new("L", image.size)
    ImageDraw.Draw(card).rounded_rectangle((margin, margin, width - margin, bottom), radius=unit * 2, fill=215)
    image.paste((255, 255, 255), (0, 0, *image.size), card)
    pen = ImageDraw.Draw(image)
    x, y = margin + pad, margin + pad
    pen.text((x, y), "SANDBOX", font=_font(unit * 5), fill=_tone(brief.hue, 0.30, 0.75))
    pen.text((x, y + unit * 6), _printable(brief.title), font=small, fill=(90, 90, 96))
    y += unit * 10
    for line in lines:
        pen.text((x, y), line, font=body, fill=(34, 34, 38))
        y += step
    pen.text((x, y + unit * 0.6), _printable(brief.note), font=small, fill=(120, 120, 126))
    return bottom


def _tiles(image: Image.Image, brief: Brief, unit: float, top: float) -> None:
    """The references in a row below the card."""
    if not brief.references:
        return
    width, height = brief.size
    margin, gap = unit * 5, unit * 2
    count = len(brief.references)
    side = (width - 2 * margin - gap * (count - 1)) / count
    side = int(max(min(side, unit * 34, height - top - margin - gap), 8))
    for number, reference in enumerate(brief.references):
        x, y = int(margin + number * (side + gap)), int(min(top + gap, height - side))
        tile = Image.new("RGB", (side, side), "white")
        if isinstance(reference, bytes):
            with Image.open(io.BytesIO(reference)) as thumbnail:
                fitted = ImageOps.contain(thumbnail.convert("RGB"), (side, side))
            tile.paste(fitted, ((side - fitted.width) // 2, (side - fitted.height) // 2))
        else:
            font = _font(max(side / 12, 6))
            text = "\n".join(_wrap(_printable(reference), font, side * 0.9))
            ImageDraw.Draw(tile).multiline_text((side * 0.05, side * 0.08), text, font=font, fill=(120, 60, 60))
        image.paste(tile, (x, y))


def _wrap(text: str, font: Font, width: float) -> list[str]:
    lines: list[str] = []
    line = ""
    for word in text[:_LONGEST_PROMPT].split():
        longer = f"{line} {word}" if line else word
        if font.getlength(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        # Words without end (and scripts without spaces) are broken where the card ends.
        while font.getlength(word) > width and len(word) > 1:
            cut = max(1, int(len(word) * width / font.getlength(word)))
            lines.append(word[:cut])
            word = word[cut:]
        line = word
    if line:
        lines.append(line)
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], lines[_MOST_LINES - 1] + " ..."]
    return lines


def fit_small(size: Size) -> Size:
    """The size that a backdrop is drawn at: the same shape, small enough to be quick."""
    scale = min(1.0, 640 / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _printable(text: str) -> str:
    """Text that a font can be asked to draw: no lone surrogates, no control characters."""
    clean = text.encode(errors="replace").decode()
    return "".join(letter if letter.isprintable() else " " for letter in clean)


def _font(size: float) -> Font:
    return ImageFont.load_default(max(size, 5.0))


def _tone(hue: int, lightness: float, saturation: float) -> Colour:
    red, green, blue = colorsys.hls_to_rgb(hue / HUES, lightness, saturation)
    return round(red * 255), round(green * 255), round(blue * 255)
