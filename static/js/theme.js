// Dark or light before anything is painted: the system's choice, until the reader makes
// another. Only that choice is kept in the browser.
"use strict";

(function () {
  const KEY = "xray-theme";
  const light = document.querySelector("link[data-light]");

  function remembered() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // storage may be switched off
    }
  }

  function isLight() {
    return matchMedia(light.media).matches;
  }

  function set(theme) {
    light.media = theme === "light" ? "all" : "not all";
  }

  if (remembered()) set(remembered());

  document.addEventListener("DOMContentLoaded", function () {
    const button = document.querySelector("[data-theme-switch]");
    button.hidden = false;
    button.addEventListener("click", function () {
      const theme = isLight() ? "dark" : "light";
      set(theme);
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // the choice then lasts as long as the page
      }
    });
  });
})();
