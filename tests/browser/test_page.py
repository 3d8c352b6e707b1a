"""A person at the page: with pointer, keyboard, a small screen, a dark one."""

import base64
import csv
import io
import os
import re
import zipfile
from pathlib import Path

SCREENSHOTS = "TAPETUM_SCREENSHOTS"
"""Folder that pictures of the page are written to, where this variable of the environment names one."""

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
FOCUSED = "document.activeElement.closest('[data-hit]')?.dataset.hit"


def keep(page, name):
    """Write a picture of what is seen."""
    folder = os.environ.get(SCREENSHOTS)
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png")


def loaded(page):
    """Wait for all pictures that are in sight."""
    page.wait_for_function(
        "() => [...document.images].filter(i => i.getBoundingClientRect().top < innerHeight)"
        ".every(i => i.complete && i.naturalWidth > 0)"
    )


def search(page, pictures, reason="case 9"):
    """Upload pictures and search."""
    page.locator("#files").set_input_files(pictures)
    page.locator("[data-query]").first.wait_for()
    page.locator("#reason").fill(reason)
    page.get_by_role("button", name="Search", exact=True).click()
    page.locator("[data-hit]").first.wait_for()


def test_pictures_are_uploaded_and_the_person_is_found(opened, pictures):
    page = opened()
    keep(page, "start")
    search(page, pictures)
    hits = page.locator("[data-hit]")
    assert hits.count() == 20
    first = hits.first.inner_text()
    assert "0000/" in first
    assert re.search(r"Probability\s+\d", first)
    assert page.locator("#status").inner_text().startswith("20 hits")
    assert "/cases/" in page.url
    page.reload()
    assert page.locator("[data-hit]").count() == 20
    page.go_back()
    page.get_by_text("Who are you looking for?").wait_for()
    loaded(page)


def test_dropped_pictures_are_taken_as_what_is_chosen(opened, pictures):
    page = opened()
    page.get_by_text("What they are").click()
    page.get_by_label("frames of one sighting").check()
    content = [base64.b64encode(path.read_bytes()).decode() for path in pictures]
    page.evaluate(
        """contents => {
            const transfer = new DataTransfer();
            contents.forEach((content, i) => {
                const bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0));
                transfer.items.add(new File([bytes], `frame${i}.jpg`, {type: "image/jpeg"}));
            });
            const how = {dataTransfer: transfer, bubbles: true, cancelable: true};
            for (const type of ["dragover", "drop"]) document.body.dispatchEvent(new DragEvent(type, how));
        }""",
        content,
    )
    page.get_by_text("4 frames, one sighting").wait_for()
    page.get_by_role("button", name="Remove from the query").click()
    assert page.locator("[data-query]").count() == 0


def test_hits_play_on_hover_and_rest_after(opened, case):
    page = opened(case)
    loaded(page)
    hit = page.locator("[data-hit='2']")
    hit.hover()
    page.wait_for_function("() => Number(document.querySelector(\"[data-hit='2']\").dataset.at) > 1")
    assert hit.get_attribute("data-playing") is not None
    page.mouse.move(2, 2)
    assert hit.get_attribute("data-playing") is None
    assert hit.get_attribute("data-at") == "0"


def test_nothing_moves_for_those_who_asked_for_less_motion(opened, case):
    page = opened(case, reduced_motion="reduce")
    hit = page.locator("[data-hit='1']")
    hit.hover()
    hit.locator("a.look").focus()
    assert hit.get_attribute("data-playing") is None
    page.keyboard.press("Space")
    assert hit.get_attribute("data-playing") is not None


def test_marks_improve_the_next_answer(opened, case):
    page = opened(case)
    again = page.locator("[data-again]")
    assert again.is_disabled()
    names = [page.locator(f"[data-hit='{n}'] [name=from_hit]").get_attribute("value") for n in (1, 2)]
    page.get_by_label("Hit 1 is right").check(force=True)
    page.get_by_label("Hit 2 is right").check(force=True)
    page.get_by_label("Hit 2 is wrong").check(force=True)
    assert not page.get_by_label("Hit 2 is right").is_checked()
    assert "2 marks" in again.inner_text()
    again.click()
    page.get_by_text("improved by").wait_for()
    found = page.locator("[name=from_hit]").evaluate_all("all => all.map(button => button.value)")
    assert names[0] in found
    assert names[1] not in found
    assert page.locator(".is-right").count() == 1
    assert page.locator(f"[name=wrong][value='{names[1]}']").is_checked()


def test_a_search_from_a_hit_follows_it(opened, case):
    page = opened(case)
    button = page.get_by_role("button", name="Search again from hit 3")
    name = button.get_attribute("value")
    button.click()
    page.locator("[data-item-query]").get_by_text(name).wait_for()
    assert page.locator("[data-hit]").count() == 20
    assert page.locator("#reason").input_value() == "case 2031 <missing> & sought"


def test_filters_time_window_and_unknown(opened, case):
    page = opened(case)
    page.locator("[name=modality][value=infrared]").check(force=True)
    page.get_by_text("Time window").click()
    page.locator("[name=after]").fill("2026-02-26T02:00:00")  # 20:30 UTC of the day before
    page.get_by_text("How to answer").click()
    page.get_by_label("Unknown below").fill("99.9")
    page.get_by_label("Group by").select_option("camera")
    page.keyboard.press("Control+Enter")
    page.get_by_text("Unknown", exact=True).wait_for()
    times = page.locator("[data-hit] time").evaluate_all("all => all.map(t => Number(t.dataset.seconds))")
    assert times
    assert min(times) >= 1_772_051_400
    assert page.locator(".hits .modality.visible").count() == 0
    page.reload()
    assert page.locator("[name=after]").input_value().startswith("2026-02-26T02:00")


def test_times_are_the_viewers_own(opened):
    page = opened("/gallery")
    shown = page.locator("[data-hit] time").first
    utc, local = shown.get_attribute("title"), shown.inner_text()
    hour, minute = (int(part) for part in re.search(r" (\d\d):(\d\d):\d\d UTC", utc).groups())
    minutes = (hour * 60 + minute + 330) % 1440
    assert f"{minutes // 60:02}:{minutes % 60:02}" in local


def test_the_timeline_leads_to_the_hits(opened, case):
    page = opened(case)
    assert page.locator("[data-pin]").count() == 20
    page.locator("[data-pin='17']").focus()
    page.keyboard.press("Enter")
    page.wait_for_function(f"() => {FOCUSED} === '17'")
    assert page.locator("[data-pin='17']").evaluate("pin => pin.classList.contains('current')")


def test_hits_are_compared_side_by_side(opened, case):
    page = opened(case)
    for rank in (1, 4):
        page.get_by_label(f"Compare hit {rank}", exact=True).check(force=True)
    page.locator("[data-compare]").click()
    dialog = page.locator("#compare[open]")
    dialog.wait_for()
    assert dialog.locator("figure").count() == 3
    loaded(page)
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "() => [...document.querySelectorAll('#compare figure')].every(f => f.dataset.at === '1')"
    )
    keep(page, "compare")
    page.keyboard.press("Escape")
    assert page.locator("#compare[open]").count() == 0


def test_all_is_reached_by_the_keyboard(opened, pictures):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.locator("#files").set_input_files(pictures)
    page.locator("[data-query]").first.wait_for()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    page.keyboard.type("case 9")
    page.keyboard.press("Enter")
    page.locator("[data-hit]").first.wait_for()
    page.locator("h1").click()
    page.keyboard.press("h")
    focus = [page.evaluate(FOCUSED)]
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp", "End", "Home"):
        page.keyboard.press(key)
        focus.append(page.evaluate(FOCUSED))
    assert focus[:3] == ["1", "2", "3"]
    assert int(focus[3]) > 5
    assert focus[4:] == ["3", "20", "1"]
    page.keyboard.press("r")
    assert page.get_by_label("Hit 1 is right").is_checked()
    page.keyboard.press("w")
    assert page.get_by_label("Hit 1 is wrong").is_checked()
    page.keyboard.press("c")
    assert page.get_by_label("Compare hit 1", exact=True).is_checked()
    page.keyboard.press("Enter")
    page.locator("#compare[open] figure").first.wait_for()
    page.keyboard.press("Escape")
    assert page.evaluate(FOCUSED) == "1"
    page.keyboard.press("a")
    page.get_by_text("improved by").wait_for()
    page.keyboard.press("?")
    page.locator("#help[open]").wait_for()
    page.get_by_label("Shortcuts of a single key").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") is None


def test_focus_is_always_seen(opened, case):
    page = opened(case)
    page.locator(".brand").focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        unseen = page.evaluate(
            """() => {
                const at = document.activeElement, box = at.closest("label") ?? at;
                const ringed = [at, box, at.closest(".drop, .segments label")].some(
                    each => each && getComputedStyle(each).outlineStyle !== "none");
                const fine = ringed || at === document.body || at.matches(".pin");
                return fine ? null : at.outerHTML.slice(0, 120);
            }"""
        )
        assert unseen is None


def test_small_screens_need_no_scrolling_sideways(opened, pictures):
    page = opened(width=390, height=844, has_touch=True)
    assert page.evaluate(OVERFLOW) == 0
    keep(page, "start-390")
    search(page, pictures)
    assert page.evaluate(OVERFLOW) == 0
    assert page.evaluate("document.querySelector('.answer-head').getBoundingClientRect().top < 300")
    loaded(page)
    keep(page, "page-390")
    page.locator("[data-hit='1'] a.look").click()
    page.locator("#compare[open]").wait_for()
    assert page.evaluate(OVERFLOW) == 0
    loaded(page)
    keep(page, "compare-390")
    page.goto("/gallery")
    assert page.evaluate(OVERFLOW) == 0
    keep(page, "gallery-390")


def test_colours_follow_the_system_and_the_switch(opened, case):
    faint = Path(__file__).with_name("contrast.js").read_text("utf-8")
    page = opened(case, color_scheme="dark", height=1250)
    page.get_by_label("Hit 1 is right").check(force=True)
    page.get_by_label("Hit 4 is right").check(force=True)
    page.get_by_label("Hit 8 is wrong").check(force=True)
    page.locator("h1").click()
    loaded(page)
    assert (brightness(page), page.evaluate(faint)) == ("dark", [])
    keep(page, "page-dark")
    page.locator("[data-theme-switch]").click()
    page.locator("h1").click()
    assert (brightness(page), page.evaluate(faint)) == ("light", [])
    keep(page, "page")
    page.reload()
    assert brightness(page) == "light"
    page.keyboard.press("t")
    assert brightness(page) == "dark"


def brightness(page):
    """Whether the page is light or dark."""
    colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    return "light" if red + green + blue > 3 * 128 else "dark"


def test_the_case_is_exported_and_opens_alone(opened, case, tmp_path):
    page = opened(case)
    with page.expect_download() as download:
        page.get_by_role("link", name="Case (ZIP)").click()
    archive = zipfile.ZipFile(download.value.path())
    archive.extractall(tmp_path / "case")
    rows = list(csv.DictReader(io.StringIO(archive.read("hits.csv").decode())))
    assert [row["rank"] for row in rows] == [str(n) for n in range(1, 21)]
    alone = page.context.browser.new_context(offline=True)
    shown = alone.new_page()
    asked = []
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto((tmp_path / "case" / "case.html").as_uri())
    assert "case 2031 <missing> & sought" in shown.locator("table").inner_text()
    assert shown.locator(".hits img").count() == 80
    assert shown.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert all(url.startswith(("file:", "data:")) for url in asked)
    keep(shown, "case")
    alone.close()


def test_problems_are_said_where_they_are_seen(opened):
    page = opened(tolerated="status of 422")
    page.get_by_role("button", name="Search", exact=True).click()
    page.locator("#problem").get_by_role("alert").wait_for()
    assert "choose what to look for" in page.locator("#problem").inner_text().lower()


def test_the_gallery_is_leafed_through_and_picked_from(opened):
    page = opened("/gallery")
    assert page.locator("[data-hit]").count() == 48
    loaded(page)
    keep(page, "gallery")
    page.get_by_role("link", name="Next").click()
    page.get_by_text("2 of 2").wait_for()
    page.get_by_role("link", name="Search by it").first.click()
    page.get_by_role("button", name="Search", exact=True).click()
    page.locator(".hits [data-hit]").first.wait_for()


def test_plain_forms_work_without_scripts(opened, pictures):
    page = opened(java_script_enabled=False)
    page.get_by_role("link", name="Choose pictures").click()
    page.locator("input[type=file]").set_input_files(pictures)
    page.get_by_role("button", name="Use them").click()
    page.get_by_role("button", name="Search", exact=True).click()
    assert page.locator(".hits > li").count() == 20
    page.locator("[name=right]").first.check(force=True)
    page.get_by_role("button", name="Search again", exact=False).first.click()
    assert "improved by" in page.locator(".answer-head").inner_text()
