// What the page tells those who do not see it change, and what it shows when something went wrong.

/** Say a text to screen readers. */
export function announce(text) {
  const place = document.getElementById("status");
  if (place) place.textContent = text;
}

/** Show a problem as the server wrote it (its own escaped HTML), or take the last one away. */
export function showProblem(html) {
  const place = document.getElementById("problem");
  if (!place) return;
  place.innerHTML = html;
  if (html) place.scrollIntoView({ block: "nearest" });
}

/** Show a problem in plain words. */
export function showProblemText(text) {
  const place = document.getElementById("problem");
  if (!place) return;
  const notice = document.createElement("div");
  notice.className = "notice problem";
  notice.setAttribute("role", "alert");
  notice.textContent = text;
  place.replaceChildren(notice);
}
