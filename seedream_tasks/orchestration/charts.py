"""The spend of a run as an image, as pure functions: figures in, SVG out. Prefect's pages show it inside Markdown."""

import base64
import html
from collections.abc import Mapping
from decimal import Decimal

from ..core.money import dollars
from ..runs.summary import GatewayTotals

_WIDTH, _LABEL, _AMOUNT, _BAR, _GAP, _TOP = 640, 90, 110, 16, 22, 34  # px
_QUOTED, _BILLED = "#9db4d0", "#2f6fb3"


def spend_chart(by_gateway: Mapping[str, GatewayTotals]) -> str:
    """Quoted and billed amounts per gateway, in USD on one scale, as SVG. The amount at risk is given as text: it may never be
    spent, and its bar would dwarf the others.
    """
    most = max((max(each.quoted_usd, each.billed_usd) for each in by_gateway.values()), default=None)
    scale = Decimal(_WIDTH - _LABEL - _AMOUNT) / most if most else Decimal(0)
    parts = [_legend()]
    y = _TOP
    for name, each in sorted(by_gateway.items()):
        parts.append(_text(0, y + _BAR, html.escape(name), "600"))
        parts += _bar(y, scale, [(each.quoted_usd, _QUOTED)], f"{dollars(each.quoted_usd)} quoted")
        told = f"{dollars(each.billed_usd)} billed" + (
            f", {dollars(each.at_risk_usd)} at risk" if each.at_risk_usd else ""
        )
        parts += _bar(y + _BAR + 2, scale, [(each.billed_usd, _BILLED)], told)
        y += 2 * _BAR + _GAP
    # Prefect's pages are light or dark: a background keeps the text readable on both.
    plate = f'<rect width="{_WIDTH + 120}" height="{y}" rx="8" fill="#ffffff"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH + 120}" height="{y}" viewBox="-12 0 {_WIDTH + 120} {y}"'
        f' font-family="system-ui, sans-serif" font-size="12" fill="#1f2933"><g transform="translate(-12)">{plate}</g>'
        f"{''.join(parts)}</svg>"
    )


def data_uri(svg: str) -> str:
    """The image as an address that needs no network."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _bar(y: int, scale: Decimal, amounts: list[tuple[Decimal, str]], told: str) -> list[str]:
    x = Decimal(_LABEL)
    parts = []
    for amount, colour in amounts:
        width = amount * scale
        if width:
            parts.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2" fill="{colour}"/>')
        x += width
    return [*parts, _text(float(x) + 6, y + _BAR - 4, told)]


def _text(x: float, y: int, words: str, weight: str = "400") -> str:
    return f'<text x="{x:.1f}" y="{y}" font-weight="{weight}">{words}</text>'


def _legend() -> str:
    parts, x = [], _LABEL
    for colour, word in ((_QUOTED, "quoted"), (_BILLED, "billed")):
        parts.append(f'<rect x="{x}" y="10" width="12" height="12" rx="2" fill="{colour}"/>{_text(x + 17, 20, word)}')
        x += 84
    return "".join(parts)
