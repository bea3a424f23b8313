// The dialogs: help, token, command; and the line that says what went wrong.
import { setToken, token } from "./api";
import { byId, h, setText } from "./dom";
import { kShortcuts } from "./keyboard";

export class Message {
  private again: (() => void) | null = null;
  private timer = 0;

  constructor() {
    byId("message-again").addEventListener("click", () => {
      const { again } = this;
      this.hide();
      again?.();
    });
    byId("message-close").addEventListener("click", () => this.hide());
  }

  /** What went wrong, with a way to try again. */
  error(error: unknown, again: (() => void) | null = null): void {
    if (!(error instanceof Error)) throw error;
    this.show(error.message, "error", again);
  }

  /** A word that goes away by itself. */
  hint(text: string): void {
    this.show(text, "hint", null);
    this.timer = window.setTimeout(() => this.hide(), 7000);
  }

  hide(): void {
    byId("message").hidden = true;
  }

  private show(text: string, kind: string, again: (() => void) | null): void {
    clearTimeout(this.timer);
    this.again = again;
    const box = byId("message");
    box.className = kind;
    box.hidden = false;
    // A hint is polite; an error is said at once.
    setText(byId("message-text"), "");
    byId("message-text").setAttribute("role", kind === "error" ? "alert" : "status");
    setText(byId("message-text"), text);
    byId("message-again").hidden = again === null;
  }
}

export function openHelp(): void {
  const list = byId("shortcuts");
  if (list.childElementCount === 0) {
    for (const { keys, what } of kShortcuts) {
      const names = keys.flatMap((key, index) => [index > 0 ? " or " : null, h("kbd", {}, key)]);
      list.append(h("div", {}, h("dt", {}, ...names), h("dd", {}, what)));
    }
  }
  byId<HTMLDialogElement>("help").showModal();
}

export class TokenDialog {
  private waiting: Promise<string | null> | null = null;

  /** One dialog for all requests that wait for a token. */
  ask(wrong: boolean): Promise<string | null> {
    this.waiting ??= this.open(wrong).finally(() => (this.waiting = null));
    return this.waiting;
  }

  private open(wrong: boolean): Promise<string | null> {
    const dialog = byId<HTMLDialogElement>("token");
    const field = byId<HTMLInputElement>("token-field");
    field.value = token();
    setText(byId("token-wrong"), wrong ? "The server does not accept this token." : "");
    dialog.returnValue = "";
    dialog.showModal();
    field.select();
    return new Promise((resolve) => {
      dialog.addEventListener(
        "close",
        () => {
          const value = field.value.trim();
          field.value = "";
          if (dialog.returnValue !== "use" || value === "") {
            resolve(null);
            return;
          }
          setToken(value);
          resolve(value);
        },
        { once: true },
      );
    });
  }
}

export function openCommand(text: string): void {
  const field = byId<HTMLTextAreaElement>("command-text");
  field.value = text;
  setText(byId("command-done"), "");
  byId<HTMLDialogElement>("command").showModal();
  field.select();
  field.scrollTop = 0;
}

/** Buttons of the command dialog. The clipboard is only there on https and localhost; selecting works everywhere. */
export function setUpCommand(): void {
  byId("command-copy").addEventListener("click", () => {
    const field = byId<HTMLTextAreaElement>("command-text");
    field.select();
    const done = (): void => setText(byId("command-done"), "Copied.");
    const fallback = (): void => setText(byId("command-done"), document.execCommand("copy") ? "Copied." : "Press Ctrl+C to copy.");
    if (navigator.clipboard) navigator.clipboard.writeText(field.value).then(done, fallback);
    else fallback();
  });
}
