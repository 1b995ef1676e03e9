// passport-openidconnect: no PKCE, no discovery, no refreshing, no sign-out of its own.
import express from "express";
import session from "express-session";
import passport from "passport";
import { Strategy } from "passport-openidconnect";
import { page } from "./page.mjs";

const { ISSUER, APP_URL, CLIENT_ID, CLIENT_SECRET, PORT } = process.env;

passport.use(
  new Strategy(
    {
      issuer: ISSUER,
      authorizationURL: `${ISSUER}/oauth/authorize`,
      tokenURL: `${ISSUER}/oauth/token`,
      userInfoURL: `${ISSUER}/oauth/userinfo`,
      clientID: CLIENT_ID,
      clientSecret: CLIENT_SECRET,
      callbackURL: `${APP_URL}/callback`,
      scope: ["phone"],
      skipUserProfile: false,
    },
    (issuer, profile, context, idToken, done) => done(null, { id: profile.id, idToken }),
  ),
);
passport.serializeUser((user, done) => done(null, user));
passport.deserializeUser((user, done) => done(null, user));

const app = express();
app.use(session({ secret: "a secret", resave: false, saveUninitialized: false }));
app.use(passport.session());
app.get("/", (request, response) => response.send(page(request.user?.id ?? null)));
app.get("/sign-in", passport.authenticate("openidconnect"));
app.get(
  "/callback",
  passport.authenticate("openidconnect", { successRedirect: "/", failureRedirect: "/failed" }),
);
app.get("/sign-out", (request, response, next) => {
  const query = new URLSearchParams({
    id_token_hint: request.user.idToken,
    post_logout_redirect_uri: `${APP_URL}/`,
  });
  request.logout((error) => (error ? next(error) : response.redirect(`${ISSUER}/oauth/logout?${query}`)));
});
app.listen(Number(PORT), "127.0.0.1");
