// upload.js - files onto the server: chosen or dropped, with progress and what the server says of each.

import {openDialog} from "./dialog.js";
import {byId, formatSize, h, icon, plural, tell} from "./dom.js";
import {state, titleOf} from "./state.js";

const FILE_MAX = 64 * 1024 * 1024; // as the server has it

export const chooseFiles = () => byId("files").click();

byId("files").addEventListener("change", (event) => {
  const files = [...event.target.files];
  event.target.value = ""; // so that the same file can be chosen again
  if (files.length) {
    uploadFiles(files);
  }
});

// One after the other: what comes later may need what came before.
export async function uploadFiles(files) {
  const denied = state.denied("createArtifact");
  if (denied) {
    tell(`Not uploaded: ${denied}.`, true);
    return;
  }
  const lines = files.map((file) => {
    const bar = h("progress", {max: file.size || 1, value: 0, "aria-label": `Progress of ${file.name}`});
    const result = h("span.result", {role: "status"}, formatSize(file.size));
    return {file, bar, result, element: h("li.upload", {}, h("span.name", {}, file.name), bar, result)};
  });
  let stopped = false;
  const summary = h("p", {id: "upload-summary", role: "status"}, `Uploading ${plural(files.length, "file")}…`);
  openDialog({title: "Upload", id: "upload-dialog", size: "wide", body: [summary, h("ul.uploads", {},
    lines.map((line) => line.element))], buttons: [{text: "Close", id: "upload-close"}], onclose: () => {
    stopped = true;
  }});
  let done = 0;
  let refused = 0;
  for (const line of lines) {
    if (stopped) {
      break;
    }
    try {
      if (line.file.size > FILE_MAX) {
        throw new Error(`It has ${formatSize(line.file.size)}; an artifact may have ${formatSize(FILE_MAX)}.`);
      }
      const {object, existed} = await state.upload(line.file, (sent) => {
        line.bar.value = sent;
      });
      line.bar.value = line.bar.max;
      line.element.classList.add("good");
      line.result.replaceChildren(icon("good"), existed ? `${titleOf(object)} is there already, with the same content` :
        titleOf(object));
      done++;
    } catch (error) {
      line.element.classList.add("bad");
      line.result.replaceChildren(icon("bad"), error.message);
      refused++;
    }
  }
  summary.textContent = `${plural(done, "file")} uploaded${refused ? `, ${refused} refused` : ""}.` +
    (done ? " Store makes them count." : "");
  if (done) {
    await state.quietly(() => state.afterChange());
  }
}
