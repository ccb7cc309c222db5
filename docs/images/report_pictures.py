"""Take the pictures of the report: `detektor report --out r.html`, then `.venv/bin/python docs/images/report_pictures.py r.html`.

Needs Chromium. `report.png` shows the page as it opens, wide and on a phone; `report-features.png` an agent's features, on dark.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import sync_playwright

HERE: Final = Path(__file__).parent
CHROMIUM: Final = "/usr/bin/chromium"
WIDE, PHONE = (1280, 1180), (390, 1180)
GAP: Final = 24
PAPER: Final = (214, 210, 200)


def main(page: Path) -> None:
    """Take both."""
    address = page.resolve().as_uri()
    with sync_playwright() as tool, tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser:

        def shot(size: tuple[int, int], scheme: str, at: str = "h1") -> Image.Image:
            tab = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if scheme == "dark" else "light")
            tab.goto(address)
            tab.add_style_tag(content="html { scroll-behavior: auto !important; }")
            if at != "h1":
                tab.evaluate("name => document.getElementById(name).scrollIntoView()", at)
            picture = Image.open(io.BytesIO(tab.screenshot(type="png"))).convert("RGB")
            tab.close()
            return picture

        pair = Image.new("RGB", (WIDE[0] + PHONE[0] + 3 * GAP, WIDE[1] + 2 * GAP), PAPER)
        pair.paste(shot(WIDE, "light"), (GAP, GAP))
        pair.paste(shot(PHONE, "light"), (WIDE[0] + 2 * GAP, GAP))
        save(pair, "report.png")
        save(shot((1280, 1000), "dark", "agent-code-reviewer"), "report-features.png")


def save(picture: Image.Image, name: str) -> None:
    """Write a picture in as few colours as nobody sees."""
    target = HERE / name
    picture.quantize(128, dither=Image.Dither.NONE).save(target, optimize=True)
    print(f"{name}: {target.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
