"""Tokens, errors, keys, narrow and dark screens, names for those who do not see the page."""

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect


def test_a_token_is_asked_for_and_kept_for_the_tab(visit, serve, drawn, tmp_path, picture):
    token = tmp_path / "token"
    token.write_text("open-sesame\n")
    token.chmod(0o600)
    server = serve("shapes", "--token-file", token)
    handle = visit(server)
    page = handle.page
    dialog = page.get_by_role("dialog", name="Access token")
    expect(dialog).to_be_visible()
    picture(handle, "token")
    page.get_by_role("textbox", name="Token").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#token-wrong")).to_have_text("The server does not accept this token.")
    page.get_by_role("textbox", name="Token").fill("open-sesame")
    page.get_by_role("button", name="Use the token").click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#model")).not_to_have_text("")
    handle.open(drawn[0])
    handle.text(1, "red circle")
    handle.wait(2)
    page.get_by_role("button", name="Copy as curl").click()
    command = page.locator("#command-text").input_value()
    assert "$SAM3TRT_TOKEN" in command
    assert "open-sesame" not in command
    page.reload()
    expect(page.locator("#model")).not_to_have_text("")
    expect(dialog).to_be_hidden()
    assert page.evaluate("Object.values(localStorage).length") == 0


def test_it_works_under_a_policy_without_exceptions(visit, shapes, drawn):
    """Scripts and styles only from its own files: none in attributes, none made from text."""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    handle = visit(shapes)

    def stricter(route):
        answer = route.fetch()
        headers = answer.headers | {"content-security-policy": policy}
        route.fulfill(response=answer, headers=headers)

    handle.page.route(shapes.url, stricter)
    handle.page.reload()
    handle.open(*drawn)
    handle.text(1, "red circle")
    handle.wait(2)
    handle.page.keyboard.press("Escape")
    handle.download("Image with masks")
    handle.page.locator("#help-open").click()


def test_a_file_that_is_not_an_image_is_named(visit, shapes, tmp_path):
    broken = tmp_path / "notes.png"
    broken.write_text("not an image")
    handle = visit(shapes)
    handle.page.set_input_files("#chooser", broken)
    expect(handle.message()).to_have_text(re.compile(r"notes\.png could not be opened"))
    expect(handle.message()).to_have_role("alert")


def test_a_server_that_is_gone_is_said_and_asked_again(visit, serve, drawn, picture):
    server = serve("shapes")
    handle = visit(server)
    handle.open(drawn[0])
    handle.text(1, "red circle")
    handle.wait(2)
    server.stop()
    handle.text(2, "blue star")
    expect(handle.message()).to_have_text(re.compile("The server does not answer"))
    picture(handle, "error")
    server.start()
    handle.page.get_by_role("button", name="Try again").click()
    handle.wait(3)
    expect(handle.page.locator("#message")).to_be_hidden()


@pytest.mark.parametrize(
    ("status", "message", "words"),
    [
        (
            413,
            "the image is larger than 64 megapixels",
            "This is too large for the server. The image is",
        ),
        (
            415,
            "the image cannot be decoded",
            "The server cannot read this file. The image",
        ),
        (422, "prompts[0].text: expected a text", "Prompts[0].text: expected a text."),
        (500, "", "Something went wrong on the server."),
    ],
)
def test_errors_are_in_plain_words(visit, shapes, drawn, status, message, words):
    handle = visit(shapes)
    error = {"error": {"code": "x", "message": message}}
    handle.page.route("**/v1/infer", lambda route: route.fulfill(status=status, json=error))
    handle.open(drawn[0])
    handle.text(1, "red circle")
    expect(handle.message()).to_contain_text(words)


def test_a_busy_server_is_asked_again_after_a_while(visit, shapes, drawn):
    handle = visit(shapes)
    times = []

    def busy(route):
        times.append(1)
        if len(times) > 1:
            route.continue_()
            return
        error = json.dumps({"error": {"code": "queue_full", "message": "the queue is full"}})
        route.fulfill(status=503, headers={"Retry-After": "1"}, body=error)

    handle.page.route("**/v1/infer", busy)
    handle.open(drawn[0])
    handle.text(1, "red circle")
    expect(handle.message()).to_have_text(re.compile("busy; the page asks again in 1 s"))
    handle.wait(2)
    assert len(times) == 2


def test_everything_is_done_by_keys(visit, shapes, drawn, picture):
    handle = visit(shapes)
    page = handle.page
    handle.open(drawn[0])
    page.keyboard.press("t")
    page.keyboard.type("red circle")
    page.keyboard.press("Enter")
    handle.wait(2)
    page.keyboard.press("Escape")
    page.locator("#stage").focus()
    page.keyboard.press("b")
    for _ in range(6):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(page.locator(".concept .note")).to_have_text("1 like this")
    page.keyboard.press("Delete")
    expect(page.locator(".concept .note")).to_be_hidden()
    page.keyboard.press("x")
    expect(page.locator("#negative")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Help and shortcuts")).to_be_visible()
    picture(handle, "help")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Help and shortcuts")).to_be_hidden()


def test_the_focus_goes_through_the_page_in_order(visit, shapes):
    handle = visit(shapes)
    names = []
    for _ in range(12):
        handle.page.keyboard.press("Tab")
        focused = handle.page.locator("*:focus")
        names.append(focused.get_attribute("aria-label") or focused.inner_text().strip())
    wanted = ["To the image", "Help and shortcuts", "Open files", "Colour of text 1"]
    assert [name for name in names if name in wanted] == wanted
    assert names.index("Add a text") < names.index("Choose files")


def test_it_fits_a_phone(visit, shapes, drawn, picture):
    handle = visit(shapes, size=(360, 740), has_touch=True, is_mobile=True, device_scale_factor=2)
    page = handle.page
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    handle.open(*drawn)
    handle.text(1, "red circle")
    handle.wait(2)
    handle.text(2, "blue star")
    handle.wait(3)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    for name in ("Open files", "Undo", "Zoom in", "Add a text"):
        box = page.get_by_role("button", name=name).bounding_box()
        assert min(box["width"], box["height"]) >= 40, name
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.wait_for_timeout(200)
    picture(handle, "phone", kept=True, full_page=True)
    # A finger selects a mask.
    page.touchscreen.tap(*handle.at(96, 114))
    expect(page.locator("#found .one.selected")).to_have_count(1)


def test_it_is_dark_where_the_screen_is(visit, shapes):
    colors = {}
    for scheme in ("light", "dark"):
        page = visit(shapes, color_scheme=scheme).page
        text = page.evaluate("getComputedStyle(document.body).backgroundColor")
        colors[scheme] = sum(map(int, re.findall(r"\d+", text)))
    assert colors["dark"] < 100 < 600 < colors["light"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_has_a_name_and_enough_contrast(visit, shapes, drawn, scheme):
    handle = visit(shapes, color_scheme=scheme)
    handle.open(*drawn)
    handle.text(1, "red circle")
    handle.wait(2)
    results = Axe().run(handle.page)
    assert results.violations_count == 0, results.generate_report()
    handle.page.keyboard.press("Escape")
    handle.page.locator("#help-open").click()
    results = Axe().run(handle.page)
    assert results.violations_count == 0, results.generate_report()
