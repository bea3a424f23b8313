import assert from "node:assert/strict";
import { test } from "node:test";
import { History } from "../src/history";

test("undo and redo go back and forth over values", () => {
  const history = new History("a");
  assert.equal(history.undo(), false);
  history.set("b");
  history.set("c");
  assert.ok(history.undo() && history.undo());
  assert.equal(history.value, "a");
  assert.equal(history.canUndo, false);
  assert.ok(history.redo());
  assert.equal(history.value, "b");
});

test("a new value ends what could be redone", () => {
  const history = new History("a");
  history.set("b");
  history.undo();
  history.set("c");
  assert.equal(history.redo(), false);
  assert.ok(history.undo());
  assert.equal(history.value, "a");
});

test("typing into one field is one step", () => {
  const history = new History("");
  for (const text of ["r", "re", "red"]) history.set(text, "field 1");
  history.set("x", "field 2");
  history.undo();
  assert.equal(history.value, "red");
  history.undo();
  assert.equal(history.value, "");
});

test("a settled group is not continued", () => {
  const history = new History("");
  history.set("red", "field 1");
  history.settle();
  assert.equal(history.inGroup, false);
  history.set("red circle", "field 1");
  history.undo();
  assert.equal(history.value, "red");
});

test("old steps are forgotten beyond the limit", () => {
  const history = new History(0, 3);
  for (let value = 1; value <= 5; ++value) history.set(value);
  while (history.undo());
  assert.equal(history.value, 2);
});
