"use strict";
(() => {
  const lostAfterMs = 5000;
  let lastEventMs = Date.now();

  const show = (parts) => {
    for (const [name, html] of Object.entries(parts)) {
      if (name === "title") {
        document.title = html;
      } else {
        document.getElementById(name).innerHTML = html;
      }
    }
  };

  const listen = () => {
    const events = new EventSource("events");
    events.onmessage = (event) => {
      lastEventMs = Date.now();
      document.body.classList.remove("lost");
      show(JSON.parse(event.data));
    };
    events.onerror = () => {
      document.body.classList.add("lost");
      // The browser tries again by itself, unless the server answered with a refusal.
      if (events.readyState === EventSource.CLOSED) {
        setTimeout(listen, 3000);
      }
    };
  };

  setInterval(() => {
    document.body.classList.toggle("lost", Date.now() - lastEventMs > lostAfterMs);
  }, 1000);
  listen();
})();
