// Downloads, made in the page from what is shown.
import { strToU8, zipSync, type Zippable } from "fflate";
import { categoriesOf, toCoco, type ImageResults } from "./coco";
import { paint } from "./paint";
import { maskOf, nameOf, type Found } from "./results";
import type { Item, State } from "./state";
import { yoloLine, yoloNames } from "./yolo";

/** Hands a file to the person. */
export function save(content: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A file's name without its ending, and without what file systems do not like. */
export function stemOf(name: string): string {
  return name.replace(/\.[^.]*$/, "").replace(/[^\p{L}\p{N}._-]+/gu, "_") || "image";
}

export class Exports {
  constructor(
    private readonly state: State,
    private readonly settled: (item: Item) => boolean,
    private readonly report: (message: string) => void,
  ) {}

  coco(): void {
    const { images, names } = this.images();
    if (images.length === 0) return;
    save(new Blob([JSON.stringify(toCoco(images, names), null, 1)], { type: "application/json" }), "annotations.json");
  }

  yolo(): void {
    const { images, names } = this.images();
    if (images.length === 0) return;
    const categories = categoriesOf(images, names);
    const files: Zippable = { "data.yaml": strToU8(yoloNames(categories)) };
    for (const image of images) {
      const lines = image.found.map((one) => yoloLine(categories.indexOf(one.name), maskOf(one.rle)));
      files[`labels/${stemOf(image.name)}.txt`] = strToU8(lines.filter((line) => line !== null).map((line) => `${line}\n`).join(""));
    }
    saveZip(files, "yolo.zip");
  }

  /** Each mask as an image of the size of its own: white inside, black outside. */
  async masks(): Promise<void> {
    const { images } = this.images();
    const files: Zippable = {};
    for (const { name, found } of images) {
      let number = 0;
      for (const one of found) {
        const path = `${stemOf(name)}/${String(++number).padStart(3, "0")}_${stemOf(one.name)}.png`;
        files[path] = [await maskPng(one), { level: 0 }];
      }
    }
    if (Object.keys(files).length === 0) this.report("There are no masks to download yet.");
    else saveZip(files, "masks.zip");
  }

  /** The image that is looked at, with its masks. */
  async overlay(): Promise<void> {
    const item = this.state.current;
    if (item === null) return;
    const canvas = document.createElement("canvas");
    canvas.width = item.width;
    canvas.height = item.height;
    const context = canvas.getContext("2d")!;
    if (item.pixels !== null) context.drawImage(item.pixels, 0, 0, item.width, item.height);
    for (const one of this.state.found) {
      const painted = paint(one);
      if (painted) context.drawImage(painted.canvas, painted.x, painted.y, painted.width, painted.height);
    }
    const frame = item.tracks?.frames[item.tracks.position]?.frame;
    save(await png(canvas), `${stemOf(item.name)}${frame === undefined ? "" : `_${frame}`}_masks.png`);
  }

  /** The lines of a video as the server sent them. */
  lines(): void {
    const item = this.state.current;
    if (!item?.tracks) {
      this.report("Track the video first.");
      return;
    }
    save(new Blob([item.tracks.lines.map((line) => `${line}\n`).join("")], { type: "application/x-ndjson" }), `${stemOf(item.name)}.jsonl`);
  }

  /** Every image whose results are there, each under a name of its own. */
  private images(): { images: ImageResults[]; names: string[] } {
    const wanted = this.state.items.filter((item) => item.kind === "image" && this.state.asks(item));
    const done = wanted.filter(this.settled);
    if (wanted.length === 0) this.report("There is nothing to download yet: say what to look for first.");
    else if (done.length < wanted.length) this.report(`${wanted.length - done.length} of ${wanted.length} images are not done yet and were left out.`);
    const used = new Set<string>();
    const images = done.map((item) => ({ name: freeName(item.name, used), width: item.width, height: item.height, found: this.state.foundOnItem(item) }));
    const names = this.state.concepts.filter((one) => one.text.trim() !== "" || images.some((image) => image.found.some((found) => found.source.kind === "concept" && found.source.id === one.id)));
    return { images, names: names.map(nameOf) };
  }
}

/** A name whose stem is not used yet, because labels and masks are named by it. */
export function freeName(name: string, used: Set<string>): string {
  const ending = /\.[^.]*$/.exec(name)?.[0] ?? "";
  const stem = name.slice(0, name.length - ending.length);
  for (let number = 1; ; ++number) {
    const free = number === 1 ? name : `${stem}_${number}${ending}`;
    if (used.has(stemOf(free))) continue;
    used.add(stemOf(free));
    return free;
  }
}

async function maskPng(found: Found): Promise<Uint8Array> {
  const mask = maskOf(found.rle);
  const canvas = document.createElement("canvas");
  canvas.width = mask.width;
  canvas.height = mask.height;
  const context = canvas.getContext("2d")!;
  context.fillStyle = "#000000";
  context.fillRect(0, 0, mask.width, mask.height);
  context.fillStyle = "#ffffff";
  mask.forEachColumn((x, top, bottom) => context.fillRect(x, top, 1, bottom - top));
  return new Uint8Array(await (await png(canvas)).arrayBuffer());
}

function png(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("This browser cannot make a PNG of that size."))), "image/png");
  });
}

function saveZip(files: Zippable, name: string): void {
  save(new Blob([zipSync(files)], { type: "application/zip" }), name);
}
