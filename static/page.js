// Progressive enhancement only: dropping, pasting and previewing a file, and saying that a
// reading is under way. Every form works without it.
"use strict";

(function () {
  const PREVIEW_MAX_BYTES = 16 * 1024 * 1024;
  const SHOWN_BY_BROWSERS = /^image\/(jpeg|png|webp|bmp)$/;

  function preview(form, file) {
    const figure = form.querySelector("[data-preview]");
    const image = figure.querySelector("img");
    figure.hidden = true;
    if (!file || !SHOWN_BY_BROWSERS.test(file.type) || file.size > PREVIEW_MAX_BYTES) return;
    const reader = new FileReader();
    reader.addEventListener("load", function () {
      image.src = reader.result;
      figure.hidden = false;
    });
    reader.readAsDataURL(file);
  }

  function say(form, words) {
    form.querySelector("[data-status]").textContent = words;
  }

  function take(form, input, files) {
    if (!files.length) return;
    const one = new DataTransfer();
    one.items.add(files[0]);
    input.files = one.files;
    preview(form, files[0]);
    say(form, files.length > 1 ? "One radiograph at a time: the first one was taken." : "");
  }

  function enableDrop(form, zone, input) {
    zone.querySelector("[data-drop-hint]").hidden = false;
    ["dragenter", "dragover"].forEach(function (name) {
      zone.addEventListener(name, function (event) {
        event.preventDefault();
        zone.classList.add("over");
      });
    });
    ["dragleave", "drop"].forEach(function (name) {
      zone.addEventListener(name, function (event) {
        event.preventDefault();
        zone.classList.remove("over");
      });
    });
    zone.addEventListener("drop", function (event) {
      take(form, input, event.dataTransfer.files);
    });
    document.addEventListener("paste", function (event) {
      if (event.clipboardData) take(form, input, event.clipboardData.files);
    });
    input.addEventListener("change", function () {
      say(form, "");
      preview(form, input.files[0]);
    });
  }

  function enableBusy(form) {
    const button = form.querySelector("button[type=submit]");
    const words = button.textContent;
    form.addEventListener("submit", function (event) {
      if (button.getAttribute("aria-disabled") === "true") {
        event.preventDefault();
        return;
      }
      button.setAttribute("aria-disabled", "true");
      button.textContent = button.dataset.busy;
      say(form, "The radiograph is being read.");
    });
    // Coming back with the browser's back button must find a form that can be sent again.
    window.addEventListener("pageshow", function () {
      button.removeAttribute("aria-disabled");
      button.textContent = words;
      say(form, "");
    });
  }

  document.querySelectorAll("[data-reader]").forEach(function (form) {
    enableBusy(form);
    const zone = form.querySelector("[data-drop]");
    if (zone) enableDrop(form, zone, form.querySelector("input[type=file]"));
  });

  // A file that misses the zone must not replace the page.
  ["dragover", "drop"].forEach(function (name) {
    window.addEventListener(name, function (event) {
      event.preventDefault();
    });
  });
})();
