// The server's routes, and its errors in plain words.
import type { ImageEntry, ModelInfo, ObjectRequest, PromptRequest } from "./types";

/** What went wrong, in words for a person. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }
}

export interface Features {
  features: string;
  width: number;
  height: number;
}

const kTokenKey = "sam3trt.token";
/** How often a busy server is asked again. */
const kTries = 4;

export function token(): string {
  return sessionStorage.getItem(kTokenKey) ?? "";
}

export function setToken(value: string): void {
  if (value === "") sessionStorage.removeItem(kTokenKey);
  else sessionStorage.setItem(kTokenKey, value);
}

export function address(path: string): string {
  return new URL(path, document.baseURI).href;
}

export class Api {
  /** `askToken` is called when the server wants one; it ends when there is a new one, or null when the person gave up. */
  constructor(
    private readonly askToken: (wrong: boolean) => Promise<string | null>,
    private readonly busy: (seconds: number) => void,
  ) {}

  model(): Promise<ModelInfo> {
    return this.json("v1/model", {});
  }

  features(file: Blob, signal?: AbortSignal): Promise<Features> {
    const type = file.type.startsWith("image/") ? file.type : "image/*";
    return this.json("v1/features", { method: "POST", body: file, headers: { "Content-Type": type }, ...withSignal(signal) });
  }

  async infer(features: string, prompts: PromptRequest[], threshold: number, signal?: AbortSignal): Promise<ImageEntry> {
    const body = { image: { features }, prompts, threshold };
    return firstImage(await this.post("v1/infer", body, signal));
  }

  async objects(features: string, objects: ObjectRequest[], signal?: AbortSignal): Promise<ImageEntry> {
    return firstImage(await this.post("v1/objects", { image: { features }, objects }, signal));
  }

  /** Calls back with each line as it comes. */
  async video(file: File, request: object, line: (text: string) => void, signal: AbortSignal): Promise<void> {
    const form = new FormData();
    form.append("video", file, file.name);
    form.append("request", JSON.stringify(request));
    const response = await this.send("v1/videos", { method: "POST", body: form, signal });
    if (response.body === null) throw new ApiError(0, "empty", "The server's answer was empty.");
    let rest = "";
    try {
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        const lines = (rest + part.value).split("\n");
        rest = lines.pop() ?? "";
        lines.filter((one) => one.trim() !== "").forEach(line);
      }
      if (rest.trim() !== "") line(rest);
    } catch (error) {
      // A line that is cut off is not JSON; a connection that is cut off is a TypeError.
      if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
      throw new ApiError(0, "broke_off", "The server's answer broke off. What has come so far is kept.");
    }
  }

  private post(path: string, body: object, signal?: AbortSignal): Promise<{ images: ImageEntry[] }> {
    const headers = { "Content-Type": "application/json" };
    return this.json(path, { method: "POST", body: JSON.stringify(body), headers, ...withSignal(signal) });
  }

  private async json<T>(path: string, init: RequestInit): Promise<T> {
    const response = await this.send(path, init);
    try {
      return (await response.json()) as T;
    } catch (error) {
      if (isAbort(error)) throw error;
      throw new ApiError(response.status, "not_json", "The server's answer could not be read. Is this address the one of sam3trt serve?");
    }
  }

  /** The answer of a request that went well; waits for a busy server and asks for a token where one is missing. */
  private async send(path: string, init: RequestInit): Promise<Response> {
    for (let tried = 1; ; ++tried) {
      const sent = token();
      const headers = new Headers(init.headers);
      if (sent !== "") headers.set("Authorization", `Bearer ${sent}`);
      const response = await this.fetch(path, { ...init, headers });
      if (response.ok) return response;
      const error = await errorOf(response);
      if (error.status === 401) {
        // Another request may have got a new one in the meantime.
        if (token() !== sent) continue;
        const given = await this.askToken(sent !== "");
        if (given === null) throw error;
        continue;
      }
      if ((error.status === 503 || error.status === 429) && error.retryAfter !== null && tried < kTries) {
        this.busy(error.retryAfter);
        await wait(error.retryAfter * 1000, init.signal ?? null);
        continue;
      }
      throw error;
    }
  }

  private async fetch(path: string, init: RequestInit): Promise<Response> {
    try {
      return await fetch(address(path), init);
    } catch (error) {
      if (isAbort(error)) throw error;
      throw new ApiError(0, "no_answer", "The server does not answer. Is it still running, and is the network there?");
    }
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

function withSignal(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

function firstImage(document: { images: ImageEntry[] }): ImageEntry {
  const image = document.images[0];
  if (image === undefined) throw new ApiError(200, "empty", "The server's answer holds no image.");
  if (image.error !== undefined) throw new ApiError(200, "image", image.error);
  return image;
}

async function errorOf(response: Response): Promise<ApiError> {
  const after = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  const retry = Number.isFinite(after) ? Math.max(after, 1) : null;
  let code = "http";
  let message = "";
  try {
    const body = (await response.json()) as { error?: { code?: string; message?: string } };
    code = body.error?.code ?? code;
    message = body.error?.message ?? "";
  } catch (error) {
    if (isAbort(error)) throw error;
  }
  return new ApiError(response.status, code, inWords(response.status, message), retry);
}

/** The server's own sentence, after what it means for the person. */
export function inWords(status: number, message: string): string {
  const meaning: Record<number, string> = {
    401: "The server wants an access token.",
    403: "The server does not allow this.",
    404: "The server does not know this.",
    413: "This is too large for the server.",
    415: "The server cannot read this file.",
    429: "Too many requests from here; wait a moment.",
    501: "This model cannot do that.",
    503: "The server is busy; try again in a moment.",
  };
  const first = meaning[status] ?? (status >= 500 ? "Something went wrong on the server." : "");
  return [first, sentence(message)].filter((part) => part !== "").join(" ") || `The server answered ${status}.`;
}

function sentence(text: string): string {
  if (text === "") return "";
  const upper = text[0]!.toUpperCase() + text.slice(1);
  return /[.!?]$/.test(upper) ? upper : `${upper}.`;
}

function wait(ms: number, signal: AbortSignal | null): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("aborted", "AbortError"));
    });
  });
}
