// Light or dark: the system's choice, or the one that was made here and is kept in the browser.
// Loaded before the page is drawn, so that it does not flash.
"use strict";
(() => {
  const KEY = "tapetum-theme";
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const named = (dark) => (dark ? "dark" : "light");
  root.classList.add("scripted");

  function kept() {
    try {
      return window.localStorage.getItem(KEY);
    } catch {
      return null; // storage is switched off: the choice lasts as long as the page
    }
  }

  function keep(theme) {
    try {
      if (theme === null) window.localStorage.removeItem(KEY);
      else window.localStorage.setItem(KEY, theme);
    } catch {
      // as above
    }
  }

  const isDark = () => (root.dataset.theme ?? named(system.matches)) === "dark";

  function label() {
    for (const button of document.querySelectorAll("[data-theme-switch]")) {
      const text = `Switch to ${named(!isDark())} colours`;
      button.setAttribute("aria-label", text);
      button.title = text;
    }
  }

  function switchTheme() {
    const wanted = named(!isDark());
    const follows = wanted === named(system.matches);
    if (follows) delete root.dataset.theme;
    else root.dataset.theme = wanted;
    keep(follows ? null : wanted);
    label();
  }

  const chosen = kept();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  system.addEventListener("change", label);
  document.addEventListener("DOMContentLoaded", label);
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-theme-switch]")) switchTheme();
  });
})();
