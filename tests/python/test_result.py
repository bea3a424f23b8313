"""Results: against the program's JSON and pycocotools."""

import builtins
import io
import json

import numpy as np
import pytest
from conftest import TEXTS
from PIL import Image
from pycocotools import mask as coco
from pycocotools.coco import COCO
from sam3trt.result import Instance, PromptFound, Result


@pytest.fixture
def results(entries):
    return [Result.from_json(entry) for entry in entries]


@pytest.fixture
def result(results):
    return results[1]


def test_the_json_entry_is_the_program_s(entries, results):
    for entry, result in zip(entries, results):
        assert result.to_entry() == entry
        assert json.loads(result.to_json()) == entry
        assert list(result.to_entry()) == list(entry)
        again = Result.from_json(result.to_json(indent=1).encode())
        assert again.to_entry() == entry


def test_a_prompt_of_boxes_alone_is_called_visual(box_entry):
    result = Result.from_json(box_entry)
    assert result.to_entry() == box_entry
    assert result.prompts[0].text is None and result.prompts[0].box_labels == [1, 0]
    assert result.names == {0: "visual"} and len(result["visual"]) == len(result) >= 1


def test_instances_stand_in_the_order_of_the_prompts(entries, result):
    prompts = entries[1]["prompts"]
    found = [instance for prompt in prompts for instance in prompt["instances"]]
    assert len(result) == len(found) >= 6
    assert result.labels.tolist() == [
        index for index, prompt in enumerate(prompts) for _ in prompt["instances"]
    ]
    assert np.allclose(result.scores, [instance["score"] for instance in found])
    assert np.allclose(result.boxes, [instance["box"] for instance in found])
    assert result.areas.tolist() == [instance["area"] for instance in found]
    assert result.presence.tolist() == pytest.approx([prompt["presence"] for prompt in prompts])
    assert list(result.names.values()) == TEXTS
    assert result.rle == [instance["mask"] for instance in found]


def test_arrays_have_the_documented_types(result):
    count = len(result)
    for values, shape, dtype in [
        (result.scores, (count,), np.float32),
        (result.boxes, (count, 4), np.float32),
        (result.labels, (count,), np.int64),
        (result.areas, (count,), np.int64),
        (result.presence, (len(result.prompts),), np.float32),
        (result.masks, (count, 440, 640), np.bool_),
    ]:
        assert values.shape == shape and values.dtype == dtype


def test_masks_are_those_that_pycocotools_decodes(result):
    assert result.masks is result.masks
    expected = coco.decode(result.rle)
    assert np.array_equal(result.masks, expected.transpose(2, 0, 1).astype(bool))
    assert np.array_equal(result.masks.sum(axis=(1, 2)), result.areas)


def test_an_index_gives_an_instance(result):
    for index, instance in enumerate(result):
        same = result[index - len(result)]
        assert isinstance(instance, Instance)
        assert same.score == instance.score == result.scores[index]
        assert np.array_equal(same.box, result.boxes[index])
        assert (same.label, same.name) == (result.labels[index], result.names[instance.label])
        assert same.area == result.areas[index] == instance.mask.sum()
        assert same.rle == result.rle[index]
    for index in (len(result), -len(result) - 1):
        with pytest.raises(IndexError):
            result[index]


def test_a_text_gives_what_its_prompts_found(result):
    triangles = result["triangle"]
    assert list(triangles.names.values()) == ["triangle"]
    assert np.array_equal(triangles.scores, result.scores[result.labels == 3])
    assert len(result["green cross"]) == 0
    with pytest.raises(KeyError, match="no prompt is 'dog'"):
        result["dog"]


def test_a_selection_is_a_result_of_the_same_prompts(result):
    good = result[result.scores > 0.9]
    assert 0 < len(good) < len(result) and (good.scores > 0.9).all()
    assert good.names == result.names
    assert np.array_equal(good.masks, result.masks[result.scores > 0.9])
    assert len(result[:2]) == 2 and len(result[[]]) == 0
    assert np.array_equal(result[[3, 0]].areas, result.areas[[0, 3]])


def test_an_empty_result_has_empty_arrays():
    for result in (
        Result(size=(30, 20)),
        Result(size=(30, 20), prompts=[PromptFound(text="dog", presence=0.1)]),
    ):
        assert len(result) == 0 and list(result) == [] and result.rle == []
        assert result.masks.shape == (0, 30, 20) and result.boxes.shape == (0, 4)
        assert result.labels.dtype == np.int64 and result.scores.dtype == np.float32
        assert result.polygons == [] and result.to_coco()["annotations"] == []
        assert result.plot(Image.new("RGB", (20, 30))).size == (20, 30)


def test_to_dict_has_transformers_keys(result):
    found = result.to_dict()
    assert {"scores", "boxes", "masks"} <= set(found)
    assert found["masks"].shape == (len(result), 440, 640)


def test_an_entry_of_a_failed_image_keeps_its_error():
    entry = {"path": "a.jpg", "error": "a.jpg: is not an image"}
    result = Result.from_json(entry)
    assert result.error == entry["error"] and len(result) == 0
    assert result.to_entry() == entry


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entry: entry.pop("prompts"), "expected one entry"),
        (lambda entry: entry.pop("width"), "'width' is missing"),
        (lambda entry: entry.update(width=641), "a mask has the size"),
        (lambda entry: entry["prompts"][0].pop("presence"), "'presence' is missing"),
        (lambda entry: entry["prompts"][0]["instances"][0].update(box=[1, 2]), "malformed"),
        (lambda entry: entry["prompts"][0]["instances"][0]["mask"].update(counts="1"), "malformed"),
        (lambda entry: entry["prompts"][0]["instances"][0]["mask"].update(counts="!"), "malformed"),
    ],
)
def test_a_malformed_entry_is_an_error(entries, change, message):
    entry = json.loads(json.dumps(entries[0]))
    change(entry)
    with pytest.raises(ValueError, match=message):
        Result.from_json(entry)


def test_a_whole_document_is_not_an_entry(entries):
    with pytest.raises(ValueError, match="one entry"):
        Result.from_json({"version": 1, "images": entries})
    with pytest.raises(ValueError, match="one entry"):
        Result.from_json("[]")


def test_coco_annotations_are_read_by_pycocotools(results, tmp_path):
    categories = {text: 10 + index for index, text in enumerate(TEXTS)}
    document = {"images": [], "annotations": [], "categories": []}
    for index, result in enumerate(results):
        first = len(document["annotations"]) + 1
        part = result.to_coco(image_id=index + 7, first_id=first, categories=categories)
        for key in ("images", "annotations"):
            document[key] += part[key]
        document["categories"] = part["categories"]
    path = tmp_path / "coco.json"
    path.write_text(json.dumps(document))
    read = COCO(path)
    assert read.getImgIds() == [7, 8] and len(read.getCatIds()) == len(categories)
    for number, result in zip((7, 8), results):
        annotations = read.loadAnns(read.getAnnIds(imgIds=number))
        assert len(annotations) == len(result)
        for annotation, instance in zip(annotations, result):
            assert np.array_equal(read.annToMask(annotation).astype(bool), instance.mask)
            assert annotation["category_id"] == categories[instance.name]
            x, y, width, height = annotation["bbox"]
            assert [x, y, x + width, y + height] == pytest.approx(instance.box.tolist(), abs=0.01)


def test_coco_polygons_cover_the_masks(result):
    annotations = result.to_coco(polygons=True)["annotations"]
    solid = [index for index, instance in enumerate(result) if len(instance.polygons[0]) == 1]
    assert len(solid) >= 4
    for index in solid:
        rings = annotations[index]["segmentation"]
        mask = coco.decode(coco.merge(coco.frPyObjects(rings, 440, 640))).astype(bool)
        expected = result.masks[index]
        assert (mask & expected).sum() / (mask | expected).sum() > 0.97


def test_a_text_without_a_category_is_an_error(result):
    with pytest.raises(ValueError, match="no id for .*'blue star'"):
        result.to_coco(categories={"red circle": 1})


def test_a_text_that_is_asked_for_twice_is_one_category():
    prompts = [PromptFound(text="dog"), PromptFound(text="dog"), PromptFound()]
    names = [category["name"] for category in Result(prompts=prompts).to_coco()["categories"]]
    assert names == ["dog", "visual"]


def area_of(ring):
    x, y = ring[:, 0].astype(float), ring[:, 1].astype(float)
    return 0.5 * float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))


def test_polygons_have_the_area_of_the_masks(result):
    for instance, parts in zip(result, result.polygons):
        area = sum(abs(area_of(part[0])) - sum(abs(area_of(r)) for r in part[1:]) for part in parts)
        assert area == pytest.approx(instance.area, rel=0.01, abs=3)
        for ring in (ring for part in parts for ring in part):
            assert ring.dtype == np.float32 and np.array_equal(ring[0], ring[-1])


def test_polygons_have_holes_and_parts_and_reach_the_edge():
    from sam3trt import rle

    mask = np.zeros((12, 20), dtype=bool)
    mask[0:10, 0:10] = True
    mask[3:6, 2:7] = False
    mask[4:12, 14:20] = True
    prompt = PromptFound(
        text="box",
        scores=np.ones(1, np.float32),
        boxes_xyxy=np.array([[0, 0, 20, 12]], np.float32),
        areas=np.array([mask.sum()]),
        counts=[rle.encode(mask)],
    )
    (parts,) = Result(size=mask.shape, prompts=[prompt]).polygons
    assert sorted(len(part) for part in parts) == [1, 2]
    with_hole = next(part for part in parts if len(part) == 2)
    assert with_hole[0].min(axis=0).tolist() == [0, 0]
    assert with_hole[0].max(axis=0).tolist() == [10, 10]
    assert (with_hole[1].min(axis=0).tolist(), with_hole[1].max(axis=0).tolist()) == (
        [2, 3],
        [7, 6],
    )
    assert len(with_hole[0]) == 9  # four edges, four cut corners, the first point again


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("contourpy", lambda result: result.polygons),
        ("supervision", lambda result: result.to_supervision()),
        ("PIL", lambda result: result.plot()),
    ],
)
def test_a_missing_package_is_named_with_its_extra(result, monkeypatch, package, call):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.split(".")[0] == package:
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'sam3trt\[\w+\]'"):
        call(result)


def changed(image, result):
    return (np.asarray(result) != np.asarray(image)).any(axis=2)


def test_the_plot_colours_the_masks_and_nothing_far_from_them(drawn, result):
    image = Image.open(drawn[1]).convert("RGB")
    pixels = changed(image, result.plot(labels=False))
    found = result.masks.any(axis=0)
    assert pixels[found].mean() > 0.99
    away = np.pad(found, 6)
    for axis in (0, 1):
        away = np.any([np.roll(away, shift, axis) for shift in range(-5, 6)], axis=0)
    assert not pixels[~away[6:-6, 6:-6]].any()


def test_the_plot_takes_any_form_of_the_image(drawn, result):
    expected = np.asarray(result.plot())
    image = Image.open(drawn[1]).convert("RGB")
    data = io.BytesIO()
    image.save(data, "PNG")
    array = np.asarray(image)
    with_alpha = np.asarray(image.convert("RGBA"))
    for form in (
        image,
        array,
        array.transpose(2, 0, 1),
        with_alpha,
        drawn[1],
        str(drawn[1]),
        data.getvalue(),
    ):
        assert np.array_equal(np.asarray(result.plot(form)), expected)
    assert np.array_equal(np.asarray(image), array)
    assert result.plot(np.zeros((440, 640), np.uint8)).mode == "RGB"


def test_the_plot_refuses_other_images(result):
    with pytest.raises(ValueError, match="is 64x44, the result's 640x440"):
        result.plot(Image.new("RGB", (64, 44)))
    with pytest.raises(TypeError, match=r"found float32 \(440, 640, 3\)"):
        result.plot(np.zeros((440, 640, 3), np.float32))
    with pytest.raises(ValueError, match="no image to draw on"):
        Result(size=(3, 4)).plot()


def test_the_plot_of_a_file_is_turned_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (40, 20), "white").save(tmp_path / "turned.jpg", exif=exif)
    assert Result(path=tmp_path / "turned.jpg", size=(40, 20)).plot().size == (20, 40)


def test_colors_are_used_again_from_the_first(result):
    plotted = np.asarray(result.plot(colors=[(1, 2, 3)], opacity=1.0, labels=False))
    first = result[0].mask & (result.masks.sum(axis=0) == 1)
    assert (plotted[first] == (1, 2, 3)).all(axis=1).mean() > 0.9


def test_labels_and_boxes_change_the_plot(result):
    plain = result.plot(labels=False)
    assert changed(plain, result.plot(labels=True)).sum() > 1000
    assert changed(plain, result.plot(labels=False, boxes=True)).sum() > 1000


def test_an_image_smaller_than_a_label_is_plotted_without():
    prompt = PromptFound(
        text="a long text that has no room",
        scores=np.ones(1, np.float32),
        boxes_xyxy=np.array([[0, 0, 4, 4]], np.float32),
        areas=np.array([16]),
        counts=[np.array([0, 64], np.uint32)],
    )
    image = np.zeros((8, 8, 3), np.uint8)
    assert Result(image=image, size=(8, 8), prompts=[prompt]).plot().size == (8, 8)


def test_save_writes_json_or_an_image(result, entries, tmp_path):
    assert json.loads(result.save(tmp_path / "a.json").read_text()) == entries[1]
    assert Image.open(result.save(tmp_path / "a.png", labels=False)).size == (640, 440)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.png"]


def test_save_leaves_nothing_behind_when_it_fails(result, tmp_path):
    (tmp_path / "a.png").write_bytes(b"before")
    with pytest.raises(ValueError):
        result.save(tmp_path / "a.png", image=Image.new("RGB", (1, 1)))
    with pytest.raises(TypeError, match="no options of plot"):
        result.save(tmp_path / "a.json", labels=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"before"


def test_reprs_are_short(result):
    assert repr(result).endswith("2 'triangle', 0 'green cross'>")
    assert len(repr(result[0])) < 200
