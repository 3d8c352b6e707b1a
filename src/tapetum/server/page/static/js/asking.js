// The query: pictures dropped, pasted or chosen go to the server at once; it answers with what it took them for.
import { announce, showProblem, showProblemText } from "./announcing.js";

const zone = () => document.querySelector("[data-drop]");
const byName = new Intl.Collator(undefined, { numeric: true });

function carriesFiles(transfer) {
  return transfer !== null && [...transfer.types].includes("Files");
}

function read(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

async function readFolder(folder) {
  const reader = folder.createReader();
  const found = [];
  for (;;) {
    // a reader hands out a folder in parts, the last of them empty
    const part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) break;
    found.push(...part);
  }
  found.sort((a, b) => byName.compare(a.name, b.name));
  return (await Promise.all(found.map(filesOf))).flat();
}

async function filesOf(entry) {
  if (entry.isDirectory) return readFolder(entry);
  return entry.name.startsWith(".") ? [] : [await read(entry)];
}

async function droppedFiles(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 0) return [...transfer.files];
  entries.sort((a, b) => byName.compare(a.name, b.name));
  return (await Promise.all(entries.map(filesOf))).flat();
}

function send(url, data, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.setRequestHeader("X-CSRF-Token", document.querySelector("meta[name=csrf-token]").content);
    request.setRequestHeader("HX-Request", "true");
    request.upload.addEventListener("progress", ({ loaded, total }) => {
      progress.value = total > 0 ? loaded / total : 0;
    });
    request.addEventListener("load", () => resolve(request));
    request.addEventListener("error", () => reject(new Error("The server does not answer.")));
    request.send(data);
  });
}

function asForm(place, files) {
  const data = new FormData();
  files.forEach((file) => data.append("files", file));
  const { kind, seen } = place.closest("form").elements;
  data.set("kind", kind.value);
  data.set("modality", seen.value);
  return data;
}

function show(request) {
  if (request.status === 401) {
    window.location.assign(`/login?next=${encodeURIComponent(window.location.pathname)}`);
    return;
  }
  if (request.status >= 400) {
    showProblem(request.responseText);
    return;
  }
  showProblem("");
  const list = document.querySelector("[data-queries]");
  list.querySelectorAll("[data-item-query]").forEach((card) => card.remove());
  list.insertAdjacentHTML("beforeend", request.responseText);
  list.dispatchEvent(new CustomEvent("tapetum:added", { bubbles: true }));
  announce(list.lastElementChild?.dataset.announce ?? "Pictures added to the query.");
}

async function upload(files) {
  const place = zone();
  if (!place || files.length === 0) return;
  const progress = place.querySelector("progress");
  progress.hidden = false;
  place.setAttribute("aria-busy", "true");
  try {
    show(await send(place.dataset.upload, asForm(place, files), progress));
  } catch (error) {
    showProblemText(error.message);
  } finally {
    progress.hidden = true;
    place.removeAttribute("aria-busy");
  }
}

function startDropping() {
  const mark = (on) => document.body.classList.toggle("dragging", on);
  document.addEventListener("dragover", (event) => {
    if (!zone() || !carriesFiles(event.dataTransfer)) return;
    event.preventDefault();
    mark(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) mark(false);
  });
  document.addEventListener("drop", (event) => {
    if (!zone() || !carriesFiles(event.dataTransfer)) return;
    event.preventDefault();
    mark(false);
    droppedFiles(event.dataTransfer).then(upload, () => showProblemText("What was dropped cannot be read."));
  });
}

/** Take pictures that are dropped anywhere, pasted, or chosen; take them away again. */
export function startAsking() {
  startDropping();
  document.addEventListener("paste", (event) => upload([...(event.clipboardData?.files ?? [])]));
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-drop] input[type=file]")) return;
    const files = [...event.target.files].sort((a, b) => byName.compare(a.name, b.name));
    event.target.value = "";
    upload(files);
  });
  document.addEventListener("click", (event) => {
    const card = event.target.closest("[data-remove]")?.closest("[data-query]");
    if (!card) return;
    card.remove();
    announce("Removed from the query.");
    zone()?.querySelector("input[type=file]")?.focus();
  });
}
