// The page of every app in JavaScript here.

/** who: null if nobody is signed in. */
export const page = (who, { signIn = "/sign-in", refresh = "/refresh", signOut = "/sign-out" } = {}) =>
  "<!doctype html><title>App</title>" +
  (who === null
    ? `<a id="sign-in" href="${signIn}">Sign in</a>`
    : `<p id="who">${who}</p><a id="refresh" href="${refresh}">Refresh</a>
       <a id="sign-out" href="${signOut}">Sign out</a>`);
