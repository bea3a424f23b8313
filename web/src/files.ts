// Opens what was dropped, pasted or chosen.
import type { Item, State } from "./state";

/** How long a browser may take to show the first frame of a video. */
const kVideoMs = 8000;

export class Files {
  constructor(
    private readonly state: State,
    private readonly report: (message: string) => void,
  ) {}

  /** Opens files one after the other and shows the first of them. */
  async open(files: Iterable<File>): Promise<void> {
    let first: Item | null = null;
    for (const file of files) {
      const item = await this.openOne(file);
      if (item === null) continue;
      if (first === null) this.state.show(item);
      first ??= item;
    }
  }

  private async openOne(file: File): Promise<Item | null> {
    if (isVideo(file)) return this.openVideo(file);
    try {
      const pixels = await createImageBitmap(file, { imageOrientation: "from-image" });
      return this.state.addItem({ kind: "image", file, name: file.name, width: pixels.width, height: pixels.height, pixels });
    } catch {
      const name = file.name || "what was pasted";
      this.report(`${name} could not be opened: this browser does not know it as an image. JPEG, PNG and WebP always work.`);
      return null;
    }
  }

  /** A video that the browser cannot show is tracked all the same; its results are shown without the frames. */
  private async openVideo(file: File): Promise<Item> {
    const video = document.createElement("video");
    video.muted = true;
    video.playsInline = true;
    video.preload = "auto";
    video.src = URL.createObjectURL(file);
    const shown = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), kVideoMs);
      const done = (ok: boolean) => () => {
        clearTimeout(timer);
        resolve(ok && video.videoWidth > 0);
      };
      video.addEventListener("loadeddata", done(true), { once: true });
      video.addEventListener("error", done(false), { once: true });
    });
    if (!shown) {
      URL.revokeObjectURL(video.src);
      this.report(`This browser cannot show ${file.name}. It can be tracked with texts all the same; masks are then shown without the frames.`);
      return this.state.addItem({ kind: "video", file, name: file.name, width: 640, height: 360, pixels: null });
    }
    video.width = video.videoWidth;
    video.height = video.videoHeight;
    return this.state.addItem({ kind: "video", file, name: file.name, width: video.videoWidth, height: video.videoHeight, pixels: video });
  }
}

export function isVideo(file: File): boolean {
  return file.type.startsWith("video/") || /\.(mp4|m4v|mov|webm|mkv|avi|mpe?g|ts)$/i.test(file.name);
}
