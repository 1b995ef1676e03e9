"use strict";
// The phone field: formats a phone while it is being typed, and keeps the country in step with it.
// PHONE_FORMATS has for each calling code its national prefix, and for each kind of mobile number:
// how it begins, its masks by length (a is one digit, b are two and so on), and how it is written
// nationally: the prefix with $ for the first group, or masks of its own. PHONE_REGIONS has the
// main region of a calling code with several, and how the numbers of the others begin.
{
  const digitsOf = (text) => text.replace(/\D/g, "");
  const isLetter = (each) => each >= "a" && each <= "z";
  const letters = (mask) => [...mask].filter(isLetter);
  const count = (letter) => letter.charCodeAt(0) - 96;
  const size = (mask) => letters(mask).reduce((sum, letter) => sum + count(letter), 0);
  const begins = (text, pattern) => new RegExp(`^(?:${pattern})`).test(text);

  const read = {};
  const formatsOf = (code) => (read[code] ??= (() => {
    const [prefix, ...parts] = PHONE_FORMATS[code].split(";"), formats = [];
    while (parts.length) {
      const [lead, own, rule] = parts.splice(0, 3), masks = own.split(",");
      const national = rule.includes("$") ? masks.map((mask) => rule.replace("$", mask[0]) + mask.slice(1))
        : rule ? rule.split(",") : masks;
      formats.push({ lead, masks, national, head: digitsOf(national[0].split(/[a-z]/)[0]) });
    }
    return { prefix, formats };
  })());

  // Write as many digits into the mask as there are, without the punctuation after the last one
  const fill = (mask, digits) => {
    let text = "", between = "", used = 0;
    for (const each of mask) {
      if (!isLetter(each)) between += each;
      else if (used < digits.length) {
        text += between + digits.slice(used, used + count(each));
        between = "";
        used += count(each);
      }
    }
    return text;
  };
  // Return the digits in a format that fits them so far, otherwise null
  const arrange = ({ lead, masks }, digits, shown = masks) => {
    const index = masks.findIndex((mask) => size(mask) >= digits.length);
    return digits && index >= 0 && begins(digits, lead) ? fill(shown[index], digits) : null;
  };
  const first = (items, work) => {
    for (const item of items) {
      const result = work(item);
      if (result) return result;
    }
    return null;
  };

  const national = (digits, code) => {
    const { prefix, formats } = formatsOf(code);
    const same = (text) => (text && digitsOf(text) === digits ? text : null);
    const rest = prefix && digits.startsWith(prefix) ? digits.slice(prefix.length) : "";
    return first(formats, (each) => each.head && digits.startsWith(each.head)
        && same(arrange(each, digits.slice(each.head.length), each.national)))
      ?? first(formats, (each) => (each.head ? null : same(arrange(each, digits, each.national))))
      ?? first(formats, (each) => arrange(each, digits))
      ?? first(formats, (each) => arrange(each, rest) && `${prefix} ${arrange(each, rest)}`);
  };
  const codeOf = (digits) => [1, 2, 3].map((length) => digits.slice(0, length)).find((code) => code in PHONE_FORMATS);
  const international = (digits, isBare) => {
    const code = codeOf(digits), rest = digits.slice(code?.length);
    if (!code || !rest) return null;
    const arranged = first(formatsOf(code).formats, (each) => arrange(each, rest));
    return arranged || isBare ? `+${code} ${arranged ?? rest}` : null;
  };
  // Return the text formatted; unchanged if no format fits, or if it has anything but ASCII digits and
  // punctuation
  const format = (text, code) => {
    if (!/^\s*\+?[\d\s().\/-]*$/.test(text) || !/\d/.test(text)) return text;
    const digits = digitsOf(text);
    return (text.includes("+") ? international(digits, /^\+\d+$/.test(text)) : code && national(digits, code)) || text;
  };

  document.querySelectorAll("[data-phone]").forEach((input) => {
    const select = input.form.querySelector("select[data-countries]");
    const options = [...(select?.options ?? [])].filter((each) => each.value);
    const callingCode = (option) => option?.textContent.match(/\+(\d+)/)?.[1];
    const chosenCode = () => (select ? callingCode(select.selectedOptions[0]) : input.dataset.phone);
    let lastCode = chosenCode(), isWriting = false;

    // Choose the country of a number with +
    const follow = () => {
      const digits = digitsOf(input.value), code = codeOf(digits);
      if (!select || !code || !/^\s*\+/.test(input.value)) return;
      const sharing = options.filter((each) => callingCode(each) === code);
      const rest = digits.slice(code.length), chosen = select.selectedOptions[0];
      const lead = (option) => PHONE_REGIONS[option.value];
      const stays = sharing.includes(chosen) && (!lead(chosen) || rest.length < 3);
      const option = sharing.find((each) => lead(each) && begins(rest, lead(each)))
        ?? (stays ? chosen : null)
        ?? sharing.find((each) => each.value === PHONE_REGIONS[code])
        ?? sharing.find((each) => !lead(each)) ?? sharing[0];
      if (option) option.selected = true;
      lastCode = chosenCode();
    };

    // Replace only what differs, as if it had been typed, so that it can be undone
    const write = (text, caret) => {
      const old = input.value, isFocused = document.activeElement === input;
      let from = 0, same = 0;
      while (from < text.length && text[from] === old[from]) from++;
      while (same < Math.min(text.length, old.length) - from && text.at(-1 - same) === old.at(-1 - same)) same++;
      if (isFocused) {
        const added = text.slice(from, text.length - same);
        isWriting = true;
        input.setSelectionRange(from, old.length - same);
        document.execCommand(added ? "insertText" : "delete", false, added);
        isWriting = false;
      }
      if (input.value !== text) input.value = text;
      if (isFocused) input.setSelectionRange(caret, caret);
    };

    const reformat = (isForward) => {
      const old = input.value, text = format(old, chosenCode());
      if (text === old) return;
      // The caret stays after the same digit; before the next one if the text after it was deleted
      let left = old.slice(0, input.selectionStart).replace(/[^\d+]/g, "").length, caret = 0;
      const isAtEnd = !/[\d+]/.test(old.slice(input.selectionStart));
      while (left > 0) if (/[\d+]/.test(text[caret++])) left--;
      while (isForward && caret < text.length && !/\d/.test(text[caret])) caret++;
      write(text, isAtEnd ? text.length : caret);
    };

    input.addEventListener("input", (event) => {
      if (isWriting) return;
      follow();
      const type = event.inputType ?? "";
      // Undoing formats nothing, and punctuation that a person types stays
      const isPunctuation = type === "insertText" && !/[\d+]/.test(event.data ?? "");
      if (event.isComposing || type.startsWith("history") || isPunctuation) return;
      reformat(type === "deleteContentForward");
    });
    input.addEventListener("compositionend", () => reformat(false));
    select?.addEventListener("change", () => {
      const code = chosenCode(), digits = digitsOf(input.value);
      // A number with + belongs to the country that was chosen last, too
      if (code && lastCode && /^\s*\+/.test(input.value) && digits.startsWith(lastCode)) {
        input.value = `+${code}${digits.slice(lastCode.length)}`;
      }
      lastCode = code;
      reformat(false);
    });
    addEventListener("pageshow", follow);
    follow();
  });
}
