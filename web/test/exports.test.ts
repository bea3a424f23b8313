import assert from "node:assert/strict";
import { test } from "node:test";
import { toCoco } from "../src/coco";
import { quote, toCurl } from "../src/curl";
import { freeName, stemOf } from "../src/exports";
import { Mask } from "../src/rle";
import type { Found } from "../src/results";
import { join, outlines, simplify, yoloLine, yoloNames, type Point } from "../src/yolo";
import goldens from "./goldens.json";

const rle = (name: string) => {
  const golden = goldens.find((one) => one.name === name)!;
  return { size: golden.rle.size as [number, number], counts: golden.rle.counts };
};

/** Filled by the even-odd rule at the middles of the pixels. */
function fill(polygon: Point[], width: number, height: number): Uint8Array {
  const pixels = new Uint8Array(width * height);
  for (let y = 0; y < height; ++y) {
    for (let x = 0; x < width; ++x) {
      let inside = false;
      polygon.forEach(([x0, y0], index) => {
        const [x1, y1] = polygon[(index + 1) % polygon.length]!;
        if (y0 > y + 0.5 !== y1 > y + 0.5 && x + 0.5 < x0 + ((y + 0.5 - y0) / (y1 - y0)) * (x1 - x0)) inside = !inside;
      });
      pixels[y * width + x] = inside ? 1 : 0;
    }
  }
  return pixels;
}

function iou(a: Uint8Array, b: Uint8Array): number {
  let both = 0;
  let either = 0;
  a.forEach((value, index) => {
    both += value & b[index]!;
    either += value | b[index]!;
  });
  return either === 0 ? 1 : both / either;
}

for (const name of ["full", "last pixel", "ring", "parts"]) {
  test(`the polygon of "${name}" gives its mask again, holes and parts too`, () => {
    const mask = new Mask(rle(name));
    const polygon = join(outlines(mask));
    const filled = fill(polygon, mask.width, mask.height);
    const same = iou(filled, mask.unpack(0, 0, mask.width, mask.height));
    assert.ok(same > 0.97, `IoU ${same}`);
  });
}

test("a ring has an outline and a hole", () => {
  const rings = outlines(new Mask(rle("ring")));
  assert.equal(rings.length, 2);
  const around = 2 * Math.PI * 52;
  assert.ok(rings[0]!.length < around / 2, `simplified to ${rings[0]!.length} points`);
});

test("an empty mask has no line", () => {
  assert.equal(yoloLine(0, new Mask(rle("empty"))), null);
});

test("a line is the class and parts of the image", () => {
  const parts = yoloLine(3, new Mask(rle("ring")))!.split(" ").map(Number);
  assert.equal(parts[0], 3);
  assert.equal(parts.length % 2, 1);
  assert.ok(parts.slice(1).every((value) => value >= 0 && value <= 1));
});

test("simplifying keeps corners and drops what lies between them", () => {
  const square: Point[] = [[0, 0], [5, 0], [10, 0], [10, 5], [10, 10], [5, 10], [0, 10], [0, 5]];
  assert.deepEqual(simplify(square, 0.5).sort(), [[0, 0], [10, 0], [10, 10], [0, 10]].sort());
});

test("names with quotes are YAML", () => {
  assert.match(yoloNames(["dog", 'a "b": c']), /names:\n {2}0: "dog"\n {2}1: "a \\"b\\": c"\n/);
});

const found = (name: string, box: [number, number, number, number]): Found => ({
  key: name, name, source: { kind: "concept", id: 1 }, color: "#000000", score: 0.5, box, area: 20, rle: rle("full"),
});

test("COCO has each name once, boxes as x, y, width, height, and objects last", () => {
  const images = [
    { name: "a.jpg", width: 4, height: 5, found: [found("dog", [1, 2, 4, 5]), found("object", [0, 0, 1, 1])] },
    { name: "b.jpg", width: 4, height: 5, found: [found("cat", [0, 0, 2, 2])] },
  ];
  const coco = toCoco(images, ["dog", "cat", "dog"]) as { annotations: { image_id: number; category_id: number; bbox: number[] }[]; categories: object[]; images: object[] };
  assert.deepEqual(coco.categories, [{ id: 1, name: "dog" }, { id: 2, name: "cat" }, { id: 3, name: "object" }]);
  assert.deepEqual(coco.annotations.map(({ image_id, category_id, bbox }) => [image_id, category_id, bbox]), [
    [1, 1, [1, 2, 3, 3]],
    [1, 3, [0, 0, 1, 1]],
    [2, 2, [0, 0, 2, 2]],
  ]);
  assert.deepEqual(coco.images[1], { id: 2, file_name: "b.jpg", width: 4, height: 5 });
});

test("a command survives quotes and does not hold the token", () => {
  assert.equal(quote("it's"), `'it'\\''s'`);
  const text = toCurl({ url: "http://h/v1/infer", field: "image", file: `a "b".jpg`, request: { prompts: [{ text: "dog's" }] }, token: true });
  assert.equal(
    text,
    `curl 'http://h/v1/infer' \\\n  -H "Authorization: Bearer $SAM3TRT_TOKEN" \\\n  -F 'image=@"a \\"b\\".jpg"' \\\n  --form-string 'request={"prompts":[{"text":"dog'\\''s"}]}'`,
  );
});

test("files with one name get names of their own", () => {
  const used = new Set<string>();
  assert.deepEqual(["a.jpg", "a.jpg", "a.png", "b"].map((name) => freeName(name, used)), ["a.jpg", "a_2.jpg", "a_3.png", "b"]);
  assert.equal(stemOf("my photo/1.jpeg"), "my_photo_1");
  assert.equal(stemOf(".png"), "image");
});
