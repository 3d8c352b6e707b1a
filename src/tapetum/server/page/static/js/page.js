// Starts what the pages do. Listeners sit on the document, so that they also serve what arrives later.
import { startAsking } from "./asking.js";
import { startDialogs } from "./dialogs.js";
import { arrangeHits, startHits } from "./hits.js";
import { startKeys } from "./keys.js";
import { startPlaying } from "./playing.js";
import { showLocalTimes, startTimes } from "./times.js";

function arrange(root) {
  showLocalTimes(root);
  arrangeHits();
}

for (const start of [startPlaying, startTimes, startAsking, startHits, startDialogs, startKeys]) start();
arrange(document);
document.addEventListener("htmx:load", (event) => arrange(event.target));
document.addEventListener("tapetum:added", (event) => arrange(event.target));
