"use strict";
// Every page works without this: it counts down, copies, shares, and spares some typing.
{
  const all = (selector, work) => document.querySelectorAll(selector).forEach(work);

  // The country's form of a phone that is being typed
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

  // A form is sent once, however often its button is pressed: a message may take seconds
  all("form[method=post]", (form) => {
    form.addEventListener("submit", (event) => {
      if (form.ariaBusy === "true") event.preventDefault();
      form.ariaBusy = "true";
      // Should somebody stop the page that is on its way
      setTimeout(() => (form.ariaBusy = null), 15000);
    });
    addEventListener("pageshow", () => (form.ariaBusy = null));
  });

  // A whole code is sent by itself, pasted or filled in by the browser
  all("[data-length]", (input) => {
    let sent = false;
    input.addEventListener("input", () => {
      const digits = input.value.replace(/\D/g, "");
      if (digits !== input.value) input.value = digits;
      if (digits.length === Number(input.dataset.length) && !sent) {
        sent = true;
        input.form.requestSubmit();
      }
    });
    // Of a whole message the field's maxlength would leave the first words
    input.addEventListener("paste", (event) => {
      const digits = event.clipboardData.getData("text").replace(/\D/g, "");
      if (!digits) return;
      event.preventDefault();
      input.value = digits.slice(0, Number(input.dataset.length));
      input.dispatchEvent(new Event("input"));
    });
    addEventListener("pageshow", () => (sent = false));
  });

  // How long until a new code can be asked for
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

  // Copy and share; where the browser refuses, select what can be copied by hand
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
        // Whoever closed the list of apps knows it
        if (error.name !== "AbortError") refuse(button);
      }
    });
  });
}
