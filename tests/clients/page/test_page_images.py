"""Opening images, texts, examples, and what the page shows of them."""

import re

from PIL import Image
from playwright.sync_api import expect

CIRCLE = ((34, 52), (158, 177))
SQUARE = ((205, 35), (345, 180))


def test_files_that_are_chosen_are_a_strip_of_small_images(visit, shapes, drawn):
    handle = visit(shapes)
    handle.open(*drawn)
    thumbs = handle.page.locator("#strip .thumb")
    expect(thumbs).to_have_count(2)
    expect(thumbs.nth(0)).to_have_attribute("aria-current", "true")
    thumbs.nth(1).click()
    expect(thumbs.nth(1)).to_have_attribute("aria-current", "true")
    expect(handle.page.locator("#stage")).to_have_attribute(
        "aria-label", re.compile("shapes_photo")
    )
    handle.page.get_by_role("button", name="Close shapes_photo.png").click()
    expect(thumbs).to_have_count(1)


def test_files_can_be_dropped(visit, shapes, drawn):
    handle = visit(shapes)
    handle.bring(drawn, "drop")
    expect(handle.page.locator("#strip .thumb")).to_have_count(2)


def test_an_image_can_be_pasted(visit, shapes, drawn):
    handle = visit(shapes)
    handle.bring(drawn[:1], "paste")
    expect(handle.page.locator("#strip .thumb")).to_have_count(1)


def test_an_image_is_turned_as_its_exif_says(visit, shapes, drawn, tmp_path):
    """Here and on the server: masks lie on what they mask."""
    turned = tmp_path / "turned.jpg"
    image = Image.open(drawn[0]).convert("RGB").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(turned, exif=exif, quality=95)
    handle = visit(shapes)
    handle.open(turned)
    plain = handle.color_at(96, 114)
    assert plain[0] > 150 > plain[2], "the red disc, where it is in the upright image"
    handle.text(1, "red circle")
    handle.wait(2)
    handle.page.mouse.move(*handle.at(96, 114))
    expect(handle.page.locator("#found .one.lit")).to_have_count(1)


def test_texts_are_found_in_their_colours(visit, shapes, drawn, picture):
    handle = visit(shapes)
    handle.open(*drawn)
    plain = handle.color_at(96, 114)
    handle.text(1, "red circle")
    handle.wait(2)
    handle.text(2, "blue star")
    handle.wait(3)
    heads = handle.page.locator("#found .head")
    expect(heads).to_have_count(2)
    expect(heads.nth(0)).to_contain_text("red circle")
    expect(heads.nth(0)).to_contain_text(re.compile(r"2 · presence \d+"))
    scores = [float(text) for text in handle.page.locator("#found .score").all_inner_texts()]
    assert all(0.5 <= score <= 1 for score in scores)
    red, _, blue = handle.color_at(96, 114)
    assert blue > plain[2] + 30, "the red disc is tinted blue, the first colour"
    # The other image is looked at as well.
    expect(handle.page.locator("#strip .count").nth(1)).to_have_text(
        re.compile(r"\d"), timeout=30_000
    )
    handle.page.mouse.move(5, 400)
    picture(handle, "light", kept=True)


def test_a_colour_can_be_chosen(visit, shapes, drawn):
    handle = visit(shapes)
    handle.open(drawn[0])
    handle.text(1, "red circle")
    handle.wait(2)
    handle.page.get_by_label("Colour of text 1").fill("#00ff00")
    handle.page.mouse.move(5, 400)
    expect(handle.page.locator("#found .swatch").nth(1)).to_have_css(
        "background-color", "rgb(0, 255, 0)"
    )
    _, green, _ = handle.color_at(96, 114)
    assert green > 80
    assert len(handle.requests("v1/infer")) == 1


def test_the_threshold_moves_without_a_request(visit, shapes, drawn):
    handle = visit(shapes)
    handle.open(drawn[0])
    handle.text(1, "circle")
    expect(handle.page.locator("#count")).to_have_text(re.compile(r"\d"), timeout=30_000)
    before = handle.rows().count()
    asked = len(handle.requests("v1/infer"))
    slider = handle.page.locator("#threshold")
    slider.fill("0.05")
    expect(handle.page.locator("#threshold-value")).to_have_text("0.05")
    low = handle.rows().count()
    slider.fill("0.99")
    high = handle.rows().count()
    assert high < before <= low
    assert len(handle.requests("v1/infer")) == asked


def test_examples_are_dragged_and_alt_says_not_this(visit, shapes, drawn):
    handle = visit(shapes)
    handle.open(drawn[0])
    handle.tool("Example")
    handle.drag(*CIRCLE)
    expect(handle.page.locator("#count")).to_have_text(re.compile(r"\d"), timeout=30_000)
    (sent,) = handle.requests("v1/infer")
    (prompt,) = sent["prompts"]
    assert "text" not in prompt
    assert prompt["box_labels"] == [1]
    for value, wanted in zip(prompt["boxes"][0], [*CIRCLE[0], *CIRCLE[1]], strict=True):
        assert abs(value - wanted) < 2
    handle.drag(*SQUARE, key="Alt")
    expect(handle.page.locator(".concept .note")).to_have_text("1 like this, 1 not")
    sent = handle.wait_for_requests("v1/infer", 2)
    assert sent[-1]["prompts"][0]["box_labels"] == [1, 0]
    handle.drag((400, 40), (560, 200), button="right")
    expect(handle.page.locator(".concept .note")).to_have_text("1 like this, 2 not")
    handle.page.get_by_role("button", name="Not this").click()
    handle.drag((200, 200), (300, 300))
    expect(handle.page.locator(".concept .note")).to_have_text("1 like this, 3 not")
    handle.page.get_by_role("button", name="Undo").click()
    expect(handle.page.locator(".concept .note")).to_have_text("1 like this, 2 not")


def test_the_pointer_lights_up_masks_and_entries(visit, shapes, drawn):
    handle = visit(shapes)
    handle.open(drawn[0])
    handle.text(1, "red circle")
    handle.wait(2)
    handle.page.mouse.move(*handle.at(96, 114))
    lit = handle.page.locator("#found .one.lit")
    expect(lit).to_have_count(1)
    # An entry that is pointed at dims the other masks.
    small = handle.color_at(255, 299)
    entry = handle.rows().nth(0)
    entry.hover()
    expect(lit).to_have_count(1)
    dimmed = handle.color_at(255, 299)
    handle.rows().nth(1).hover()
    handle.page.wait_for_timeout(100)
    other = handle.color_at(255, 299)
    assert dimmed != other
    assert small in (dimmed, other)


def test_wheel_buttons_and_space_move_the_view(visit, shapes, drawn):
    handle = visit(shapes)
    handle.open(drawn[0])
    page = handle.page
    handle.tool("Example")

    def width_of_drag(start=(600, 400), end=(700, 500)):
        """How many pixels of the image 100 pixels of the screen are."""
        before = len(handle.requests("v1/infer"))
        page.mouse.move(*start)
        page.mouse.down()
        page.mouse.move(*end, steps=4)
        page.mouse.up()
        sent = handle.wait_for_requests("v1/infer", before + 1)
        box = sent[-1]["prompts"][0]["boxes"][-1]
        return box[2] - box[0], box[0]

    whole, left = width_of_drag()
    page.mouse.move(640, 400)
    page.mouse.wheel(0, -600)
    near, _ = width_of_drag()
    assert near < whole * 0.6
    page.keyboard.press("0")
    again, same = width_of_drag()
    assert abs(again - whole) < 0.2
    assert abs(same - left) < 0.2
    page.get_by_role("button", name="Zoom in").click()
    assert width_of_drag()[0] < whole * 0.8
    page.get_by_role("button", name="Zoom out").click()
    assert abs(width_of_drag()[0] - whole) < 0.3
    page.keyboard.down(" ")
    page.mouse.move(600, 400)
    page.mouse.down()
    page.mouse.move(650, 400, steps=4)
    page.mouse.up()
    page.keyboard.up(" ")
    _, moved = width_of_drag()
    assert moved < left - 20


def test_two_fingers_zoom_and_move(visit, shapes, drawn):
    handle = visit(shapes, has_touch=True)
    handle.open(drawn[0])
    handle.text(1, "red circle")
    handle.wait(2)
    page = handle.page
    page.keyboard.press("Escape")
    client = page.context.new_cdp_session(page)
    x, y = handle.at(96, 114)

    def touch(kind, *points):
        touches = [{"x": px, "y": py, "id": i} for i, (px, py) in enumerate(points)]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    outside = handle.at(96, 40)
    before = handle.color_at(96, 40)
    touch("touchStart", (x - 20, y), (x + 20, y))
    for spread in range(30, 100, 10):
        touch("touchMove", (x - spread, y), (x + spread, y))
    touch("touchEnd")
    page.wait_for_timeout(200)
    assert handle.color_at(96, 40) != before, f"the disc has grown to {outside}"


def test_undo_redo_and_delete(visit, shapes, drawn):
    handle = visit(shapes)
    handle.open(drawn[0])
    page = handle.page
    handle.text(1, "red circle")
    handle.wait(2)
    handle.tool("Move")
    handle.click(96, 114)
    expect(page.locator("#found .one.selected")).to_have_count(1)
    page.keyboard.press("Delete")
    expect(handle.rows()).to_have_count(1)
    page.keyboard.press("Control+z")
    expect(handle.rows()).to_have_count(2)
    page.keyboard.press("Control+Shift+z")
    expect(handle.rows()).to_have_count(1)
    page.get_by_role("button", name="Undo").click()
    expect(handle.rows()).to_have_count(2)
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_label("Text 1: what to look for")).to_have_value("")
    expect(handle.rows()).to_have_count(0)
    page.get_by_role("button", name="Redo").click()
    expect(page.get_by_label("Text 1: what to look for")).to_have_value("red circle")
    handle.wait(2)
    assert len(handle.requests("v1/infer")) == 1, "what is known is not asked again"


def test_an_image_is_sent_once(visit, shapes, drawn):
    handle = visit(shapes)
    handle.open(drawn[0])
    handle.text(1, "red circle")
    handle.wait(2)
    handle.text(2, "blue star")
    handle.wait(3)
    assert len(handle.requests("v1/features")) == 1
    asked = handle.requests("v1/infer")
    assert [list(body["image"]) for body in asked] == [["features"], ["features"]]
    assert [prompt["text"] for prompt in asked[1]["prompts"]] == ["blue star"]


def test_features_that_the_server_has_given_up_are_sent_again(visit, serve, drawn):
    server = serve("shapes")
    handle = visit(server)
    handle.open(drawn[0])
    handle.text(1, "red circle")
    handle.wait(2)
    server.stop()
    server.start()
    handle.text(2, "blue star")
    handle.wait(3)
    assert len(handle.requests("v1/features")) == 2
    expect(handle.page.locator("#message")).to_be_hidden()
