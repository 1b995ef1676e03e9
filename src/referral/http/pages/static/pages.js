"use strict";
// Every page works without this script. It counts down, copies, shares, and saves some typing.
{
  const all = (selector, work) => document.querySelectorAll(selector).forEach(work);

  // Show a phone formatted as its country does while it is being typed
  all("[data-phone]", (input) => {
    const shown = document.getElementById("as-typed");
    let waiting, last = 0;
    input.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(async () => {
        const mine = ++last;
        try {
          const answer = await fetch("/phone-form", { method: "POST", body: new URLSearchParams({ phone: input.value }) });
          const { form, country } = await answer.json();
          if (mine !== last) return;
          const flag = country && /^[A-Z]{2}$/.test(country)
            ? String.fromCodePoint(...[...country].map((letter) => 0x1f1a5 + letter.charCodeAt(0))) + " " : "";
          shown.textContent = form ? flag + form : "";
        } catch {
          shown.textContent = "";
        }
      }, 150);
    });
  });

  // Submit a form once, however often its button is pressed: sending a message may take seconds
  all("form[method=post]", (form) => {
    form.addEventListener("submit", (event) => {
      if (form.ariaBusy === "true") event.preventDefault();
      form.ariaBusy = "true";
      // In case the user stops the navigation
      setTimeout(() => (form.ariaBusy = null), 15000);
    });
    addEventListener("pageshow", () => (form.ariaBusy = null));
  });

  // Submit a complete code automatically, whether it is typed, pasted or filled in by the browser
  all("[data-length]", (input) => {
    let sent = false;
    input.addEventListener("input", () => {
      // Digits of every script; the server parses the text, whatever is in it
      const rest = input.value.replace(/[\s\p{Pd}\p{Cf}]/gu, "");
      if (/^\p{Nd}+$/u.test(rest) && [...rest].length === Number(input.dataset.length) && !sent) {
        sent = true;
        input.form.requestSubmit();
      }
    });
    // Submit a pasted message as it is, with spaces where the field would join its lines
    input.addEventListener("paste", (event) => {
      const text = event.clipboardData.getData("text").trim();
      if (!/\p{Nd}/u.test(text) || text.length > input.maxLength) return;
      event.preventDefault();
      input.value = text.replace(/\s+/g, " ");
      input.dispatchEvent(new Event("input"));
      if (/[^\s\p{Nd}\p{Pd}\p{Cf}]/u.test(text) && !sent) {
        sent = true;
        input.form.requestSubmit();
      }
    });
    addEventListener("pageshow", () => (sent = false));
  });

  // Count down until a new code can be requested
  all("#resend-in", (note) => {
    const button = document.getElementById("again"), left = note.querySelector("[data-left]");
    const end = Date.now() + 1000 * Number(note.dataset.seconds);
    const tick = () => {
      const seconds = Math.ceil((end - Date.now()) / 1000);
      button.disabled = seconds > 0;
      note.hidden = seconds <= 0;
      left.textContent = seconds;
      if (seconds > 0) setTimeout(tick, 250);
    };
    tick();
  });

  // Copy and share. If the browser refuses, select the text so that it can be copied by hand
  const refuse = (button) => {
    getSelection().selectAllChildren(document.getElementById(button.dataset.shown));
    all(`[data-refused="${button.dataset.shown}"]`, (note) => (note.textContent = note.dataset.words));
  };
  all("[data-copy]", (button) => {
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.dataset.copy);
      } catch {
        return refuse(button);
      }
      const words = button.textContent;
      button.textContent = button.dataset.done;
      setTimeout(() => (button.textContent = words), 2000);
    });
  });
  all("[data-share]", (button) => {
    if (!navigator.share) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.share({ url: button.dataset.share, text: button.dataset.text });
      } catch (error) {
        // The user closed the list of apps, so there is nothing to tell them
        if (error.name !== "AbortError") refuse(button);
      }
    });
  });
}
