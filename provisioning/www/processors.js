// processors.js - resource processors: bundles that agents need to take configurations in; they link themselves.

import {askRemove} from "./changes.js";
import {openDialog} from "./dialog.js";
import {h, iconButton} from "./dom.js";
import {openObject} from "./edit.js";
import {isProcessor, state, titleOf} from "./state.js";
import {chooseFiles} from "./upload.js";

export function openProcessors() {
  const list = h("div", {id: "processor-list"});
  const show = () => {
    const found = [...state.objects.artifact.values()].filter(isProcessor);
    const used = new Map();
    for (const object of state.objects.artifact.values()) {
      if (object.attributes.processorPid) {
        used.set(object.attributes.processorPid, (used.get(object.attributes.processorPid) || 0) + 1);
      }
    }
    const missing = [...used.keys()].filter((pid) => !found.some((object) =>
      object.attributes["Deployment-ProvidesResourceProcessor"] === pid) && pid !== "org.inaetics.rp.configuration");
    list.replaceChildren(found.length ? h("ul.links", {}, found.map((object) => {
      const pid = object.attributes["Deployment-ProvidesResourceProcessor"];
      const edit = iconButton("edit", `Open ${titleOf(object)}`, () => openObject("artifact", object.definition));
      const bin = iconButton("remove", `Delete ${titleOf(object)}`, () => askRemove("artifact",
        [{key: object.definition, object}]), state.denied("removeArtifact"));
      edit.tabIndex = bin.tabIndex = 0;
      return h("li", {}, h("span.name", {}, titleOf(object)), h("code", {}, pid), h("span.muted", {},
        `${used.get(pid) || 0} configurations`), edit, bin);
    })) : h("p.muted", {}, "There are none."), missing.length ? h("div.notice.error", {}, "Configurations need processors " +
      `that are not here: ${missing.join(", ")}. Targets that are to have them cannot be approved.`) : "");
  };
  show();
  const again = () => (list.isConnected ? show() : state.removeEventListener("objects", again));
  openDialog({title: "Resource processors", size: "wide", id: "processors-dialog", body: [h("p.muted", {},
    "A configuration names the processor that takes it in. The newest version of that goes to each target that gets such " +
    "a configuration, by itself."), list], buttons: [{text: "Upload…", reason: state.denied("createArtifact"),
    action: () => {
      setTimeout(chooseFiles);
    }}, {text: "Close"}]});
  state.addEventListener("objects", again);
}
