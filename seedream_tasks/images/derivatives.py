"""Making a shop's file of an image: scaled, flattened, encoded, and marked as made by a model.

The mark is IPTC's DigitalSourceType in an XMP packet, which Google Merchant Center asks for on generated product images.
"""

import io
from dataclasses import dataclass

from PIL import Image, ImageColor, ImageOps, PngImagePlugin

from ..core.errors import UndecodableImage
from ..core.output_profiles import OutputProfile
from .decode import MOST_PIXELS, open_image

_VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = f"{_VOCABULARY}trainedAlgorithmicMedia"
EDITED = f"{_VOCABULARY}compositeWithTrainedAlgorithmicMedia"
_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
   Iptc4xmpExt:DigitalSourceType="{source}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""
_QUALITY = 90
_WHITE = "#ffffff"


@dataclass(frozen=True, slots=True)
class Made:
    """A derived file."""

    content: bytes
    mime_type: str
    width: int  # px
    height: int  # px


def make_output(content: bytes, output: OutputProfile, edited: bool) -> Made:
    """The derived file of an archived image. CPU-bound. Raises UndecodableImage.

    `edited`: it was made from a photograph, not from words alone.
    """
    with open_image(content, MOST_PIXELS) as opened:
        try:
            image = ImageOps.exif_transpose(opened)
            profile = image.info.get("icc_profile")
            image = _flattened(image, output)
            if output.max_px is not None and max(image.size) > output.max_px:
                image.thumbnail((output.max_px, output.max_px), Image.Resampling.LANCZOS)
            file = io.BytesIO()
            _save(image, file, output, profile, _XMP.format(source=EDITED if edited else GENERATED))
        except (OSError, ValueError, SyntaxError) as error:
            raise UndecodableImage(f"no {output.format} can be made of it: {type(error).__name__}: {error}") from error
    return Made(file.getvalue(), Image.MIME[output.format.upper()], image.width, image.height)


def _flattened(image: Image.Image, output: OutputProfile) -> Image.Image:
    """RGB, or RGBA when the format supports transparency and no background is set."""
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    rgba = image.convert("RGBA")
    if output.background is None and output.format != "jpeg":
        return rgba
    ground = Image.new("RGB", rgba.size, ImageColor.getrgb(output.background or _WHITE))
    ground.paste(rgba, mask=rgba.getchannel("A"))
    return ground


def _save(image: Image.Image, file: io.BytesIO, output: OutputProfile, profile: bytes | None, xmp: str) -> None:
    # A profile of another colour model (CMYK) does not describe what RGB was made of it.
    kept = profile if profile and profile[16:20] == b"RGB " else None
    match output.format:
        case "png":
            text = PngImagePlugin.PngInfo()
            text.add_itxt("XML:com.adobe.xmp", xmp)
            image.save(file, "PNG", icc_profile=kept, pnginfo=text, optimize=True)
        case "webp":
            image.save(file, "WEBP", quality=output.quality or _QUALITY, icc_profile=kept, xmp=xmp.encode(), method=4)
        case _:
            image.save(
                file,
                "JPEG",
                quality=output.quality or _QUALITY,
                icc_profile=kept,
                xmp=xmp.encode(),
                optimize=True,
                progressive=True,
                subsampling=0,
            )
