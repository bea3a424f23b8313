// A COCO data set, as `sam3trt infer --format coco` writes it.
import { kObject, type Found } from "./results";

export interface ImageResults {
  name: string;
  width: number;
  height: number;
  found: Found[];
}

/** `names` are the categories in their order; objects that were clicked come last, as "object". */
export function toCoco(images: ImageResults[], names: string[]): object {
  const all = categoriesOf(images, names);
  const annotations = images.flatMap((image, index) =>
    image.found.map((one) => ({
      image_id: index + 1,
      category_id: all.indexOf(one.name) + 1,
      bbox: [one.box[0], one.box[1], one.box[2] - one.box[0], one.box[3] - one.box[1]],
      area: one.area,
      segmentation: one.rle,
      score: one.score,
      iscrowd: 0,
    })),
  );
  return {
    images: images.map(({ name, width, height }, index) => ({ id: index + 1, file_name: name, width, height })),
    annotations: annotations.map((annotation, index) => ({ id: index + 1, ...annotation })),
    categories: all.map((name, index) => ({ id: index + 1, name })),
  };
}

/** The categories of an export: the names asked for, each once, and "object" where one was clicked. */
export function categoriesOf(images: ImageResults[], names: string[]): string[] {
  const all = [...new Set(names)];
  const clicked = images.some((image) => image.found.some((one) => one.name === kObject));
  if (clicked && !all.includes(kObject)) all.push(kObject);
  return all;
}
