// Shortcuts. They rest while text is typed or a dialog is open.
import { isTyping } from "./dom";

/** What the help says; the page's texts name the same keys. */
export const kShortcuts: { keys: string[]; what: string }[] = [
  { keys: ["V"], what: "Move: drag the image, click a mask to select it" },
  { keys: ["B"], what: "Example: drag a box around something to find all that is like it" },
  { keys: ["O"], what: "Object: click on an object, or drag a box around it" },
  { keys: ["Alt", "right button"], what: "Not this: an example to leave out, a place that is not the object" },
  { keys: ["X"], what: "Switch between this and not this" },
  { keys: ["N"], what: "Next object: the next click begins a new one" },
  { keys: ["T"], what: "A new text" },
  { keys: ["Delete"], what: "Remove what is selected" },
  { keys: ["Ctrl+Z"], what: "Undo" },
  { keys: ["Ctrl+Y", "Ctrl+Shift+Z"], what: "Redo" },
  { keys: ["Wheel", "+", "-"], what: "Zoom" },
  { keys: ["0"], what: "The whole image" },
  { keys: ["Space"], what: "Hold and drag: move the image with any tool" },
  { keys: ["Arrow keys"], what: "On the image: move the cross" },
  { keys: ["Enter"], what: "On the image: click at the cross, or set a corner of a box" },
  { keys: ["[", "]"], what: "The image before, the next one" },
  { keys: ["P"], what: "Play or pause the video" },
  { keys: [",", "."], what: "One frame back, one on" },
  { keys: ["Esc"], what: "Give up what is being drawn, finish the object, select nothing" },
  { keys: ["?"], what: "This help" },
];

/** Calls the action of a key. Names are those of KeyboardEvent.key, "Ctrl+" before them; letters small. */
export function listenToKeys(actions: Record<string, () => void>): void {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    const control = event.ctrlKey || event.metaKey;
    if (event.altKey && !control) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const name = control ? `Ctrl+${event.shiftKey ? "Shift+" : ""}${key}` : key;
    // Fields keep the keys that text is edited with; undo there is the page's as well, so that it is one history.
    if (isTyping(event.target) && key !== "Escape" && !(control && ["z", "y"].includes(key))) return;
    // Buttons and sliders keep Space, Enter and the keys that move them.
    if (key === " " && event.target instanceof HTMLElement && event.target.matches("button, summary, input, a")) return;
    const action = actions[name];
    if (action === undefined) return;
    event.preventDefault();
    action();
  });
}
