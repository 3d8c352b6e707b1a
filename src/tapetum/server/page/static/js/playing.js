// Pictures of a tracklet, one after the other, while the pointer is on it or the focus in it. They come as one sheet:
// a row of pictures, each twice as high as wide, which is moved behind its window.
const INTERVAL_MS = 450;
const still = window.matchMedia("(prefers-reduced-motion: reduce)");
const timers = new Map();

const sheet = (place) => place.querySelector(".look img");

function count(place) {
  const { naturalWidth: width, naturalHeight: height } = sheet(place) ?? {};
  return height ? Math.max(1, Math.round((2 * width) / height)) : 1;
}

/** Show picture `index` of a tracklet; counted round its ends. */
export function show(place, index) {
  const pictures = count(place);
  const at = ((index % pictures) + pictures) % pictures;
  place.dataset.at = at;
  sheet(place).style.translate = `${(-100 * at) / pictures}% 0`;
  const now = place.querySelector(".film .now");
  if (now) now.style.translate = `${100 * at}% 0`;
}

/** Show the next picture of a tracklet, or with -1 the one before. */
export const step = (place, by) => show(place, Number(place.dataset.at ?? 0) + by);

/** Play a tracklet until `stop`; nothing moves for those who asked for less motion, unless they wish it. */
export function play(place, { wished = false } = {}) {
  if (timers.has(place) || !sheet(place) || (still.matches && !wished)) return;
  const timer = window.setInterval(() => (place.isConnected ? step(place, 1) : stop(place)), INTERVAL_MS);
  timers.set(place, timer);
  place.dataset.playing = "";
}

/** Stop playing, and show the best picture again. */
export function stop(place, { rewind = true } = {}) {
  window.clearInterval(timers.get(place));
  timers.delete(place);
  delete place.dataset.playing;
  if (rewind && sheet(place)) show(place, 0);
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

function showPointedAt(event) {
  const film = event.target.closest(".film");
  const place = film?.closest("[data-plays]");
  if (!place) return;
  stop(place, { rewind: false });
  const { left, width } = film.querySelector(".now").parentElement.getBoundingClientRect();
  show(place, Math.min(count(place) - 1, Math.floor((4 * (event.clientX - left)) / width)));
}

/** Play on hover and on focus; show the picture of the film that is clicked. */
export function startPlaying() {
  ["pointerover", "focusin"].forEach(startOn);
  ["pointerout", "focusout"].forEach(stopOn);
  document.addEventListener("click", showPointedAt);
}
