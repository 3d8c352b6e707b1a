// Starts what the pages do. Listeners sit on the document, so that they also serve what arrives later.
import { announce } from "./announcing.js";
import { startAsking } from "./asking.js";
import { startDialogs } from "./dialogs.js";
import { arrangeHits, goToFirst, startHits } from "./hits.js";
import { startKeys } from "./keys.js";
import { startPlaying } from "./playing.js";
import { showLocalTimes, startTimes } from "./times.js";

function arrange(root) {
  showLocalTimes(root);
  arrangeHits();
}

// An answer comes into view; the focus, where it was in the answer before, goes to the first hit.
function arrived(event) {
  const place = document.getElementById(event.detail.target.id);
  if (!place?.matches("#answer, #problem")) return;
  const { top } = place.getBoundingClientRect();
  if (top < 0 || top > window.innerHeight * 0.7) place.scrollIntoView();
  if (place.id === "answer" && document.activeElement === document.body) goToFirst();
}

for (const start of [startPlaying, startTimes, startAsking, startHits, startDialogs, startKeys]) start();
arrange(document);
document.addEventListener("htmx:load", (event) => arrange(event.target));
document.addEventListener("htmx:beforeRequest", (event) => event.target.id === "ask" && announce("Searching."));
document.addEventListener("htmx:afterSettle", arrived);
document.addEventListener("tapetum:added", (event) => arrange(event.target));
