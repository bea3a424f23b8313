import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeRuns, Mask } from "../src/rle";
import goldens from "./goldens.json";

const rleOf = (golden: (typeof goldens)[number]) => ({ size: golden.rle.size as [number, number], counts: golden.rle.counts });

for (const golden of goldens) {
  test(`the mask "${golden.name}" is the one that pycocotools encoded`, () => {
    const mask = new Mask(rleOf(golden));
    assert.equal(mask.area, golden.area);
    const bounds = mask.bounds();
    const [x, y, width, height] = golden.box as [number, number, number, number];
    assert.deepEqual(bounds, golden.area === 0 ? null : { x0: x, y0: y, x1: x + width, y1: y + height });
    if (!golden.rows) return;
    const rows = golden.rows.map((_, at) => Array.from({ length: mask.width }, (_, column) => (mask.has(column, at) ? "#" : ".")).join(""));
    assert.deepEqual(rows, golden.rows);
    const pixels = mask.unpack(0, 0, mask.width, mask.height);
    assert.equal([...pixels].map((inside) => (inside ? "#" : ".")).join(""), golden.rows.join(""));
  });
}

test("a part of a mask is unpacked", () => {
  const golden = goldens.find((one) => one.name === "noise")!;
  const pixels = new Mask(rleOf(golden)).unpack(2, 3, 7, 8);
  const rows = golden.rows!.slice(3, 8).map((row) => row.slice(2, 7));
  assert.equal([...pixels].map((inside) => (inside ? "#" : ".")).join(""), rows.join(""));
});

test("nothing outside the image is inside a mask", () => {
  const mask = new Mask({ size: [2, 2], counts: "04" });
  assert.equal(mask.area, 4);
  for (const [x, y] of [
    [-1, 0],
    [0, -1],
    [2, 0],
    [0, 2],
  ] as const)
    assert.equal(mask.has(x, y), false);
});

test("run lengths that do not fit are refused", () => {
  for (const counts of ["03", "05", "0", "", "0o", "0\u00e9", "P"]) {
    assert.throws(() => decodeRuns({ size: [2, 2], counts }), /run lengths/, JSON.stringify(counts));
  }
});
