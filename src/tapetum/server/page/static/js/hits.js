// The hits: arrow keys among them, marks, choice for comparing, and the pins of the timeline.
import { announce } from "./announcing.js";

const all = () => [...document.querySelectorAll("[data-hit]")];
const link = (hit) => hit.querySelector("a.look");
const box = (hit, name) => hit.querySelector(`input[name=${name}]`);

/** The hit that the focus is in; null where it is in none. */
export const currentHit = () => document.activeElement?.closest("[data-hit]") ?? null;

/** Give the focus to a hit and bring it into view. */
export function goTo(hit) {
  if (!hit) return;
  hit.scrollIntoView({ block: "nearest" });
  link(hit).focus({ preventScroll: true });
}

/** Give the focus to the first hit. */
export const goToFirst = () => goTo(all()[0]);

// The nearest hit in the next row up or down: the one whose middle is nearest.
function inRow(hit, way) {
  const { left, top } = hit.getBoundingClientRect();
  const others = all()
    .map((other) => ({ other, at: other.getBoundingClientRect() }))
    .filter(({ at }) => (at.top - top) * way > 1);
  if (others.length === 0) return null;
  const row = Math.min(...others.map(({ at }) => at.top * way)) * way;
  const near = others.filter(({ at }) => Math.abs(at.top - row) < 2);
  near.sort((a, b) => Math.abs(a.at.left - left) - Math.abs(b.at.left - left));
  return near[0].other;
}

/** Move the focus by an arrow key, Home or End; true where it moved. */
export function move(key) {
  const hit = currentHit();
  if (!hit) return false;
  const hits = all();
  const at = hits.indexOf(hit);
  const target = {
    ArrowRight: () => hits[at + 1],
    ArrowLeft: () => hits[at - 1],
    ArrowDown: () => inRow(hit, 1),
    ArrowUp: () => inRow(hit, -1),
    Home: () => hits[0],
    End: () => hits[hits.length - 1],
  }[key]?.();
  goTo(target);
  return Boolean(target);
}

/** Tick or untick "right", "wrong" or "compare" of a hit. */
export function toggle(hit, name) {
  const found = box(hit, name);
  if (!found) return;
  found.checked = !found.checked;
  found.dispatchEvent(new Event("change", { bubbles: true }));
  announce(`${hit.dataset.name}: ${name} ${found.checked ? "on" : "off"}`);
}

/** Search again from a hit. */
export const searchFrom = (hit) => hit.querySelector("[name=from_hit]")?.click();

function readMarks(hit) {
  hit.classList.toggle("is-right", box(hit, "right")?.checked ?? false);
  hit.classList.toggle("is-wrong", box(hit, "wrong")?.checked ?? false);
}

function count(name) {
  const chosen = document.querySelectorAll(`input[name=${name}]:checked`);
  return new Set([...chosen].map((found) => found.value)).size;
}

function writeCounts() {
  const marks = count("right") + count("wrong");
  const compared = count("compare");
  const again = document.querySelector("[data-again]");
  const compare = document.querySelector("[data-compare]");
  if (again) {
    again.disabled = marks === 0 && !again.dataset.marked;
    again.querySelector("[data-count]").textContent = marks > 0 ? ` with ${marks} mark${marks > 1 ? "s" : ""}` : "";
  }
  if (compare) {
    compare.disabled = compared === 0;
    compare.querySelector("[data-count]").textContent = compared > 0 ? ` ${compared}` : "";
  }
}

// One hit at a time is reached by the Tab key: the one that had the focus last, at first the first.
function rove(current) {
  for (const hit of all()) {
    const reached = hit === current;
    for (const part of hit.querySelectorAll("a, button, input")) part.tabIndex = reached ? 0 : -1;
  }
}

function pinDown(hit) {
  for (const pin of document.querySelectorAll("[data-pin]")) {
    pin.classList.toggle("current", pin.dataset.pin === hit.dataset.hit);
  }
}

/** Bring marks, counts and the order of the Tab key in line with what is on the page. */
export function arrangeHits() {
  const hits = all();
  hits.forEach(readMarks);
  writeCounts();
  rove(currentHit() ?? hits[0]);
}

function marked(event) {
  const changed = event.target;
  const hit = changed.closest("[data-hit]");
  const other = { right: "wrong", wrong: "right" }[changed.name];
  if (hit && other && changed.checked && box(hit, other)) box(hit, other).checked = false;
  if (hit) readMarks(hit);
  writeCounts();
}

/** Follow marks, focus and pins. */
export function startHits() {
  document.addEventListener("change", (event) => {
    if (["right", "wrong", "compare"].includes(event.target.name)) marked(event);
  });
  document.addEventListener("focusin", (event) => {
    const hit = event.target.closest("[data-hit]");
    if (!hit) return;
    rove(hit);
    pinDown(hit);
  });
  document.addEventListener("click", (event) => {
    const pin = event.target.closest("[data-pin]");
    if (!pin) return;
    event.preventDefault();
    const hit = document.querySelector(`[data-hit="${CSS.escape(pin.dataset.pin)}"]`);
    hit.scrollIntoView({ block: "center", behavior: "smooth" });
    link(hit).focus({ preventScroll: true });
  });
}
