// Puts the parts of the page together.
import { Api, address, token } from "./api";
import { Canvas } from "./canvas";
import { toCurl } from "./curl";
import { Message, openCommand, openHelp, setUpCommand, TokenDialog } from "./dialogs";
import { byId, setText } from "./dom";
import { Exports } from "./exports";
import { Files } from "./files";
import { fillIcons } from "./icons";
import { listenToKeys } from "./keyboard";
import { List } from "./list";
import { Panel } from "./panel";
import { Player } from "./player";
import { Pointer } from "./pointer";
import { objectOf, promptOf } from "./results";
import { State, type Item } from "./state";
import { Strip } from "./strip";
import { Timeline } from "./timeline";
import { setUpTools } from "./tools";
import { View } from "./view";
import { Work } from "./work";

fillIcons(document);

const state = new State();
const view = new View();
const message = new Message();
const tokens = new TokenDialog();
const api = new Api(
  (wrong) => tokens.ask(wrong),
  (seconds) => message.hint(`The server is busy; the page asks again in ${seconds} s.`),
);
const report = (error: unknown, again: () => void): void => message.error(error, again);
const hint = (text: string): void => message.hint(text);
const stage = byId("stage");
const canvas = new Canvas(stage, state, view);
const pointer = new Pointer(stage, state, view, canvas, hint);
const work = new Work(state, api, report);
const player = new Player(state, api, () => canvas.moved(), report);
const files = new Files(state, (text) => message.error(new Error(text)));
const exports = new Exports(state, (item) => work.settled(item), hint);
const panel = new Panel(state, () => work.now());
new List(state);
new Timeline(state, player);
new Strip(state, close);
setUpTools(state, (change) => {
  if (change === "fit") view.fit();
  else view.zoom(change === "in" ? 1.5 : 1 / 1.5);
  canvas.moved();
});
setUpCommand();
setUpFiles();
setUpActions();
setUpKeys();
state.listen(render);
render();
void connect();

function render(): void {
  const item = state.current;
  byId("empty").hidden = item !== null;
  stage.hidden = item === null;
  stage.setAttribute("aria-label", item ? `${item.name}: ${state.found.length} found. Arrow keys move the cross, Enter clicks there.` : "No image");
  stage.dataset["tool"] = state.tool;
  stage.classList.toggle("negative", state.negative);
  setText(byId("status"), state.doing);
  byId("status").classList.toggle("busy", state.doing !== "");
  byId<HTMLButtonElement>("undo").disabled = !state.history.canUndo;
  byId<HTMLButtonElement>("redo").disabled = !state.history.canRedo;
  byId("image-downloads").hidden = item?.kind === "video";
  byId("video-downloads").hidden = item?.kind !== "video";
  byId<HTMLButtonElement>("copy-command").disabled = item === null || !state.asks(item);
}

async function connect(): Promise<void> {
  try {
    state.model = await api.model();
    const { name, backend } = state.model;
    setText(byId("model"), [name, backend].filter((part) => part).join(" · "));
    state.changed();
  } catch (error) {
    message.error(error, () => void connect());
  }
}

function close(item: Item): void {
  if (player.tracking === item) player.stop();
  if (item.pixels instanceof HTMLVideoElement) {
    URL.revokeObjectURL(item.pixels.src);
    item.pixels.removeAttribute("src");
  }
  state.removeItem(item);
}

function setUpFiles(): void {
  const chooser = byId<HTMLInputElement>("chooser");
  for (const id of ["open", "open-empty"]) byId(id).addEventListener("click", () => chooser.click());
  chooser.addEventListener("change", () => {
    void opened([...(chooser.files ?? [])]);
    chooser.value = "";
  });
  document.addEventListener("paste", (event) => {
    const pasted = [...(event.clipboardData?.files ?? [])];
    if (pasted.length === 0) return;
    event.preventDefault();
    void opened(pasted);
  });
  let depth = 0;
  const over = (change: number): void => {
    depth = Math.max(depth + change, 0);
    document.body.classList.toggle("dropping", depth > 0);
  };
  document.addEventListener("dragenter", () => over(1));
  document.addEventListener("dragleave", () => over(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    over(-Infinity);
    void opened([...(event.dataTransfer?.files ?? [])]);
  });
}

async function opened(chosen: File[]): Promise<void> {
  message.hide();
  await files.open(chosen);
  // The server reads the image while the person thinks of what to ask.
  const item = state.current;
  if (item?.kind === "image" && item.features === null) work.upload(item).catch((error: unknown) => message.error(error, () => work.again()));
}

function setUpActions(): void {
  byId("undo").addEventListener("click", () => state.undo());
  byId("redo").addEventListener("click", () => state.redo());
  byId("help-open").addEventListener("click", openHelp);
  byId("copy-command").addEventListener("click", showCommand);
  const downloads: Record<string, () => void | Promise<void>> = {
    "download-coco": () => exports.coco(),
    "download-yolo": () => exports.yolo(),
    "download-masks": () => exports.masks(),
    "download-overlay": () => exports.overlay(),
    "download-lines": () => exports.lines(),
    "download-frame": () => exports.overlay(),
  };
  const menu = byId<HTMLDetailsElement>("downloads");
  for (const [id, action] of Object.entries(downloads)) {
    byId(id).addEventListener("click", () => {
      menu.open = false;
      Promise.resolve(action()).catch((error: unknown) => message.error(error));
    });
  }
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target as Node)) menu.open = false;
  });
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close("");
    });
  }
}

function showCommand(): void {
  const item = state.current;
  if (item === null) return;
  const common = { file: item.name, token: token() !== "" };
  if (item.kind === "video") {
    openCommand(toCurl({ ...common, url: address("v1/videos"), field: "video", request: player.request(item) ?? {} }));
    return;
  }
  const asked = state.asked;
  const prompts = state.concepts.map((concept) => promptOf(concept, asked)).filter((prompt) => prompt !== null);
  const objects = asked.objects.map(objectOf).filter((object) => object !== null);
  const commands = [];
  if (prompts.length > 0) commands.push(toCurl({ ...common, url: address("v1/infer"), field: "image", request: { prompts, threshold: state.threshold } }));
  if (objects.length > 0) commands.push(toCurl({ ...common, url: address("v1/objects"), field: "image", request: { objects } }));
  openCommand(commands.join("\n\n"));
}

function setUpKeys(): void {
  const next = (by: number) => () => {
    const index = state.current ? state.items.indexOf(state.current) + by : 0;
    const item = state.items[index];
    if (item) state.show(item);
  };
  const zoom = (factor: number) => () => {
    view.zoom(factor);
    canvas.moved();
  };
  listenToKeys({
    v: () => state.setTool("move"),
    b: () => state.can("detect") && state.setTool("example"),
    o: () => state.can("interact") && state.setTool("object"),
    x: () => byId("negative").click(),
    n: () => state.finishObject(),
    t: () => panel.addConcept(),
    Delete: () => state.removeSelected(),
    Backspace: () => state.removeSelected(),
    "Ctrl+z": () => state.undo(),
    "Ctrl+Shift+z": () => state.redo(),
    "Ctrl+y": () => state.redo(),
    "+": zoom(1.25),
    "=": zoom(1.25),
    "-": zoom(0.8),
    "0": () => {
      view.fit();
      canvas.moved();
    },
    " ": () => pointer.setSpace(true),
    "[": next(-1),
    "]": next(1),
    p: () => player.toggle(),
    ",": () => player.step(-1),
    ".": () => player.step(1),
    Escape: escape,
    "?": openHelp,
  });
}

function escape(): void {
  const menu = byId<HTMLDetailsElement>("downloads");
  if (menu.open) {
    menu.open = false;
    menu.querySelector("summary")?.focus();
  } else if (!pointer.cancel()) {
    state.finishObject();
    message.hide();
  }
}
