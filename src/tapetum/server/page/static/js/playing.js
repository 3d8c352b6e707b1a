// Pictures of a tracklet, one after the other, while the pointer is on it or the focus in it.
const INTERVAL_MS = 450;
const still = window.matchMedia("(prefers-reduced-motion: reduce)");
const timers = new Map();

const pictures = (place) => [...place.querySelectorAll(".look img")];

/** Show picture `index` of a tracklet; counted round its ends. */
export function show(place, index) {
  const all = pictures(place);
  if (all.length === 0) return;
  const at = ((index % all.length) + all.length) % all.length;
  all.forEach((picture, i) => picture.classList.toggle("shown", i === at));
  place.querySelectorAll(".strip li").forEach((item, i) => item.classList.toggle("now", i === at));
}

/** Show the next picture of a tracklet, or with -1 the one before. */
export function step(place, by) {
  const at = pictures(place).findIndex((picture) => picture.classList.contains("shown"));
  show(place, at + by);
}

/** Play a tracklet until `stop`; nothing moves for those who asked for less motion, unless they wish it. */
export function play(place, { wished = false } = {}) {
  if (timers.has(place) || pictures(place).length < 2 || (still.matches && !wished)) return;
  const timer = window.setInterval(() => (place.isConnected ? step(place, 1) : stop(place)), INTERVAL_MS);
  timers.set(place, timer);
  place.dataset.playing = "";
}

/** Stop playing, and show the best picture again. */
export function stop(place, { rewind = true } = {}) {
  window.clearInterval(timers.get(place));
  timers.delete(place);
  delete place.dataset.playing;
  if (rewind) show(place, 0);
}

/** Whether a tracklet is playing. */
export const isPlaying = (place) => timers.has(place);

function startOn(name) {
  document.addEventListener(name, (event) => {
    const place = event.target.closest?.("[data-plays]");
    if (place && !place.contains(event.relatedTarget)) play(place);
  });
}

function stopOn(name) {
  document.addEventListener(name, (event) => {
    const place = event.target.closest?.("[data-plays]");
    if (!place || place.contains(event.relatedTarget)) return;
    const stays = name === "pointerout" ? place.contains(document.activeElement) : place.matches(":hover");
    if (!stays) stop(place);
  });
}

/** Play on hover and on focus; show a picture of the strip that is pointed at or clicked. */
export function startPlaying() {
  ["pointerover", "focusin"].forEach(startOn);
  ["pointerout", "focusout"].forEach(stopOn);
  document.addEventListener("click", (event) => {
    const item = event.target.closest(".strip li");
    const place = item?.closest("[data-plays]");
    if (!place) return;
    stop(place, { rewind: false });
    show(place, [...item.parentElement.children].indexOf(item));
  });
}
