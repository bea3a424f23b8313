// The tool bar over the image.
import { byId } from "./dom";
import type { State } from "./state";
import type { Tool } from "./types";

const kTools: Tool[] = ["move", "example", "object"];

export function setUpTools(state: State, zoom: (change: "in" | "out" | "fit") => void): void {
  for (const tool of kTools) {
    byId<HTMLInputElement>(`tool-${tool}`).addEventListener("change", () => state.setTool(tool));
  }
  byId("negative").addEventListener("click", () => {
    state.negative = !state.negative;
    state.changed();
  });
  byId("zoom-in").addEventListener("click", () => zoom("in"));
  byId("zoom-out").addEventListener("click", () => zoom("out"));
  byId("zoom-fit").addEventListener("click", () => zoom("fit"));
  const render = (): void => {
    for (const tool of kTools) {
      const radio = byId<HTMLInputElement>(`tool-${tool}`);
      radio.checked = state.tool === tool;
    }
    byId<HTMLInputElement>("tool-example").disabled = !state.can("detect");
    byId<HTMLInputElement>("tool-object").disabled = !state.can("interact");
    const negative = byId<HTMLButtonElement>("negative");
    negative.disabled = state.tool === "move";
    negative.setAttribute("aria-pressed", String(state.negative));
  };
  state.listen(render);
  render();
}
