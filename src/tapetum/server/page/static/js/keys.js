// Shortcuts. Single letters can be switched off (in the help), and are never taken from a field.
import { isOpen, open, playAll, stepAll } from "./dialogs.js";
import { currentHit, goToFirst, move, searchFrom, toggle } from "./hits.js";
import { isPlaying, play, stop } from "./playing.js";

const KEY = "tapetum-keys";
const MOVES = ["ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp", "Home", "End"];

let lettersOn = true;

const ofHit = {
  r: (hit) => toggle(hit, "right"),
  w: (hit) => toggle(hit, "wrong"),
  c: (hit) => toggle(hit, "compare"),
  s: searchFrom,
  " ": (hit) => (isPlaying(hit) ? stop(hit) : play(hit, { wished: true })),
};

const anywhere = {
  "?": () => open("help"),
  h: goToFirst,
  u: () => document.querySelector("[data-drop] input[type=file]")?.click(),
  v: () => document.querySelector("[data-compare]:not(:disabled)")?.click(),
  a: () => document.querySelector("[data-again]:not(:disabled)")?.click(),
  t: () => document.querySelector("[data-theme-switch]")?.click(),
  "/": () => document.getElementById("reason")?.focus(),
};

const whileComparing = {
  ArrowRight: () => stepAll(1),
  ArrowLeft: () => stepAll(-1),
  " ": playAll,
};

const isField = (element) =>
  element.matches("select, textarea, input:not([type=checkbox], [type=radio], [type=file])");
const isPressed = (element) => element.matches("button, summary, input");

function ofDialog(event) {
  const act = document.getElementById("compare")?.open ? whileComparing[event.key] : undefined;
  if (!act || (event.key === " " && isPressed(event.target))) return false;
  act();
  return true;
}

function ofPage(event) {
  if (MOVES.includes(event.key)) return move(event.key);
  if (!lettersOn) return false;
  const hit = currentHit();
  if (hit && ofHit[event.key] && !(event.key === " " && isPressed(event.target))) {
    ofHit[event.key](hit);
    return true;
  }
  anywhere[event.key]?.();
  return event.key in anywhere;
}

function pressed(event) {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    document.getElementById("ask")?.requestSubmit();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || isField(event.target)) return;
  if (isOpen() ? ofDialog(event) : ofPage(event)) event.preventDefault();
}

function readSwitch() {
  const box = document.querySelector("[data-letters]");
  try {
    lettersOn = window.localStorage.getItem(KEY) !== "off";
  } catch {
    lettersOn = true; // storage is switched off
  }
  if (box) box.checked = lettersOn;
}

function writeSwitch(on) {
  lettersOn = on;
  try {
    window.localStorage.setItem(KEY, on ? "on" : "off");
  } catch {
    // it lasts as long as the page
  }
}

/** Listen to the keyboard. */
export function startKeys() {
  readSwitch();
  document.addEventListener("keydown", pressed);
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-letters]")) writeSwitch(event.target.checked);
  });
}
