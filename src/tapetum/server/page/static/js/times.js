// Times that count from 1970 are shown, and asked for, in the viewer's own time.
const FULL = { dateStyle: "medium", timeStyle: "medium" };
const TICK = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" };
const SHORT_TICK = { hour: "2-digit", minute: "2-digit", second: "2-digit" };

const moment = (seconds) => new Date(Number(seconds) * 1000);
const shown = (seconds, options) => new Intl.DateTimeFormat(undefined, options).format(moment(seconds));

function showTime(element) {
  const { seconds, tick } = element.dataset;
  if (tick === undefined) {
    element.title = element.textContent.trim();
    element.textContent = shown(seconds, FULL);
  } else {
    element.textContent = shown(seconds, tick === "short" ? SHORT_TICK : TICK);
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
    if (element.matches("input")) element.value = element.dataset.seconds && fieldValue(element.dataset.seconds);
    else showTime(element);
  }
}

/** Send local times of fields as seconds, whoever sends the form. */
export function startTimes() {
  document.addEventListener("formdata", (event) => {
    for (const field of event.target.querySelectorAll("input[type=datetime-local][name]")) {
      if (field.value) event.formData.set(field.name, String(new Date(field.value).getTime() / 1000));
    }
  });
}
