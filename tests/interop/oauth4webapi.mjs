// oauth4webapi with HTTP Basic, whose credentials it percent-encodes.
import { createServer } from "node:http";
import * as oauth from "oauth4webapi";
import { page } from "./page.mjs";

const { ISSUER, APP_URL, CLIENT_ID, CLIENT_SECRET, PORT } = process.env;
const issuer = new URL(ISSUER);
const provider = await oauth
  .discoveryRequest(issuer)
  .then((response) => oauth.processDiscoveryResponse(issuer, response));
const client = { client_id: CLIENT_ID };
const authentication = oauth.ClientSecretBasic(CLIENT_SECRET);
const redirect_uri = `${APP_URL}/callback`;
let checks;
let tokens;
let who = null; // one person is enough here

const routes = {
  "/": () => page(who),

  "/sign-in": async () => {
    checks = {
      verifier: oauth.generateRandomCodeVerifier(),
      state: oauth.generateRandomState(),
      nonce: oauth.generateRandomNonce(),
    };
    const url = new URL(provider.authorization_endpoint);
    url.search = new URLSearchParams({
      client_id: CLIENT_ID,
      redirect_uri,
      response_type: "code",
      scope: "openid phone offline_access",
      state: checks.state,
      nonce: checks.nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(checks.verifier),
      code_challenge_method: "S256",
    });
    return url;
  },

  "/callback": async (url) => {
    const parameters = oauth.validateAuthResponse(provider, client, url, checks.state);
    const response = await oauth.authorizationCodeGrantRequest(
      provider, client, authentication, parameters, redirect_uri, checks.verifier,
    );
    tokens = await oauth.processAuthorizationCodeResponse(provider, client, response, {
      expectedNonce: checks.nonce,
      requireIdToken: true,
    });
    await oauth.validateApplicationLevelSignature(provider, response);
    const { sub } = oauth.getValidatedIdTokenClaims(tokens);
    const info = await oauth.userInfoRequest(provider, client, tokens.access_token);
    who = (await oauth.processUserInfoResponse(provider, client, sub, info)).phone_number;
    return "/";
  },

  "/refresh": async () => {
    const response = await oauth.refreshTokenGrantRequest(
      provider, client, authentication, tokens.refresh_token,
    );
    tokens = await oauth.processRefreshTokenResponse(provider, client, response);
    return "/";
  },

  "/sign-out": async () => {
    const revoked = await oauth.revocationRequest(
      provider, client, authentication, tokens.refresh_token,
    );
    await oauth.processRevocationResponse(revoked);
    const url = new URL(provider.end_session_endpoint);
    url.searchParams.set("id_token_hint", tokens.id_token);
    url.searchParams.set("post_logout_redirect_uri", `${APP_URL}/`);
    who = null;
    return url;
  },
};

createServer(async (request, response) => {
  const url = new URL(request.url, APP_URL);
  const route = routes[url.pathname];
  if (!route) return response.writeHead(404).end();
  const outcome = await route(url);
  if (url.pathname === "/") return response.writeHead(200, { "Content-Type": "text/html" }).end(outcome);
  response.writeHead(303, { Location: String(outcome) }).end();
}).listen(Number(PORT), "127.0.0.1");
