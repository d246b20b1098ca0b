// Express with http-proxy-middleware: node express.js PORT TLS-PORT PEM UPSTREAM-PORT [KEY ISSUER AUDIENCE ORIGIN]
// With a public key it has everything on that comes as middleware: what its users run.
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const http = require("node:http");
const https = require("node:https");
const express = require("express");
const { createProxyMiddleware } = require("http-proxy-middleware");

const [port, tlsPort, pemFile, upstreamPort, keyFile, issuer, audience, origin] = process.argv.slice(2);

const app = express();
app.disable("x-powered-by");
if (keyFile) addPolicies();
app.use(
  createProxyMiddleware({
    target: `http://127.0.0.1:${upstreamPort}`,
    agent: new http.Agent({ keepAlive: true, maxSockets: 2048, maxFreeSockets: 2048 }),
    xfwd: true,
  }),
);

function addPolicies() {
  const { rateLimit } = require("express-rate-limit");
  const jwt = require("jsonwebtoken");
  const metrics = require("prom-client");
  const key = fs.readFileSync(keyFile);
  const log = fs.createWriteStream("access.log", { flags: "a" });
  const seconds = new metrics.Histogram({
    name: "request_seconds",
    help: "Seconds of requests.",
    labelNames: ["method", "status"],
  });
  const limit = (more) =>
    rateLimit({ windowMs: 60_000, limit: 100_000_000, standardHeaders: "draft-8", legacyHeaders: false, ...more });

  app.use((request, response, next) => {
    const begun = process.hrtime.bigint();
    request.id = crypto.randomUUID();
    response.setHeader("X-Request-Id", request.id);
    response.on("finish", () => {
      const taken = Number(process.hrtime.bigint() - begun) / 1e9;
      seconds.observe({ method: request.method, status: response.statusCode }, taken);
      const line = {
        time: new Date().toISOString(),
        request_id: request.id,
        client_ip: request.ip,
        user: request.user && request.user.sub,
        method: request.method,
        path: request.path,
        status: response.statusCode,
        total_ms: taken * 1000,
      };
      log.write(JSON.stringify(line) + "\n");
    });
    next();
  });
  app.use(require("helmet")());
  app.use(require("cors")({ origin: [origin], credentials: true }));
  app.use(limit({ identifier: "ip" }));
  app.use((request, response, next) => {
    const [scheme, token] = (request.headers.authorization || "").split(" ");
    try {
      if (scheme !== "Bearer") throw new Error("no token");
      request.user = jwt.verify(token, key, { algorithms: ["RS256"], issuer, audience });
    } catch (error) {
      response.status(401).json({ error: error.message });
      return;
    }
    if (!request.user.scope.split(" ").includes("read")) {
      response.status(403).json({ error: "the scope read is needed" });
      return;
    }
    request.headers["x-user-id"] = request.user.sub;
    request.headers["x-user-role"] = request.user.roles.join(",");
    next();
  });
  app.use(limit({ identifier: "user", keyGenerator: (request) => request.user.sub }));
  app.use(limit({ identifier: "route", keyGenerator: () => "route" }));
}

function serve(server, port) {
  server.keepAliveTimeout = 600_000;
  server.listen({ host: "127.0.0.1", port: Number(port), backlog: 4096 });
}

const pem = fs.readFileSync(pemFile);
serve(http.createServer(app), port);
serve(https.createServer({ key: pem, cert: pem }, app), tlsPort);
