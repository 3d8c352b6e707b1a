// Dialogs: help, and comparing side by side.
import { play, isPlaying, step, stop } from "./playing.js";

const compare = () => document.getElementById("compare");
const figures = () => [...compare().querySelectorAll("[data-plays]")];

/** Open a dialog by its id, where the page has it. */
export function open(id) {
  const dialog = document.getElementById(id);
  if (dialog && !dialog.open) dialog.showModal();
}

/** Whether a dialog is open. */
export const isOpen = () => document.querySelector("dialog[open]") !== null;

/** One picture further (or back) in all that is compared. */
export function stepAll(by) {
  for (const figure of figures()) {
    stop(figure, { rewind: false });
    step(figure, by);
  }
}

/** Play all that is compared, or stop it. */
export function playAll() {
  const running = figures().some(isPlaying);
  for (const figure of figures()) {
    if (running) stop(figure, { rewind: false });
    else play(figure, { wished: true });
  }
}

function clicked(event) {
  const opener = event.target.closest("[data-open]");
  if (opener) open(opener.dataset.open);
  if (event.target.closest("[data-close]") || event.target.matches("dialog")) event.target.closest("dialog").close();
  const stepper = event.target.closest("[data-step]");
  if (stepper) stepAll(Number(stepper.dataset.step));
  if (event.target.closest("[data-play-all]")) playAll();
}

/** Open, close and step; what is compared opens when it has arrived. */
export function startDialogs() {
  document.addEventListener("click", clicked);
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target.id === "compare-body") open("compare");
  });
}
