"""The report in a real browser: no complaint in its console, nobody asked for anything."""

from dataclasses import replace
from pathlib import Path

import pytest

from services.demo.report.page import render
from tests.demo.chromium import Chromium, View
from tests.demo.stories import hangzhou, named, sample_story

SHOWN = """
[...document.querySelectorAll("main")]
    .filter((one) => getComputedStyle(one).display !== "none").map((one) => one.lang).join()
"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
PNG = b"\x89PNG\r\n"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(render(sample_story()), encoding="utf-8")
    return file.as_uri()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("anchor", ["", "#zh"])
async def test_the_report_opens_without_a_complaint(
    chromium: Chromium, report: str, width: int, anchor: str
) -> None:
    async with chromium.opened(f"{report}{anchor}", View(width=width)) as page:
        overflow = await page.evaluate(OVERFLOW)
        picture = await page.screenshot()
        language = await page.evaluate("document.documentElement.lang")

        assert page.heard.complaints == []
        assert page.heard.outside == []
        assert overflow == 0
        assert picture.startswith(PNG)
        assert language == ("zh-Hans" if anchor else "en")


async def test_the_language_is_switched_and_the_place_kept(chromium: Chromium, report: str) -> None:
    async with chromium.opened(report, View()) as page:
        await page.evaluate("document.querySelector('#en-checks').scrollIntoView()")
        # The place is remembered by an event, which comes with the next frame.
        await page.screenshot()
        before = await page.evaluate(
            "document.querySelector('#en-checks').getBoundingClientRect().top"
        )
        await page.evaluate("document.querySelector('[for=language-zh]').click()")
        after = await page.evaluate(
            "document.querySelector('#zh-checks').getBoundingClientRect().top"
        )

        assert await page.evaluate(SHOWN) == "zh-Hans"
        assert await page.evaluate("document.documentElement.lang") == "zh-Hans"
        assert await page.evaluate("document.title") == "消费券项目，分毫可核"  # noqa: RUF001 - Chinese
        assert after == pytest.approx(before, abs=2)
        assert page.heard.complaints == []


async def test_the_language_is_switched_without_scripts(chromium: Chromium, report: str) -> None:
    async with chromium.opened(report, View(runs_scripts=False)) as page:
        assert await page.is_shown("main.in-en")
        assert not await page.is_shown("main.in-zh")

        await page.click("[for=language-zh]")

        assert await page.is_shown("main.in-zh")
        assert not await page.is_shown("main.in-en")
        assert page.heard.complaints == []


@pytest.mark.parametrize("name", ["W" * 400, "</script><script>document.title = 'taken'</script>"])
async def test_names_of_any_kind_leave_the_page_whole(
    chromium: Chromium, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "named.html"
    file.write_text(render(replace(sample_story(), programmes=[named(hangzhou(), name)])))

    async with chromium.opened(file.as_uri(), View(width=390)) as page:
        assert await page.evaluate(OVERFLOW) == 0
        assert await page.evaluate("document.title") != "taken"
        assert page.heard.complaints == []


@pytest.mark.parametrize(
    ("fault", "complaint", "outside"),
    [
        ("<script>console.error('of its own')</script>", "of its own", None),
        ("<script>unheard()</script>", "ReferenceError", None),
        ("<img src='https://outside.invalid/x.png' alt=''>", None, "https://outside.invalid/x.png"),
        (
            "<style>@import url(https://outside.invalid/x.css)</style>",
            None,
            "https://outside.invalid/x.css",
        ),
    ],
)
async def test_a_faulty_page_is_heard(
    chromium: Chromium, tmp_path: Path, fault: str, complaint: str | None, outside: str | None
) -> None:
    file = tmp_path / "faulty.html"
    file.write_text(f"<!DOCTYPE html><title>Faulty</title>{fault}")

    async with chromium.opened(file.as_uri(), View()) as page:
        assert complaint is None or complaint in " ".join(page.heard.complaints)
        assert page.heard.outside == ([] if outside is None else [outside])


async def test_the_policy_of_the_page_stops_what_a_name_might_bring(
    chromium: Chromium, tmp_path: Path
) -> None:
    file = tmp_path / "injected.html"
    injected = "<script>document.title = 'taken'</script><img src='https://outside.invalid/x.png'>"
    file.write_text(render(sample_story()).replace("</main>", f"{injected}</main>", 1))

    async with chromium.opened(file.as_uri(), View()) as page:
        assert await page.evaluate("document.title") != "taken"
        assert page.heard.outside == []
        assert "Content Security Policy" in " ".join(page.heard.complaints)
