"""The held-out clips of the small checkpoint's tracker and the figures that judge it."""

import sys

import goldens
import numpy as np
import pytest

sys.path.insert(0, str(goldens.ROOT / "tools/tiny"))

import track_metrics  # noqa: E402
import track_suite  # noqa: E402

FRAMES = 20


@pytest.fixture(scope="module")
def clips():
    return track_suite.clips(5, 2, FRAMES)


def squares(*corners: tuple[int, int]) -> list[np.ndarray]:
    """A mask with a square of 8 pixels for every corner."""
    masks = []
    for x, y in corners:
        mask = np.zeros((40, 60), bool)
        mask[y : y + 8, x : x + 8] = True
        masks.append(mask)
    return masks


def hota_of(truth: list[list[np.ndarray]], found: list[list[np.ndarray]]) -> dict[str, float]:
    """truth and found: masks by track, then by frame."""
    tables, seen = [], []
    for t in range(len(truth[0])):
        table = [[track_metrics.iou(a[t], b[t]) for b in found] for a in truth]
        tables.append(np.array(table))
        seen.append((list(range(len(truth))), list(range(len(found)))))
    return track_metrics.combine_hota([track_metrics.hota(tables, len(truth), len(found), seen)])


def test_a_seed_gives_the_same_clips(clips):
    again = track_suite.clips(5, 2, FRAMES)
    assert all(np.array_equal(a.images, b.images) for a, b in zip(clips, again))
    assert all(np.array_equal(a.ids, b.ids) for a, b in zip(clips, again))
    assert not np.array_equal(clips[0].images[0], track_suite.clips(6, 1, FRAMES)[0].images[0])


def test_the_first_of_two_clips_has_something_that_comes_back(clips):
    backs = {item: clips[0].returns(item) for item in clips[0].begins()}
    item, frame = next((i, t) for i, t in backs.items() if t is not None)
    pixels = clips[0].pixels(item)
    assert (pixels[frame - track_suite.GONE : frame] < track_suite.FEWEST_PIXELS).all()
    assert (pixels[frame : frame + track_suite.BACK] >= track_suite.FEWEST_PIXELS).all()


def test_only_what_is_seen_belongs_to_a_mask(clips):
    for clip in clips:
        masks = [clip.mask(item, 3) for item in clip.items]
        assert (np.sum(masks, axis=0) <= 1).all()


def test_true_masks_have_the_highest_figures():
    truth = squares((3, 4), (5, 6), (7, 8))
    assert track_metrics.j_and_f(truth, truth) == (1.0, 1.0)
    assert hota_of([truth, squares((40, 4), (41, 6), (42, 8))], [truth])["ass_a"] == 1.0


def test_a_mask_that_is_too_large_by_a_pixel_costs_region_but_no_outline():
    truth, found = squares((10, 10)), squares((10, 10))
    found[0][18, 10:18] = True
    assert track_metrics.j_and_f(found, truth) == (pytest.approx(8 / 9), 1.0)


def test_a_lost_object_counts_nothing():
    truth, nothing = squares((3, 4)), [np.zeros((40, 60), bool)]
    assert track_metrics.j_and_f(nothing, truth) == (0.0, 0.0)
    assert track_metrics.j_and_f(nothing, nothing) == (1.0, 1.0)


def test_exchanged_identities_cost_association_alone():
    a, b = squares(*[(3, 4)] * 4), squares(*[(40, 20)] * 4)
    figures = hota_of([a, b], [a[:2] + b[2:], b[:2] + a[2:]])
    assert figures["det_a"] == 1.0
    # Of a pair, 2 of 4 + 4 - 2 frames are shared.
    assert figures["ass_a"] == pytest.approx(1 / 3)
    assert figures["hota"] == pytest.approx(np.sqrt(1 / 3))


def test_pairs_have_the_largest_sum():
    scores = np.array([[0.9, 0.8], [0.8, 0.1], [0.0, 0.0]])
    assert track_metrics.best_pairs(scores) == [(0, 1), (1, 0)]
