// Times that count from 1970 are shown, and asked for, in the viewer's own time.
const FULL = { dateStyle: "medium", timeStyle: "medium" };
const CLOCK = { hour: "2-digit", minute: "2-digit" };
const DAY = { month: "short", day: "numeric" };
const SECOND = { second: "2-digit" };

const moment = (seconds) => new Date(Number(seconds) * 1000);
const shown = (seconds, options) => new Intl.DateTimeFormat(undefined, options).format(moment(seconds));

function showTime(element) {
  const { seconds } = element.dataset;
  const isThisYear = moment(seconds).getFullYear() === new Date().getFullYear();
  element.title = `${shown(seconds, FULL)} (${element.textContent.trim()})`;
  element.textContent = shown(seconds, isThisYear ? { ...DAY, ...CLOCK, ...SECOND } : FULL);
}

// Ticks of an axis: the day stands only where it is another one than that of the tick before.
function showTicks(ticks) {
  let before = "";
  for (const tick of ticks) {
    const { seconds, tick: kind } = tick.dataset;
    const day = shown(seconds, DAY);
    const clock = kind === "short" ? { ...CLOCK, ...SECOND } : CLOCK;
    tick.textContent = shown(seconds, day === before || kind === "short" ? clock : { ...DAY, ...clock });
    before = day;
  }
}

// What a field of date and time holds: local time without a zone, "2026-03-01T18:30:05".
function fieldValue(seconds) {
  const time = moment(seconds);
  return new Date(time.getTime() - time.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
}

/** Write every time of a part of the page in local time, once. */
export function showLocalTimes(root) {
  for (const element of root.querySelectorAll("[data-seconds]:not([data-local])")) {
    element.dataset.local = "";
    if (element.dataset.tick !== undefined) continue;
    if (element.matches("input")) element.value = element.dataset.seconds && fieldValue(element.dataset.seconds);
    else showTime(element);
  }
  showTicks(root.querySelectorAll("[data-tick]"));
}

/** Send local times of fields as seconds, whoever sends the form. */
export function startTimes() {
  document.addEventListener("formdata", (event) => {
    for (const field of event.target.querySelectorAll("input[type=datetime-local][name]")) {
      if (field.value) event.formData.set(field.name, String(new Date(field.value).getTime() / 1000));
    }
  });
}
