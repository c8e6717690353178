// Starts Swagger UI on /docs: reads this service's own description, asks only this service.
"use strict";

(function () {
  const place = document.getElementById("explorer");
  if (!place || !window.SwaggerUIBundle) return;

  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  function follow() {
    document.documentElement.classList.toggle("dark-mode", dark.matches);
  }
  dark.addEventListener("change", follow);
  follow();

  window.SwaggerUIBundle({
    url: "/openapi.json",
    domNode: place,
    validatorUrl: null,
    defaultModelsExpandDepth: -1,
    requestInterceptor: function (request) {
      // Whoever signed in has a cookie, and a cookie alone is not enough to post.
      if (place.dataset.csrf) request.headers["X-CSRFToken"] = place.dataset.csrf;
      return request;
    },
  });
})();
