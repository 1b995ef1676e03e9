"use strict";
// Every page works without this script. It counts down, copies, shares, and saves some typing.
{
  const all = (selector, work) => document.querySelectorAll(selector).forEach(work);

  // Tell screen readers what else is only seen
  const status = document.createElement("p");
  status.className = "unseen";
  status.setAttribute("aria-live", "polite");
  document.body.append(status);
  const say = (text) => (status.textContent = text);

  // Submit a form once, however often its button is pressed: sending a message may take seconds.
  // The button says meanwhile what is done
  all("form[method=post]", (form) => {
    let restore = () => {};
    form.addEventListener("submit", (event) => {
      if (form.ariaBusy === "true") return event.preventDefault();
      form.ariaBusy = "true";
      const button = event.submitter ?? form.querySelector("button[data-busy]");
      if (button?.dataset.busy) {
        const words = [...button.childNodes], width = button.offsetWidth;
        restore = () => {
          button.replaceChildren(...words);
          button.style.minWidth = "";
          say("");
          restore = () => {};
        };
        button.style.minWidth = `${width}px`;
        button.replaceChildren(button.dataset.busy);
        say(button.dataset.busy);
      }
      // In case the user stops the navigation
      setTimeout(rest, 15000);
    });
    const rest = () => {
      form.ariaBusy = null;
      restore();
    };
    addEventListener("pageshow", rest);
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

  // Take the code out of the message, where the browser can (https://wicg.github.io/web-otp/)
  all("input[autocomplete=one-time-code]", (input) => {
    if (!("OTPCredential" in window)) return;
    const over = new AbortController();
    input.form.addEventListener("submit", () => over.abort());
    addEventListener("pagehide", () => over.abort());
    navigator.credentials.get({ otp: { transport: ["sms"] }, signal: over.signal }).then((otp) => {
      input.value = otp.code;
      input.dispatchEvent(new Event("input"));
    }, () => {
      // The user declined, or typed it
    });
  });

  // Count down the seconds of an element
  const countDown = (element, work) => {
    const left = element.querySelector("[data-left]");
    const end = Date.now() + 1000 * Number(element.dataset.seconds);
    const tick = () => {
      const seconds = Math.max(Math.ceil((end - Date.now()) / 1000), 0);
      left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
      work(seconds);
      if (seconds > 0) setTimeout(tick, 250);
    };
    tick();
  };
  const again = document.getElementById("again");
  // Until a new code can be requested, by any channel
  all("#resend-in", (note) => countDown(note, (seconds) => {
    all(".again button", (button) => (button.disabled = seconds > 0));
    note.hidden = seconds === 0;
    note.previousElementSibling.hidden = seconds > 0;
  }));
  // Until the code is too old; a new one is then the next step
  all("#good", (note) => {
    note.hidden = false;
    let said = false;
    countDown(note, (seconds) => {
      const [good, over] = note.children;
      if (seconds > 0 && seconds <= 30 && !said) {
        said = true;
        say(good.textContent);
      }
      if (seconds > 0) return;
      note.classList.add("is-over");
      all("#code-error", (error) => (error.style.visibility = "hidden")); // nothing moves
      document.getElementById("go-on").classList.remove("main");
      again.classList.add("main");
      say(over.textContent);
    });
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
