import assert from "node:assert/strict";
import { test } from "node:test";
import { Tracks } from "../src/tracks";

const mask = { size: [2, 2], counts: "04" };
const object = (id: number, prompt: string | null, score = 0.9) => ({ id, prompt, score, object_score: 0.8, box: [0, 0, 1, 1], area: 4, mask });
const asked = { examples: [], objects: [{ id: 1, color: "#111111", clicks: [], box: null }], removed: [] as string[] };
const concepts = [{ id: 9, text: "dog", color: "#222222" }];

function filled(): Tracks {
  const tracks = new Tracks();
  const lines = [
    { version: 1, video: { width: 2, height: 2, frames: 4, fps: 10 } },
    { frame: 0, time: 0, objects: [object(1, null), object(2, "dog", 0.6)] },
    { frame: 1, time: 0.1, objects: [object(1, null)] },
    { frame: 2, time: 0.25, objects: [object(1, null), object(2, "dog", 0.6)] },
  ];
  for (const line of lines) tracks.add(JSON.stringify(line));
  return tracks;
}

test("an object that is lost and found again has two stretches", () => {
  const tracks = filled().all(concepts, asked, 0.5);
  assert.deepEqual(tracks.map(({ id, name, color, spans }) => ({ id, name, color, spans })), [
    { id: 1, name: "object", color: "#111111", spans: [[0, 2]] },
    { id: 2, name: "dog", color: "#161616", spans: [[0, 0], [2, 2]] },
  ]);
});

test("the threshold hides objects of texts, never clicked ones", () => {
  assert.deepEqual(filled().all(concepts, asked, 0.7).map((track) => track.id), [1]);
});

test("removed objects are not shown", () => {
  assert.deepEqual(filled().all(concepts, { ...asked, removed: ["track 1"] }, 0).map((track) => track.id), [2]);
});

test("a frame has what is on it", () => {
  assert.deepEqual(filled().foundAt(2, concepts, asked, 0).map(({ key, box }) => [key, box]), [
    ["track 1", [0, 0, 2, 2]],
    ["track 2", [0, 0, 2, 2]],
  ]);
  assert.deepEqual(filled().foundAt(9, concepts, asked, 0), []);
});

test("a time belongs to the last frame that has begun", () => {
  const tracks = filled();
  assert.deepEqual([0, 0.09, 0.1, 0.2, 0.25, 9].map((time) => tracks.positionAt(time)), [0, 0, 1, 1, 2, 2]);
});

test("the end of a stream that failed is told", () => {
  const tracks = filled();
  tracks.add(JSON.stringify({ error: { code: "internal", message: "the video breaks off" } }));
  assert.equal(tracks.error, "the video breaks off");
  assert.equal(tracks.frames.length, 3);
});

test("while frames come the total is the one of the header", () => {
  const tracks = filled();
  assert.equal(tracks.total, 4);
  tracks.done = true;
  assert.equal(tracks.total, 3);
});
