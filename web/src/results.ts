// What was found on one image, as the page shows and exports it.
import { Mask } from "./rle";
import type { Asked, Box, Concept, ImageEntry, Instance, ObjectRequest, Pointed, PromptRequest, PromptResult, Rle } from "./types";

/** One thing that was found. */
export interface Found {
  /** Names it among all results of the image, also after the next request. */
  key: string;
  /** What it is called: the text, "visual" for examples without a text, "object" for clicks. */
  name: string;
  /** Of the concept or the object that found it. */
  source: { kind: "concept" | "object"; id: number };
  color: string;
  score: number;
  box: Box;
  area: number;
  rle: Rle;
}

export const kVisual = "visual";
export const kObject = "object";

/** The prompt that a concept makes on an image; null when it asks for nothing there. */
export function promptOf(concept: Concept, asked: Asked): PromptRequest | null {
  const examples = asked.examples.filter((example) => example.concept === concept.id);
  const text = concept.text.trim();
  if (text === "" && examples.length === 0) return null;
  const prompt: PromptRequest = {};
  if (text !== "") prompt.text = text;
  if (examples.length > 0) {
    prompt.boxes = examples.map((example) => example.box);
    prompt.box_labels = examples.map((example) => (example.positive ? 1 : 0));
  }
  return prompt;
}

/** What the server is asked about an object; null while nothing points at it. */
export function objectOf(object: Pointed): ObjectRequest | null {
  if (object.clicks.length === 0 && object.box === null) return null;
  const request: ObjectRequest = { id: object.id };
  if (object.clicks.length > 0) {
    request.points = object.clicks.map((click) => [click.x, click.y]);
    request.point_labels = object.clicks.map((click) => (click.positive ? 1 : 0));
  }
  if (object.box !== null) request.box = object.box;
  return request;
}

export function nameOf(concept: Concept): string {
  return concept.text.trim() || kVisual;
}

const masks = new WeakMap<Rle, Mask>();

/** The mask of run lengths, decoded once. */
export function maskOf(rle: Rle): Mask {
  let mask = masks.get(rle);
  if (mask === undefined) {
    mask = new Mask(rle);
    masks.set(rle, mask);
  }
  return mask;
}

/** What is known of an image: answers by the prompt they answer. */
export interface Answers {
  prompts: Map<string, PromptResult>;
  objects: { key: string; entry: ImageEntry } | null;
}

/** Everything found on an image with at least this score, without what was removed. Scores of objects are not held against the threshold. */
export function foundOn(concepts: Concept[], asked: Asked, answers: Answers, threshold: number): Found[] {
  const found: Found[] = [];
  const removed = new Set(asked.removed);
  for (const concept of concepts) {
    const prompt = promptOf(concept, asked);
    const result = prompt && answers.prompts.get(JSON.stringify(prompt));
    if (!result) continue;
    result.instances.forEach((instance, index) => {
      const key = `${JSON.stringify(prompt)}#${index}`;
      if (instance.score < threshold || removed.has(key)) return;
      found.push(entry(key, nameOf(concept), { kind: "concept", id: concept.id }, concept.color, instance));
    });
  }
  for (const object of asked.objects) {
    const result = answers.objects?.entry.objects?.find((one) => one.id === object.id);
    if (!result || objectOf(object) === null) continue;
    // Boxes of objects name the last column and row; here boxes end after them, as those of concepts do.
    const box: Box = [result.box[0], result.box[1], result.box[2] + 1, result.box[3] + 1];
    found.push(entry(`object ${object.id}`, kObject, { kind: "object", id: object.id }, object.color, { ...result, box }));
  }
  return found;
}

function entry(key: string, name: string, source: Found["source"], color: string, instance: Instance): Found {
  return { key, name, source, color, score: instance.score, box: instance.box, area: instance.area, rle: instance.mask };
}
