"""An option's value is the user's, whatever it starts and ends with."""

import json

import goldens
import pytest

CAT = goldens.ROOT / "test_images" / "cat.jpg"

VALUES = [
    "[red circle]",
    "[a,b]",
    "a,b",
    "[",
    "[]",
    "[[a]]",
    '"quoted"',
    "'quoted'",
    "(x)",
    "{x}",
    "{}",
    "%%",
    "50%",
    "$HOME",
    r"back\slash\n",
    "a=b",
    "=",
    "-5",
    "-",
    "-- dashes --",
    "build",
    "++",
    "\x02x",
]


@pytest.fixture
def texts_of(run, exported):
    """texts_of(*arguments): the texts in the result of `infer` on one picture."""

    def call(*arguments) -> list:
        model = exported("hf", "tiny_a")
        result = run("infer", "--model", model, "--image", CAT, *arguments, check=True)
        return [prompt["text"] for prompt in json.loads(result.stdout)["images"][0]["prompts"]]

    return call


def assert_usage_error(result, *texts):
    assert result.code == 2
    assert result.stdout == ""
    for text in texts:
        assert text in result.stderr


def test_texts_are_searched_for_as_they_are_given(texts_of):
    assert texts_of("--text", *VALUES) == VALUES
    assert texts_of(*(f"--text={value}" for value in VALUES)) == VALUES


@pytest.mark.parametrize("value", ["{}", "[a,b]", "%%", "-x", "[]"])
def test_a_single_text_is_the_value_alone(texts_of, value):
    assert texts_of("--text", value) == [value]


def test_values_that_look_like_options_follow_two_dashes_or_an_equals_sign(texts_of):
    assert texts_of("--text", "--", "-x", "--output", "--") == ["-x", "--output", "--"]
    assert texts_of("--text=--output", "--text=-h") == ["--output", "-h"]


def test_several_values_and_repeated_options_add_up(texts_of):
    given = ["--text", "a", "b", "--threshold", "0.5", "--text", "c", "d"]
    assert texts_of(*given) == ["a", "b", "c", "d"]


def test_values_of_a_configuration_are_taken_as_they_are(texts_of, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps({"infer": {"text": VALUES}}))
    assert texts_of("--config", path) == VALUES
    path.write_text('infer: {text: "[a,b]"}')
    assert texts_of("--config", path) == ["[a,b]"]
    assert texts_of("--config", path, "--text", "--", "-x") == ["-x"]


def test_an_option_is_not_the_value_of_the_one_before_it(run, tmp_path):
    target = tmp_path / "r.json"
    result = run("infer", "--model", "m", "--image", CAT, "--text", "--output", target)
    assert_usage_error(result, "--text: expected a value", "'--output'", "--text=--output")
    assert not target.exists()
    for option in ("--outptu", "--text", "-h"):
        result = run("infer", "--model", "m", "--image", CAT, "--text", option, "r.json")
        assert_usage_error(result, f"--text: expected a value, found the option '{option}'")
    result = run("infer", "--image", CAT, "--text")
    assert_usage_error(result, "--text: expected a value, found nothing")


@pytest.mark.parametrize("option", ["--output", "--overlay", "--model", "--backend", "--config"])
def test_an_empty_value_is_not_taken_for_none(run, option):
    for arguments in ((f"{option}=",), (option, "")):
        result = run("infer", "--image", CAT, "--text", "a", *arguments)
        assert_usage_error(result, option)
        assert "empty" in result.stderr or "not in" in result.stderr or "read" in result.stderr


def test_values_in_the_wrong_place_are_named_in_their_order(run):
    result = run("infer", "--image", CAT, "--text", "a", "--model", "m", "b", "[c]")
    assert_usage_error(result, "no option takes 'b', '[c]'")
    result = run("infer", "--image", CAT, "--text", "a", "-x")
    assert_usage_error(result, "unknown option '-x'", "--text=-x")


@pytest.mark.parametrize(
    "option, value",
    [("--box", "[15,20,55,60]"), ("--negative-box", "{1,2,3,4}"), ("--box", '"1,2,3,4"')],
)
def test_messages_show_boxes_as_they_are_given(run, option, value):
    result = run("infer", "--model", "m", "--image", CAT, option, value)
    assert_usage_error(result, f"{option} {value}: expected four numbers")


@pytest.mark.parametrize(
    "option, value", [("--threshold", "[0.1]"), ("--backend", "[auto]"), ("--threads", "x")]
)
def test_messages_show_single_values_as_they_are_given(run, option, value):
    result = run("infer", "--model", "m", "--image", CAT, "--text", "a", option, value)
    assert_usage_error(result, option, value)
    assert "\x02" not in result.stderr


def test_paths_are_taken_as_they_are_given(run):
    result = run("infer", "--model", "[m,n]", "--image", CAT, "--text", "a")
    assert_usage_error(result, "[m,n]")
